import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// Texts and models beside a job file: what `check`, `run` and `submit` make of them.
@Suite struct SubmitTests {
    private let spool: TestSpool

    init() throws { spool = try TestSpool() }

    private func write(_ name: String, _ bytes: [UInt8]) throws {
        let path = spool.folder.path.pushing(FilePath(name))
        try spool.storage.createDirectories(path.removingLastComponent(), mode: 0o755)
        try spool.storage.replace(path, with: bytes)
    }

    private func write(_ name: String, _ text: String) throws { try write(name, Array(text.utf8)) }

    private func texts() throws -> [String] { try spool.storage.list(spool.layout.corpora).sorted() }

    private func job(_ corpus: String) -> String { QueueTests.training.replacing("tale.txt", with: corpus) }

    /// Trains a model that lies nowhere but in a file of its own.
    private func model(_ name: String, seed: Int = 1) throws {
        try write("tale.txt", Corpus.tale(6000))
        try write("made.yaml", "seed: \(seed)\n" + QueueTests.training)
        #expect(try spool.charnn("run", "made.yaml", "--fresh").status == 0)
        try write(name, try spool.bytes(spool.run("made").appending(.model)))
    }

    @Test func `a text that was changed goes along as it is now, under another name`() throws {
        try write("own.txt", Corpus.tale(3000))
        try write("night.yaml", "# The text: own.txt\n" + job("own.txt"))
        #expect(try spool.charnn("submit", "night.yaml").status == 0)
        #expect(try spool.once().status == 0)
        try write("own.txt", Corpus.tale(5000))
        let again = try spool.charnn("submit", "night.yaml")
        #expect(again.status == 0 && again.output.contains("as own-2.txt"), "\(again.output)\(again.error)")
        #expect(try spool.once().status == 0)
        #expect(try spool.text(spool.output("night").appending(.log)).contains("3,000 characters"))
        #expect(try spool.text(spool.output("night-2").appending(.log)).contains("5,000 characters"))
        #expect(try spool.text(spool.layout.corpora.appending("own.txt")) == Corpus.tale(3000))
        // All else in the file is as it was.
        let handed = try spool.text(spool.output("night-2").appending(.jobFile))
        #expect(handed == "# The text: own.txt\n" + job("\"own-2.txt\""))
        // The same text again needs no third copy.
        #expect(try spool.charnn("submit", "night.yaml").status == 0)
        #expect(try texts() == ["own-2.txt", "own.txt"])
    }

    @Test func `what lies beside the job file is found in either form of its name`() throws {
        let (composed, decomposed) = ("caf\u{E9}", "cafe\u{301}")
        try write("\(decomposed).txt", Corpus.tale(3000))
        try spool.corpus("\(composed).txt", Corpus.tale(6000))
        try write("night.yaml", job("\(composed).txt"))
        #expect(try spool.charnn("check", "night.yaml", "--no-time").output.contains("3,000 characters"))
        #expect(try spool.charnn("submit", "night.yaml").status == 0)
        #expect(try spool.once().status == 0)
        #expect(try spool.text(spool.output("night").appending(.log)).contains("3,000 characters"))
    }

    @Test func `a path out of the folder is copied under its last name`() throws {
        try write("own.txt", Corpus.tale(3000))
        try write("jobs/night.yaml", job("../own.txt"))
        let end = try spool.charnn("submit", "jobs/night.yaml")
        #expect(end.status == 0, "\(end.error)")
        #expect(try texts() == ["own.txt"])
        #expect(try spool.once().status == 0)
    }

    @Test func `texts of one name from several folders stay apart`() throws {
        for (name, size) in [("a/own.txt", 2000), ("b/own.txt", 2500)] { try write(name, Corpus.tale(size)) }
        let paths = ["a", "b"].map { spool.folder.path.pushing(FilePath("\($0)/own.txt")).string }
        try write("both.yaml", job("[\(paths[0]), '\(paths[1])']"))
        let end = try spool.charnn("submit", "both.yaml")
        #expect(end.status == 0, "\(end.error)")
        #expect(try spool.once().status == 0)
        #expect(try texts() == ["own-2.txt", "own.txt"])
        #expect(try spool.text(spool.output("both").appending(.log)).contains("4,500 characters"))
    }

    @Test func `a path that cannot be changed for certain is refused, and nothing is handed over`() throws {
        try write("own.txt", Corpus.tale(3000))
        try spool.corpus("own.txt", "another")
        try write("good.yaml", job("\"good.txt\""))
        try write("good.txt", Corpus.tale(2000))
        // An escape of the double-quoted form.
        try write("night.yaml", job("\"own\\u002etxt\""))
        let end = try spool.charnn("submit", "good.yaml", "night.yaml")
        #expect(end.status == 64 && end.error.contains("copy it there as own-2.txt"), "\(end.status) \(end.error)")
        #expect(try spool.storage.list(spool.layout.incoming) == [])
        #expect(try spool.text(spool.layout.corpora.appending("own.txt")) == "another")
    }

