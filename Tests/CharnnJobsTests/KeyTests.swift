import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

@testable import CharnnJobs

/// What is made of the declarations of the keys.
@Suite struct KeyTests {
    private let folder = TemporaryDirectory("keys")
    private let storage = LocalStorage()

    // MARK: - resolved.yaml and the identity of a run

    /// What files of earlier versions say must not change: later attempts read them.
    @Test func `resolved.yaml has every key as used, in its order`() throws {
        let job = try parse(Self.everything)
        #expect(try resolved(job) == Self.resolvedEverything)
        #expect(try resolved(parse("train: {corpus: a}\ngenerate: {}\n")) == Self.resolvedDefaults)
    }

    @Test func `resolved.yaml asks for the same as the job file`() throws {
        let job = try parse(Self.everything)
        var again = try parse(resolved(job))
        // In it every key is given, and what was chosen is named.
        #expect(again.train?.given.count == TrainSection.section.keys.count)
        again.train?.given = try #require(job.train?.given)
        #expect(again == job)
    }

    @Test func `checkpoints of earlier versions name the same run`() throws {
        let section = try #require(try parse(Self.everything).train)
        let other = Architecture(
            cell: .gru, nonlinearity: .tanh, vocabularySize: 3, embeddingSize: 7, hiddenSize: 9, layerCount: 1,
            dropout: 0.25, dropoutInput: 0.1, dropoutMask: .sequence)
        #expect(
            RunIdentity.text(section, architecture: other, encoding: .windows1252) == """
                corpus=a.txt + b: c.txt
                strip_gutenberg=true
                encoding=windows-1252
                max_chars=100000
                val_fraction=0.2
                cell=gru
                nonlinearity=tanh
                hidden_size=9
                num_layers=1
                embedding_size=7
                seq_length=50
                batch_size=32
                batching=windows
                stride=1
                optimizer=adamw
                seed=18446744073709551615
                weight_average=0.998
                forget_bias=0.0
                decay=weights
                dropout_input=0.1
                dropout_output=0.0
                dropout_mask=sequence
                """)
        let least = try #require(try parse("train: {corpus: a}\n").train)
        let text = RunIdentity.text(least, architecture: least.architecture(vocabularySize: 9), encoding: .utf8)
        #expect(text.contains("\nmax_chars=null\n") && text.contains("\nstride=-\n"))
    }

    @Test func `each line of a run's identity is one key's`() {
        let places =
            JobFile.section.identity(of: JobFile()).map(\.place)
            + TrainSection.section.identity(of: TrainSection()).map(\.place)
        #expect(places.sorted() == Array(1...places.count))
    }

    @Test func `a run goes on with the settings that it began with, whichever key it lacks`() throws {
        let section = try #require(try parse("train: {corpus: \"a\\nseed=9\", batch_size: 64}\n").train)
        let text = RunIdentity.text(section, architecture: section.architecture(vocabularySize: 9), encoding: .utf8)
        try RunIdentity.check(text, against: text, remedy: "")
        func message(_ saved: String) -> String? {
            do { try RunIdentity.check(text, against: saved, remedy: "remove them") } catch { return error.description }
            return nil
        }
        let other = text.replacing("batch_size=64", with: "batch_size=32").replacing("seed=9", with: "seed=8")
        #expect(message(other)?.contains("seed=9\n1 (was 8\n1), batch_size=64 (was 32)") == true)
        #expect(message(text.replacing("cell=lstm\n", with: ""))?.contains("cell=lstm (was not there)") == true)
        #expect(message(text + "\nwings=2")?.contains("of a later version, which says wings:") == true)
    }

    // MARK: - What people are told

    @Test func `a default is told as it is`() throws {
        try expectDefaults(of: JobFile.section)
        try expectDefaults(of: TrainSection.section)
        try expectDefaults(of: GenerateSection.section)
        try expectDefaults(of: EvaluateSection.section)
        try expectDefaults(of: ServiceConfiguration.section)
        try expectDefaults(of: Caps.section)
    }

    /// Each default in backquotes is read, and must come to the value of a new section.
    private func expectDefaults<Root>(of section: Section<Root>) throws {
        for key in section.keys {
            let (name, standard) = (key.description.name, key.description.standard)
            guard !key.description.isNeeded, standard.hasPrefix("`"), standard.hasSuffix("`") else { continue }
            let text = "\(name): \(standard.dropFirst().dropLast())\n"
            let reader = SectionReader(try YAMLDocument.mapping(Array(text.utf8), fileName: "f"), fileName: "f")
            var read = Root()
            key.read(reader, &read)
            #expect(reader.problems.isEmpty && key.text(read) == key.text(Root()), "\(text)")
            // Not by its being missing.
            #expect(reader.given == [name])
        }
    }

    @Test func `every word of a choice is told of`() {
        let sections = JobFile.sections + [JobFile.section.description, ServiceConfiguration.section.description]
        for key in sections.flatMap(\.keys) where key.name != "device" || !key.about.hasPrefix("Of jobs") {
            for case .string(let word) in key.schema.values where !["yes", "no", "on", "off"].contains(word) {
                #expect(key.about.contains("`\(word)`"), "\(key.name): \(word)")
            }
        }
    }

    @Test func `no section has a key twice, and every key is told of`() {
        let sections =
            JobFile.sections + [
                JobFile.section.description, ServiceConfiguration.section.description,
                ServiceConfiguration.CapSections.section.description, Caps.section.description,
            ]
        for section in sections {
            #expect(Set(section.keys.map(\.name)).count == section.keys.count)
            for key in section.keys { #expect(key.about.hasSuffix("."), "\(key.name)") }
        }
    }

    // MARK: - charnnd.yaml

    private static let configuration = """
        corpus_roots: ["/a", "/b \\"c\\""]
        spool: /s
        device: cuda
        threads: 3
        memory_limit: 8G
        progress_timeout: 10m
        keep_jobs: 30d
        text_grace: 90s
        notify: echo "$CHARNND_JOB"
        notify_timeout: 9s
        caps:
          all: {priority: [-5, 5], time: 5h, memory: 1G, disk: 2K, text_length: 5, texts: 6, queued: 7}
          groups:
            staff: {time: 1m}
          users:
            alice: {texts: 3, priority: [0, 0]}
        """

    @Test func `every key of charnnd.yaml is read, and is written as it is read`() throws {
        let read = try ServiceConfiguration.parse(Array(Self.configuration.utf8), fileName: "charnnd.yaml")
        #expect(read.corpusRoots == ["/a", "/b \"c\""] && read.spool == "/s" && read.device == .cuda)
        #expect(read.threads == 3 && read.memoryLimit == 8 << 30 && read.progressTimeout == 600)
        #expect(read.retention == 2_592_000 && read.textGrace == 90 && read.notifyTimeout == 9)
        #expect(read.notifyCommand == "echo \"$CHARNND_JOB\"")
        #expect(read.caps.all.lowestPriority == .init(-5, "caps.all.priority") && read.caps.all.disk?.value == 2048)
        #expect(read.caps.groups["staff"]?.time == .init(60, "caps.groups.staff.time"))
        #expect(read.caps.users["alice"]?.texts == .init(3, "caps.users.alice.texts"))
        let lines = ServiceConfiguration.section.lines(of: read)
        // So that a key that is not in the file above is seen here.
        for (key, text) in lines { #expect(text != "null", "\(key)") }
        let text = lines.map { "\($0.key): \($0.text)\n" }.joined()
        #expect(try ServiceConfiguration.parse(Array(text.utf8), fileName: "charnnd.yaml") == read, "\(text)")
    }

    @Test func `all mistakes in sections within sections are told, each with its place`() {
        let text = """
            caps:
              all: {priority: [5, -5]}
              users: {alice: 5, bob: {texts: 0}}
              groups: {staff: {tme: 1m}}
              everybody: {}
            """
        let error = #expect(throws: JobFileError.self) {
            try ServiceConfiguration.parse(Array(text.utf8), fileName: "c")
        }
        #expect(
            error?.problems == [
                "c:2: caps.all.priority: allowed: the lowest and the highest, such as [-100, 0]",
                "c:4: caps.groups.staff.tme: there is no such key; did you mean time?",
                #"c:3: caps.users.bob.texts: found "0"; allowed: a whole number from 1"#,
                #"c:3: caps.users.alice: found "5"; allowed: a section of 'key: value' lines"#,
                "c:5: caps.everybody: there is no such key; allowed: all, groups, users",
            ])
    }

    @Test func `the shipped charnnd.yaml explains every key but the spool, which the unit names`() throws {
        let root = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        let bytes = try #require(try storage.contents(of: root.appending("systemd/charnnd.yaml")))
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        for key in ServiceConfiguration.section.keys.map(\.description.name) where key != "spool" {
            #expect(lines.contains { $0.hasPrefix("# \(key):") }, "\(key)")
        }
    }

    // MARK: - Parts

    private func parse(_ text: String) throws -> JobFile {
        try JobFile.parse(Array(text.utf8), fileName: "job.yaml", memory: MemoryBound(1 << 34))
    }

    private func resolved(_ job: JobFile) throws -> String {
        let section = try #require(job.train)
        let engine = EngineConfiguration(
            device: "cpu", deviceName: "X", precision: "fp32", kernels: "k", threads: 3)
        let path = folder.path.appending("resolved.yaml")
        try ResolvedFile(job, section, engine: engine, architecture: section.architecture(vocabularySize: 70))
            .write(to: path, in: storage)
        return String(decoding: try #require(try storage.contents(of: path)), as: UTF8.self)
    }
}

