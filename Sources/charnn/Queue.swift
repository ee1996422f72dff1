import ArgumentParser
import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import FoundationEssentials
import Glibc
import SystemPackage

struct Submit: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hand job files to the daemon.",
        discussion: """
            The same as copying them into the spool's incoming/. Each is checked first. A text that the daemon could \
            not see, such as one in your home folder, is copied into the spool's corpora/.

            Example:
              charnn submit kjv.yaml republic.yaml
            """)

    @Argument(help: ArgumentHelp("Job files.", valueName: "file"))
    var files: [String]

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let layout = try spool.prepared(storage)
            let client = SpoolClient(layout, storage: storage)
            // All are checked before any is handed over.
            for file in files { _ = try parsed(file, storage) }
            for file in files {
                try provideTexts(try parsed(file, storage), beside: FilePath(file).absolute, layout, storage)
                let name = try client.submit(FilePath(file).absolute)
                Terminal.line("\(file): handed over as \(name)")
            }
            if client.hasDaemon() == false {
                Terminal.line("No daemon works in \(layout.root); `charnnd` starts one, `charnnd --once` does what waits.")
            }
        }
    }

    private func parsed(_ file: String, _ storage: any Storage) throws -> JobFile {
        guard let bytes = try storage.contents(of: FilePath(file).absolute.real, limit: (1 << 20) + 1) else {
            throw Failure("\(file): there is no such file", status: 66)
        }
        return try JobFile.parse(bytes, fileName: file)
    }

    /// Copies texts that lie beside the job file, and that the spool does not have, into its `corpora/`.
    private func provideTexts(
        _ job: JobFile, beside file: FilePath, _ layout: SpoolLayout, _ storage: any Storage
    ) throws {
        for text in (job.train?.corpus ?? []) + (job.evaluate?.corpus ?? []) {
            let path = FilePath(text)
            guard path.isRelative else { continue }
            let target = layout.corpora.pushing(path).lexicallyNormalized()
            guard target.starts(with: layout.corpora), try storage.status(of: target) == nil else { continue }
            let source = file.removingLastComponent().pushing(path).lexicallyNormalized().real
            guard try storage.status(of: source)?.kind == .regular else {
                throw Failure(
                    "\(text): there is no such text beside \(file) or in \(layout.corpora); put it there", status: 66)
            }
            try storage.createDirectories(target.removingLastComponent(), mode: 0o2770)
            try copy(source, to: target, storage)
            Terminal.line("\(text): copied into \(layout.corpora)")
        }
    }

    private func copy(_ source: FilePath, to target: FilePath, _ storage: any Storage) throws {
        let reading = try storage.open(source, beneath: nil)
        let temporary = target.partial
        try storage.discard(temporary)
        let writing = try storage.create(temporary, mode: 0o640)
        var position = 0
        while true {
            let piece = try reading.read(at: position, count: 1 << 20)
            if piece.isEmpty { break }
            try writing.append(piece)
            position += piece.count
        }
        try writing.synchronize()
        try storage.rename(temporary, to: target, replacing: false)
        try storage.synchronizeDirectory(target.removingLastComponent())
    }
}

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
    var total_steps: Int?
    var train_loss: Double?
    var best_validation_loss: Double?
    var seconds_left: Double?
    var reason: String?

    init(_ job: SpoolClient.Job) {
        name = job.name
        state = job.state.rawValue
        phase = job.state == .active ? job.status?.phase : nil
        step = job.status?.step
        total_steps = job.status?.totalSteps
        train_loss = job.status?.trainLoss
        best_validation_loss = job.status?.bestValidationLoss
        seconds_left = job.state == .active ? job.status?.secondsLeft : nil
        reason = job.status?.reason
    }

    static func json(_ rows: [JobRow]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(rows), as: UTF8.self)
    }

    static let header = ["JOB", "STATE", "DONE", "BITS/CHAR", "LEFT", ""]

    var cells: [String] {
        let part = step.flatMap { step in total_steps.map { $0 > 0 ? "\(step * 100 / $0) %" : "" } } ?? ""
        let loss = (best_validation_loss ?? train_loss).map { fixed($0 / 0.693_147_180_56, 3) } ?? ""
        return [
            name, phase.map { "\(state) (\($0))" } ?? state, part, loss, seconds_left.map(duration) ?? "",
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
                    "best", status.bestValidationLoss.map { "\(fixed($0, 4)) nats, \(fixed($0 / 0.693_147_180_56, 3)) bits/char" }
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

    @Option(name: .long, help: "Only jobs that ended longer ago, such as 12h or 30d.")
    var olderThan: String

    @Flag(name: .long, help: "Only say which jobs would be removed.")
    var dryRun = false

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            guard let age = Duration.seconds(of: olderThan) else {
                throw Failure(
                    "--older-than: found \"\(olderThan)\"; allowed: a duration such as 12h or 30d", status: Failure.usage)
            }
            let client = SpoolClient(try spool.existing(LocalStorage()))
            let removed = try client.clean(endedBefore: SpoolClock.system.wall() - age, dryRun: dryRun)
            for name in removed { Terminal.line("\(name): \(dryRun ? "would be removed" : "removed")") }
            if removed.isEmpty { Terminal.line("No job ended longer ago than \(olderThan).") }
        }
    }
}
