/// How a worker process ends, told by its exit status.
public enum WorkerExit: Int32, Sendable {
    /// The result record is written.
    case done = 0
    /// Checkpointed after a request to stop: run me again.
    case checkpointed = 85
    /// Something that may be better later, such as a busy device or a full disk.
    case temporary = 75
    /// The job's data is bad: a corpus, a model, a loss that is not finite. The result record says why.
    case badData = 65
    /// Something the job names is not there or not readable.
    case noInput = 66
    /// The job file is bad.
    case badJob = 78
}

/// What a worker waits for that ends with ``WorkerExit/temporary``, where it is more than time.
public enum WorkerWait: Codable, Sendable, Hashable {
    /// Room on the disk, or a disk that can be written: so many bytes must be free, as far as known.
    case disk(bytes: UInt64)
    /// A GPU that works.
    case gpu
}

/// How a worker's work ended, as its daemon saw it.
public enum WorkerEnd: Sendable, Equatable {
    case exited(Int32)
    case signalled(Int32)
    /// The kernel ended it because memory ran out; what was needed and what there is.
    case outOfMemory(String)
    /// It gave no word for too long and was ended by the daemon.
    case hung
    case notStarted(String)
    /// It found no room on the disk, or a disk that cannot be written; the queue waits until that is over.
    case lackedRoom(String)
    /// It ended with ``WorkerExit/temporary`` because of the GPU.
    case gpuFailed

    /// The status that it ended with, where it is one that means something.
    var exit: WorkerExit? { if case .exited(let status) = self { WorkerExit(rawValue: status) } else { nil } }
}

/// Why a job goes back to the queue.
public enum RequeueCause: Sendable, Equatable {
    /// A person moved its file, or daemon or machine went down.
    case moved
    /// Its worker was asked to stop, and did.
    case stopped
    /// Something may be better later.
    case temporary
    /// The disk has no room or cannot be written.
    case lackedRoom
    /// Its worker ended otherwise than it should.
    case crashed
}

/// What becomes of a job after an attempt.
public enum AttemptOutcome: Sendable, Equatable {
    /// The result record decides.
    case settle
    case requeue(RequeueCause, reason: String?, delay: Double?)
    case fail(reason: String)
    case hold(reason: String)
}

/// Waits of which each is twice the one before.
public struct Backoff: Sendable {
    /// Seconds of the first, and of the longest.
    public let first, longest: Double

    /// Seconds of the wait after so many others.
    func delay(after count: Int) -> Double { min(longest, first * Double(1 << min(count, 10))) }
}

/// Decides after an attempt: bad jobs fail, temporary trouble is tried again, workers that crash without getting on
/// are held.
public struct AttemptPolicy: Sendable {
    /// Crashes in a row without a newer checkpoint after which a job is held.
    public static let mostCrashes = 3
    /// How long a job waits after a temporary failure.
    public static let delays = Backoff(first: 60, longest: 3600)

    /// Whether a result record is written.
    public var hasResult: Bool
    /// Whether the daemon asked the worker to end.
    public var wasStopped: Bool
    /// Whether there is a newer checkpoint than when the attempt began.
    public var hasProgress: Bool
    /// Crashes and temporary failures in a row before this attempt.
    public var crashes: Int
    public var temporaryFailures: Int

    public init(hasResult: Bool, wasStopped: Bool, hasProgress: Bool, crashes: Int = 0, temporaryFailures: Int = 0) {
        self.hasResult = hasResult
        self.wasStopped = wasStopped
        self.hasProgress = hasProgress
        self.crashes = crashes
        self.temporaryFailures = temporaryFailures
    }

    /// What to do, given how the worker ended and the last lines it wrote to its standard error.
    public func decide(_ end: WorkerEnd, lastWords: String) -> AttemptOutcome {
        if hasResult { return .settle }
        let words = lastWords.isEmpty ? "" : ": \(lastWords)"
        let later = AttemptOutcome.requeue(
            .temporary, reason: "Temporary failure\(words)", delay: Self.delays.delay(after: temporaryFailures))
        switch end {
        case .exited, .signalled, .outOfMemory, .hung, .notStarted: break
        case .gpuFailed: return later
        case .lackedRoom(let reason): return .requeue(.lackedRoom, reason: reason, delay: nil)
        }
        switch end.exit {
        case .checkpointed: return .requeue(.stopped, reason: nil, delay: nil)
        case .temporary: return later
        case .badData: return .fail(reason: "The job's data is bad\(words)")
        case .noInput: return .fail(reason: "Something the job names is missing or unreadable\(words)")
        case .badJob: return .fail(reason: "The job file is bad\(words)")
        case .done, nil: break
        }
        switch end {
        case .signalled where wasStopped, .outOfMemory where wasStopped:
            return .requeue(.stopped, reason: nil, delay: nil)
        default: break
        }
        let what = "\(Self.describe(end))\(words)"
        let inARow = hasProgress ? 0 : crashes + 1
        guard inARow < Self.mostCrashes else {
            return .hold(reason: "\(inARow) crashes in a row without a newer checkpoint; the last: \(what)")
        }
        return .requeue(.crashed, reason: what, delay: nil)
    }

    /// Crashes in a row after this attempt.
    public func crashes(after outcome: AttemptOutcome) -> Int {
        if hasProgress { return 0 }
        switch outcome {
        case .settle, .fail: return crashes
        case .requeue(let cause, _, _): return cause == .crashed && !wasStopped ? crashes + 1 : crashes
        case .hold: return crashes + 1
        }
    }

    private static func describe(_ end: WorkerEnd) -> String {
        switch end {
        case .exited(0): "The worker ended without a result"
        case .exited(let status): "The worker crashed with status \(status)"
        case .signalled(9): "The worker was killed (signal 9), as happens when memory runs out"
        case .signalled(let signal): "The worker was ended by signal \(signal)"
        case .outOfMemory(let reason): "The worker was killed because memory ran out: \(reason)"
        case .hung: "The worker gave no sign of life for too long and was ended"
        case .notStarted(let reason): "The worker could not be started (\(reason))"
        case .lackedRoom(let reason): reason
        case .gpuFailed: "The GPU failed"
        }
    }
}

/// How the GPU has done of late, over all jobs: one that fails again and again is left alone for a while, rather than
/// that job after job is started for nothing.
struct GPUHealth {
    /// Failures in a row after which the jobs that may use it wait.
    static let mostFailures = 3
    static let rests = Backoff(first: 300, longest: 3600)

    /// Failures since it last got on.
    private(set) var failures = 0

    /// Takes note of how an attempt of a job ended that may use the GPU.
    ///
    /// - Parameter hasProgress: Whether the job has succeeded or has a newer checkpoint.
    /// - Returns: For how many seconds such jobs are to wait; nil: not at all.
    mutating func note(_ end: WorkerEnd, hasProgress: Bool) -> Double? {
        if hasProgress { failures = 0 }
        guard end == .gpuFailed else { return nil }
        failures += 1
        guard failures >= Self.mostFailures else { return nil }
        return Self.rests.delay(after: failures - Self.mostFailures)
    }
}