/// Files with every key.
extension KeyTests {
    private static let everything = #"""
        priority: 3
        after: [a, b c]
        share: owner
        device: cpu
        threads: 3
        seed: 18446744073709551615
        time_limit: 8h30m
        judge: no
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
          dropout_input: 0.1
          dropout_output: 0.25
          dropout_mask: sequence
          forget_bias: 0
          epochs: 5
          max_steps: 1_000_000
          budget: 6h
          seq_length: 50
          batch_size: 32
          batching: windows
          stride: 1
          optimizer: adamw
          betas: [0.8, 0.95]
          eps: 1e-7
          momentum: 0.5
          weight_decay: 0.01
          decay: weights
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
          early_stop_after: 0.25
        generate:
          - prompt: "no\t\"\\ \x01\n"
            length: 20
            temperature: 0
            top_k: 5
            top_p: 0.9
            count: 2
            seed: 9
            stop: "\n"
            echo: no
            unknown: skip
          - model: /models/x.safetensors
        evaluate:
          corpus: 1:30
          encoding: bytes
          unknown: replace

        """#

    private static let resolvedEverything = #"""
        # What this job ran with. Computed on X with k.
        priority: 3
        after: ["a", "b c"]
        share: owner
        device: cpu
        threads: 3
        seed: 18446744073709551615
        time_limit: 30600.0s
        judge: false
        train:
          corpus: ["a.txt", "b: c.txt"]
          encoding: latin-1
          strip_gutenberg: true
          max_chars: 100000
          val_fraction: 0.2
          val_max_chars: 500
          cell: rnn
          nonlinearity: relu
          hidden_size: 64
          num_layers: 3
          embedding_size: 16
          dropout: 0.0
          dropout_input: 0.1
          dropout_output: 0.25
          dropout_mask: sequence
          forget_bias: 0.0
          epochs: 5
          max_steps: 1000000
          budget: 21600.0s
          seq_length: 50
          batch_size: 32
          batching: windows
          stride: 1
          optimizer: adamw
          betas: [0.8, 0.95]
          eps: 1e-07
          momentum: 0.5
          weight_decay: 0.01
          decay: weights
          lr: 0.001
          lr_schedule: cosine
          warmup_steps: 10
          lr_min: 1e-05
          lr_step_every: 2
          lr_gamma: 0.7
          lr_patience: 4
          clip_norm: 0.0
          weight_average: 0.998
          precision: fp32
          from: "other"
          eval_every: 100
          sample_every: 0
          log_every: 1
          checkpoint_every: 250
          keep_checkpoints: 5
          early_stop: 3
          early_stop_after: 0.25
        generate:
          - model: null
            adapt_to: null
            prompt: "no\t\"\\ \x01\n"
            length: 20
            temperature: 0.0
            top_k: 5
            top_p: 0.9
            count: 2
            seed: 9
            stop: "\n"
            echo: false
            unknown: skip
          - model: "/models/x.safetensors"
            adapt_to: null
            prompt: ""
            length: 1000
            temperature: 0.8
            top_k: 0
            top_p: 1.0
            count: 1
            seed: 1
            stop: null
            echo: true
            unknown: error
        evaluate:
          model: null
          corpus: ["1:30"]
          encoding: bytes
          unknown: replace
          adapt: none
          adapt_rate: null
          adapt_decay: 0.001
          adapt_segment: 20
          adapt_epsilon: 0.1
          ngrams: false

