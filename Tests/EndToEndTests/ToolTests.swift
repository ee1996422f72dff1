import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// The person's tool.
@Suite struct ToolTests {
    private let spool: TestSpool

    init() throws {
        spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(6000))
    }

    private func write(_ name: String, _ text: String) throws -> FilePath {
        let path = spool.folder.path.appending(name)
        try spool.storage.replace(path, with: Array(text.utf8))
        return path
    }

    private struct Row: Decodable {
        var name: String
        var state: String
        var reason: String?
    }

    private func rows() throws -> [String: String] {
        let end = try spool.charnn("list", "--json")
        #expect(end.status == 0, "\(end.error)")
        let rows = try JSONDecoder().decode([Row].self, from: Data(end.output.utf8))
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.name, $0.state) })
    }

    @Test func `a job goes through all commands of the queue`() throws {
        _ = try write("tale.yaml", QueueTests.training)
        #expect(try spool.charnn("check", "tale.yaml", "--no-time").status == 0)
        let submitted = try spool.charnn("submit", "tale.yaml")
        #expect(submitted.status == 0)
        #expect(submitted.output.contains("handed over as tale.yaml") && submitted.output.contains("charnnd --once"))
        #expect(try spool.charnn("why", "tale").output.contains("incoming/"))
        #expect(try spool.charnn("list").output.hasPrefix("A job file waits in \(spool.layout.incoming)"))

        let daemon = try spool.start(.charnnd, [])
        try eventually("tale is done") { try spool.state("tale") == .done }
        daemon.signal(SIGTERM)
        #expect(try daemon.end().status == 0)

        #expect(try rows() == ["tale": "done"])
        let list = try spool.charnn("list").output
        #expect(list.hasPrefix("JOB ") && list.contains("tale  done"))
        let show = try spool.charnn("show", "tale").output
        #expect(show.contains("state       done") && show.contains(spool.output("tale").string))
        let status = try spool.text(spool.output("tale").appending("status.json"))
        #expect(try spool.charnn("show", "tale", "--json").output == status)
        #expect(try spool.charnn("follow", "tale").output == spool.text(spool.output("tale").appending("log.txt")))
        #expect(try spool.charnn("why", "tale").output == "tale is done.\n")
        let kept = try spool.charnn("clean", "--older-than", "1d")
        #expect(kept.status == 0 && kept.output.contains("No job or run ended"))
        // Ends are told in seconds; one that is not over yet is not past.
        try eventually("tale ended a while ago") {
            try spool.charnn("clean", "--older-than", "0s", "--dry-run").output == "tale: would be removed\n"
        }
        #expect(try spool.charnn("clean", "--older-than", "0s").output == "tale: removed\n")
        #expect(try rows() == [:])
        #expect(!spool.exists(spool.output("tale")))
    }

    @Test func `check tells what would do nothing`() throws {
        _ = try write(
            "idle.yaml",
            """
            generate: [{length: 5, stop: "Ω"}]
            evaluate:
            train: {corpus: tale.txt, num_layers: 1, hidden_size: 8, batch_size: 8, dropout: 0.3, warmup_steps: 9000, strip_gutenberg: true}
            """)
        let end = try spool.charnn("check", "--no-time", "idle.yaml")
        #expect(end.status == 0, "\(end.error)")
        for words in [
            "evaluate: is empty", "strip_gutenberg cut nothing", "stop never occurs: the vocabulary lacks 'Ω'",
            "warmup_steps: 9000 is longer", "dropout: 0.3 does nothing",
        ] {
            #expect(end.output.contains("\n  warning: \(words)"), "\(words): \(end.output)")
        }
    }

    @Test func `a running job is held, released, cancelled and retried`() throws {
        // Long enough to be still running whenever a command comes.
        let long = QueueTests.training.replacing("epochs: 2", with: "epochs: 200000")
        try spool.drop("long.yaml", long)
        let daemon = try spool.start(.charnnd, [])
        func training() throws -> Bool { try spool.status("long")?.phase == "training" && spool.worker != nil }
        try eventually("long trains") { try training() }
        #expect(try spool.charnn("hold", "long").status == 0)
        try eventually("long is held") { try spool.status("long")?.state == .held && spool.worker == nil }
        #expect(try rows() == ["long": "held"])
        #expect(try spool.charnn("why", "long").output.hasPrefix("long is held"))
        #expect(try spool.charnn("release", "long").status == 0)
        try eventually("long trains again") { try training() }
        #expect(try spool.charnn("cancel", "long").status == 0)
        try eventually("long is cancelled") { try spool.status("long")?.state == .cancelled && spool.worker == nil }
        let followed = try spool.charnn("follow", "long")
        #expect(followed.status == 1 && followed.output.contains("goes on from step"))
        #expect(try spool.charnn("retry", "long").status == 0)
        try eventually("long trains once more") { try training() }
        #expect(try spool.status("long")?.attempts == 3)
        daemon.signal(SIGTERM)
        #expect(try daemon.end().status == 0)
        #expect(try rows() == ["long": "queue"])

        // One who follows it now is told that it will take long.
        let following = try spool.start(.charnn, ["follow", "long"])
        try eventually("why it waits") { following.errorSoFar.contains("no daemon works in this spool") }
        #expect(try spool.charnn("cancel", "long").status == 0)
        #expect(try following.end().status == 1)
    }

    @Test func `a text in the person's folder goes along with the job`() throws {
        _ = try write("own.txt", Corpus.tale(3000))
        _ = try write("own.yaml", QueueTests.training.replacing("tale.txt", with: "own.txt"))
        let end = try spool.charnn("submit", "own.yaml")
        #expect(end.status == 0 && end.output.contains("own.txt: copied into"))
        #expect(try spool.text(spool.layout.corpora.appending("own.txt")) == Corpus.tale(3000))
        #expect(try spool.once().status == 0)
    }

    @Test func `all mistakes of all files are told, and then nothing is handed over`() throws {
        _ = try write("good.yaml", QueueTests.training)
        _ = try write("bad.yaml", "train:\n  corpsu: tale.txt\n  epochs: none\n")
        _ = try write("textless.yaml", "train:\n  corpus: nowhere.txt\n")
        let end = try spool.charnn("submit", "good.yaml", "bad.yaml", "nowhere.yaml")
        #expect(end.status == 65)
        for words in ["bad.yaml:2: train.corpsu", "bad.yaml:3: train.epochs", "nowhere.yaml: there is no such file"] {
            #expect(end.error.contains(words), "\(words): \(end.error)")
        }
        let late = try spool.charnn("submit", "good.yaml", "textless.yaml")
        #expect(late.status == 66 && late.error.contains("nothing was handed over"))
        #expect(try spool.storage.list(spool.layout.incoming).isEmpty)
    }

    @Test(.endsWhatHangs) func `follow ends where nothing works on a run outside the queue`() throws {
        _ = try write("tale.yaml", QueueTests.training)
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        #expect(try spool.charnn("follow", "tale").status == 0)
    }

    @Test func `a job file is edited in an editor, and only to what is valid`() throws {
        _ = try write("tale.yaml", QueueTests.training)
        #expect(try spool.charnn("submit", "tale.yaml").status == 0)
        let daemon = try spool.start(.charnnd, [])
        try eventually("tale is done") { try rows() == ["tale": "done"] }
        let more = try spool.charnn("edit", "tale", with: ["VISUAL": "sed -i 's/epochs: 2/epochs: 3/'"])
        #expect(more.status == 0 && more.output.contains("`charnn retry tale`"), "\(more.error)")
        let bad = try spool.charnn("edit", "tale", with: ["VISUAL": "sed -i 's/epochs: 3/epochs: none/'"])
        #expect(bad.status == 65 && bad.error.contains("epochs"), "\(bad.status) \(bad.error)")
        let same = try spool.charnn("edit", "tale", with: ["VISUAL": "true"])
        #expect(same.output.contains("nothing was changed"))
        #expect(try spool.charnn("retry", "tale").status == 0)
        try eventually("it trains further") { try spool.status("tale")?.totalEpochs == 3 && rows()["tale"] == "done" }
        daemon.signal(SIGTERM)
        _ = try daemon.end()
    }

    @Test func `a paused queue starts nothing until it is resumed`() throws {
        _ = try write("tale.yaml", QueueTests.training)
        let daemon = try spool.start(.charnnd, [])
        try eventually("it works") { daemon.errorSoFar.contains("Ready") }
        #expect(try spool.charnn("pause").output.contains("The queue is paused"))
        #expect(try spool.charnn("submit", "tale.yaml").status == 0)
        try eventually("tale is queued") { try rows() == ["tale": "queue"] }
        usleep(1_500_000)
        #expect(try rows() == ["tale": "queue"])
        #expect(try spool.charnn("why", "tale").output.contains("paused by"))
        #expect(try spool.charnn("resume").output.contains("goes on"))
        try eventually("tale is done") { try rows() == ["tale": "done"] }
        #expect(try spool.charnn("pause", "--until", "25:00").status == 64)
        daemon.signal(SIGTERM)
        _ = try daemon.end()
    }

    @Test func `a run stopped by Ctrl-C goes on with the same bytes`() throws {
        _ = try write("tale.yaml", Disturbance.training.replacing("tale.txt", with: "\(spool.layout.corpora)/tale.txt"))
        let undisturbed = try spool.charnn("run", "tale.yaml", "--output", "whole")
        #expect(undisturbed.status == 0, "\(undisturbed.error)")
        #expect(undisturbed.output.hasSuffix("Everything lies in \(spool.folder.path.appending("whole"))\n"))
        #expect(!undisturbed.output.contains("\r") && !undisturbed.output.contains("\u{1B}"), "a pipe shows no bar")

        let run = try spool.start(.charnn, ["run", "tale.yaml", "--output", "parts"])
        let parts = spool.folder.path.appending("parts")
        let checkpoints = parts.appending("checkpoints")
        try eventually("a checkpoint") {
            (try? spool.storage.list(checkpoints))?.contains { $0.hasPrefix("step-") } == true
        }
        run.signal(SIGINT)
        let stopped = try run.end()
        #expect(stopped.status == 85)
        #expect(stopped.output.hasSuffix("run tale.yaml --output parts\n"))
        let resumed = try spool.charnn("run", "tale.yaml", "--output", "parts")
        #expect(resumed.status == 0 && resumed.output.contains("goes on from step"))
        for name in ["model.safetensors", "last.safetensors"] {
            let same =
                try spool.bytes(parts.appending(name))
                == spool.bytes(spool.folder.path.appending("whole").appending(name))
            #expect(same, "\(name) differs")
        }
    }

    @Test func `a model writes and scores`() throws {
        _ = try write("tale.yaml", QueueTests.training)
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        let common = ["generate", "tale", "--prompt", "The owl", "--length", "80"]
        let one = try spool.start(.charnn, common + ["--seed", "7"]).end()
        #expect(one.status == 0 && one.output.hasPrefix("The owl") && one.output.count == 7 + 80 + 1)
        #expect(try spool.start(.charnn, common + ["--seed", "7"]).end().output == one.output)
        #expect(try spool.start(.charnn, common + ["--seed", "8"]).end().output != one.output)
        // The first of several is the same text as one alone.
        let three = try spool.start(.charnn, common + ["--seed", "7", "--count", "3"]).end()
        #expect(three.output.hasPrefix(one.output.dropLast()))
        #expect(three.output.components(separatedBy: "The owl").count == 4)
        let model = spool.run("tale").appending("model.safetensors").string
        #expect(try spool.charnn("generate", model, "--length", "5", "--no-echo").output.count == 6)
        let unknown = try spool.charnn("generate", "tale", "--prompt", "é")
        #expect(unknown.status == 65 && unknown.error.contains("'é' (U+00E9) at position 1"))
        #expect(try spool.charnn("generate", "tale", "--prompt", "é", "--unknown", "skip", "--length", "1").status == 0)

        struct Report: Decodable {
            var characters: Int
            var bitsPerCharacter: Double
            var perplexity: Double
        }
        let text = spool.layout.corpora.appending("tale.txt").string
        let json = try spool.charnn("evaluate", "tale", text, "--json")
        #expect(json.status == 0)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let report = try decoder.decode(Report.self, from: Data(json.output.utf8))
        #expect(report.characters == 5999 && abs(exp2(report.bitsPerCharacter) - report.perplexity) < 1e-6)
        #expect(try spool.charnn("evaluate", "tale", text).output.contains("bits per character"))
    }

    @Test func `the demo ends with a text and says what to try next`() throws {
        let end = try spool.charnn("demo", "--epochs", "1", "--text", "\(spool.layout.corpora)/tale.txt")
        #expect(end.status == 0, "\(end.error)")
        #expect(end.output.contains("What the model writes"))
        #expect(end.output.contains("Everything lies in \(spool.run("demo"))") && end.output.contains("report.html"))
        #expect(spool.exists(spool.run("demo").appending(.page)))
        let next = try #require(end.output.split(separator: "\n").first { $0.contains("charnn generate demo") })
        let words = next.split(separator: " ").map(String.init)
        let tried = try spool.start(.charnn, Array(words.dropFirst())).end()
        #expect(tried.status == 0, "\(tried.error)")
        #expect(!end.output.contains("\r") && !end.output.contains("\u{1B}"))
        // A second one stands beside the first.
        let second = try spool.charnn("demo", "--epochs", "1", "--text", "\(spool.layout.corpora)/tale.txt")
        #expect(second.output.contains("Everything lies in \(spool.run("demo-2"))"))
    }

    struct Misuse: CustomTestStringConvertible, Sendable {
        var arguments: [String]
        var status: Int32
        var says: String
        var testDescription: String { arguments.joined(separator: " ") }

        init(_ arguments: String, _ status: Int32, _ says: String) {
            self.arguments = arguments.split(separator: " ").map(String.init)
            self.status = status
            self.says = says
        }

        static let all = [
            Misuse("dance", 64, "dance"),
            Misuse("list --colour", 64, "--colour"),
            Misuse("generate", 64, "<model>"),
            Misuse("generate tale --temperature -1", 64, "--temperature"),
            Misuse("generate tale --top-p 2", 64, "--top-p: found 2.0; allowed: a number above 0 and at most 1"),
            Misuse("generate nobody", 66, "nobody: there is no such model"),
            Misuse("generate nobody --spool empty", 66, "`charnn demo` makes one"),
            Misuse("list --spool mistyped", 66, "there is no spool at"),
            Misuse("show nobody --spool mistyped", 66, "there is no spool at"),
            Misuse("list --spool bad.yaml", 66, "there is no spool at"),
            Misuse("run bad.yaml --spool textless.yaml", 74, "textless.yaml"),
            Misuse("run .", 64, "NAME.yaml"),
            Misuse("generate damaged.safetensors", 65, "damaged.safetensors"),
            Misuse("evaluate nobody tale.txt", 66, "nobody"),
            Misuse("check nowhere.yaml", 65, "nowhere.yaml: there is no such file"),
            Misuse("check bad.yaml", 65, "bad.yaml:2: train.corpsu: there is no such key; did you mean corpus?"),
            Misuse("run nowhere.yaml", 66, "nowhere.yaml: there is no such file"),
            Misuse("run bad.yaml", 65, "train.corpsu"),
            Misuse("submit nowhere.yaml", 66, "nowhere.yaml: there is no such file"),
            Misuse("submit bad.yaml", 65, "train.corpsu"),
            Misuse("submit textless.yaml", 66, "nowhere.txt: there is no such text"),
            Misuse("show nobody", 66, "there is no job named nobody"),
            Misuse("follow nobody", 66, "there is no job named nobody"),
            Misuse("why nobody", 66, "there is no job named nobody"),
            Misuse("cancel nobody", 66, "there is no job named nobody"),
            Misuse("clean --older-than soon", 64, "--older-than: found \"soon\""),
            Misuse("demo --text nowhere.txt", 66, "nowhere.txt"),
            Misuse("demo --epochs 0", 64, "--epochs"),
        ]
    }

    @Test(arguments: Misuse.all) func `what cannot be done is said, with a status`(_ misuse: Misuse) throws {
        _ = try write("bad.yaml", "train:\n  corpsu: tale.txt\n")
        _ = try write("textless.yaml", "train:\n  corpus: nowhere.txt\n")
        _ = try write("damaged.safetensors", "no model")
        let end = try spool.start(.charnn, misuse.arguments).end()
        #expect(end.status == misuse.status, "\(end.error)")
        #expect(end.error.contains(misuse.says), "\(end.error)")
        #expect(end.output == "" || misuse.arguments.first == "check")
        #expect(!spool.exists(spool.folder.path.appending("mistyped")), "looking makes nothing")
    }

    @Test func `a job in the wrong state stays where it is`() throws {
        try spool.drop("tale.yaml", QueueTests.training)
        #expect(try spool.once().status == 0)
        for command in ["hold", "release", "cancel"] {
            let end = try spool.charnn(command, "tale")
            #expect(end.status == 64 && end.error.contains("tale is in done/"))
        }
        #expect(try spool.state("tale") == .done)
    }
}
