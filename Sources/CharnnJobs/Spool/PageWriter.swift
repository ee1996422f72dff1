import CharnnReports
import CharnnSpool
import CharnnStorage

/// Writes a job's `report.html` while it runs, so seldom that it costs less than a thousandth of the time.
///
/// The page is for looking at: one that cannot be written is missing, and the job goes on.
final class PageWriter {
    /// Seconds between two pages at least.
    private static let leastInterval = 10.0
    /// The part of the time that pages may take.
    private static let share = 0.001

    private let folder: JobFolder
    private let clock: SpoolClock
    private var nextWrite = -Double.infinity

    /// The first page may be written at once.
    init(_ folder: JobFolder, clock: SpoolClock) {
        self.folder = folder
        self.clock = clock
    }

    /// Writes the page if enough time has passed since the last one.
    func mayWrite(_ status: JobStatus) {
        if clock.monotonic() >= nextWrite { write(status) }
    }

    /// Writes the page now.
    ///
    /// - Parameter isRunning: False once the attempt is over, whatever the status says of the job.
    func write(_ status: JobStatus, isRunning: Bool = true) {
        let start = clock.monotonic()
        var record = JobRecord(status.job, folder: folder.path, state: status.state, status: status, in: folder.storage)
        record.isRunning = isRunning && status.state == .active
        try? folder.storage.swap(
            folder.page, with: JobPage(record, time: JobStatus.time(clock.wall())).bytes)
        let end = clock.monotonic()
        // By what this one took: a run of a million rows takes longer for a page than one of ten.
        nextWrite = end + max(Self.leastInterval, (end - start) / Self.share)
    }
}