        """#

    private static let resolvedDefaults = #"""
        # What this job ran with. Computed on X with k.
        priority: 0
        after: []
        share: auto
        device: cpu
        threads: 3
        seed: 1
        time_limit: null
        judge: true
        train:
          corpus: ["a"]
          encoding: utf-8
          strip_gutenberg: false
          max_chars: null
          val_fraction: 0.1
          val_max_chars: null
          cell: lstm
          nonlinearity: tanh
          hidden_size: 512
          num_layers: 2
          embedding_size: 512
          dropout: 0.5
          dropout_input: 0.0
          dropout_output: 0.0
          dropout_mask: character
          forget_bias: 0.0
          epochs: auto
          max_steps: null
          budget: null
          seq_length: 100
          batch_size: auto
          batching: stream
          stride: 100
          optimizer: adam
          betas: [0.9, 0.999]
          eps: 1e-08
          momentum: 0.0
          weight_decay: 0.0
          decay: all
          lr: 0.002
          lr_schedule: auto
          warmup_steps: 0
          lr_min: 0.0
          lr_step_every: 10
          lr_gamma: 0.5
          lr_patience: 2
          clip_norm: 5.0
          weight_average: 0.998
          precision: fp32
          from: null
          eval_every: null
          sample_every: null
          log_every: 10
          checkpoint_every: 300.0s
          keep_checkpoints: 2
          early_stop: null
          early_stop_after: null
        generate:
          - model: null
            adapt_to: null
            prompt: ""
            length: 1000
            temperature: 0.8
            top_k: 0
            top_p: 1.0
            count: 1
            seed: 1
            stop: null
            echo: true
            unknown: error

        """#
}
