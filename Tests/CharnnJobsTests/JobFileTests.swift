import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnTraining
import SystemPackage
import Testing

@testable import CharnnJobs

@Suite struct JobFileTests {
    @Test func `a byte order mark in front of a file is no part of its first key`() throws {
        for text in [
            "priority: 3\ntrain: {corpus: a.txt}\n", "priority: 3\r\ntrain: {corpus: a.txt}\r\n",
            #"{"priority": 3, "train": {"corpus": "a.txt"}}"#,
        ] {
            let job = try JobFile.parse([0xEF, 0xBB, 0xBF] + Array(text.utf8), fileName: "a.yaml")
            #expect(job.priority == 3 && job.train?.corpus == ["a.txt"])
        }
        let error = #expect(throws: JobFileError.self) {
            try JobFile.parse([0xFF, 0xFE] + "train: {}".utf16.flatMap { [UInt8($0 & 255), 0] }, fileName: "a.yaml")
        }
        #expect(error?.description == "a.yaml: the file is UTF-16 and not UTF-8; save it as UTF-8")
    }

    @Test func `a section without anything in it is noted`() throws {
        func notes(_ text: String) throws -> [String] { try JobFile.parse(Array(text.utf8), fileName: "a.yaml").notes }
        let train = "train: {corpus: a.txt}\n"
        for empty in ["generate:\n", "generate: null\n", "generate: []\n", "generate: ~\n"] {
            #expect(try notes(train + empty).map { $0.prefix(18) } == ["generate: is empty"], "\(empty)")
        }
        #expect(try notes(train) == [] && notes(train + "generate: {}\n") == [])
        #expect(try notes(train + "generate: {}\nevaluate:\n").count == 1)
    }

    private func parse(_ text: String, memory: UInt64? = nil) throws -> JobFile {
        try JobFile.parse(Array(text.utf8), fileName: "job.yaml", memory: memory.map { MemoryBound($0) })
    }

    private func problems(_ text: String) -> [String] {
        do {
            _ = try parse(text)
            return []
        } catch {
            return (error as? JobFileError)?.problems ?? ["\(error)"]
        }
    }

    @Test func `what is not said takes the default`() throws {
        let job = try parse("train:\n  corpus: kjv.txt\n")
        let train = try #require(job.train)
        #expect(job.priority == 0 && job.seed == 1 && job.device == .auto && job.threads == nil)
        #expect(train.corpus == ["kjv.txt"] && train.cell == .lstm && train.hiddenSize == 512 && train.numLayers == 2)
        #expect(train.dropout == 0.5 && train.valFraction == 0.1 && train.keepCheckpoints == 2)
        #expect(
            train.settings
                == {
                    var settings = TrainingSettings()
                    settings.seed = 1
                    return settings
                }())
        #expect(train.settings.checkpointEvery == .seconds(300) && train.settings.learningRate == 0.002)
    }

    @Test func `every key of the contract is read`() throws {
        let job = try parse(
            """
            priority: 3
            after: [a, b c]
            device: cpu
            threads: 4
            seed: 18446744073709551615
            time_limit: 8h30m
            train:
              corpus: [a.txt, "b: c.txt"]
              encoding: latin-1
              strip_gutenberg: true
              max_chars: 100_000
              val_fraction: 0.2
              val_max_chars: 500
              cell: rnn
              nonlinearity: relu
              hidden_size: 64
              num_layers: 3
              embedding_size: 16
              dropout: 0
              epochs: 5
              seq_length: 50
              batch_size: 32
              batching: windows
              stride: 1
              optimizer: adamw
              betas: [0.8, 0.95]
              eps: 1e-7
              momentum: 0.5
              weight_decay: 0.01
              lr: 1e-3
              lr_schedule: cosine
              warmup_steps: 10
              lr_min: 1e-5
              lr_step_every: 2
              lr_gamma: 0.7
              lr_patience: 4
              clip_norm: 0
              precision: fp32
              from: other
              eval_every: 100
              sample_every: 0
              log_every: 1
              checkpoint_every: 250
              keep_checkpoints: 5
              early_stop: 3
            generate:
              - prompt: no
                length: 20
                temperature: 0
                top_k: 5
                top_p: 0.9
                count: 2
                seed: 9
                stop: "\\n"
                echo: no
                unknown: skip
              - model: /models/x.safetensors
            evaluate:
              corpus: 1:30
              unknown: replace
            """)
        let train = try #require(job.train)
        #expect(job.after == ["a", "b c"] && job.seed == .max && job.timeLimit == 30_600 && job.threads == 4)
        #expect(train.corpus == ["a.txt", "b: c.txt"] && train.maxChars == 100_000 && train.embeddingSize == 16)
        #expect(train.settings.optimizer.beta2 == 0.95 && train.settings.checkpointEvery == .steps(250))
        #expect(train.settings.clipNorm == 0 && train.settings.sampleEvery == 0 && train.settings.earlyStop == 3)
        #expect(train.from == .job("other") && job.modelJobs == ["other"])
        // YAML 1.1 would make a boolean and a number of base sixty of these.
        #expect(job.generate[0].request.prompt == "no" && !job.generate[0].request.echo)
        #expect(job.generate[0].request.stop == "\n" && job.generate[1].models == [.path("/models/x.safetensors")])
        #expect(job.evaluate?.corpus == ["1:30"])
    }

    @Test func `a job is waited for until it is done, or only until it is over`() throws {
        let more = "evaluate: {model: m, corpus: t}\n"
        let job = try parse("after: [a, {job: b, when: ended}, {job: c}, {when: done, job: 1:30}]\n" + more)
        #expect(job.after == ["a", "b", "c", "1:30"])
        #expect(job.predecessors.map(\.when) == [.done, .ended, .done, .done])
        let requirements = try JobFile.requirements(
            Array("after: {job: b, when: ended}\n\(more)".utf8), "j.yaml")
        #expect(requirements.after == ["b"] && requirements.ended == ["b"])
        let text = JobFile.section.lines(of: job).first { $0.key == "after" }?.text
        #expect(text == #"["a", {job: "b", when: ended}, "c", "1:30"]"#)
        for (wrong, told) in [
            ("[{job: b, when: over}]", "after[1].when: found \"over\"; allowed: done | ended"),
            ("[a, {when: ended}]", "after[2].job: name a job"), ("{job: a, if: b}", "after.if: there is no such key"),
            ("[[a]]", "after: found a list; allowed: a job's name"),
        ] {
            let error = #expect(throws: JobFileError.self) { try parse("after: \(wrong)\n" + more) }
            #expect(error?.description.contains(told) == true, "\(error?.description ?? "")")
        }
    }

    @Test func `JSON is a job file too`() throws {
        let job = try parse(
            #"{"train": {"corpus": "a", "lr": 1e-3, "echo\u0031": null}, "generate": {"length": 5}}"#
                .replacing(#", "echo\u0031": null"#, with: ""))
        #expect(job.train?.settings.learningRate == 1e-3 && job.generate[0].request.length == 5)
    }

    @Test func `all problems are told in one message, each with file, line, key, found and allowed`() {
        let found = problems(
            "train:\n  corpus: a\n  hiden_size: 3\n  dropout: 1.5\n  cell: lsmt\n  epochs: two\nextra: 1\ndevice: gpu\n"
        )
        #expect(
            found == [
                "job.yaml:3: train.hiden_size: there is no such key; did you mean hidden_size?",
                #"job.yaml:4: train.dropout: found "1.5"; allowed: a number from 0 up to, not including, 1"#,
                #"job.yaml:5: train.cell: found "lsmt"; allowed: rnn | gru | lstm; did you mean lstm?"#,
                #"job.yaml:6: train.epochs: found "two"; allowed: a whole number from 1 to 1000000"#,
                "job.yaml:7: extra: there is no such key; allowed: after, device, evaluate, generate, judge, "
                    + "priority, seed, share, threads, time_limit, train",
                #"job.yaml:8: device: found "gpu"; allowed: auto | cpu | cuda; did you mean cpu?"#,
            ])
    }

    @Test(arguments: [
        ("", "the file is empty"), ("# nothing\n", "the file is empty"), ("text", "a list of 'key: value' lines"),
        ("- a\n", "found a list"), ("train: [\n", "this is not YAML"), ("train:\n\tcorpus: a\n", "this is not YAML"),
        ("priority: 1\n", "at least one of the sections"), ("train: 5\n", "allowed: a section"),
        ("train:\n  corpus: a\n  corpus: b\n", "stands there twice"), ("train:\n  corpus:\n", "name the text"),
        ("generate:\n  length: 5\n", "name a job or a model file"),
        ("evaluate:\n  model: a\n", "name the text to score"),
        ("train:\n  corpus: a\n  lr: nan\n", "a number above 0"),
        ("train:\n  corpus: a\n  lr: inf\n", "a number above 0"),
        ("train:\n  corpus: a\n  batch_size: -1\n", "a whole number from 1"),
        ("train:\n  corpus: a\n  epochs: 99999999999999999999\n", "a whole number from 1"),
        ("train:\n  corpus: a\n  val_fraction: 0\n  early_stop: 2\n", "needs validation"),
        ("train:\n  corpus: {a: b}\n", "found a section"), ("a: &x [1]\n", "anchors"),
        ("? [a, b]\n: c\n", "must be a word"),
        ("train:\n  corpus: a\n  checkpoint_every: soon\n", "a number of steps, or a duration"),
        ("train:\n  corpus: a\n  betas: [0.9]\n", "two numbers"), ("a: 1\n---\nb: 2\n", "this is not YAML"),
        ("train:\n  corpus: a\n  nonlinearity: relu\n", "cell: rnn only"),
        ("train:\n  corpus: a\n  lr_min: 1\n", "must not be above lr"),
        ("train:\n  corpus: a\n  cell: gru\n  forget_bias: 1\n", "cell: lstm only; found cell: gru"),
        ("train:\n  corpus: a\n  forget_bias: -1\n", "a number from 0 to 100"),
        ("train:\n  corpus: a\n  forget_bias: inf\n", "a number from 0 to 100"),
        ("train:\n  corpus: a\n  dropout_input: 1\n", "train.dropout_input: found \"1\"; allowed: a number from 0 up"),
        ("train:\n  corpus: a\n  dropout_output: -0.1\n", "train.dropout_output: found \"-0.1\""),
        ("train:\n  corpus: a\n  dropout_mask: locked\n", "character | sequence"),
        ("train:\n  corpus: a\n  decay: weihgts\n", "all | weights; did you mean weights?"),
        ("train:\n  corpus: a\n  eps: 1e-50\n", "1e-30"),
    ])
    func `what makes no sense is refused in words`(text: String, expected: String) {
        #expect(problems(text).joined(separator: "\n").contains(expected))
    }

    @Test func `binary, broken and too large files are refused`() {
        for (bytes, expected) in [
            ([0x7F, 0x45, 0x4C, 0x46, 0], "binary"), ([0xFF, 0xFE], "not UTF-8"),
            ([UInt8](repeating: 0x61, count: (1 << 20) + 1), "at most 1048576"),
        ] as [([UInt8], String)] {
            let error = #expect(throws: JobFileError.self) { try JobFile.parse(bytes, fileName: "x") }
            #expect(error?.description.contains(expected) == true)
        }
    }

    @Test(arguments: ["[", "{a: ", "- ", "? "])
    func `nesting without end is refused and does not crash`(opening: String) {
        #expect(!problems("train: " + String(repeating: opening, count: 100_000)).isEmpty)
    }

    @Test func `aliases that would stand for more nodes than there is memory are refused`() {
        var bomb = "a0: &a0 [x, x]\n"
        for level in 1..<40 { bomb += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
        #expect(problems(bomb).joined().contains("anchors"))
        #expect(problems("? [*a, *b]\n: c").joined().contains("anchors"))
    }

    /// What makes aliases look as if they stood in a text, to whoever reads no YAML.
    @Test(arguments: [
        "a: b\n  \"c\n", "a: b\n  'c\n", "a: !!str |\n", "a: 'b'\n? |\n  c\n: d\n", "# \"\n", "a: b#\"\n",
    ])
    func `aliases are refused wherever they hide`(cover: String) {
        var bomb = cover + "a0: !!seq &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<9 {
            let parts = (0..<10).map { _ in "{'k':*a\(level - 1)}" }
            bomb += "a\(level): !!seq &a\(level) [\(parts.joined(separator: ","))]\n"
        }
        // As a key all of it would be gone through.
        bomb += "? {'k':*a8}\n: 1\n"
        #expect(problems(bomb).joined().contains("anchors"))
        #expect(problems("\(cover)x: !!str &q y\ny: {'k':*q}\n").joined().contains("anchors"))
    }

    @Test func `stars and ampersands in texts are no aliases`() throws {
        let job = try parse(
            """
            generate:
              - model: m
                prompt: |
                  *bold* words &amp; more
                stop: "*end"
              - model: m
                prompt: 'it''s &c'   # &not this
              - model: m
                prompt: a *b &c
            """)
        #expect(job.generate[0].request.prompt == "*bold* words &amp; more\n")
        #expect(job.generate[2].request.prompt == "a *b &c")
    }

    @Test func `a network that cannot fit is refused with what it needs and what there is`() {
        let text = "train:\n  corpus: a\n  hidden_size: 1000000000\n"
        #expect(problems(text).joined().contains("256.0 EB of memory"))
        #expect(throws: JobFileError.self) { try parse("train:\n  corpus: a\n  hidden_size: 512\n", memory: 1 << 20) }
    }

    @Test(arguments: [
        (
            "train: {corpus: a, temperature: 1}",
            "train.temperature: there is no such key here; it belongs under generate"
        ),
        ("train: {corpus: a}\nlr: 0.1", "lr: there is no such key here; it belongs under train"),
        (
            "train: {corpus: a}\ngenerate: [{}, {hidden_size: 9}]",
            "generate[2].hidden_size: there is no such key here; it belongs under train"
        ),
        (
            "evaluate: {model: a, corpus: b, device: cpu}",
            "evaluate.device: there is no such key here; it belongs at the top"
        ),
        ("train: {corpus: a}\nunknown: skip", "it belongs under generate or under evaluate"),
        ("train: {corpus: a, modl: b}", "train.modl: there is no such key;"),
    ])
    func `a key in the wrong section is told where it belongs`(_ text: String, _ says: String) {
        #expect(problems(text).joined(separator: "\n").contains(says))
    }

    @Test func `the nearest spelling is found, and nothing is guessed from afar`() {
        #expect(problems("train:\n  corpus: a\n  sequence_lenght: 5\n").joined().contains("allowed:"))
        #expect(problems("train:\n  corpus: a\n  seq_lenght: 5\n").joined().contains("did you mean seq_length?"))
        #expect(problems("trian:\n  corpus: a\n").joined().contains("did you mean train?"))
    }
}

