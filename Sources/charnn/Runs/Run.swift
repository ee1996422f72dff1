import ArgumentParser
import CharnnJobs
import CharnnPrograms
import CharnnReports
import CharnnSpool
import CharnnStorage
import SystemPackage

/// `charnn run`: finds the job file and its folder, has ``ForegroundJob`` do the work, and says how to go on. Exit
/// statuses: 0 done, 1 failed, 75 to be tried again, 85 stopped with a checkpoint.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a job here and now, without a daemon, in the same output layout.",
        discussion: """
            It is no job of the queue: it lies in runs/ of your own spool, `charnn list --runs` shows it, and no queued job \
            refers to it. Ctrl-C, `charnn end`, and a terminal that goes away stop it with a checkpoint; the same command \
            goes on from there, --fresh begins anew, once all that the job reads has been looked at.

            With --output it lies in another folder, which is new, empty, or has the same run: a folder with files that no run \
            wrote is refused. No list knows of it; `charnn show` and `charnn end` take the folder's path.

            Texts and models are looked for beside the job file first, then in the spool: texts in corpora/, models that \
            model: or from: names by a job of the queue, else by a run of yours. What is not \
            there is refused before anything is trained. What generate asks for is printed in the end.

            Example:
              cp /usr/share/common-licenses/GPL-3 gpl.txt
              echo 'train: {corpus: gpl.txt, hidden_size: 64, epochs: 50}' > gpl.yaml
              charnn run gpl.yaml
              charnn run gpl.yaml --output ./gpl
            """)

    @Argument(
        help: ArgumentHelp("The job file.", valueName: "file"), completion: .file(extensions: ["yaml", "yml", "json"]))
    var file: String

    @Flag(name: .long, help: "Begin anew: remove first what this run has written before.")
    var fresh = false

    @Option(
        name: .long,
        help: ArgumentHelp("The output folder. Default: runs/NAME in your own spool.", valueName: "dir"),
        completion: .directory)
    var output: String?

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let given = try NamedJobFile(file, in: storage)
            let (layout, runs) = try spool.preparedForRuns(storage)
            let folder = output.map { FilePath($0).absolute } ?? runs.home.folder(ofRun: given.name)
            if output == nil { try tellOfFormerRun(given.name, runs, storage) }
            // What was given is given again in the command that goes on.
            let options = [("--output", output), ("--spool", spool.spool)]
                .map { name, value in value.map { " \(name) \($0)" } ?? "" }.joined()
            let exit = try ForegroundJob(
                name: given.name, bytes: given.bytes, fileName: file, folder: folder, layout: layout, runs: runs,
                beside: given.path.removingLastComponent(), storage: storage,
                command: "\(Terminal.program) run\(options) \(file)", isFresh: fresh
            ).run()
            switch exit {
            case .done:
                printTexts(of: folder, storage)
                Terminal.line("Everything lies in \(folder)")
            case .checkpointed:
                Terminal.line("Stopped with a checkpoint. To go on: \(Terminal.program) run \(file)\(options)")
                throw ExitCode(exit.rawValue)
            default:
                // The reason was told when it ended.
                throw ExitCode(exit == .temporary ? exit.rawValue : 1)
            }
        }
    }

    /// Says of a run that version 0.1.0 began that it is not gone on with.
    private func tellOfFormerRun(_ name: String, _ runs: RunFolders, _ storage: LocalStorage) throws {
        guard try storage.status(of: runs.home.folder(ofRun: name)) == nil,
            let former = try runs.find(name), former.isFormer
        else { return }
        Terminal.error(
            "charnn: an earlier run of \(name) lies in \(former.folder) and stays there; this one begins anew. To go on with "
                + "that one: --output \(former.folder)")
    }

    /// So many of the texts that were asked for are printed; all lie in the folder.
    private static let mostTexts = 3

    /// What `generate` asked for, as far as a person reads it in a terminal.
    private func printTexts(of folder: FilePath, _ storage: LocalStorage) {
        let record = JobRecord("", folder: folder, in: storage)
        for text in record.generated.prefix(Self.mostTexts) {
            Terminal.line(Terminal.bold("\(text.file):"))
            Terminal.line(Terminal.harmless(text.text))
            Terminal.line()
        }
        let more = record.generatedCount - Self.mostTexts
        if more > 0 { Terminal.line("\(more) more in \(folder.appending(.generated))") }
    }
}
