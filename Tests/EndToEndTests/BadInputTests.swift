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

    /// Nine times nine times … a word: 10^15 nodes, if they were made.
    private static let bomb =
        "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
        + "bcdefghijklmnop".map { key in
            let former = String(UnicodeScalar(UInt8(key.asciiValue! - 1)))
            return "\(key): &\(key) [" + Array(repeating: "*\(former)", count: 9).joined(separator: ", ") + "]\n"
        }.joined()

    private static let stairs = (0..<1400).map { String(repeating: " ", count: $0) + "a:\n" }.joined()

    private static func model(_ name: String) -> String { "generate:\n  model: ../corpora/\(name).safetensors\n" }

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
            "a text with a name that is too long", "long-text.yaml",
            "train:\n  corpus: \(String(repeating: "a", count: 300)).txt\n", .failed, says: "name too long"),
        BadInput(
            "a text with a NUL in its name", "nul-text.yaml", #"train: {corpus: "te\0xt.txt"}"# + "\n", .rejected,
            says: "corpus"),
        BadInput(
            "a model with a NUL in its name", "nul-model.yaml", #"generate: {model: "a\0b.safetensors"}"# + "\n",
            .rejected, says: "model"),
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
            "a text that is too short", "short.yaml", "train:\n  corpus: short.txt\n  batch_size: 64\n", .failed,
            says: "batch_size 64",
            "seq_length 100", "set batch_size:"),
        BadInput(
            "a bomb of nested aliases", "bomb.yaml", bomb, says: "bomb.yaml:1", "anchors"),
        BadInput("aliases under a merge key", "merge.yaml", "<<: *base\ntrain: {}\n", says: "merge.yaml:1", "aliases"),
        BadInput(
            "lists nested half a million deep", "deep.yaml", String(repeating: "[", count: 500_000),
            says: "nested too deeply"),
        BadInput(
            "mappings nested half a million deep", "deeper.yaml", String(repeating: "{a: ", count: 200_000),
            says: "nested too deeply"),
        BadInput(
            "lists nested as deep as is read", "depth.yaml",
            String(repeating: "[", count: 990) + String(repeating: "]", count: 990), says: "key: value", "a list"),
        BadInput(
            "after 140,000 jobs", "crowd.yaml",
            "after: [" + (0..<140_000).map { String($0, radix: 36) }.joined(separator: ",") + "]\n"
                + train("epochs: 1"),
            says: "crowd.yaml:1", "after: found 140000 names", "at most 1000"),
        BadInput(
            "a hundred thousand sections", "sections.yaml", "generate:\n" + String(repeating: "- {}\n", count: 100_000),
            says: "generate: found 100000 sections", "at most 1000"),
        BadInput(
            "blocks nested as deep as a file is long", "stairs.yaml", stairs, says: "nested too deeply"),
        BadInput(
            "a hundred thousand unknown keys", "keys.yaml", (0..<100_000).map { "k\($0): 1\n" }.joined(),
            says: "keys.yaml:1", "there is no such key", "more"),
        BadInput(
            "a key of half a megabyte", "key.yaml", String(repeating: "k", count: 500_000) + ": 1\n",
            says: "key.yaml"),
        BadInput("one key twice", "twice.yaml", "train: {}\ntrain: {}\n", says: "twice.yaml", "train", "twice"),
        BadInput(
            "an exponent beyond all numbers", "exponent.yaml", train("lr: 1e999999999"), says: "train.lr", "1e999999999"
        ),
        BadInput(
            "a number of a hundred thousand digits", "digits.yaml",
            train("epochs: " + String(repeating: "9", count: 100_000)), says: "train.epochs", "…"),
        BadInput(
            "more steps than there are", "steps.yaml", train("epochs: 1000000\n  batch_size: 1000000000"),
            says: "memory"),
        BadInput(
            "a text of generation without end", "endless.yaml",
            "generate:\n  model: ../corpora/none.safetensors\n  count: 99999999999\n", says: "count", "99999999999"),
        BadInput("a job file with holes, of 1 TB", "sparse.yaml", nil, says: "1099511627776 bytes", "1048576"),
        BadInput(
            "a name of 255 bytes", String(repeating: "n", count: 250) + ".yaml", train("epochs: 1"),
            found: String(repeating: "n", count: 128) + ".yaml", says: "name cannot be used", "128 bytes"),
        BadInput(
            "a name that begins as an option", "-rf.yaml", train("epochs: 1"), found: "_rf.yaml",
            says: "name cannot be used"),
        BadInput(
            "a name that clears the screen", "\u{1B}[2J.yaml", train("epochs: 1"), found: "__2J.yaml",
            says: "name cannot be used"),
        BadInput(
            "a name that writes from right to left", "a\u{202E}lmay.yaml", train("epochs: 1"), found: "a_lmay.yaml",
            says: "name cannot be used"),
        BadInput("a name that is not UTF-8", "caf\u{FFFD}.yaml", nil, .incoming, says: "not UTF-8"),
        BadInput("a hard link", "hard.yaml", nil, .incoming, says: "hard.yaml", "several names"),
        BadInput("a socket", "socket.yaml", nil, .incoming, says: "socket.yaml", "not a regular file"),
        BadInput("a link to a device", "device.yaml", nil, .incoming, says: "device.yaml", "not a regular file"),
        BadInput("a link to itself", "loop.yaml", nil, .incoming, says: "loop.yaml", "not a regular file"),
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
            "a model of which the header is longer than the file", "model-header.yaml", model("header"), .failed,
            says: "header.safetensors", "its header claims 18446744073709551615 bytes of 24"),
        BadInput(
            "a model of which a tensor lies beyond the file", "model-beyond.yaml", model("beyond"), .failed,
            says: "beyond.safetensors", "fc.bias claims the bytes [0, 4611686018427387904]"),
        BadInput(
            "a model of which the sizes overflow", "model-overflow.yaml", model("overflow"), .failed,
            says: "overflow.safetensors", "has shape [4611686018427387904, 4]"),
        BadInput(
            "a model without elements and with huge sizes", "model-none.yaml", model("none-at-all"), .failed,
            says: "none-at-all.safetensors", "has shape"),
        BadInput(
            "a model of which the tensors overlap", "model-overlap.yaml", model("overlap"), .failed,
            says: "overlap.safetensors", "tensors overlap"),
        BadInput(
            "a model with a nested header", "model-nested.yaml", model("nested"), .failed,
            says: "nested.safetensors", "the tensor a has a key a"),
        BadInput(
            "a model with holes, of 1 TB", "model-sparse.yaml", model("sparse"), .failed,
            says: "sparse.safetensors", "more than half of this machine's memory"),
        BadInput(
            "a model with another vocabulary than its embedding", "model-vocabulary.yaml", model("vocabulary"), .failed,
            says: "vocabulary.safetensors", "its vocabulary has 2 symbols, its embedding 3"),
        BadInput(
            "a model with a symbol twice", "model-twice.yaml", model("twice"), .failed,
            says: "twice.safetensors", "not a JSON array of different code points"),
        BadInput(
            "a model with weights that are no numbers", "model-nan.yaml", model("nan"), .failed,
            says: "nan.safetensors", "not finite numbers"),
        BadInput(
            "a prompt that the model's vocabulary lacks", "model-prompt.yaml",
            "generate:\n  model: ../corpora/sound.safetensors\n  prompt: \"Ω\"\n", .failed,
            says: "'Ω' (U+03A9) at position 1"),
        BadInput(
            "a model named as a text", "model-text.yaml", "train:\n  corpus: sound.safetensors\n", .failed,
            says: "sound.safetensors"),
        BadInput(
            "after a job that never comes", "waits.yaml", "after: nobody\n" + train("epochs: 1"), .queue,
            says: "nobody, which does not exist"),
        BadInput("after itself", "self.yaml", "after: self\n" + train("epochs: 1"), says: "wait", "self"),
        BadInput(
            "a circle", "zz-circle.yaml", "after: circle\n" + train("epochs: 1"),
            says: "for ever", "circle waits for zz-circle"),
    ]
}

