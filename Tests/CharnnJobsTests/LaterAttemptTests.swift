import CharnnCheckpoint
import CharnnCorpus
import CharnnJobs
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

/// Jobs that are run again after something of theirs has changed.
@Suite struct LaterAttemptTests {
    private let fixture: JobFixture
    private var output: JobFolder { fixture.output("a") }

    init() throws { fixture = try JobFixture() }

    private func texts(count: Int, prompt: String = "the", length: Int = 20) -> String {
        "generate:\n  model: m\n  prompt: \(prompt)\n  length: \(length)\n  count: \(count)\n"
    }

    private func contents() throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        func read(_ folder: FilePath, _ prefix: String) throws {
            for name in try fixture.storage.list(folder) {
                let path = folder.appending(name)
                if try fixture.storage.status(of: path)?.kind == .directory {
                    try read(path, "\(prefix)\(name)/")
                } else {
                    found[prefix + name] = try fixture.bytes(path)
                }
            }
        }
        try read(output.generated, "")
        return found
    }

    @Test func `texts of an earlier attempt are kept, told and results of the job`() throws {
        try fixture.run("m", JobFixture.training)
        #expect(try fixture.run("a", texts(count: 3)) == .done)
        let first = try contents()
        #expect(first.keys.sorted() == ["1.txt", "2.txt", "3.txt"])
        fixture.events = []
        #expect(try fixture.run("a", texts(count: 1, prompt: "line")) == .done)
        let second = try contents()
        #expect(
            second.keys.sorted() == ["1.txt", "attempt-1/1.txt", "attempt-1/2.txt", "attempt-1/3.txt"])
        for (name, bytes) in first { #expect(second["attempt-1/\(name)"] == bytes) }
        #expect(second["1.txt"]?.starts(with: Array("line".utf8)) == true)
        #expect(fixture.events.filter { $0.message.contains("generated/attempt-1/") }.count >= 1)
        let results = try #require(output.status()?.results).map(\.path)
        #expect(results.filter { $0.hasPrefix("generated/attempt-1/") }.count == 3)
        #expect(try fixture.findings() == [])

        #expect(try fixture.run("a", texts(count: 2, length: 5)) == .done)
        let third = try contents()
        #expect(third.count == 6 && third["attempt-2/1.txt"] == second["1.txt"])
        for (name, bytes) in first { #expect(third["attempt-1/\(name)"] == bytes) }
    }

    @Test func `a job that asks for no texts any more has none but those of before`() throws {
        try fixture.run("m", JobFixture.training)
        #expect(try fixture.run("a", texts(count: 2)) == .done)
        let first = try contents()
        #expect(try fixture.run("a", "evaluate:\n  model: m\n  corpus: text.txt\n") == .done)
        let second = try contents()
        #expect(second.keys.sorted() == ["attempt-1/1.txt", "attempt-1/2.txt"])
        #expect(second["attempt-1/1.txt"] == first["1.txt"])
    }

    @Test func `an attempt that is interrupted and goes on keeps what was there before it once`() throws {
        try fixture.run("m", JobFixture.training)
        #expect(try fixture.run("a", texts(count: 40)) == .done)
        let first = try contents()
        let storage = MeddlingStorage { [renames = fixture.renames] call, path in
            if call == "rename", path.string.hasSuffix(".txt.partial") { renames.note(path.string) }
        }
        var rounds = 0
        repeat {
            rounds += 1
            fixture.renames.stopAfter(17)
        } while try fixture.run("a", texts(count: 40, prompt: "line"), on: storage) == .checkpointed && rounds < 9
        #expect(rounds > 1)
        let second = try contents()
        #expect(second.count == 80)
        for (name, bytes) in first { #expect(second["attempt-1/\(name)"] == bytes) }
        for number in 1...40 { #expect(second["\(number).txt"]?.starts(with: Array("line".utf8)) == true) }
    }

    @Test func `an attempt that was changed before it ended leaves its texts too`() throws {
        try fixture.run("m", JobFixture.training)
        #expect(try fixture.run("a", texts(count: 2)) == .done)
        // Written, and then it fails.
        let failing = texts(count: 2, prompt: "line") + "evaluate:\n  model: m\n  corpus: none.txt\n"
        #expect(try fixture.run("a", failing) == .noInput)
        let second = try contents()
        #expect(try fixture.run("a", texts(count: 2, prompt: "owl")) == .done)
        let third = try contents()
        let starts = ["attempt-1/1.txt": "the", "1.txt": "owl"]
        for (name, start) in starts { #expect(third[name]?.starts(with: Array(start.utf8)) == true, "\(name)") }
        if second["1.txt"]?.starts(with: Array("line".utf8)) == true {
            #expect(third["attempt-2/1.txt"] == second["1.txt"] && third["attempt-2/2.txt"] == second["2.txt"])
        }
    }

    @Test func `a job that asks for another network is refused before anything of its run is changed`() throws {
        fixture.onEvent = { [unowned fixture] in if $0.kind == .checkpointSaved { fixture.stop.set() } }
        #expect(try fixture.run("a", JobFixture.training) == .checkpointed)
        fixture.onEvent = nil
        // One that is damaged is swept by a run that goes on.
        try fixture.storage.replace(output.checkpoints.file(step: 9999), with: [1, 2, 3])
        func found() throws -> [String] {
            try fixture.storage.list(output.path.appending(.checkpoints)).sorted()
        }
        let before = try found()
        let other = JobFixture.training.replacing("hidden_size: 24", with: "hidden_size: 32")
        #expect(try fixture.run("a", other) == .badJob)
        #expect(try found() == before)
        #expect(try fixture.run("a", JobFixture.training) == .done)
    }

    @Test func `an edited text is told of, and the job goes on with the text as it was`() throws {
        fixture.onEvent = { [unowned fixture] in if $0.kind == .checkpointSaved { fixture.stop.set() } }
        #expect(try fixture.run("a", JobFixture.training) == .checkpointed)
        let text = fixture.corpora.appending("text.txt")
        let before = try fixture.text(text)
        // One word of the same length, and another time.
        try fixture.storage.replace(text, with: Array(before.replacing("the owl", with: "the eel").utf8))
        fixture.onEvent = nil
        fixture.events = []
        #expect(try fixture.run("a", JobFixture.training) == .done)
        let told = fixture.events.filter { $0.kind == .warning && $0.message.contains("text.txt was written to") }
        #expect(told.count == 1, "\(fixture.events.map(\.message))")
        let corpus = try EncodedCorpus(reading: output.corpus, in: fixture.storage)
        #expect(corpus.vocabulary.index(of: 0x77) != nil)
    }

    @Test func `a text that was only touched or taken away is not told of`() throws {
        fixture.onEvent = { [unowned fixture] in if $0.kind == .checkpointSaved { fixture.stop.set() } }
        #expect(try fixture.run("a", JobFixture.training) == .checkpointed)
        let text = fixture.corpora.appending("text.txt")
        try fixture.storage.replace(text, with: fixture.bytes(text))
        fixture.events = []
        #expect(try fixture.run("a", JobFixture.training) == .checkpointed)
        try fixture.storage.remove(text)
        fixture.onEvent = nil
        #expect(try fixture.run("a", JobFixture.training) == .done)
        #expect(!fixture.events.contains { $0.kind == .warning })
    }

    @Test func `a text that changes while it is read is tried again later`() throws {
        let text = fixture.corpora.appending("text.txt")
        let other = Array(try fixture.text(text).replacing("the owl", with: "the eel").utf8)
        // The encoded text is begun when the first of two readings is over.
        let storage = MeddlingStorage { call, path in
            guard call == "create", path.lastComponent?.string.contains("corpus.bin") == true else { return }
            try? LocalStorage().replace(text, with: other)
        }
        #expect(try fixture.run("a", JobFixture.training, on: storage) == .temporary)
        #expect(output.status()?.reason?.contains("changed while it was read") == true)
        #expect(try fixture.run("a", JobFixture.training) == .done)
    }
}
