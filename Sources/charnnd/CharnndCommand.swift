internal import ArgumentParser
internal import CharnnDaemon
internal import CharnnJobs
internal import CharnnPrograms
internal import CharnnSpool
internal import CharnnStorage
internal import Glibc
internal import SystemPackage

/// The daemon, or with the first argument `worker` what it starts for each job, and with `page` what it starts to write
/// the spool's page.
///
/// These are no subcommands of the daemon's, whose options have the same names and would take their arguments.
@main
enum Program {
    static func main() async {
        quietDispatch()
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == "worker" {
            WorkerCommand.main(Array(arguments.dropFirst()))
        } else if arguments.first == "page" {
            PageCommand.main(Array(arguments.dropFirst()))
        } else {
            StandardOutput.watch(program: "charnnd")
            await CharnndCommand.main()
        }
    }
}

/// Reads options, configuration and environment, makes a ``Daemon`` of them, and turns its end into an exit status. It
/// knows nothing of jobs. In this order, and each with a message of its own where it fails: the configuration (78), the
/// place of the spool (73), the spool itself (73, or 75 where another daemon has it).
///
/// Messages of a start that fails go to standard error, which under systemd is the journal: there is no daemon yet that
/// could tell them.
struct CharnndCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "charnnd",
        abstract: "Trains character-level language models from job files dropped into a folder.",
        discussion: """
            Runs until it is stopped. A job is a YAML file in the spool's incoming/ folder; its results appear in \
            jobs/NAME/. With --once it ends when nothing more can be done; a text that a job names and that is not there is \
            waited for as long as text_grace says, 10 minutes. SIGTERM lets the running job write a checkpoint and ends; SIGHUP reads the configuration again.

            As a service it is started by `systemctl start charnnd`, and `journalctl -u charnnd` tells its story.

            Example, with your own spool: do what is queued and exit; the same in another spool; work until Ctrl-C:
              charnnd --once
              charnnd --spool /tmp/try --once
              charnnd
            """,
        version: programVersion)

    @Option(help: ArgumentHelp("The spool folder.", discussion: spoolHelp, valueName: "dir"))
    var spool: String?

    @Option(
        help: ArgumentHelp(
            "The configuration file.", discussion: "Default: /etc/charnnd/charnnd.yaml, if it is there.",
            valueName: "file"))
    var config: String?

    @Flag(help: "Do all that is queued, then exit: 0 if every job succeeded, 1 if one did not.")
    var once = false

    mutating func run() async throws {
        // A log whose reader has gone must not end the daemon.
        signal(SIGPIPE, SIG_IGN)
        let storage = LocalStorage()
        let file = Self.configurationFile(config, storage)
        var settings = ServiceConfiguration()
        do {
            if let file { settings = try Daemon.configuration(from: file, storage) }
        } catch {
            throw Self.failure("charnnd: \(error)\(Self.remedy(error))", EX_CONFIG)
        }
        let layout: SpoolLayout
        do {
            layout = try SpoolLayout.choose(spool.map { FilePath($0) } ?? settings.spool, isDaemon: true)
            if let notice = try layout.notice(on: storage) { Self.tell("charnnd: \(notice)") }
        } catch {
            throw Self.failure("charnnd: \(error)\(Self.remedy(error))", EX_CANTCREAT)
        }
        var options = Daemon.Options(spool: layout)
        options.configuration = settings
        options.configurationFile = file
        options.once = once
        options.version = programVersion
        // This very program, as for workers: after an upgrade the file may be another.
        options.page = WorkerCommand(executable: "/proc/self/exe", arguments: ["page"])
        // Several are separated by colons; the unit has one.
        options.runtimeFolder = SpoolLayout.variable("RUNTIME_DIRECTORY").flatMap { $0.split(separator: ":").first }
            .map { FilePath(String($0)) }
        let outcome: Daemon.Outcome
        do {
            outcome = try await Daemon(options).runWithSignals()
        } catch let error as StorageError where error.code == .readOnly {
            throw Self.failure(
                "charnnd: the spool \(layout.root) lies on a file system that is mounted read-only (\(error)); nothing in "
                    + "it was changed: mount it for writing, then start again", EX_CANTCREAT)
        } catch {
            throw Self.failure(
                "charnnd: the spool \(layout.root) cannot be used: \(error)\(Self.remedy(error))", EX_CANTCREAT)
        }
        switch outcome {
        case .ended: return
        case .someFailed: throw ExitCode(1)
        case .spoolTaken:
            throw Self.failure(
                "charnnd: another charnnd works in \(layout.root); end that one, or name another spool with --spool",
                EX_TEMPFAIL)
        }
    }

    /// The file asked for, else the system's if it is there and this user's to read.
    private static func configurationFile(_ requested: String?, _ storage: LocalStorage) -> FilePath? {
        if let requested { return FilePath(requested) }
        let system: FilePath = "/etc/charnnd/charnnd.yaml"
        return access(system.string, R_OK) == 0 ? system : nil
    }

    /// What stands behind the error; nothing where there is nothing to do.
    private static func remedy(_ error: any Error) -> String {
        (error as? StorageError)?.remedy.map { "; \($0)" } ?? ""
    }

    static func failure(_ message: String, _ status: Int32) -> ExitCode {
        tell(message)
        return ExitCode(status)
    }

    private static func tell(_ message: String) {
        let bytes = Array((message + "\n").utf8)
        _ = write(2, bytes, bytes.count)
    }
}