extension BadInput {
    /// All of them with what is said, as a table in Markdown.
    static func table(_ reason: (BadInput) throws -> String) rethrows -> String {
        var lines = [
            "# Bad inputs", "",
            "What was tried, where it is found afterwards, and what is said of it. A test compares this table with what",
            "the programs really say (`BadInputTests`); long messages are cut, and what differs from run to run is `…`.",
            "", "| input | found in | message |", "|---|---|---|",
        ]
        for input in all {
            let cells = [input.testDescription, "`\(input.place.folder)`", cell(try reason(input))]
            lines.append("| \(cells.joined(separator: " | ")) |")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A message as a cell: one line, without what differs from run to run.
    private static func cell(_ message: String) -> String {
        var text = message.split(whereSeparator: \.isNewline).joined(separator: " / ")
        for pattern in [#"/[^ ]*/spool\b"#, #"[0-9.]+ [kMGTPE]?B\b"#, #"and there are …"#, #"a{100,}"#] {
            text = text.replacingOccurrences(of: pattern, with: "…", options: .regularExpression)
        }
        text = String(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : Character($0) })
        text = text.replacingOccurrences(of: "|", with: "\\|")
        return text.count > 300 ? text.prefix(300) + "…" : text
    }
}

extension BadInput.Place {
    fileprivate var folder: String {
        switch self {
        case .rejected: "rejected/"
        case .failed: "failed/"
        case .incoming: "incoming/"
        case .queue: "queue/"
        }
    }
}

extension BadSpool {
    /// What a person is told of it.
    fileprivate func reason(_ input: BadInput) throws -> String {
        let layout = spool.layout
        let job = String(input.file.dropLast(5))
        switch input.place {
        case .rejected:
            let file = input.found ?? input.file
            #expect(spool.exists(layout.file(file, in: .rejected)))
            return try spool.text(layout.directory(.rejected).appending("\(file).reason.txt"))
        case .failed:
            #expect(try spool.state(job) == .failed)
            return try #require(try spool.status(job)?.reason)
        case .incoming:
            return end.error.split(separator: "\n").filter { $0.contains(input.file) }.joined(separator: "\n")
        case .queue:
            #expect(try spool.state(job) == .queue)
            return try spool.charnn("why", job).output
        }
    }
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

