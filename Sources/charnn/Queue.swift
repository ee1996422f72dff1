import ArgumentParser
import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import FoundationEssentials
import Glibc
import SystemPackage

struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the jobs: running, waiting, held, ended.",
        discussion: """
            Example:
              charnn list
              charnn list --json
            """)

    @Flag(name: .long, help: "Print a JSON array.")
    var json = false

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let layout = try spool.existing(storage)
            let jobs = try SpoolClient(layout).list()
            if json { return Terminal.line(try JobRow.json(jobs.map(JobRow.init))) }
            if !jobs.isEmpty { Terminal.line(Table.text(header: JobRow.header, rows: jobs.map { JobRow($0).cells })) }
            // Submitters may not look into a shared spool's incoming/.
            let drops = ((try? storage.list(layout.incoming)) ?? []).filter { JobFileName($0) != nil }.count
            if drops > 0 {
                let what = drops == 1 ? "A job file waits" : "\(drops) job files wait"
                Terminal.line("\(what) in \(layout.incoming) for a daemon.")
            } else if jobs.isEmpty {
                Terminal.line("There are no jobs in \(layout.root).")
            }
        }
    }
}

/// A job as `list` shows it.
private struct JobRow: Encodable {
    var name: String
    var state: String
    var phase: String?
    var step: Int?
    var totalSteps: Int?
    var trainLoss: Double?
    var bestValidationLoss: Double?
    var secondsLeft: Double?
    var reason: String?

    init(_ job: SpoolClient.Job) {
        name = job.name
        state = job.state.rawValue
        phase = job.state == .active ? job.status?.phase : nil
        step = job.status?.step
        totalSteps = job.status?.totalSteps
        trainLoss = job.status?.trainLoss
        bestValidationLoss = job.status?.bestValidationLoss
        secondsLeft = job.state == .active ? job.status?.secondsLeft : nil
        reason = job.status?.reason
    }

    static func json(_ rows: [JobRow]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return String(decoding: try encoder.encode(rows), as: UTF8.self)
    }

    static let header = ["JOB", "STATE", "DONE", "BITS/CHAR", "LEFT", ""]

    var cells: [String] {
        let part = step.flatMap { step in totalSteps.map { $0 > 0 ? "\(step * 100 / $0) %" : "" } } ?? ""
        let loss = (bestValidationLoss ?? trainLoss).map { fixed($0 / 0.693_147_180_56, 3) } ?? ""
        return [
            name, phase.map { "\(state) (\($0))" } ?? state, part, loss, secondsLeft.map(duration) ?? "",
            reason.map { String($0.prefix(80)) } ?? "",
        ]
    }
}

/// Columns, aligned.
enum Table {
    static func text(header: [String], rows: [[String]]) -> String {
        let all = ([header] + rows).map { $0.map(Terminal.harmless) }
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        let lines = all.map { row in
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line
        }
        return ([Terminal.bold(lines[0])] + lines.dropFirst()).joined(separator: "\n")
    }
}

/// `NAME`, for commands about one job.
struct JobArgument: ParsableArguments {
    @Argument(help: ArgumentHelp("The job's name.", valueName: "name"))
    var name: String

    @OptionGroup var spool: SpoolOptions

    func client() throws -> SpoolClient { SpoolClient(try spool.existing(LocalStorage())) }
}

struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show how one job stands.",
        discussion: """
            Example:
              charnn show kjv
              charnn show kjv --json
            """)

    @OptionGroup var job: JobArgument

    @Flag(name: .long, help: "Print the job's status.json.")
    var json = false

    func run() throws {
        try reporting {
            let client = try job.client()
            let folder = client.layout.folder(of: job.name)
            let found = try client.find(job.name)
            guard let status = found?.status ?? JobFolder(folder, in: LocalStorage()).status() else {
                throw Failure(try client.why(job.name), status: 66)
            }
            if json { return Terminal.write(String(decoding: status.encoded, as: UTF8.self)) }
            var facts: [(String, String?)] = [
                ("job", status.job), ("state", found?.state.rawValue ?? status.state.rawValue),
                ("phase", status.phase), ("reason", status.reason),
                ("step", status.step.map { "\($0) of \(status.totalSteps ?? 0)" }),
                ("loss", status.trainLoss.map { "\(fixed($0, 4)) nats" }),
                ("validation", status.validationLoss.map { "\(fixed($0, 4)) nats" }),
                (
                    "best",
                    status.bestValidationLoss.map {
                        "\(fixed($0, 4)) nats, \(fixed($0 / 0.693_147_180_56, 3)) bits/char"
                    }
                ),
                ("speed", status.charactersPerSecond.map { "\(grouped(Int($0))) characters/s" }),
                ("left", status.secondsLeft.map(duration)), ("worked", status.elapsedSeconds.map(duration)),
                ("attempts", String(status.attempts)), ("accepted", status.acceptedAt), ("started", status.startedAt),
                ("ended", status.endedAt), ("folder", folder.string),
            ]
            facts += status.warnings.map { ("warning", $0) }
            for case (let name, let value?) in facts {
                Terminal.line(
                    Terminal.dim(name + String(repeating: " ", count: max(1, 12 - name.count)))
                        + Terminal.harmless(value))
            }
        }
    }
}

