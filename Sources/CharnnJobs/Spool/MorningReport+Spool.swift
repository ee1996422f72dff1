public import CharnnReports
public import CharnnSpool
public import CharnnStorage
import CharnnWords
import Glibc
import SystemPackage

extension MorningReport {
    /// Seconds that count as since yesterday.
    public static let day = 86_400.0
    /// Of so many jobs that ended before, the newest are listed.
    private static let mostEarlier = 2000

    /// Looks through a spool.
    ///
    /// - Parameters:
    ///   - now: Seconds since 1970.
    ///   - since: Jobs that ended later count as new.
    /// - Throws: ``SpoolClientError`` if the spool cannot be read.
    ///
    /// In a shared spool the daemon's `page` process collects it, with the daemon's rights, for a page that all members
    /// see; and a person's `charnn report` with theirs. What is an owner's alone is closed to all others in both, and
    /// told of by name, owner and state.
    ///
    /// Times are foretold by walking through the queue in the order of turns, one job after the other; behind a job of
    /// which nothing can be told nothing is promised.
    public static func collect(
        _ layout: SpoolLayout, storage: any Storage, now: Double, since: Double
    ) throws(SpoolClientError) -> MorningReport {
        var report = MorningReport(
            spool: layout.root.string, time: JobStatus.time(now), since: JobStatus.time(since))
        let people = People.system
        let client = SpoolClient(layout, storage: storage, people: people)
        let jobs = SpoolClient.withoutMended(try client.list())
        // Each owner's are looked up once.
        var caps: [UInt32?: Caps] = [:]
        for owner in Set(jobs.map(\.owner)) {
            caps[owner] = ServiceConfiguration.caps(of: owner, in: layout, on: storage)
        }
        var forecast = QueueForecast(layout, storage: storage, caps: { [caps] owner in caps[owner] ?? .none })
        // The newest jobs will do, and each costs a file to be read. What runs now is learned from in any case.
        for job in jobs.suffix(400) where [.active, .done].contains(job.state) { forecast.learn(job) }
        for job in jobs where job.state == .active { forecast.learn(job) }

        report.standstill = client.standstill
        let reasons = client.waitingReasons(jobs)
        let inTurn = Set(client.turns(jobs).map(\.name))
        var clock: Double? = 0
        for job in jobs {
            if job.isClosed(to: geteuid()) {
                let owner = job.status?.owner ?? job.owner.map { people.name(of: $0) } ?? ""
                report.closed.append(Closed(name: job.name, state: job.state, owner: owner))
                if job.state == .active || job.state == .queue { clock = nil }
                continue
            }
            switch job.state {
            case .active:
                report.ran.append(record(job, layout, storage))
                let left = job.status?.secondsLeft ?? forecast.seconds(job)
                report.waiting.append(
                    Waiting(name: job.name, state: .active, reason: job.status?.phase, startsIn: 0, doneIn: left))
                clock = left
            case .queue:
                let reason = reasons.reason(of: job)
                // Nothing is promised to a job whose turn does not come by itself.
                guard inTurn.contains(job.name), !reasons.isStopped, report.standstill == nil else {
                    report.waiting.append(
                        Waiting(name: job.name, state: .queue, reason: reason ?? job.status?.reason))
                    continue
                }
                let begin = clock
                clock = clock.flatMap { start in forecast.seconds(job).map { start + $0 } }
                report.waiting.append(
                    Waiting(
                        name: job.name, state: .queue, reason: reason ?? job.status?.reason, startsIn: begin,
                        doneIn: clock))
            case .held: report.addHeld(job)
            case .done, .failed, .cancelled, .rejected, .stopped: report.addEnded(job, layout, storage)
            }
        }
        // Those of this spool alone: what people run in spools of their own is not for a shared page.
        for run in try RunFolders(in: layout, storage: storage).list() { report.add(run, storage) }
        report.order()
        report.drops = (try? storage.list(layout.incoming))?.filter { JobFileName($0) != nil }.count
        return report
    }

    /// Ranks what ran, and puts the newest first of all that has ended.
    private mutating func order() {
        ran = RankedGroup.ranked(ran)
        problems.sort { ($0.endedAt ?? "") > ($1.endedAt ?? "") }
        earlier.sort { ($0.endedAt ?? "") > ($1.endedAt ?? "") }
        earlier = Array(earlier.prefix(Self.mostEarlier))
    }

    private static func record(
        _ job: SpoolClient.Job, _ layout: SpoolLayout, _ storage: any Storage
    ) -> JobRecord {
        JobRecord(
            job.name, folder: layout.folder(of: job.name), state: job.state, status: job.status, in: storage,
            includingTexts: false)
    }

    /// A run is sorted as a job is; how to go on with it is told by other commands.
    private mutating func add(_ run: RunFolders.Run, _ storage: any Storage) {
        let ended = run.status?.endedAt ?? run.status?.updatedAt
        guard run.state == .active || ended ?? since >= since else {
            earlier.append((run.title, run.state, run.status?.bestValidationLoss.map(bits), ended))
            return
        }
        guard run.state == .failed || run.problem != nil else {
            ran.append(
                JobRecord(
                    run.title, folder: run.folder, state: run.state, status: run.status, in: storage,
                    includingTexts: false))
            return
        }
        problems.append(
            Problem(
                name: run.title, state: run.state,
                reason: run.problem ?? run.status?.reason ?? "the reason was not recorded",
                remedy: run.problem == nil
                    ? "When that is mended as it says: charnn run with its job file; it goes on from a checkpoint if there is one."
                    : "To begin anew: charnn run --fresh with its job file.", endedAt: ended, hasFolder: true))
    }

    /// Only one that was held with a reason is a problem: a person who held a job knows.
    private mutating func addHeld(_ job: SpoolClient.Job) {
        waiting.append(Waiting(name: job.name, state: .held, reason: job.status?.reason ?? "until it is released"))
        guard let reason = job.status?.reason else { return }
        problems.append(
            Problem(
                name: job.name, state: .held, reason: reason,
                remedy: "To let it run again: charnn release \(job.name)", endedAt: job.status?.updatedAt,
                hasFolder: job.status != nil))
    }

    /// A rejected file has no status: it ended when it was filed there.
    private mutating func addEnded(_ job: SpoolClient.Job, _ layout: SpoolLayout, _ storage: any Storage) {
        var ended = job.status?.endedAt ?? job.status?.updatedAt
        if job.state == .rejected || ended == nil {
            let file = layout.file(job.file, in: job.state)
            ended = ((try? storage.status(of: file)) ?? nil).map { JobStatus.time($0.modified) }
        }
        guard let ended, ended >= since else {
            earlier.append((job.name, job.state, job.status?.bestValidationLoss.map(bits), ended))
            return
        }
        switch job.state {
        case .rejected:
            let path = layout.directory(.rejected).appending("\(job.file).reason.txt")
            let told = (try? storage.contents(of: path, limit: 1 << 16)) ?? nil
            problems.append(
                Problem(
                    name: job.name, state: .rejected,
                    reason: told.map { String(decoding: $0, as: UTF8.self) } ?? "its job file cannot be used",
                    remedy: "Mend rejected/\(job.file) and drop it into incoming/ again.", endedAt: ended,
                    hasFolder: false))
        case .failed:
            problems.append(
                Problem(
                    name: job.name, state: .failed, reason: job.status?.reason ?? "the reason was not recorded",
                    remedy: "When that is mended as it says: charnn retry \(job.name), which goes on from a checkpoint "
                        + "if there is one.",
                    endedAt: ended, hasFolder: true))
        default: ran.append(Self.record(job, layout, storage))
        }
    }
}