        try BadModels.write(to: corpora, made.storage)

        // The one that closes a circle is the one that comes later.
        try made.drop("circle.yaml", "after: zz-circle\n" + QueueTests.training)
        for input in BadInput.all {
            if let text = input.text { try made.drop(input.file, text) }
        }
        try made.drop("latin.yaml", bytes: Array("train:\n  corpus: caf".utf8) + [0xE9, 0x0A])
        let incoming = made.layout.incoming
        #expect(mkfifo(incoming.appending("fifo.yaml").string, 0o644) == 0)
        #expect(symlink("/etc/passwd", incoming.appending("link.yaml").string) == 0)
        try made.storage.createDirectory(incoming.appending("folder.yaml"), mode: 0o755)
        try Self.makeOddFiles(in: incoming)
        // Root reads everything; but not on behalf of another who dropped the job.
        if getuid() == 0 { #expect(chown(incoming.appending("unreadable.yaml").string, 65534, 65534) == 0) }
        try made.drop("good.yaml", QueueTests.training)
        try made.drop("good.yml", QueueTests.training)
        end = try made.once(textGrace: "1s")
        spool = made
    }

    /// What is no plain file, or has no plain name.
    private static func makeOddFiles(in incoming: FilePath) throws {
        let sparse = creat(incoming.appending("sparse.yaml").string, 0o644)
        #expect(ftruncate(sparse, 1 << 40) == 0)
        close(sparse)
        let outside = incoming.removingLastComponent().appending("corpora").appending("hard.yaml")
        try Data("train:\n  corpus: tale.txt\n".utf8).write(to: URL(fileURLWithPath: outside.string))
        #expect(link(outside.string, incoming.appending("hard.yaml").string) == 0)
        #expect(symlink("/dev/zero", incoming.appending("device.yaml").string) == 0)
        #expect(symlink("loop.yaml", incoming.appending("loop.yaml").string) == 0)
        let name = Array("\(incoming)/caf".utf8CString.dropLast()) + [-23] + Array(".yaml".utf8CString)
        close(creat(name, 0o644))

        let end = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(end) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(incoming.appending("socket.yaml").string.utf8CString)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.map { UInt8(bitPattern: $0) }) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(end, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(bound == 0)
    }
}

@Suite struct BadInputTests {
    @Test(arguments: BadInput.all) func `bad input is told with its reason`(_ input: BadInput) throws {
        let bad = try BadSpool.shared.get()
        let reason = try bad.reason(input)
        for words in input.says { #expect(reason.contains(words), "\(words) is not in: \(reason)") }
        #expect(!reason.contains("Error("), "a value of the program's own is no message: \(reason)")
        #expect(reason.utf8.count < 16_384, "nobody reads \(reason.utf8.count) bytes")
    }

    /// The table is for people; this keeps it true. To write it anew: CHARNND_WRITE_TABLE=1 swift test --filter table
    @Test func `the table of bad inputs tells what is really said`() throws {
        let bad = try BadSpool.shared.get()
        let table = try BadInput.table { try bad.reason($0) }
        let path = FilePath(#filePath).removingLastComponent().appending("bad-inputs.md")
        if ProcessInfo.processInfo.environment["CHARNND_WRITE_TABLE"] != nil {
            try Data(table.utf8).write(to: URL(fileURLWithPath: path.string))
        }
        let told = String(decoding: try Data(contentsOf: URL(fileURLWithPath: path.string)), as: UTF8.self)
        let lines = (told.split(separator: "\n"), table.split(separator: "\n"))
        for (one, other) in zip(lines.0, lines.1) where one != other { Issue.record("told:\n\(one)\nsaid:\n\(other)") }
        #expect(lines.0.count == lines.1.count)
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