@Suite struct ServiceConfigurationTests {
    private func parse(_ text: String) throws -> ServiceConfiguration {
        try ServiceConfiguration.parse(Array(text.utf8), fileName: "charnnd.yaml")
    }

    @Test func `a file of comments is a valid configuration`() throws {
        #expect(try parse("# spool: /x\n\n") == ServiceConfiguration())
    }

    @Test func `every key is read`() throws {
        let read = try parse(
            "spool: /s\ncorpus_roots: [/a, /b]\ndevice: cpu\nthreads: 3\nmemory_limit: 8G\nprogress_timeout: 10m\n"
                + "keep_jobs: 30d\n")
        #expect(read.spool == "/s" && read.corpusRoots == ["/a", "/b"] && read.memoryLimit == 8 << 30)
        #expect(read.progressTimeout == 600 && read.retention == 2_592_000 && read.threads == 3 && read.device == .cpu)
    }

    @Test(arguments: ["spool: relative", "corpus_root: /a", "memory_limit: lots", "threads: 0"])
    func `what makes no sense is refused`(text: String) {
        #expect(throws: JobFileError.self) { try parse(text) }
    }
}

/// Other paths in a job file that stays as it is otherwise.
@Suite struct PathReplacementTests {
    private func replaced(_ text: String) throws -> String? {
        try JobFile.replacingPaths(
            in: Array(text.utf8), fileName: "job.yaml", texts: ["own.txt": "own-2.txt"],
            models: ["own.safetensors": "own-2.safetensors"]
        ).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(
        arguments: [
            ("train: {corpus: own.txt}", "train: {corpus: \"own-2.txt\"}"),
            ("train:\r\n  corpus: 'own.txt' # own.txt\r\n", "train:\r\n  corpus: \"own-2.txt\" # own.txt\r\n"),
            (
                "\u{FEFF}# é own.txt\ntrain:\n  corpus:\n  - a.txt\n  - own.txt\n  seq_length: 9\n",
                "# é own.txt\ntrain:\n  corpus:\n  - a.txt\n  - \"own-2.txt\"\n  seq_length: 9\n"
            ),
            (
                #"{"evaluate": {"model": "own.safetensors", "corpus": ["own.txt", "own.txt"]}}"#,
                #"{"evaluate": {"model": "own-2.safetensors", "corpus": ["own-2.txt", "own-2.txt"]}}"#
            ),
            (
                "generate:\n- {model: own.safetensors, prompt: own.txt}\n- {model: own, prompt: own.safetensors}\n",
                "generate:\n- {model: \"own-2.safetensors\", prompt: own.txt}\n- {model: own, prompt: own.safetensors}\n"
            ),
            ("train: {corpus: \"own\\u002etxt\"}", nil),
            ("train:\n  corpus: >-\n    own.txt\n", nil),
        ] as [(String, String?)])
    func `only the paths are changed, or nothing`(text: String, expected: String?) throws {
        #expect(try replaced(text) == expected)
    }
}
