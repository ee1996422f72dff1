import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

@testable import CharnnJobs

/// Jobs that score and write with several models, with n-grams, and on from a text that they learn from.
@Suite struct ScoringTests {
    private let fixture: JobFixture

    init() throws { fixture = try .withModel() }

    private func trainAnother(_ name: String = "n", _ keys: String = "", seed: Int = 2) throws {
        #expect(try fixture.run(name, "seed: \(seed)\n" + JobFixture.training + keys) == .done)
    }

    private struct Found: Decodable, Equatable {
        var characters: Int
        var natsPerCharacter: Double
        var natsPerCharacterFitted: Double?
        var natsPerCharacterAdapted: Double?
        var natsPerCharacterWithNgrams: Double?
        var ngramBitsPerCharacter: Double?
        var xzBitsPerCharacter: Double?
        var model: String
    }

    private func score(_ name: String, _ keys: String, corpus: String = "other.txt") throws -> Found {
        let job = "evaluate:\n  corpus: \(corpus)\n" + keys
        #expect(try fixture.run(name, job) == .done, "\(fixture.output(name).status()?.reason ?? "")")
        return try found(name)
    }

    private func found(_ name: String) throws -> Found { try fixture.evaluation(of: name) }

    @Test func `models together are better than each, and one beside itself is itself`() throws {
        try trainAnother()
        let (m, n) = (try score("a", "  model: m\n"), try score("b", "  model: n\n"))
        let both = try score("c", "  model: [m, n]\n")
        let (best, mean) = (min(m.natsPerCharacter, n.natsPerCharacter), (m.natsPerCharacter + n.natsPerCharacter) / 2)
        // By the inequality of the means it is never worse than they are on average.
        #expect(both.natsPerCharacter < mean && both.characters == m.characters && both.model == "m, n")
        #expect(both.natsPerCharacter < best + 0.05)
        let twice = try score("d", "  model: [m, m]\n")
        #expect(abs(twice.natsPerCharacter - (m.natsPerCharacterFitted ?? m.natsPerCharacter)) < 1e-5)
        #expect(fixture.events.contains { $0.message.contains("m, n together score") })
    }

    @Test func `what one of them lacks has the mean of nothing and what the other says`() throws {
        let text = String(decoding: try fixture.bytes(fixture.corpora.appending("text.txt")), as: UTF8.self)
        try fixture.storage.replace(
            fixture.corpora.appending("plain.txt"), with: Array(text.replacing("é", with: "e").utf8))
        try trainAnother("p", "", seed: 1)
        #expect(try fixture.run("q", JobFixture.training.replacing("text.txt", with: "plain.txt")) == .done)
        // m alone knows é; the other has half of nothing there, a ln 2 and no more.
        let together = try score("both", "  model: [m, q]\n", corpus: "text.txt")
        #expect(together.natsPerCharacter.isFinite && together.characters == text.unicodeScalars.count - 1)
        #expect(try fixture.run("alone", "evaluate: {model: q, corpus: text.txt}\n") == .badData)
        // What none of them has is left out.
        try fixture.storage.replace(fixture.corpora.appending("odd.txt"), with: Array((text + "ß€\n").utf8))
        let odd = try score("odd", "  model: [m, q]\n  unknown: replace\n", corpus: "odd.txt")
        #expect(odd.characters == together.characters + 1)
    }

    @Test func `models of different encodings are refused before anything is done`() throws {
        try trainAnother("bytes", "  encoding: bytes\n")
        #expect(try fixture.run("a", "evaluate: {model: [m, bytes], corpus: other.txt}\n") == .badData)
        #expect(fixture.output("a").status()?.reason?.contains("one encoding") == true)
        #expect(try fixture.run("b", "generate: {model: [m, bytes]}\n") == .badData)
    }

    @Test func `n-grams that go on counting make the score better, and learn from what was trained on only`() throws {
        let (plain, mixed) = (try score("a", "  model: m\n"), try score("b", "  model: m\n  ngrams: true\n"))
        let nats = try #require(mixed.natsPerCharacterWithNgrams)
        #expect(mixed.natsPerCharacter == plain.natsPerCharacter && nats < 0.8 * plain.natsPerCharacter)
        #expect(try #require(mixed.ngramBitsPerCharacter) > 0 && #require(mixed.xzBitsPerCharacter) > 0)
        #expect(fixture.events.contains { $0.message.hasPrefix("With n-grams mixed in it needs") })
        // Adapted as well, they are mixed with that.
        let keys = "  model: m\n  ngrams: true\n  adapt: dynamic\n  adapt_rate: 0.002\n"
        let both = try score("c", keys)
        #expect(try #require(both.natsPerCharacterWithNgrams) < #require(both.natsPerCharacterAdapted))
        #expect(both.ngramBitsPerCharacter == mixed.ngramBitsPerCharacter)
        // Interrupted, the same.
        let exits = try fixture.run("d", "evaluate:\n  corpus: other.txt\n" + keys, stoppingAfter: 250)
        #expect(exits.count > 2 && exits.last == .done, "\(exits)")
        #expect(try found("d") == both)
    }

