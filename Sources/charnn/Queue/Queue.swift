import ArgumentParser
import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnWords
import Glibc
import SystemPackage

/// `NAME`, for commands about one job.
///
/// What can be asked of a job is done by ``SpoolClient``: in a spool of one's own at once, by moving the file, in a
/// shared one by a request to the daemon. The commands below differ in what they call and in what they say of it.
struct JobArgument: ParsableArguments {
    @Argument(
        help: ArgumentHelp("The job's name.", valueName: "name"),
        completion: .custom { words, _, _ in JobNames.all(words) })
    var name: String

    @OptionGroup var spool: SpoolOptions

    /// - Throws: Where there is no spool, or none that this user may use.
    func client() throws -> SpoolClient { SpoolClient(try spool.existing(LocalStorage())) }

    /// Asks something of the job and says in one line what comes of it.
    ///
    /// - Parameters:
    ///   - request: Moves the job, or leaves a request.
    ///   - word: What the job is to be, for a request.
    ///   - answer: A sentence on what was done; what the job does next is in it.
    func ask(
        _ request: (SpoolClient) -> (String) throws -> SpoolClient.Job, _ word: String,
        _ answer: (SpoolClient.Job) -> String
    ) throws {
        try reporting {
            let client = try client()
            let result = try request(client)(name)
            if result.isAsked { return Terminal.line(Terminal.oneLine(Asked.line(result.name, word, client))) }
            let line = answer(result)
            // It is done all the same; only its effect waits.
            let remedy = client.hasDaemon() == false ? " No daemon works here now. \(client.startRemedy)" : ""
            Terminal.line(Terminal.oneLine(line + remedy))
        }
    }
}

extension SpoolClient {
    /// What a person's word means: a job or run of that name, else the run whose output lies in a folder of that path.
    func found(_ word: String) throws -> Named? {
        let isPath = FilePath.Component(word) == nil && !word.hasPrefix(RunFolders.prefix)
        if !isPath, let named = try named(word) { return named }
        return try runs().find(at: FilePath(word).absolute.real).map(Named.run)
    }
}

/// `charnn cancel`: nothing that it has made is lost; `retry` lets it go on.
struct Cancel: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cancel a job; a running one ends with a checkpoint.",
        discussion: """
            Example, with the job of `charnn submit --help`:
              charnn cancel night
            """)

    @OptionGroup var job: JobArgument

    func run() throws {
        try job.ask(SpoolClient.cancel, "cancelled") { job in
            job.state == .active
                ? "\(job.name) ends with a checkpoint and is cancelled; `charnn retry \(job.name)` lets it go on."
                : "\(job.name) is cancelled; `charnn retry \(job.name)` lets it run after all."
        }
    }
}

/// `charnn hold`: keeps its place in the queue, and other jobs go before.
struct Hold: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a job wait until it is released; a running one ends with a checkpoint.",
        discussion: """
            Example, with the job of `charnn submit --help`:
              charnn hold night
            """)

    @OptionGroup var job: JobArgument

    func run() throws {
        try job.ask(SpoolClient.hold, "held") { job in
            job.state == .active
                ? "\(job.name) stops with a checkpoint and is held; `charnn release \(job.name)` lets it go on."
                : "\(job.name) is held; `charnn release \(job.name)` lets it run."
        }
    }
}

/// `charnn release`: also of a job that the daemon holds, after its reason was mended.
struct Release: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a held job run.",
        discussion: """
            Example, with the job of `charnn submit --help`:
              charnn release night
            """)

    @OptionGroup var job: JobArgument

    func run() throws {
        try job.ask(SpoolClient.release, "released") { job in
            "\(job.name) is queued again, in its old place; `charnn why \(job.name)` says when it starts."
        }
    }
}

/// `charnn retry`: of one that is done, failed or cancelled; by the same name, in the same folder.
struct Retry: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a job that ended go on from its newest checkpoint.",
        discussion: """
            A job that is done goes on when its file in done/ asks for more, such as more epochs.

            Example, with the job of `charnn submit --help`:
              charnn retry night
            """)

    @OptionGroup var job: JobArgument

    func run() throws {
        try job.ask(SpoolClient.retry, "tried again") { job in
            let step = job.status?.step ?? 0
            // A job that is done has made all the steps that its file asks for, unless that was edited.
            let end = job.state == .done ? ", if its file asks for more than its \(grouped(step)) steps" : ""
            let place = step > 0 ? "goes on from its newest checkpoint\(end)" : "begins anew"
            return "\(job.name) is queued again and \(place); `charnn follow \(job.name)` shows how it goes."
        }
    }
}

