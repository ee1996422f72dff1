import CharnnReports
public import CharnnSpool
public import CharnnStorage
import SystemPackage

/// The spool's `index.html`.
public enum SpoolPage {
    /// Writes the morning report of a spool, whole or not at all.
    ///
    /// It is made in `jobs/` and moved from there, so that in a shared spool it belongs to the group that may read the
    /// jobs, and nobody else may read it: it shows no more to anybody than the job folders do.
    public static func write(_ layout: SpoolLayout, storage: any Storage, clock: SpoolClock = .system) throws {
        let now = clock.wall()
        let report = try MorningReport.collect(layout, storage: storage, now: now, since: now - MorningReport.day)
        let aside = layout.jobs.appending(".index.html.partial")
        try storage.discard(aside)
        let file = try storage.create(aside, mode: 0o640)
        try file.append(MorningPage(report).bytes)
        try storage.rename(aside, to: layout.index, replacing: true)
    }
}
