import CharnnJobs
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// The JSON Schemas of `charnn schema`, by a validator that editors could use, beside what the daemon says.
@Suite(.enabled(if: Python.withSchemas != nil, "CHARNND_PYTHON names none with jsonschema and yaml"))
struct SchemaTests {
    private let folder = TemporaryDirectory("schema")

    /// Whether a schema takes each of some files.
    private func verdicts(_ kind: String, _ texts: [String]) throws -> [Bool] {
        let schema = try RunningProgram(Program.charnn.path, ["schema", kind], in: folder.path, environment: [:]).end()
        #expect(schema.status == 0 && schema.error == "")
        try Data(schema.output.utf8).write(to: url("schema.json"))
        for (number, text) in texts.enumerated() { try Data(text.utf8).write(to: url("\(number).yaml")) }
        let validate = Program.root.appending(path: "Tests/EndToEndTests/Schemas/validate.py").path
        let end = try RunningProgram(
            try #require(Python.withSchemas), [validate, "schema.json"] + texts.indices.map { "\($0).yaml" },
            in: folder.path, environment: [:]
        ).end()
        #expect(end.status == 0, "\(end.error)")
        let lines = end.output.split(separator: "\n")
        try #require(lines.count == texts.count)
        return lines.map { $0 == "good" }
    }

    private func url(_ name: String) -> URL { URL(filePath: folder.path.appending(name).string) }

    private func isJobFile(_ text: String) -> Bool {
        (try? JobFile.parse(Array(text.utf8), fileName: "f", memory: MemoryBound(.max))) != nil
    }

    private func isConfiguration(_ text: String) -> Bool {
        (try? ServiceConfiguration.parse(Array(text.utf8), fileName: "f")) != nil
    }

