/// How a worker's work ended, as its daemon saw it.
public enum WorkerEnd: Sendable, Equatable {
    case exited(Int32)
    case signalled(Int32)
    /// It gave no word for too long and was ended by the daemon.
    case hung
    case notStarted(String)
    /// It found no room on the disk, or a disk that cannot be written; the queue waits until that is over.
    case lackedRoom(String)
    /// It ended with status 75 because of the GPU.
    case gpuFailed
}

/// What becomes of a job after an attempt.
public enum AttemptOutcome: Sendable, Equatable {
    /// The result record decides.
    case settle
    case requeue(reason: String?, delay: Double?)
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
        switch end {
        case .exited(85): return .requeue(reason: nil, delay: nil)
        case .exited(75), .gpuFailed:
            return .requeue(
                reason: "Temporary failure\(words)", delay: Self.delays.delay(after: temporaryFailures))
        case .lackedRoom(let reason): return .requeue(reason: reason, delay: nil)
        case .exited(65): return .fail(reason: "The job's data is bad\(words)")
        case .exited(66): return .fail(reason: "Something the job names is missing or unreadable\(words)")
        case .exited(78): return .fail(reason: "The job file is bad\(words)")
        case .signalled where wasStopped: return .requeue(reason: nil, delay: nil)
        default:
            let what = "\(Self.describe(end))\(words)"
            let inARow = hasProgress ? 0 : crashes + 1
            guard inARow < Self.mostCrashes else {
                return .hold(reason: "\(inARow) crashes in a row without a newer checkpoint; the last: \(what)")
            }
            return .requeue(reason: what, delay: nil)
        }
    }

    /// Crashes in a row after this attempt.
    public func crashes(after outcome: AttemptOutcome, _ end: WorkerEnd) -> Int {
        if hasProgress { return 0 }
        switch (outcome, end) {
        case (.requeue, .exited(85)), (.requeue, .exited(75)), (.requeue, .lackedRoom), (.requeue, .gpuFailed),
            (.settle, _), (.fail, _):
            return crashes
        case (.requeue, _) where wasStopped: return crashes
        default: return crashes + 1
        }
    }

    private static func describe(_ end: WorkerEnd) -> String {
        switch end {
        case .exited(0): "The worker ended without a result"
        case .exited(let status): "The worker crashed with status \(status)"
        case .signalled(9): "The worker was killed (signal 9), as happens when memory runs out"
        case .signalled(let signal): "The worker was ended by signal \(signal)"
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
