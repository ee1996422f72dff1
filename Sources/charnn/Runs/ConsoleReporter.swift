import CharnnJobs
import CharnnSpool
import CharnnStorage
import SystemPackage

/// Shows a job that runs in the foreground: a live bar on a terminal, a line now and then elsewhere, and all of it in
/// the job's `log.txt`.
///
/// The log has what a daemon would have written there; the bar is drawn from the status.
final class ConsoleReporter: JobReporter {
    private let log: (any StorageFile)?
    private let bar = LiveLine()
    private let clock = SpoolClock.system
    private var lastBar = -Double.infinity
    /// What is shown of the log: everything but debugging and lines about progress, which the bar shows.
    private let isQuiet: Bool

    /// - Parameter isQuiet: Whether only notices and warnings are shown, as for a demonstration.
    init(log path: FilePath, storage: any Storage, isQuiet: Bool) {
        log = try? storage.openForAppending(path, mode: 0o640)
        self.isQuiet = isQuiet
    }

    func event(_ event: WorkerEvent) {
        // A log that cannot be written is no reason to stop a run that can.
        try? log?.append(
            Array("\(JobStatus.time(SpoolClock.system.wall())) \(event.level.rawValue) \(event.message)\n".utf8))
        // The reason why it failed is the last that a person reads, and belongs to standard error.
        if event.kind == .failed {
            clear()
            return Terminal.error("charnn: \(event.message)")
        }
        guard event.level != .debug else { return }
        if event.kind == .progress || event.kind == .checkpointSaved, Terminal.isInteractive { return }
        if isQuiet, event.level == .info { return }
        clear()
        let mark = event.level == .warning ? "warning: " : event.level == .error ? "error: " : ""
        Terminal.message(mark + event.message)
    }

    func progress(_ status: JobStatus) {
        guard Terminal.isInteractive, clock.monotonic() - lastBar >= 0.2 else { return }
        lastBar = clock.monotonic()
        bar.show(ProgressBar.text(status, width: Terminal.width - 1))
    }

    func savingCheckpoint(bytes: Int) {}

    /// Removes the bar, so that a line can stand in its place.
    func clear() { bar.clear() }
}
