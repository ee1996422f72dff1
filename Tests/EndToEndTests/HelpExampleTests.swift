import CharnnJobs
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// The examples of `--help`: each is run as it is pasted, in a shell in one person's folder, in an order in which that
/// person could come to them.
@Suite struct HelpExampleTests {
    private let spool: PersonalSpool

    init() throws { spool = try PersonalSpool() }

    /// Every command, in that order; a test sees that none is missing.
    private static let order = [
        "doctor", "bench", "demo", "generate", "evaluate", "check", "schema", "run", "adapt-statistics", "end",
        "compare", "plot", "export", "import", "fsck",
        // From here on a daemon works, with a long job before the examples' own, so that that waits.
        "submit", "list", "show", "why", "edit", "hold", "release", "cancel", "retry", "pause", "resume",
        // The long job is gone now.
        "follow", "report", "clean",
    ]

    @Test func `every command has an example, and none is left out here`() throws {
        let names = try commands()
        #expect(Set(names) == Set(Self.order))
        for name in names { #expect(try !examples(.charnn, [name]).isEmpty, "\(name)") }
        #expect(try !examples(.charnnd, []).isEmpty)
        #expect(try examples(.charnn, []) == [])
    }

    @Test(.endsWhatHangs) func `the examples work as pasted`() throws {
        // Where nothing needs mending doctor ends with 0, and elsewhere with 1.
        try run("doctor", allowing: [0, 1])
        // The whole demo takes a minute by itself; here it learns less, and bench measures less.
        for name in Self.order[1...] where name != "submit" {
            if name == "list" { break }
            try run(name) { example in
                switch name {
                case "demo" where example == "charnn demo": example + " --epochs 2"
                case "demo", "compare": example.replacing(/--epochs \d+/, with: "--epochs 2")
                case "bench": example.replacing(/size \d+/, with: "size 32") + " --seconds 0.1"
                default: example
                }
            }
        }
        #expect(spool.exists("out/generate.py") && spool.exists("demo.onnx") && spool.exists("both.svg"))

        try spool.drop("long", "priority: 1\n" + QueueTests.training.replacing("epochs: 2", with: "epochs: 200000"))
        let daemon = try spool.start(Program.charnnd.path, [])
        try eventually("long trains") { spool.status("long")?.phase == "training" }
        for name in ["submit", "list"] { try run(name) }
        try eventually("night is accepted") { spool.state("night") == .queue }
        for name in ["show", "why", "edit", "hold"] { try run(name) }
        try eventually("night is held") { spool.status("night")?.state == .held }
        try run("release")
        try run("cancel")
        try eventually("night is cancelled") { spool.status("night")?.state == .cancelled }
        for name in ["retry", "pause", "resume"] { try run(name) }
        #expect(try spool.shell("charnn cancel long").status == 0)
        for name in ["follow", "report", "clean"] { try run(name) }
        #expect(spool.state("night") == .done)
        daemon.signal(SIGTERM)
        #expect(try daemon.end().status == 0)
    }

    @Test func `the daemon's examples work as pasted`() throws {
        let examples = try examples(.charnnd, [])
        for example in examples.dropLast() {
            // The one that names another spool would use the machine's.
            let end = try spool.shell(example.replacing("/tmp/try", with: "./try"))
            #expect(end.status == 0, "\(example): \(end.error)")
        }
        #expect(examples.last == "charnnd")
        let daemon = try spool.start("/bin/sh", ["-c", "exec charnnd"])
        try eventually("it works") { daemon.errorSoFar.contains("Ready") }
        daemon.signal(SIGINT)
        #expect(try daemon.end().status == 0)
    }

    static let pagesWithJobs = [
        "README.md", "docs/overnight-queue.md", "docs/fine-tune.md", "docs/compare-cells.md",
        "docs/write-like-plato.md",
    ]

    @Test(arguments: pagesWithJobs)
    func `the job files of README and the pages are valid`(page: String) throws {
        let text = try String(contentsOf: Program.root.appending(path: page), encoding: .utf8)
        for block in text.components(separatedBy: "```yaml\n").dropFirst() {
            let file = try #require(block.components(separatedBy: "```").first)
            _ = try JobFile.parse(Array(file.utf8), fileName: page)
        }
    }

    // MARK: - Parts

    private func run(
        _ command: String, allowing statuses: Set<Int32> = [0], as changed: (String) -> String = { $0 }
    ) throws {
        for example in try examples(.charnn, [command]) {
            let end = try spool.shell(changed(example))
            #expect(statuses.contains(end.status), "\(example): \(end.output)\(end.error)")
        }
    }

    /// The commands that `--help` lists.
    private func commands() throws -> [String] {
        struct Dump: Decodable {
            struct Command: Decodable {
                var commandName: String
                var shouldDisplay: Bool
                var subcommands: [Command]?
            }
            var command: Command
        }
        let end = try spool.shell("charnn --experimental-dump-help")
        let dump = try JSONDecoder().decode(Dump.self, from: Data(end.output.utf8))
        return try #require(dump.command.subcommands).filter { $0.shouldDisplay && $0.commandName != "help" }
            .map(\.commandName)
    }

    /// The lines of a help text, as wide as a window of 80 columns, that stand below `Example`.
    private func examples(_ program: Program, _ command: [String]) throws -> [String] {
        let end = try spool.shell(([program.rawValue] + command + ["--help"]).joined(separator: " "))
        #expect(end.status == 0, "\(end.error)")
        let lines = end.output.split(separator: "\n", omittingEmptySubsequences: false)
        guard let start = lines.firstIndex(where: { $0.hasPrefix("Example") }) else { return [] }
        // A heading may take two lines.
        let block = lines[start...].drop { !$0.hasPrefix("  ") }.prefix { !$0.isEmpty }
        for line in block { #expect(line.hasPrefix("  "), "wrapped, so that it cannot be pasted: \(line)") }
        return block.map { $0.trimmingCharacters(in: .whitespaces) }
    }
}

/// What an ordinary person has: a folder, a spool below it at the usual place, and the programs in `$PATH`.
private struct PersonalSpool {
    private let folder = TemporaryDirectory("help")
    private let storage = LocalStorage()
    private let layout: SpoolLayout

    init() throws {
        layout = SpoolLayout(root: folder.path.pushing(".local/state/charnnd"))
        try storage.createDirectories(layout.root, mode: 0o700)
    }

    private var environment: [String: String] {
        let programs = Program.folder.string
        return [
            "PATH": "\(programs):/usr/bin:/bin", "HOME": folder.path.string, "TERM": "dumb", "JOURNAL_STREAM": "",
            // Where a system's spool is installed, root would use that.
            "CHARNND_SPOOL": layout.root.string, "XDG_STATE_HOME": "", "COLUMNS": "80",
        ]
    }

    func start(_ program: String, _ arguments: [String]) throws -> RunningProgram {
        try RunningProgram(program, arguments, in: folder.path, environment: environment)
    }

    func shell(_ line: String) throws -> Outcome { try start("/bin/sh", ["-c", line]).end() }

    func drop(_ name: String, _ text: String) throws {
        try layout.create(.personal, on: storage)
        try storage.replace(layout.corpora.appending("tale.txt"), with: Array(Corpus.tale(6000).utf8))
        _ = try SpoolClient(layout).submit(Array(text.utf8), fileName: "\(name).yaml")
    }

    func state(_ job: String) -> JobState? { try? SpoolClient(layout).find(job)?.state }

    func status(_ job: String) -> JobStatus? { try? JobStatus.read(layout.status(of: job), on: storage) }

    func exists(_ file: String) -> Bool {
        FileManager.default.fileExists(atPath: folder.path.appending(file).string)
    }
}
