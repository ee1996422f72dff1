import CharnnSpool
import CharnnStorage
import Glibc
import SystemPackage
import Testing

/// The daemon with several jobs.
@Suite struct QueueTests {
    private let spool: TestSpool

    init() throws {
        spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(6000))
    }

    static let training = """
        train:
          corpus: tale.txt
          cell: gru
          hidden_size: 16
          epochs: 2
          seq_length: 16
          batch_size: 8
        generate:
          prompt: "The owl"
          length: 50

        """

    @Test func `--once does all that is queued, in order, and leaves the results`() throws {
        // Of which the first three wait for the last.
        try spool.drop("a-text.yaml", "generate:\n  - model: tale\n    length: 30\n  - model: tale\n    length: 20\n")
        try spool.drop("b-score.json", #"{"evaluate": {"model": "tale", "corpus": "tale.txt"}}"#)
        try spool.drop("c-after.yml", "after: a-text\n" + Self.training)
        try spool.drop("tale.yaml", "priority: 5\n" + Self.training)
        let end = try spool.once()
        #expect(end.status == 0, "\(end.error)")
        #expect(end.output == "")

        for job in ["a-text", "b-score", "c-after", "tale"] { #expect(try spool.state(job) == .done, "\(job)") }
        let starts = end.error.split(separator: "\n").filter { $0.contains("started") || $0.contains("Started") }
        let order = starts.compactMap { line in ["a-text", "b-score", "c-after", "tale"].first { line.contains($0) } }
        #expect(order == ["tale", "a-text", "b-score", "c-after"])

        let files = try spool.results("tale").keys.sorted()
        #expect(
            files.filter { !$0.hasPrefix("samples/") } == [
                "generated/1.txt", "last.safetensors", "metrics.csv", "model.safetensors",
            ])
        #expect(try spool.text(spool.output("tale").appending("generated").appending("1.txt")).hasPrefix("The owl"))
        #expect(try spool.results("a-text").keys.sorted() == ["generated/1.txt", "generated/2.txt"])
        #expect(try spool.text(spool.output("a-text").appending("generated").appending("2.txt")).count == 20)
        let score = try spool.text(spool.output("b-score").appending("evaluation.json"))
        #expect(score.contains("\"bits_per_character\"") && score.contains("\"characters\" : 5999"))
        let status = try #require(try spool.status("tale"))
        #expect(status.state == .done && status.attempts == 1 && status.step == status.totalSteps)
        #expect(status.endedAt != nil && status.bestValidationLoss != nil)
        let log = try spool.text(spool.output("tale").appending("log.txt"))
        #expect(log.contains("Training begins: GRU 2 x 16") && log.contains("Validation at step"))
        for file in ["job.yaml", "resolved.yaml", "corpus.bin"] {
            #expect(spool.exists(spool.output("tale").appending(file)), "\(file)")
        }
    }

    @Test func `--once ends with 1 when a job fails, and does the others`() throws {
        try spool.drop("bad.yaml", "train:\n  corpus: nowhere.txt\n")
        try spool.drop("good.yaml", Self.training)
        try spool.drop("waits.yaml", "after: bad\n" + Self.training)
        let end = try spool.once(textGrace: "1s")
        #expect(end.status == 1)
        #expect(try spool.state("bad") == .failed)
        #expect(try spool.status("bad")?.reason?.contains("nowhere.txt") == true)
        #expect(try spool.state("good") == .done)
        #expect(try spool.state("waits") == .queue)
        #expect(try spool.charnn("why", "waits").output.contains("bad, which failed: `charnn retry bad`"))
    }

    @Test func `a job that is done trains further when its file asks for more epochs`() throws {
        try spool.drop("tale.yaml", Self.training)
        #expect(try spool.once().status == 0)
        let before = try #require(try spool.status("tale"))
        let file = spool.layout.file("tale.yaml", in: .done)
        try spool.storage.replace(file, with: Array(Self.training.replacing("epochs: 2", with: "epochs: 3").utf8))
        #expect(try spool.charnn("retry", "tale").status == 0)
        let end = try spool.once()
        #expect(end.status == 0, "\(end.error)")
        let after = try #require(try spool.status("tale"))
        #expect(try spool.state("tale") == .done)
        #expect(after.attempts == 2)
        #expect(after.step == (before.step ?? 0) / 2 * 3)
        #expect(try spool.text(spool.output("tale").appending("log.txt")).contains("goes on from step"))

        // With a constant learning rate it is as if it had asked for them at once.
        let whole = try TestSpool()
        try whole.corpus("tale.txt", Corpus.tale(6000))
        try whole.drop("tale.yaml", Self.training.replacing("epochs: 2", with: "epochs: 3"))
        #expect(try whole.once().status == 0)
        // The text of the model as it was is kept beside.
        let former = spool.output("tale").appending(.generated).appending("attempt-1")
        #expect(try spool.storage.list(former) == ["1.txt"])
        try spool.expectResults("tale", equal: try whole.results("tale"))
    }

    @Test func `a second daemon is refused`() throws {
        let first = try spool.start(.charnnd, [])
        try eventually("the first is ready") { first.errorSoFar.contains("Ready") }
        let second = try spool.once()
        #expect(second.status == 75)
        #expect(second.error.contains("another charnnd works in \(spool.layout.root)"))
        first.signal(SIGINT)
        #expect(try first.end().status == 0)
    }
}
