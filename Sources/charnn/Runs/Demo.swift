import ArgumentParser
import CharnnJobs
import CharnnModel
import CharnnSpool
import CharnnStorage
import SystemPackage

/// `charnn demo`: the first thing that many do with the program. It needs nothing that a fresh Debian has not, is done
/// in about a minute, and ends with what to try next. The sizes in its job file were chosen for that minute on two
/// cores.
///
/// It is a run like any other: a job file, a folder in `runs/`, the same code. Each time has a new name, so that
/// nothing of an earlier one is lost and two can be compared.
struct Demo: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a small model in about a minute and let it write.",
        discussion: """
            The text is one that every Debian machine has, the GNU General Public License. The model learns its words \
            and its tone, and by heart what it can: a text this short is for trying out, not for learning to write.

            Example:
              charnn demo
              charnn demo --text /usr/share/common-licenses/Apache-2.0 --epochs 20
            """)

    private static let license = "/usr/share/common-licenses/GPL-3"

    @Option(name: .long, help: ArgumentHelp("The text to learn.", valueName: "file"))
    var text = Self.license

    /// What the model writes on from; nil for a person's own text, in which any word may be missing.
    private var prompt: String? { text == Self.license ? "You may" : nil }

    @Option(name: .long, parsing: .unconditional, help: "How often the text is gone through.")
    var epochs = 67

    @OptionGroup var spool: SpoolOptions

    func validate() throws {
        guard (1...1_000_000).contains(epochs) else {
            throw ValidationError("--epochs: found \(epochs); allowed: a whole number from 1 to 1000000")
        }
    }

    /// A job file like any other, so that a person can take it as a beginning.
    private func jobFile(_ text: FilePath) -> String {
        """
        # Written by `charnn demo`. Try your own text: copy this file, change corpus, and `charnn run` it.
        train:
          corpus: "\(text.string.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))"
          cell: lstm
          hidden_size: 256
          num_layers: 2
          embedding_size: 64
          dropout: 0.3
          epochs: \(epochs)
          seq_length: 64
          batch_size: 16
          lr: 0.004
          lr_schedule: cosine
          warmup_steps: 50
        generate:
          prompt: \(prompt.map { "\"\($0)\"" } ?? "null")
          length: 400
          temperature: 0.7
          top_p: 0.95

        """
    }

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let corpus = FilePath(text).absolute.real
            guard try storage.status(of: corpus)?.kind == .regular else {
                throw Failure(
                    "\(text): there is no such text on this machine; name one with --text", status: 66)
            }
            let (layout, runs) = try spool.preparedForRuns(storage)
            let (name, folder) = try freeName(layout, runs, storage)
            Terminal.line("Learning \(corpus), about a minute on two cores. Ctrl-C stops.")
            let exit = try ForegroundJob(
                name: name, bytes: Array(jobFile(corpus).utf8), fileName: "\(name).yaml", folder: folder,
                layout: layout, runs: runs, beside: corpus.removingLastComponent(), storage: storage,
                command: "\(Terminal.program) run\(spoolOption) \(folder.appending(.jobFile))", isQuiet: true
            ).run()
            // Stopped on purpose is no failure, and has a status of its own.
            guard exit == .done else { throw ExitCode(exit == .checkpointed ? exit.rawValue : 1) }
            let written = try storage.contents(of: folder.appending(.generated).appending("1.txt")) ?? []
            Terminal.line()
            let heading = prompt.map { "What the model writes after \"\($0)\":" } ?? "What the model writes:"
            Terminal.line(Terminal.bold(heading))
            Terminal.line()
            Terminal.line(Terminal.harmless(String(decoding: written, as: UTF8.self)))
            Terminal.line()
            farewell(name, folder)
        }
    }

    /// `demo`, or `demo-2` and so on beside earlier ones.
    private func freeName(
        _ layout: SpoolLayout, _ runs: RunFolders, _ storage: any Storage
    ) throws -> (String, FilePath) {
        var number = 1
        while true {
            let name = number == 1 ? "demo" : "demo-\(number)"
            let folder = runs.home.folder(ofRun: name)
            // A job of the same name would be found first by what is to be tried next.
            let isFree = try [folder, layout.folder(of: name)].allSatisfy { try storage.status(of: $0) == nil }
            if isFree { return (name, folder) }
            number += 1
        }
    }

    /// So that what is to be tried next finds the same spool.
    private var spoolOption: String { spool.spool.map { " --spool \($0)" } ?? "" }

    /// Commands that can be pasted as they stand.
    private func farewell(_ name: String, _ folder: FilePath) {
        let option = spoolOption
        Terminal.line(Terminal.bold("Everything lies in \(folder)"))
        Terminal.line("  model.safetensors   the model, which PyTorch can read too")
        Terminal.line("  report.html         a page of it all, for a browser")
        Terminal.line("  metrics.csv         the loss, step by step")
        Terminal.line("  samples/            what it wrote while it learned")
        Terminal.line("  job.yaml            the job: copy it, put in your own text")
        Terminal.line()
        Terminal.line(Terminal.bold("Try next"))
        let words = prompt == nil ? "" : " --prompt 'The program'"
        Terminal.line("  \(Terminal.program) generate \(name)\(option)\(words) --temperature 0.8 --seed 2")
        let other = "/usr/share/common-licenses/GPL-2"
        Terminal.line("  \(Terminal.program) evaluate \(name)\(option) \(other) --unknown replace")
        Terminal.line("  \(Terminal.program) run my-job.yaml\(option)")
    }
}