    @Test func `without the text that was learned from n-grams are refused, and told what they need`() throws {
        let corpus = fixture.output("m").corpus
        let bytes = try fixture.bytes(corpus)
        func refused(_ name: String) throws {
            let exit = try fixture.run(name, "evaluate: {model: m, corpus: other.txt, ngrams: true}\n")
            #expect(exit == .noInput)
            let reason = try #require(fixture.output(name).status()?.reason)
            #expect(reason.contains("in the folder of the job that trained"), "\(reason)")
        }
        try fixture.storage.remove(corpus)
        try refused("none")
        // That of another model, whole as it is.
        try fixture.storage.replace(fixture.corpora.appending("text.txt"), with: Array("the owl and the cat\n".utf8))
        try fixture.storage.replace(corpus, with: bytes)
        #expect(try fixture.run("right", "evaluate: {model: m, corpus: text.txt, ngrams: true}\n") == .done)
        #expect(try fixture.run("o", JobFixture.training.replacing("text.txt", with: "other.txt")) == .done)
        try fixture.storage.replace(corpus, with: try fixture.bytes(fixture.output("o").corpus))
        try refused("other")
    }

    @Test func `a sample while training begins with the prompt of what this model is to write`() throws {
        let job =
            JobFixture.training + "  sample_every: 20\n"
            + "generate:\n  - {model: m, prompt: line, length: 5}\n  - {prompt: the owl, length: 5}\n"
        #expect(try fixture.run("s", job) == .done)
        let samples = fixture.output("s").samples
        let names = try fixture.storage.list(samples)
        #expect(!names.isEmpty)
        for name in names { #expect(try fixture.text(samples.appending(name)).hasPrefix("the owl")) }
    }

    @Test func `several models write as one`() throws {
        try trainAnother()
        func text(_ name: String, _ model: String, _ keys: String = "") throws -> String {
            #expect(try fixture.run(name, "generate: {model: \(model), length: 60, prompt: the\(keys)}\n") == .done)
            return try fixture.text(fixture.output(name).generated.appending("1.txt"))
        }
        let (m, n, both) = (try text("a", "m"), try text("b", "n"), try text("c", "[m, n]"))
        #expect(Set([m, n, both]).count == 3 && both.unicodeScalars.count == 63)
        #expect(try text("d", "[m, m]") == m)
        #expect(try text("e", "[m, m]", ", temperature: 0") == text("f", "m", ", temperature: 0"))
    }

    @Test func `a text that it learns from is written on, and the model stays as it was`() throws {
        var text = ""
        for line in 0..<150 { text += "so the cat saw it in line \(line % 3)\n" }
        try fixture.storage.replace(fixture.corpora.appending("habit.txt"), with: Array(text.utf8))
        let before = try fixture.bytes(fixture.output("m").model)
        func written(_ name: String, _ keys: String) throws -> String {
            let job = "generate: {model: m, length: 400, temperature: 0.5, count: 2\(keys)}\n"
            #expect(try fixture.run(name, job) == .done, "\(fixture.output(name).status()?.reason ?? "")")
            return try fixture.text(fixture.output(name).generated.appending("1.txt"))
        }
        let (still, learned) = (try written("a", ""), try written("b", ", adapt_to: habit.txt"))
        func likeness(_ text: String) -> Int { text.components(separatedBy: "so the cat saw").count - 1 }
        #expect(likeness(learned) > likeness(still), "\(learned)")
        #expect(try fixture.bytes(fixture.output("m").model) == before)
        #expect(fixture.events.contains { $0.message.hasPrefix("Learned from") })
        // A prompt stands behind the text, and is all that is echoed.
        #expect(try written("c", ", adapt_to: habit.txt, prompt: the").hasPrefix("the"))
        // Stopped while it learns, it goes on to the same text.
        let job = "generate: {model: m, length: 60, temperature: 0.5, adapt_to: habit.txt}\n"
        let exits = try fixture.run("d", job, stoppingAfter: 400)
        #expect(exits.count > 2 && exits.last == .done, "\(exits)")
        #expect(try fixture.text(fixture.output("d").generated.appending("1.txt")) == String(learned.prefix(60)))
        #expect(try !fixture.storage.list(fixture.output("d").path).contains(JobFolderFile.partialAdaptation.rawValue))
        #expect(try fixture.run("e", "generate: {model: m, adapt_to: nowhere.txt}\n") == .noInput)
    }

    @Test func `lists of models are read, and jobs in them are waited for`() throws {
        let text = "generate: {model: [a, /x/b.safetensors]}\nevaluate: {model: [c, a], corpus: t, ngrams: yes}\n"
        let job = try JobFile.parse(Array(text.utf8), fileName: "j.yaml")
        #expect(job.modelJobs == ["a", "c"] && job.modelPaths == ["/x/b.safetensors"])
        #expect(job.generate[0].models == [.job("a"), .path("/x/b.safetensors")])
        #expect(job.evaluate?.models == [.job("c"), .job("a")] && job.evaluate?.ngrams == true)
        for wrong in ["[]", "[a, [b]]", "{a: b}"] {
            #expect(throws: JobFileError.self) {
                try JobFile.parse(Array("generate: {model: \(wrong)}\n".utf8), fileName: "j.yaml")
            }
        }
        let moved = try #require(
            try JobFile.replacingPaths(
                in: Array("generate: {model: [a, x/b.safetensors], adapt_to: t.txt}\n".utf8), fileName: "j.yaml",
                texts: ["t.txt": "u.txt"], models: ["x/b.safetensors": "y/c.safetensors"]))
        let again = try JobFile.parse(moved, fileName: "j.yaml")
        #expect(again.textPaths == ["u.txt"] && again.modelPaths == ["y/c.safetensors"])
    }
}
