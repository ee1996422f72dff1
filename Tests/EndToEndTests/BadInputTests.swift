import CharnnSpool
import CharnnStorage
import Foundation
import SystemPackage
import Testing

/// Something that is no good job, with what a person is told.
struct BadInput: CustomTestStringConvertible, Sendable {
    /// Where it is to be found afterwards.
    enum Place: Sendable {
        /// `rejected/FILE` with `FILE.reason.txt` beside it.
        case rejected
        /// `failed/`, with the reason in the status.
        case failed
        /// Still in `incoming/`; the daemon says why.
        case incoming
        /// Still in `queue/`; `charnn why` says why.
        case queue
    }

    var testDescription: String
    var file: String
    /// The job file; nil: ``BadSpool`` makes something else.
    var text: String?
    var place: Place
    /// What the reason says, all of it.
    var says: [String]
    /// The name under which it is found.
    var found: String?

    private init(
        _ description: String, _ file: String, _ text: String? = nil, _ place: Place = .rejected, found: String? = nil,
        says: String...
    ) {
        testDescription = description
        self.file = file
        self.text = text
        self.place = place
        self.says = says
        self.found = found
    }

    private static func train(_ lines: String) -> String { "train:\n  corpus: tale.txt\n  \(lines)\n" }

    static let all = [
        BadInput("an empty file", "empty.yaml", "", says: "empty", "train, generate or evaluate"),
        BadInput("a comment alone", "comment.yaml", "# nothing\n", says: "empty"),
        BadInput("a binary file", "binary.yaml", "train:\n\u{0}\u{1}\u{2}", says: "binary"),
        BadInput("a file that is not UTF-8", "latin.yaml", says: "UTF-8"),
        BadInput(
            "a file of 2 MiB", "large.yaml", String(repeating: "# long\n", count: 300_000),
            says: "2100000 bytes", "1048576"),
        BadInput(
            "broken YAML", "broken.yaml", "train:\n  corpus: [tale.txt\n  epochs: 1\n",
            says: "broken.yaml:", "not YAML"),
        BadInput("YAML aliases", "alias.yaml", "a: &a [x]\nb: [*a, *a]\n", says: "alias.yaml:1", "anchors"),
        BadInput("a list", "list.yaml", "- train\n", says: "key: value"),
        BadInput("no section", "nothing.yaml", "priority: 1\n", says: "train, generate and evaluate"),
        BadInput(
            "an unknown key", "unknown.yaml", train("hiden_size: 64"), says: "unknown.yaml:3", "train.hiden_size",
            "there is no such key", "hidden_size"),
        BadInput(
            "several mistakes at once", "several.yaml", "devise: cpu\n" + train("cell: lstn\n  epochs: many"),
            says: "several.yaml:1", "device", "several.yaml:4", "\"lstn\"", "lstm", "several.yaml:5", "train.epochs",
            "\"many\""),
        BadInput(
            "a wrong type", "type.yaml", train("hidden_size: [1, 2]"),
            says: "type.yaml:3", "train.hidden_size", "a list"),
        BadInput(
            "a fraction of a number", "fraction.yaml", train("epochs: 1.5"),
            says: "train.epochs", "\"1.5\"", "whole number"),
        BadInput(
            "a negative number", "negative.yaml", train("batch_size: -3"),
            says: "train.batch_size", "\"-3\"", "from 1"),
        BadInput("a number that is none", "nan.yaml", train("lr: .nan"), says: "train.lr", "a number above 0"),
        BadInput(
            "dropout of 1", "dropout.yaml", train("dropout: 1"),
            says: "train.dropout", "from 0 up to, not including, 1"),
        BadInput(
            "a network that no machine can hold", "absurd.yaml", train("hidden_size: 1000000000"),
            says: "absurd.yaml:3",
            "train.hidden_size", "memory", "and there are"),
        BadInput(
            "a number beyond all sizes", "beyond.yaml", train("hidden_size: 99999999999999999999"),
            says: "train.hidden_size"),
        BadInput(
            "a missing text", "missing.yaml", "train:\n  corpus: nowhere.txt\n", .failed,
            says: "nowhere.txt", "does not exist"),
        BadInput(
            "a text that may not be read", "unreadable.yaml", "train:\n  corpus: secret.txt\n", .failed,
            says: "secret.txt", "read"),
        BadInput(
            "a text that is a folder", "folder-text.yaml", "train:\n  corpus: folder\n", .failed,
            says: "corpora/folder"),
        BadInput(
            "a text that is a FIFO", "fifo-text.yaml", "train:\n  corpus: fifo\n", .failed,
            says: "corpora/fifo"),
        BadInput(
            "a text by a link out of the folder", "link-text.yaml", "train:\n  corpus: link.txt\n", .failed,
            says: "link.txt"),
        BadInput(
            "a text outside the folders", "outside.yaml", "train:\n  corpus: ../../../etc/passwd\n", .failed,
            says: "etc/passwd",
            "outside"),
        BadInput(
            "a text with a broken byte", "broken-text.yaml", "train:\n  corpus: broken.txt\n", .failed,
            says: "broken.txt", "line 2"),
        BadInput("an empty text", "empty-text.yaml", "train:\n  corpus: empty.txt\n", .failed, says: "empty"),
        BadInput(
            "a text that is too short", "short.yaml", "train:\n  corpus: short.txt\n", .failed, says: "batch_size 64",
            "seq_length 100", "set batch_size:"),
        BadInput("a FIFO", "fifo.yaml", nil, .incoming, says: "fifo.yaml", "not a regular file"),
        BadInput("a symbolic link", "link.yaml", nil, .incoming, says: "link.yaml", "not a regular file"),
        BadInput("a folder", "folder.yaml", nil, .incoming, says: "folder.yaml", "not a regular file"),
        BadInput("another kind of file", "notes.txt", "hello", .incoming, says: "notes.txt", ".yaml, .yml or .json"),
        BadInput(
            "a name with a line break", "two\nlines.yaml", train("epochs: 1"), found: "two_lines.yaml",
            says: "name cannot be used"),
        BadInput(
            "a name with what looks like ../", "up\u{2215}..\u{2215}x.yaml", train("epochs: 1"), found: "up_.._x.yaml",
            says: "name cannot be used"),
        BadInput(
            "a model that does not exist", "no-model.yaml", "generate:\n  model: nobody\n", .failed,
            says: "no model of a job nobody"),
        BadInput(
            "a model by a way out", "way-out.yaml", "generate:\n  model: ../../../etc/passwd\n", .failed,
            says: "etc/passwd"),
        BadInput(
            "a damaged model", "damaged.yaml", "generate:\n  model: ../corpora/damaged.safetensors\n", .failed,
            says: "damaged.safetensors"),
        BadInput(
            "after a job that never comes", "waits.yaml", "after: nobody\n" + train("epochs: 1"), .queue,
            says: "nobody, which does not exist"),
        BadInput("after itself", "self.yaml", "after: self\n" + train("epochs: 1"), says: "wait", "self"),
        BadInput(
            "a circle", "zz-circle.yaml", "after: circle\n" + train("epochs: 1"),
            says: "for ever", "circle waits for zz-circle"),
    ]
}

