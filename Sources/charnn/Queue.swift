import ArgumentParser
import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import SystemPackage

/// `NAME`, for commands about one job.
struct JobArgument: ParsableArguments {
    @Argument(
        help: ArgumentHelp("The job's name.", valueName: "name"),
        completion: .custom { words, _, _ in JobNames.all(words) })
    var name: String

    @OptionGroup var spool: SpoolOptions

    func client() throws -> SpoolClient { SpoolClient(try spool.existing(LocalStorage())) }

    /// Asks something of the job and says in one line what comes of it.
    func ask(
        _ request: (SpoolClient) -> (String) throws -> SpoolClient.Job, _ word: String,
        _ answer: (SpoolClient.Job) -> String
    ) throws {
        try reporting {
            let client = try client()
            let result = try request(client)(name)
            if result.isAsked { return Terminal.line(Terminal.oneLine(Asked.line(result.name, word, client))) }
            let line = answer(result)
            let remedy = client.hasDaemon() == false ? " No daemon works here now. \(client.startRemedy)" : ""
            Terminal.line(Terminal.oneLine(line + remedy))
        }
    }
}

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
