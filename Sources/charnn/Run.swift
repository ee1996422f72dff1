import ArgumentParser
import CharnnJobs
import CharnnPrograms
import CharnnReports
import CharnnSpool
import CharnnStorage
import Glibc
import SystemPackage

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a job here and now, without a daemon, in the same output layout.",
        discussion: """
            Ctrl-C stops with a checkpoint; the same command goes on from there. Texts are looked for beside the job \
            file first, then in the spool's corpora/. What is not there is refused before anything is trained.

            Example:
              cp /usr/share/common-licenses/GPL-3 gpl.txt
              echo 'train: {corpus: gpl.txt, hidden_size: 64, epochs: 50}' > gpl.yaml
              charnn run gpl.yaml
              charnn run gpl.yaml --output ./gpl
            """)

    @Argument(
        help: ArgumentHelp("The job file.", valueName: "file"), completion: .file(extensions: ["yaml", "yml", "json"]))
    var file: String

    @Option(
        name: .long,
        help: ArgumentHelp("The output folder. Default: jobs/NAME in the spool.", valueName: "dir"),
        completion: .directory)
    var output: String?

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let given = try NamedJobFile(file, in: storage)
            let layout = try spool.prepared(storage)
            let folder = output.map { FilePath($0).absolute } ?? layout.folder(of: given.name)
            let exit = try ForegroundJob(
                name: given.name, bytes: given.bytes, fileName: file, folder: folder, layout: layout,
                beside: given.path.removingLastComponent(), storage: storage
            ).run()
            switch exit {
            case .done:
                Terminal.line("Everything lies in \(folder)")
            case .checkpointed:
                let options = [("--output", output), ("--spool", spool.spool)]
                    .map { name, value in value.map { " \(name) \($0)" } ?? "" }.joined()
                Terminal.line("Stopped with a checkpoint. To go on: \(Terminal.program) run \(file)\(options)")
                throw ExitCode(exit.rawValue)
            default:
                throw ExitCode(exit == .temporary ? exit.rawValue : 1)
            }
        }
    }
}

/// A job run by a person's own process, with a person's own rights.
struct ForegroundJob {
    var name: String
    var bytes: [UInt8]
    var fileName: String
    var folder: FilePath
    var layout: SpoolLayout
    /// Where relative texts are looked for first.
    var beside: FilePath
    var storage: any Storage
    var isQuiet = false

    private static let stop = StopFlag()

    func run() throws -> WorkerExit {
        let job = try JobFile.parse(bytes, fileName: fileName).locatingTexts(beside: beside)
        let environment = JobEnvironment(corpora: layout.corpora, jobs: layout.jobs, roots: nil)
        var predecessors = JobInspection(job, environment, storage: storage, engines: Engines())
        predecessors.lookForPredecessors(in: SpoolClient(layout, storage: storage))
        try predecessors.refuse()
        let jobFolder = JobFolder(folder, in: storage)
        try storage.createDirectories(folder, mode: 0o750)
        guard let lock = try storage.lock(folder.appending(.lock)) else {
            throw Failure("another worker is at \(folder); wait for it, or give --output another folder", status: 75)
        }
        let known = try JobStatus.read(jobFolder.statusFile, on: storage)
        if known?.ticket != nil {
            throw Failure(
                "\(folder) belongs to a job of the queue; give --output another folder, or the file another name",
                status: 73)
        }
        try storage.replace(jobFolder.jobFile, with: bytes)
        var status = known ?? JobStatus(job: name, state: .active)
        status.attempts += 1
        status.startedAt = JobStatus.time(SpoolClock.system.wall())
        // A person who runs a job again gives it its time again.
        if status.state != .active { status.elapsedSeconds = nil }

        _ = Self.stop.isSet
        signal(SIGPIPE, SIG_IGN)
        signal(SIGINT) { _ in ForegroundJob.stop.set() }
        signal(SIGTERM) { _ in ForegroundJob.stop.set() }
        let reporter = ConsoleReporter(log: jobFolder.log, storage: storage, isQuiet: isQuiet)
        let runner = JobRunner(
            job, status: status, folder: jobFolder, environment: environment, storage: storage, engines: Engines(),
            reporter: reporter, stop: Self.stop)
        let exit = withExtendedLifetime(lock) { runner.run() }
        reporter.clear()
        return exit
    }
}