/// All of them dropped at once into one spool, with good jobs between them, and the daemon's one run over it.
private final class BadSpool: Sendable {
    static let shared = Result { try BadSpool() }
    let spool: TestSpool
    let end: Outcome

    private init() throws {
        let made = try TestSpool()
        let corpora = made.layout.corpora
        try made.corpus("tale.txt", Corpus.tale(4000))
        try made.corpus("secret.txt", Corpus.tale(4000))
        try made.corpus("short.txt", Corpus.tale(200))
        try made.corpus("empty.txt", "")
        try made.storage.replace(corpora.appending("broken.txt"), with: Array("fine\nnot ".utf8) + [0xE9, 0x20])
        try made.storage.replace(corpora.appending("damaged.safetensors"), with: Array("not a model at all".utf8))
        try made.storage.createDirectory(corpora.appending("folder"), mode: 0o755)
        #expect(mkfifo(corpora.appending("fifo").string, 0o644) == 0)
        #expect(symlink("/etc/passwd", corpora.appending("link.txt").string) == 0)
        #expect(chmod(corpora.appending("secret.txt").string, 0) == 0)

        for input in BadInput.all {
            if let text = input.text { try made.drop(input.file, text) }
        }
        try made.drop("latin.yaml", bytes: Array("train:\n  corpus: caf".utf8) + [0xE9, 0x0A])
        let incoming = made.layout.incoming
        #expect(mkfifo(incoming.appending("fifo.yaml").string, 0o644) == 0)
        #expect(symlink("/etc/passwd", incoming.appending("link.yaml").string) == 0)
        try made.storage.createDirectory(incoming.appending("folder.yaml"), mode: 0o755)
        // Root reads everything; but not on behalf of another who dropped the job.
        if getuid() == 0 { #expect(chown(incoming.appending("unreadable.yaml").string, 65534, 65534) == 0) }
        try made.drop("circle.yaml", "after: zz-circle\n" + QueueTests.training)
        try made.drop("good.yaml", QueueTests.training)
        try made.drop("good.yml", QueueTests.training)
        end = try made.once()
        spool = made
    }
}

@Suite struct BadInputTests {
    @Test(arguments: BadInput.all) func `bad input is told with its reason`(_ input: BadInput) throws {
        let bad = try BadSpool.shared.get()
        let (spool, layout) = (bad.spool, bad.spool.layout)
        let reason: String
        switch input.place {
        case .rejected:
            let file = input.found ?? input.file
            #expect(spool.exists(layout.file(file, in: .rejected)))
            reason = try spool.text(layout.directory(.rejected).appending("\(file).reason.txt"))
        case .failed:
            let name = String(input.file.dropLast(5))
            #expect(try spool.state(name) == .failed)
            reason = try #require(try spool.status(name)?.reason)
        case .incoming:
            reason = bad.end.error.split(separator: "\n").filter { $0.contains(input.file) }.joined(separator: "\n")
        case .queue:
            #expect(try spool.state(String(input.file.dropLast(5))) == .queue)
            reason = try spool.charnn("why", String(input.file.dropLast(5))).output
        }
        for words in input.says { #expect(reason.contains(words), "\(words) is not in: \(reason)") }
        #expect(!reason.contains("Error("), "a value of the program's own is no message: \(reason)")
    }

    @Test func `good jobs among bad ones are done, and the exit status tells of the others`() throws {
        let bad = try BadSpool.shared.get()
        #expect(bad.end.status == 1)
        #expect(try bad.spool.state("good") == .done)
        // Two files with one name: both are jobs.
        #expect(try bad.spool.state("good-2") == .done)
        #expect(try bad.spool.storage.list(bad.spool.layout.directory(.active)).isEmpty)
        #expect(try bad.spool.storage.list(bad.spool.layout.accepting).allSatisfy { $0.hasPrefix(".") })
    }
}
