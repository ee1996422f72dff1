import ArgumentParser
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnWords
import FoundationEssentials
import SystemPackage

/// `charnn list`: a row a job, of jobs and runs by the same ``JobRow``. In a terminal the table is as wide as that, and
/// what matters less goes first; elsewhere it is as wide as it wants to be, for `grep` and `cut`.
struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the jobs: running, waiting, held, ended.",
        discussion: """
            On a terminal with the curve of each job's loss, in colour unless NO_COLOR is set, and as wide as the window.

            --runs lists what `charnn run` and `charnn demo` began, which is outside the queue.

            Example:
              charnn list
              charnn list --json
              charnn list --runs
            """)

    @Flag(name: .long, help: "Print a JSON array.")
    var json = false

    @Flag(name: .long, help: "List your runs outside the queue: running, stopped, done, failed.")
    var runs = false

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let layout = try spool.existing(storage)
            let client = SpoolClient(layout)
            if runs { return try listRuns(client, storage) }
            let jobs = SpoolClient.withoutMended(try client.list())
            let people = People.system
            // A column of owners says nothing where there is one.
            let isShared = try layout.sharing(on: storage) == .group
            let reasons = client.waitingReasons(jobs)
            if json { return Terminal.line(try JobRow.json(jobs.map { JobRow($0, people, reasons) })) }
            if let pause = client.queuePause {
                Terminal.line(
                    Terminal.coloured(
                        "The queue is paused by \(Terminal.oneLine(pause.by))\(pause.end): nothing is started.", .yellow
                    ))
            }
            if !jobs.isEmpty {
                let rows = jobs.map { job in
                    JobRow(job, people, reasons, losses: Self.losses(in: layout.folder(of: job.name), storage))
                        .cells(isShared: isShared)
                }
                Terminal.line(Table(columns: JobRow.columns(isShared: isShared), rows: rows).text(room: Terminal.room))
            }
            // Submitters may not look into a shared spool's incoming/.
            let drops = ((try? storage.list(layout.incoming)) ?? []).filter { JobFileName($0) != nil }.count
            if drops > 0 {
                let what = drops == 1 ? "A job file waits" : "\(drops) job files wait"
                Terminal.line("\(what) in \(layout.incoming) for a daemon.")
            } else if jobs.isEmpty {
                let what = client.standstill == nil ? "jobs" : "accepted jobs"
                Terminal.line("There are no \(what) in \(layout.root); `charnn submit FILE` hands one over.")
            }
            // In a spool of one's own its owner knows, and `why` says so.
            if let standstill = client.standstill { Terminal.line(standstill) }
            let runs = try client.runs().list().map(\.title)
            if !runs.isEmpty {
                let more = runs.count > 5 ? " and \(runs.count - 5) more" : ""
                Terminal.line(
                    Terminal.dim(
                        "Outside the queue: \(runs.prefix(5).joined(separator: ", "))\(more); `charnn list --runs`."))
            }
        }
    }

    /// The runs of this user, wherever their jobs are.
    private func listRuns(_ client: SpoolClient, _ storage: LocalStorage) throws {
        let folders = try client.runs()
        let runs = try folders.list()
        if json { return Terminal.line(try JobRow.json(runs.map { JobRow($0) })) }
        guard !runs.isEmpty else {
            return Terminal.line("There are no runs in \(folders.home.runs); `charnn run FILE` begins one.")
        }
        let rows = runs.map { JobRow($0, losses: Self.losses(in: $0.folder, storage)).cells(isShared: false) }
        Terminal.line(Table(columns: JobRow.columns("RUN", isShared: false), rows: rows).text(room: Terminal.room))
    }

    /// The curve of a folder; none where it is not shown, for then nobody reads a thousand files for it.
    private static func losses(in folder: FilePath, _ storage: LocalStorage) -> [Double] {
        guard Terminal.isInteractive, Terminal.isUnicode else { return [] }
        return Sparkline.losses(of: folder.appending(.metrics), in: storage)
    }
}

/// A job as `list` shows it.
///
/// What is told of a job in the table and by `--json`, whose keys are the names in snake case and do not change. Losses
/// are nats; the table shows bits.
private struct JobRow: Encodable {
    var name: String
    var owner: String?
    var state: String
    var phase: String?
    /// Seconds of work over all attempts.
    var elapsedSeconds: Double?
    var step: Int?
    var totalSteps: Int?
    var trainLoss: Double?
    var bestValidationLoss: Double?
    var evaluationLoss: Double?
    var secondsLeft: Double?
    var reason: String?
    // For the curve and the colour: not in the JSON.
    private var losses: [Double] = []
    private var place: JobState

