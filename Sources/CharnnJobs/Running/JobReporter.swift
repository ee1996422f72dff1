public import CharnnSpool
import CharnnStorage

/// Takes what a running job has to tell.
public protocol JobReporter: AnyObject {
    func event(_ event: WorkerEvent)
    func progress(_ status: JobStatus)
    func waits(_ wait: WorkerWait)
    func savingCheckpoint(bytes: Int)
}

extension JobReporter {
    /// Of use to a daemon only.
    public func waits(_ wait: WorkerWait) {}
}

/// Keeps a running job's status: counts its time, writes `status.json` and tells the reporter, neither too often.
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
    func finish(_ state: JobState, reason: String?, results: [JobStatus.Result]) throws(StorageError) {
        status.reason = reason
        status.elapsedSeconds = elapsed
        status = try ResultRecord.commit(
            status, as: state, results: results, at: clock.wall(), to: folder.statusFile, on: folder.storage)
        reporter.progress(status.news)
    }

    func event(
        _ kind: WorkerEvent.Kind, _ level: WorkerEvent.Level = .info, _ message: String,
        _ fields: [String: String] = [:]
    ) {
        reporter.event(WorkerEvent(kind, level, message, fields: fields))
    }

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