    @Test func `a model beside the job file is taken by check, run and submit`() throws {
        try model("own.safetensors")
        try write("text.yaml", "generate: {model: own.safetensors, length: 30}\n")
        try write(
            "more.yaml", QueueTests.training.replacing("corpus:", with: "from: ./own.safetensors\n  corpus:"))
        for job in ["text", "more"] {
            let checked = try spool.charnn("check", "\(job).yaml", "--no-time")
            #expect(checked.status == 0, "\(checked.error)")
            let run = try spool.charnn("run", "\(job).yaml")
            #expect(run.status == 0, "\(run.error)")
        }
        let submitted = try spool.charnn("submit", "text.yaml", "more.yaml")
        #expect(submitted.status == 0, "\(submitted.error)")
        #expect(try texts() == ["own.safetensors", "tale.txt"])
        let end = try spool.once()
        #expect(end.status == 0, "\(end.error)")
        let written = try [spool.output("text"), spool.run("text")].map {
            try spool.text($0.appending(.generated).appending("1.txt"))
        }
        #expect(written[0] == written[1])

        // Another one of that name is another one.
        try model("own.safetensors", seed: 2)
        #expect(try spool.charnn("submit", "text.yaml").output.contains("as own-2.safetensors"))
        #expect(try spool.once().status == 0)
        #expect(try spool.text(spool.output("text-2").appending(.generated).appending("1.txt")) != written[0])
        #expect(try spool.text(spool.output("text-2").appending(.jobFile)).contains("model: \"own-2.safetensors\""))
    }

    @Test func `a model of which the name would be a job's stays a file`() throws {
        try model("elsewhere/weights")
        let path = spool.folder.path.pushing("elsewhere/weights").string
        try write("text.yaml", "generate: {model: \(path), length: 30}\n")
        #expect(try spool.charnn("submit", "text.yaml").status == 0)
        let end = try spool.once()
        #expect(end.status == 0, "\(end.error)")
    }

    @Test func `a model that is nowhere is told before it is too late`() throws {
        try write("text.yaml", "generate: {model: own.safetensors, length: 30}\n")
        for command in [["check"], ["submit"]] {
            let end = try spool.start(.charnn, command + ["text.yaml"]).end()
            #expect(
                end.status != 0 && end.error.contains("own.safetensors: there is no such model beside"), "\(command)")
        }
        #expect(try spool.charnn("run", "text.yaml").status == 1)
        #expect(try spool.storage.list(spool.layout.incoming) == [])
    }

    @Test(.endsWhatHangs) func `texts of one name that are submitted at once each get a name of their own`() throws {
        let count = 8
        for number in 1...count {
            // Each so long that the others come while it is copied.
            try write("p\(number)/own.txt", String(repeating: "\(number) owls. ", count: 500_000))
            try write("p\(number)/night\(number).yaml", job("own.txt"))
        }
        let submits = try (1...count).map { try spool.start(.charnn, ["submit", "p\($0)/night\($0).yaml"]) }
        for submit in submits {
            let end = try submit.end()
            #expect(end.status == 0, "\(end.error)")
        }
        #expect(try texts().count == count)
        for number in 1...count {
            let text = try spool.text(spool.layout.incoming.appending("night\(number).yaml"))
            let named = try #require(
                try texts().first { text.contains("corpus: \($0)\n") || text.contains("\"\($0)\"") })
            #expect(try spool.text(spool.layout.corpora.appending(named)).hasPrefix("\(number) owls"))
        }
    }

    @Test func `an empty text and a model that is none are refused before anything is copied`() throws {
        try write("good.txt", Corpus.tale(3000))
        try write("good.yaml", job("good.txt"))
        try write("empty.txt", "")
        try write("none.safetensors", "")
        let path = spool.folder.path.appending("empty.txt").string
        let bad: [(String, says: String)] = [
            (job("empty.txt"), "there is no text in"), (job(path), "there is no text in"),
            ("evaluate: {model: ./none.safetensors, corpus: good.txt}\n", "none.safetensors"),
        ]
        for (text, says) in bad {
            try write("bad.yaml", text)
            let end = try spool.charnn("submit", "good.yaml", "bad.yaml")
            #expect(end.status == 65 && end.error.contains("bad.yaml: ") && end.error.contains(says), "\(end.error)")
            #expect(end.error.contains("nothing was handed over") && !end.output.contains("copied"))
            #expect(try texts() == [] && spool.storage.list(spool.layout.incoming) == [])
        }
    }
}