struct Follow: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a job's log as it is written, until the job ends.",
        discussion: """
            Example:
              charnn follow kjv
            """)

    @OptionGroup var job: JobArgument

    func run() throws {
        try reporting {
            let client = try job.client()
            let storage = LocalStorage()
            let log = client.layout.log(of: job.name)
            var position = 0
            // A job that waits may do so for long: why it does is told, on standard error, since it is not in the log.
            if let state = try client.find(job.name)?.state, [.queue, .held].contains(state) {
                Terminal.error("charnn: \(try client.why(job.name))")
            }
            while true {
                let found = try client.find(job.name)
                if let file = try? storage.open(log, beneath: nil) {
                    while let piece = try? file.read(at: position, count: 1 << 16), !piece.isEmpty {
                        Terminal.write(Terminal.harmless(String(decoding: piece, as: UTF8.self)))
                        position += piece.count
                    }
                }
                switch found?.state {
                case .done: return
                case .failed, .cancelled, .rejected: throw ExitCode(1)
                case .queue, .active, .held: usleep(500_000)
                case nil:
                    guard try storage.status(of: client.layout.folder(of: job.name)) != nil else {
                        throw Failure(try client.why(job.name), status: 66)
                    }
                    usleep(500_000)
                }
            }
        }
    }
}

struct Why: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say why a job is where it is.",
        discussion: """
            Example:
              charnn why kjv
            """)

    @OptionGroup var job: JobArgument

    func run() throws { try reporting { Terminal.line(try job.client().why(job.name)) } }
}

struct Cancel: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cancel a job; a running one ends with a checkpoint.",
        discussion: """
            Example:
              charnn cancel kjv
            """)

    @OptionGroup var job: JobArgument

    func run() throws { try reporting { try job.client().cancel(job.name) } }
}

struct Hold: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a job wait until it is released; a running one ends with a checkpoint.",
        discussion: """
            Example:
              charnn hold kjv
            """)

    @OptionGroup var job: JobArgument

    func run() throws { try reporting { try job.client().hold(job.name) } }
}

struct Release: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a held job run.",
        discussion: """
            Example:
              charnn release kjv
            """)

    @OptionGroup var job: JobArgument

    func run() throws { try reporting { try job.client().release(job.name) } }
}

struct Retry: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a job that ended go on from its newest checkpoint.",
        discussion: """
            A job that is done goes on when its file in done/ asks for more, such as more epochs.

            Example:
              charnn retry kjv
            """)

    @OptionGroup var job: JobArgument

    func run() throws { try reporting { try job.client().retry(job.name) } }
}

struct Clean: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove ended jobs with their folders.",
        discussion: """
            Example:
              charnn clean --older-than 30d --dry-run
              charnn clean --older-than 30d
            """)

    @Option(name: .long, help: "Only jobs that ended longer ago, such as 30d. Default: keep_jobs, if configured.")
    var olderThan: String?

    @Flag(name: .long, help: "Only say which jobs would be removed.")
    var dryRun = false

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let age = try leastAge()
            let client = SpoolClient(try spool.existing(LocalStorage()))
            let removed = try client.clean(endedBefore: SpoolClock.system.wall() - age, dryRun: dryRun)
            for name in removed { Terminal.line("\(name): \(dryRun ? "would be removed" : "removed")") }
            if removed.isEmpty { Terminal.line("No job ended longer ago than \(duration(age)).") }
        }
    }

    /// Seconds since their end for which jobs are kept.
    private func leastAge() throws -> Double {
        if let olderThan {
            guard let age = Duration.seconds(of: olderThan) else {
                throw Failure(
                    "--older-than: found \"\(olderThan)\"; allowed: a duration such as 12h or 30d",
                    status: Failure.usage)
            }
            return age
        }
        let path = ServiceConfiguration.standardPath
        let bytes = try LocalStorage().contents(of: path) ?? []
        guard let age = try ServiceConfiguration.parse(bytes, fileName: path.string).retention else {
            throw Failure("say --older-than, or set keep_jobs in \(path)", status: Failure.usage)
        }
        return age
    }
}