/// `charnn end`: asks the run's process, which it finds by what it left in its folder, and waits for its checkpoint.
struct End: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End a run outside the queue that is at work, with a checkpoint.",
        discussion: """
            As Ctrl-C does where it was started: `charnn run` with its job file goes on from there. A job of the queue is \
            ended by `charnn cancel`. A run with --output is named by the path of its folder.

            Example:
              charnn run --fresh gpl.yaml & sleep 3; charnn end gpl; wait
            """)

    @Argument(
        help: ArgumentHelp("The run's name.", valueName: "name"),
        completion: .custom { words, _, _ in JobNames.running(words) })
    var name: String

    @OptionGroup var spool: SpoolOptions

    /// Seconds for which a checkpoint is waited for.
    private static let patience = 60.0

    func run() throws {
        try reporting {
            let client = SpoolClient(try spool.existing(LocalStorage()))
            let runs = try client.runs()
            // A run is meant first, as the command is for runs.
            let run = try find(in: runs, client)
            try runs.end(run)
            let clock = SpoolClock.system
            let limit = clock.monotonic() + Self.patience
            while try runs.isAtWork(run) {
                guard clock.monotonic() < limit else {
                    return Terminal.line(
                        "\(run.title) was asked to end and still works at its checkpoint; `charnn list --runs` shows it."
                    )
                }
                // The lock of the run's folder is looked at; it ends with the process.
                usleep(50_000)
            }
            // It may have come to its end by itself.
            Terminal.line(Terminal.oneLine(runs.again(run).sentence))
        }
    }

    /// A run goes before a job of its name, which cannot be meant.
    private func find(in runs: RunFolders, _ client: SpoolClient) throws -> RunFolders.Run {
        if let run = try runs.find(name) { return run }
        switch try client.found(name) {
        case .run(let run): return run
        case .job(let job):
            throw Failure(
                "\(job.name) is a job of the queue; `charnn cancel \(job.name)` ends it", status: Failure.usage)
        case nil:
            throw Failure(
                "there is no run named \(name), nor in a folder of that name; `charnn list --runs` shows those of your spool",
                status: 66)
        }
    }
}

/// `charnn clean`: removes folders for good, and so nothing without an age: given, or configured by the administrator.
struct Clean: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove ended jobs, and runs outside the queue that ended or were stopped, with their folders.",
        discussion: """
            What a running or waiting job waits for stays, and so does what cannot be read.

            Example:
              charnn clean --older-than 30d --dry-run
              charnn clean --older-than 30d
              charnn clean --runs --older-than 7d
            """)

    @Option(
        name: .long, parsing: .unconditional,
        help: "Only what ended longer ago, such as 30d. Default: keep_jobs, if configured.")
    var olderThan: String?

    @Flag(name: .long, help: "Only runs outside the queue.")
    var runs = false

    @Flag(name: .long, help: "Only say what would be removed.")
    var dryRun = false

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let age = try leastAge()
            let client = SpoolClient(try spool.existing(LocalStorage()))
            let limit = SpoolClock.system.wall() - age
            var count = 0
            func tell(_ names: [String]) {
                for name in names { Terminal.line("\(name): \(dryRun ? "would be removed" : "removed")") }
                count += names.count
            }
            // Runs are one's own; of jobs some may be the daemon's, and then it ends there.
            tell(try client.runs().clean(endedBefore: limit, dryRun: dryRun))
            if !runs { tell(try client.clean(endedBefore: limit, dryRun: dryRun)) }
            let what = runs ? "run" : "job or run"
            if count == 0 { Terminal.line("No \(what) ended longer ago than \(duration(age)).") }
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
        // The administrator's `keep_jobs` holds for jobs, and is a good answer for runs, too.
        let path = ServiceConfiguration.standardPath
        let bytes = try LocalStorage().contents(of: path) ?? []
        guard let age = try ServiceConfiguration.parse(bytes, fileName: path.string).retention else {
            throw Failure("say --older-than, or set keep_jobs in \(path)", status: Failure.usage)
        }
        return age
    }
}
