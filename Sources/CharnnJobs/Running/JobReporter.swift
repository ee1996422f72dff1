public import CharnnSpool
import CharnnStorage

/// Takes what a running job has to tell.
///
/// In a worker it writes to the pipe, in the foreground to the terminal. Calls come from the job's one thread and are
/// waited for: none may take long.
public protocol JobReporter: AnyObject {
    /// Something worth a line in a log.
    func event(_ event: WorkerEvent)
    /// How the job stands; at most about once a second, and at each change of phase.
    func progress(_ status: JobStatus)
    /// The job is about to end and be tried again, and what for.
    func waits(_ wait: WorkerWait)
    /// A checkpoint is about to be written; what asks the job to end has to wait for it.
    func savingCheckpoint(bytes: Int)
}

extension JobReporter {
    /// Of use to a daemon only.
    public func waits(_ wait: WorkerWait) {}
}

/// Keeps a running job's status: counts its time, writes `status.json` and tells the reporter, neither too often.
///
/// `status.json` is for people and their tools; what decides over the job is the result record that
/// ``finish(_:reason:results:)`` writes, and checkpoints. Time is counted on from what the status said at the
/// beginning, on the monotonic clock: a clock that is set does not make a job older.
final class StatusKeeper {
    private(set) var status: JobStatus
    private let folder: JobFolder
    private let reporter: any JobReporter
    private let clock: SpoolClock
    private let elapsedBefore: Double
    private let start: Double
    private var lastWrite = -Double.infinity
    /// Seconds that the last write took; on a slow disk it is made less often.
    private var writing = 0.0
    /// The part of the time that may be spent writing the status.
    private static let writingPart = 0.02
    private var lastProgressLine: Double

    init(_ status: JobStatus, folder: JobFolder, reporter: any JobReporter, clock: SpoolClock) {
        self.status = status
        self.folder = folder
        self.reporter = reporter
        self.clock = clock
        elapsedBefore = status.elapsedSeconds ?? 0
        start = clock.monotonic()
        lastProgressLine = start
    }

    /// Seconds of work over all attempts.
    var elapsed: Double { elapsedBefore + clock.monotonic() - start }

    /// Begins another phase.
    func enter(_ phase: String) {
        update(force: true) { $0.phase = phase }
    }

    /// Changes the status; it is written at most once a second unless forced.
    ///
    /// What is not written now is written with the next change.
    func update(force: Bool = false, _ change: (inout JobStatus) -> Void) {
        change(&status)
        status.elapsedSeconds = elapsed
        let now = clock.monotonic()
        guard force || now - lastWrite >= max(1, writing / Self.writingPart) else { return }
        lastWrite = now
        status.updatedAt = JobStatus.time(clock.wall())
        // A status that cannot be written is no reason to stop: it holds nothing that is not elsewhere.
        try? folder.write(status)
        writing = clock.monotonic() - now
        reporter.progress(status.news)
    }

    /// Writes the record that ends the job, durably.
    ///
    /// From this instant the job has ended, whatever happens to this process: nothing of its results may be changed any
    /// more.
    func finish(_ state: JobState, reason: String?, results: [JobStatus.Result]) throws(StorageError) {
        status.reason = reason
        status.elapsedSeconds = elapsed
        status = try ResultRecord.commit(
            status, as: state, results: results, at: clock.wall(), to: folder.statusFile, on: folder.storage)
        reporter.progress(status.news)
    }

    /// - Parameter fields: For the journal; names in capitals.
    func event(
        _ kind: WorkerEvent.Kind, _ level: WorkerEvent.Level = .info, _ message: String,
        _ fields: [String: String] = [:]
    ) {
        reporter.event(WorkerEvent(kind, level, message, fields: fields))
    }

    /// Tells something that its owner should know, and keeps it in the status until the next attempt begins.
    ///
    /// - Parameter message: A sentence with its full stop.
    func warn(_ message: String) {
        status.warnings.append(message)
        event(.warning, .warning, message)
    }

    /// Whether a line about progress may be written to the log now: at most one in ten seconds.
    func mayLogProgress() -> Bool {
        guard clock.monotonic() - lastProgressLine >= 10 else { return false }
        lastProgressLine = clock.monotonic()
        return true
    }

    func waits(_ wait: WorkerWait) { reporter.waits(wait) }

    func savingCheckpoint(bytes: Int) { reporter.savingCheckpoint(bytes: bytes) }
}
