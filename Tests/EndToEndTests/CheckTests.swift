import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import Glibc
import SystemPackage
import Testing

/// `charnn check`: what is said of a job before it takes its hours.
@Suite struct CheckTests {
    private let spool: TestSpool

    private static let training =
        "train: {corpus: tale.txt, hidden_size: 8, num_layers: 1, dropout: 0, epochs: 1, seq_length: 16, batch_size: 8}\n"

    init() throws {
        spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(6000))
        try spool.corpus("greek.txt", "the owl and the Ω\n")
    }

    private func check(_ text: String) throws -> Outcome {
        try spool.storage.replace(spool.folder.path.appending("job.yaml"), with: Array(text.utf8))
        return try spool.charnn("check", "--no-time", "job.yaml")
    }

    @Test func `all that would fail the job after its training is told at once`() throws {
        let end = try check(
            "threads: 1\ndevice: cpu\n" + Self.training.replacing("epochs: 1", with: "epochs: 1, precision: fp16")
                + "generate: [{prompt: Ü}, {prompt: the}, {model: ../corpora/tale.txt}]\n"
                + "evaluate: {corpus: greek.txt}\n")
        #expect(end.status == 65)
        for words in [
            "job.yaml: precision: fp16 was asked for", "job.yaml: generate[1].prompt: the model's vocabulary lacks 'Ü'",
            "job.yaml: generate[3].model: ",
            "job.yaml: evaluate.corpus: the model's vocabulary lacks 'Ω' (U+03A9) at position 17",
        ] {
            #expect(end.error.contains(words), "\(words): \(end.error)")
        }
        #expect(!end.output.contains("valid"))
    }

    @Test func `characters outside the vocabulary are as bad as the job file says`() throws {
        for policy in ["skip", "replace"] {
            let end = try check(
                Self.training + "generate: {prompt: Ü, unknown: \(policy)}\n"
                    + "evaluate: {corpus: greek.txt, unknown: \(policy)}\n")
            #expect(end.status == 0 && end.output.hasPrefix("job.yaml: valid\n"), "\(end.error)")
        }
        try spool.corpus("none.txt", "ΩΩΩΩ")
        let end = try check(Self.training + "evaluate: {corpus: none.txt, unknown: skip}\n")
        #expect(end.status == 65 && end.error.contains("evaluate.corpus: there is nothing to score"))
    }

    @Test func `a model to go on from is looked at`() throws {
        try spool.storage.replace(
            spool.folder.path.appending("base.yaml"), with: Array(Self.training.utf8))
        #expect(try spool.charnn("run", "base.yaml").status == 0)
        let finer = Self.training.replacing(", num_layers: 1, dropout: 0", with: "")
        let other = try check(finer.replacing("epochs: 1", with: "epochs: 1, from: base, encoding: latin-1, cell: gru"))
        #expect(other.status == 65)
        for words in [
            "train.cell is gru, but the model base", "train.encoding is latin-1, but the model base",
        ] {
            #expect(other.error.contains(words), "\(words): \(other.error)")
        }
        let same = try check(finer.replacing("epochs: 1", with: "epochs: 1, from: base"))
        #expect(same.status == 0 && same.output.contains("goes on from base"), "\(same.error)")
        #expect(same.output.contains("parameters"), "its sizes are known")
        #expect(same.output.contains("warning: base is a run outside the queue"))
        let written = try check("generate: {model: base, stop: Ω, prompt: the}\n")
        #expect(written.status == 0 && written.output.contains("warning: stop never occurs"), "\(written.error)")
        let scored = try check("evaluate: {model: base, corpus: greek.txt}\n")
        #expect(scored.status == 65 && scored.error.contains("'Ω'"))
    }

    static let absent: [(job: String, says: String)] = [
        ("train: {corpus: nothing.txt}\n", "train.corpus: the text nothing.txt does not exist"),
        (training + "evaluate: {corpus: nothing.txt}\n", "evaluate.corpus: the text nothing.txt does not exist"),
        (training + "after: nobody\n", "after: there is no job nobody"),
        ("generate: {model: nobody}\n", "generate.model: there is no model of a job nobody"),
        ("evaluate: {model: nobody, corpus: tale.txt}\n", "evaluate.model: there is no model of a job nobody"),
        (
            training.replacing("hidden_size: 8, num_layers: 1, dropout: 0", with: "from: nobody"),
            "train.from: there is no model of a job nobody"
        ),
    ]

    /// A daemon waits for it; nobody would bring it to a run in the foreground.
    @Test(arguments: absent) func `what is not there yet is told by check, and refused by run`(
        _ job: String, _ says: String
    ) throws {
        let end = try check(job)
        #expect(end.status == 0, "\(end.error)")
        #expect(end.output.hasPrefix("job.yaml: valid, but not all of it is there\n"))
        #expect(end.output.contains("  not there yet: \(says)"), "\(end.output)")
        let run = try spool.charnn("run", "job.yaml")
        #expect(run.status != 0)
        // A run names the text by its whole path.
        let said = says.split(separator: " ").suffix(4).joined(separator: " ").replacing("text ", with: "")
        #expect((run.output + run.error).contains(said), "\(run.output) \(run.error)")
        #expect(!run.output.contains("Training begins"))
    }

    @Test func `nobody waits for a model file, nor for oneself`() throws {
        for path in ["./late.safetensors", "gh/model.safetensors"] {
            let end = try check("generate: {model: \(path)}\n")
            #expect(end.status == 65 && end.error.contains("there is no such model"), "\(end.output)")
        }
        // What a predecessor makes is there when the job's turn comes.
        let later = try check("after: gh\ngenerate: {model: gh/model.safetensors}\n")
        #expect(later.status == 0 && later.output.contains("not there yet: generate.model: there is no model gh/"))
        let own = try check(Self.training + "after: job\n")
        #expect(own.status == 65 && own.error.contains("would wait for itself"), "\(own.output)")
    }

    @Test func `a job that is queued is no missing predecessor`() throws {
        try spool.drop("first.yaml", Self.training)
        #expect(try spool.once().status == 0)
        let end = try check(Self.training + "after: first\n")
        #expect(end.status == 0 && end.output.hasPrefix("job.yaml: valid\n"), "\(end.output)\(end.error)")
    }

    @Test func `a text that cannot be looked at is not taken for one that is to come`() throws {
        let loop = spool.layout.corpora.appending("loop").string
        try FileManager.default.createSymbolicLink(atPath: loop, withDestinationPath: "loop")
        let end = try check("train: {corpus: loop/part.txt}\n")
        #expect(end.status == 65 && end.error.contains("loop/part.txt"), "\(end.output)\(end.error)")
    }

    @Test func `too few steps are told with the epochs that would do`() throws {
        // 5,400 characters to train on make 42 steps an epoch.
        let end = try check(Self.training)
        #expect(end.output.contains("42 steps: 1 epochs of 42"), "\(end.output)")
        #expect(end.output.contains("epochs: 48 would do"), "\(end.output)")
        let more = try check(Self.training.replacing("epochs: 1", with: "epochs: 48"))
        #expect(!more.output.contains("would do"))
    }

    @Test(.endsWhatHangs, arguments: [SIGTERM, SIGHUP, SIGINT])
    func `what it measures with goes away with it when a signal ends it`(number: Int32) throws {
        let parent = spool.folder.path.appending("tmp")
        try spool.storage.createDirectory(parent, mode: 0o755)
        let job = Self.training.replacing("hidden_size: 8", with: "hidden_size: 1024")
        try spool.storage.replace(spool.folder.path.appending("job.yaml"), with: Array(job.utf8))
        let check = try spool.start(.charnn, ["check", "job.yaml"], ["TMPDIR": parent.string])
        try eventually("it writes") {
            let folders = try spool.storage.list(parent)
            return try check.hasEnded || folders.contains { try !spool.storage.list(parent.appending($0)).isEmpty }
        }
        check.signal(number)
        #expect(try check.end().status == 128 + number)
        #expect(try spool.storage.list(parent) == [])
    }
}
