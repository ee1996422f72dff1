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
    ///
    /// Called by the process that the daemon starts for it, which may take its time.
    public static func write(_ layout: SpoolLayout, storage: any Storage, clock: SpoolClock = .system) throws {
        let now = clock.wall()
        let report = try MorningReport.collect(layout, storage: storage, now: now, since: now - MorningReport.day)
        let aside = try FileAside(layout.jobs.appending(".index.html.partial"), in: storage)
        try aside.file.append(MorningPage(report).bytes)
        try aside.publish(as: layout.index)
    }
}