    private enum CodingKeys: String, CodingKey {
        case name, owner, state, phase, elapsedSeconds, step, totalSteps, trainLoss, bestValidationLoss, evaluationLoss,
            secondsLeft, reason
    }

    init(_ job: SpoolClient.Job, _ people: People, _ reasons: WaitingReasons, losses: [Double] = []) {
        name = job.name
        owner = job.owner.map { people.name(of: $0) }
        elapsedSeconds = job.status?.elapsedSeconds
        state = job.state.rawValue
        place = job.state
        phase = job.state == .active ? job.status?.phase : nil
        step = job.status?.step
        totalSteps = job.status?.totalSteps
        trainLoss = job.status?.trainLoss
        bestValidationLoss = job.status?.bestValidationLoss
        evaluationLoss = job.status?.evaluationLoss
        secondsLeft = job.state == .active ? job.status?.secondsLeft : nil
        // Why it waits now, before what the status says of the past.
        reason = (job.state == .queue ? reasons.reason(of: job) : nil) ?? job.status?.reason
        self.losses = losses
    }

    /// An array, empty where there are no jobs: programs then find nothing, and no sentence.
    static func json(_ rows: [JobRow]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return String(decoding: try encoder.encode(rows), as: UTF8.self)
    }

    /// A run outside the queue.
    init(_ run: RunFolders.Run, losses: [Double] = []) {
        name = run.title
        state = run.state.rawValue
        place = run.state
        phase = run.status?.phase
        elapsedSeconds = run.status?.elapsedSeconds
        step = run.status?.step
        totalSteps = run.status?.totalSteps
        trainLoss = run.status?.trainLoss
        bestValidationLoss = run.status?.bestValidationLoss
        secondsLeft = run.status?.secondsLeft
        reason = run.status?.reason ?? run.problem
        self.losses = losses
    }

    /// - Parameters:
    ///   - what: What stands in the first column.
    ///   - isShared: Whether there are several owners; in a spool of one's own each job is its owner's.
    static func columns(_ what: String = "JOB", isShared: Bool) -> [Table.Column] {
        [Table.Column(what, giving: 3, least: 8)] + (isShared ? [Table.Column("OWNER", giving: 1)] : []) + others
    }

    private static let others = [
        Table.Column("STATE", giving: 4, least: 4),
        Table.Column("DONE", isRight: true, giving: 2),
        Table.Column("BITS/CHAR", isRight: true, giving: 2), Table.Column("TIME", isRight: true, giving: 1),
        Table.Column("LEFT", isRight: true, giving: 2),
        Table.Column("LOSS", giving: 1), Table.Column("WHY", giving: 1, least: 12),
    ]

    /// How far it is. A job that is done has all that it wanted, also where it stopped early.
    ///
    /// Nothing for a job whose steps are not known yet, or that trains nothing.
    private var part: String {
        guard let step, let totalSteps, totalSteps > 0 else { return "" }
        return percent(place == .done ? totalSteps : min(step, totalSteps), of: totalSteps)
    }

    /// In the order of the columns.
    func cells(isShared: Bool) -> [Table.Cell] {
        // What is known of the text trained on is no measure beside a validation.
        let mark = bestValidationLoss == nil && evaluationLoss == nil ? " train" : ""
        let loss = (bestValidationLoss ?? evaluationLoss ?? trainLoss).map { fixed(bits($0), 3) + mark } ?? ""
        return [Table.Cell(name)] + (isShared ? [Table.Cell(owner ?? "")] : []) + [
            Table.Cell(phase.map { "\(state) (\($0))" } ?? state, place.colour), Table.Cell(part),
            Table.Cell(loss), Table.Cell(elapsedSeconds.map(duration) ?? ""),
            Table.Cell(secondsLeft.map(duration) ?? ""),
            Table.Cell(Sparkline.text(losses, width: 16), .cyan),
            Table.Cell(reason.map { DisplayWidth.cut($0, to: 200) } ?? ""),
        ]
    }
}

extension JobState {
    /// What is well, what runs, what waits for a person, what went wrong.
    var colour: Terminal.Colour? {
        switch self {
        case .active: .cyan
        case .done: .green
        case .held, .stopped: .yellow
        case .failed, .rejected: .red
        case .queue, .cancelled: nil
        }
    }
}