    @Test func `the example jobs and those of README and the pages are good`() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: ExampleTests.folder.string)
        var texts = try files.map {
            try String(contentsOfFile: ExampleTests.folder.appending($0).string, encoding: .utf8)
        }
        for page in HelpExampleTests.pagesWithJobs {
            let text = try String(contentsOf: Program.root.appending(path: page), encoding: .utf8)
            texts += text.components(separatedBy: "```yaml\n").dropFirst().map { $0.components(separatedBy: "```")[0] }
        }
        for (text, isGood) in zip(texts, try verdicts("job", texts)) { #expect(isGood, "\(text)") }
    }

    /// What the daemon takes must not be marked in an editor.
    @Test func `every way to write a value that is read is good`() throws {
        let texts =
            [
                "max_chars: 100_000", "max_chars: \"500\"", "max_chars: null", "strip_gutenberg: yes",
                "strip_gutenberg: off", "strip_gutenberg: true", "dropout: 0", "dropout: .5",
                "lr: 1e-3", "lr: \"0.1\"", "eps: 1E-30", "betas: [0, \"0.5\"]", "from: 1.5", "from: a/b.safetensors",
                "checkpoint_every: 5", "checkpoint_every: 1h30m", "checkpoint_every: 1 h", "sample_every: 0",
                "clip_norm: 0", "lr_gamma: 1", "precision: ~", "optimizer: sgd", "batching: windows", "early_stop:",
            ].map { "train:\n  corpus: a\n  \($0)\n" }
            + [
                "train: {corpus: [a, 1, no]}\n", "train: {corpus: 5}\n",
                "train: {corpus: a}\ngenerate: []\nevaluate:\n", "train: {corpus: a}\ngenerate: {}\n",
                "train: {corpus: a}\ngenerate: [{prompt: no, stop: 5}, {model: x, seed: 18446744073709551615}]",
                "generate: {model: a}\nevaluate: {model: 5, corpus: [b], encoding: utf-16}\n",
                #"{"evaluate": {"model": "a", "corpus": "b"}, "after": ["c", "d"], "priority": -1000000}"#,
                "after: c\ntime_limit: 8h\nthreads: 4096\nshare: owner\ngenerate: {model: a}\n",
            ]
        for (text, isGood) in zip(texts, try verdicts("job", texts)) {
            #expect(isGood, "\(text)")
            #expect(isJobFile(text), "\(text)")
        }
    }

    @Test func `mistakes in a job file are marked`() throws {
        let texts =
            [
                "lerning_rate: 1", "temperature: 1", "max_chars: 0", "max_chars: 1.5", "max_chars: many",
                "strip_gutenberg: 1", "cell: lsmt", "nonlinearity: 5", "hidden_size: 1000000001", "dropout: 1",
                "dropout: -0.1", "lr: 0", "lr: fast", "eps: 1e-31", "lr_gamma: 1.1", "lr_gamma: 0", "betas: [0.9]",
                "betas: [0.9, 1]", "betas: 0.9", "betas: [0.1, 0.2, 0.3]", "clip_norm: -1", "keep_checkpoints: 0",
                "checkpoint_every: 0", "checkpoint_every: soon", "checkpoint_every: [5]", "from: {a: b}",
                "sample_every: -1", "val_max_chars: 1", "num_layers: 1001",
            ].map { "train:\n  corpus: a\n  \($0)\n" }
            + [
                "train: {}\n", "train: {corpus: }\n", "train: {corpus: []}\n", "train: {corpus: \"\"}\n", "train: 5\n",
                "train: [{corpus: a}]\n", "priority: 1\n", "train:\ngenerate:\n", "lr: 1\ntrain: {corpus: a}\n",
                "generate: {length: 5}\n", "generate: [{model: a}, {}]\n", "generate: {model: }\n", "generate: [5]\n",
                "evaluate: {model: a}\n", "evaluate: {corpus: a}\n", "train:\nevaluate: {corpus: a}\n",
            ]
            + [
                "priority: 1000001", "after: {a: b}", "after: [[a]]", "share: all", "device: gpu", "threads: 0",
                "seed: -1", "time_limit: 5", "time_limit: 5x", "time_limit: x5m", "judge: perhaps",
            ].map { "train: {corpus: a}\n\($0)\n" }
        for (text, isGood) in zip(texts, try verdicts("job", texts)) {
            #expect(!isGood, "\(text)")
            #expect(!isJobFile(text), "\(text)")
        }
    }

    @Test func `the shipped configuration is good, and mistakes in one are marked`() throws {
        let shipped = try String(
            contentsOf: Program.root.appending(path: "systemd/charnnd.yaml"), encoding: .utf8
        ).replacing(/(?m)^# ([a-z_]+: |caps:|  (all|groups|users):|    (staff|alice):)/) { $0.output.0.dropFirst(2) }
        let good = [
            shipped, "caps: {all: {memory: 16G, priority: [-5, 5]}, users: {a: {}, b: {texts: 1_000}}}\n",
            "memory_limit: 1024\nkeep_jobs:\ncorpus_roots: /a\nspool: /s\n", "corpus_roots: []\ncaps:\n",
        ]
        #expect(shipped.contains("\ncaps:\n  all: {") && shipped.contains("\nnotify_timeout: 1m\n"))
        for (text, isGood) in zip(good, try verdicts("service", good)) {
            #expect(isGood, "\(text)")
            #expect(isConfiguration(text), "\(text)")
        }
        let bad = [
            "spool: relative\n", "corpus_roots: [/a, b]\n", "corpus_root: /a\n", "memory_limit: lots\n",
            "memory_limit: 0\n", "threads: 0\n", "device: tpu\n", "progress_timeout: 5\n", "notify: \" \"\n",
            "notify: [a]\n", "caps: {everybody: {}}\n", "caps: {all: {prioritys: 5}}\n", "caps: {all: {priority: 5}}\n",
            "caps: {users: {a: {texts: 0}}}\n", "caps: {groups: {a: 5}}\n", "caps: {groups: {a: }}\n", "caps: 5\n",
        ]
        for (text, isGood) in zip(bad, try verdicts("service", bad)) {
            #expect(!isGood, "\(text)")
            #expect(!isConfiguration(text), "\(text)")
        }
    }
}
