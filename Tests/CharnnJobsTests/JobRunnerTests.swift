import CharnnCheckpoint
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import CharnnTraining
import CharnnWords
import Foundation
import Synchronization
import SystemPackage
import Testing

/// A job of a small spool, run in this process.
final class JobFixture: JobReporter {
    let folder = TemporaryDirectory("job")
    let storage = LocalStorage()
    var events: [WorkerEvent] = []
    var stop = StopFlag()
    /// Called at every event, to stop in the middle.
    var onEvent: ((WorkerEvent) -> Void)?

    var corpora: FilePath { folder.path.appending("corpora") }
    var jobs: FilePath { folder.path.appending("jobs") }
    func output(_ name: String) -> JobFolder { JobFolder(jobs.appending(name), in: storage) }

    init() throws {
        try storage.createDirectories(corpora, mode: 0o755)
        try storage.createDirectories(jobs, mode: 0o755)
        var text = ""
        for line in 0..<400 { text += "line \(line * line % 97) says: the owl and the cat, é\n" }
        try storage.replace(corpora.appending("text.txt"), with: Array(text.utf8))
    }

    @discardableResult
    func run(
        _ name: String, _ text: String, submitter: UInt32? = getuid(), on disk: (any Storage)? = nil,
        clock: SpoolClock = .system, pulse: Pulse = Pulse(), engines: any EngineProvider = Engines(),
        configuration: ServiceConfiguration = ServiceConfiguration()
    ) throws -> WorkerExit {
        let storage = disk ?? self.storage
        let job = try JobFile.parse(Array(text.utf8), fileName: "\(name).yaml")
        let environment = JobEnvironment(
            corpora: corpora, jobs: jobs, roots: [corpora, jobs], submitter: submitter, configuration: configuration)
        try storage.createDirectories(jobs.appending(name), mode: 0o755)
        stop = StopFlag()
        renames.stop(stop)
        var status = output(name).status() ?? JobStatus(job: name, state: .active)
        // Without one it is a run outside the queue.
        status.sequence = status.sequence ?? 1
        return JobRunner(
            job, status: status, folder: output(name), environment: environment, storage: storage,
            engines: engines, reporter: self, stop: stop, clock: clock, pulse: pulse
        ).run()
    }

    /// What was renamed, where the storage tells.
    let renames = RenameLog()

    /// What fsck finds.
    func findings() throws -> [String] {
        try ResultCheck(SpoolLayout(root: folder.path), storage: storage).findings.map { "\($0.path): \($0.what)" }
    }

    func event(_ event: WorkerEvent) {
        events.append(event)
        onEvent?(event)
    }
    /// Called whenever the status is told.
    var onProgress: ((JobStatus) -> Void)?
    func progress(_ status: JobStatus) { onProgress?(status) }
    func savingCheckpoint(bytes: Int) {}
    var waits: [WorkerWait] = []
    func waits(_ wait: WorkerWait) { waits.append(wait) }

    /// With a model `m`, and `other.txt`, which it has not seen.
    static func withModel() throws -> JobFixture {
        let fixture = try JobFixture()
        var text = ""
        for line in 0..<60 { text += "the cat saw the owl in line \(line % 7), so the owl saw the cat\n" }
        try fixture.storage.replace(fixture.corpora.appending("other.txt"), with: Array(text.utf8))
        try #require(try fixture.run("m", training) == .done)
        return fixture
    }

    /// What a job has found that scored a text.
    func evaluation<Record: Decodable>(of name: String) throws -> Record {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Record.self, from: Data(bytes(output(name).evaluation)))
    }

    /// Runs a job again and again, each time until the clock was asked so often, which is done between segments.
    func run(_ name: String, _ text: String, stoppingAfter count: Int) throws -> [WorkerExit] {
        let clock = SpoolClock(
            monotonic: { [renames] in
                renames.note("")
                return SpoolClock.system.monotonic()
            }, wall: SpoolClock.system.wall)
        var exits: [WorkerExit] = []
        repeat {
            renames.stopAfter(count)
            exits.append(try run(name, text, clock: clock))
        } while exits.last == .checkpointed && exits.count < 50
        renames.stopAfter(.max)
        return exits
    }

    func bytes(_ path: FilePath) throws -> [UInt8] { try #require(try storage.contents(of: path)) }
    func text(_ path: FilePath) throws -> String { String(decoding: try bytes(path), as: UTF8.self) }

    static let training = """
        train:
          corpus: text.txt
          hidden_size: 24
          num_layers: 2
          embedding_size: 8
          dropout: 0.2
          epochs: 3
          seq_length: 20
          batch_size: 8
          lr: 0.01
          checkpoint_every: 10

        """
}

/// Names of files before they were renamed, and after how many of them a job is to stop.
final class RenameLog: Sendable {
    private let state = Mutex((names: [String](), left: Int.max, stop: StopFlag()))

    var names: [String] { state.withLock { $0.names } }
    func forget() { state.withLock { $0.names = [] } }
    func stop(_ flag: StopFlag) { state.withLock { $0.stop = flag } }
    func stopAfter(_ count: Int) { state.withLock { $0.left = count } }

    func note(_ name: String) {
        state.withLock { state in
            state.names.append(name)
            state.left -= 1
            if state.left == 0 { state.stop.set() }
        }
    }
}

@Suite struct JobRunnerTests {
    private let fixture: JobFixture

    init() throws { fixture = try JobFixture() }

    @Test func `a job leaves everything in its folder and a result record with checksums`() throws {
        let job =
            JobFixture.training + "generate:\n  prompt: \"the owl\"\n  length: 30\n  count: 2\n"
            + "evaluate:\n  corpus: text.txt\n"
        #expect(try fixture.run("a", job) == .done)
        let folder = fixture.output("a")
        for path in [
            folder.model, folder.lastModel, folder.metrics, folder.resolved, folder.corpus, folder.evaluation,
            folder.generated.appending("1.txt"), folder.generated.appending("2.txt"),
        ] {
            #expect(try fixture.storage.status(of: path) != nil, "\(path)")
        }
        let status = try #require(folder.status())
        #expect(status.state == .done && status.step == status.totalSteps)
        let results = Set(status.results?.map(\.path) ?? [])
        #expect(results.isSuperset(of: ["model.safetensors", "generated/1.txt", "evaluation.json", "metrics.csv"]))
        #expect(try fixture.text(folder.generated.appending("1.txt")).hasPrefix("the owl"))
        #expect(try Model(reading: folder.model, in: fixture.storage).validationLoss == status.bestValidationLoss)
        #expect(try !fixture.storage.list(folder.generated).contains { $0.hasPrefix(".") })
    }

    @Test func `a model says whether it is an average, and without validation it is one`() throws {
        func weights(_ job: String, _ keys: String) throws -> [WeightsKind?] {
            #expect(try fixture.run(job, JobFixture.training + keys) == .done)
            let folder = fixture.output(job)
            return try [folder.model, folder.lastModel].map { try Model(reading: $0, in: fixture.storage).weights }
        }
        let best = try weights("a", "")
        let progress = try #require(try fixture.output("a").checkpoints.newest().checkpoint).state.progress
        #expect(best == [progress.isBestAverage == true ? .average : .raw, .raw])
        #expect(try weights("b", "  val_fraction: 0\n") == [.average, .raw])
        let (b, state) = (
            fixture.output("b"), try #require(try fixture.output("b").checkpoints.newest().checkpoint).state
        )
        #expect(try Model(reading: b.model, in: fixture.storage).parameters == state.engine[.average])
        #expect(try Model(reading: b.lastModel, in: fixture.storage).parameters == state.engine.parameters)
        #expect(try weights("c", "  weight_average: 0\n  val_fraction: 0\n") == [nil, nil])
    }

    private struct Evaluation: Decodable {
        var natsPerCharacter: Double
        var natsPerCharacterFitted: Double?
    }

    private func logits(of model: Model, _ text: String) throws -> [[Float]] {
        let engine = try Engines().makeEngine(
            EngineChoice(precision: .fp32), architecture: model.architecture, parameters: model.parameters)
        let predictor = try engine.makePredictor(streams: 1)
        var row = [Float](repeating: 0, count: model.vocabulary.count)
        return try text.unicodeScalars.map { scalar in
            try predictor.advance([try #require(model.vocabulary.index(of: scalar.value))], logits: &row)
            return row
        }
    }

    @Test func `texts are scored at the temperature that fitted the model, too`() throws {
        func run(_ job: String, _ keys: String) throws -> (Model, Evaluation) {
            #expect(try fixture.run(job, JobFixture.training + keys + "evaluate:\n  corpus: text.txt\n") == .done)
            let folder = fixture.output(job)
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return (
                try Model(reading: folder.model, in: fixture.storage),
                try decoder.decode(Evaluation.self, from: Data(fixture.bytes(folder.evaluation)))
            )
        }
        let (model, evaluation) = try run("a", "  val_fraction: 0.2\n")
        let temperature = try #require(model.fittedTemperature)
        let status = try #require(fixture.output("a").status())
        #expect(temperature != 1 && status.fittedTemperature == temperature)
        let told = "At the temperature \(fixed(temperature, 3)), which fits it, the best model needs"
        #expect(fixture.events.contains { $0.message.hasPrefix(told) })
        // One after the other, as nothing else here reads a text.
        let text = try fixture.text(fixture.corpora.appending("text.txt"))
        let rows = try logits(of: model, text)
        let symbols = text.unicodeScalars.compactMap { model.vocabulary.index(of: $0.value) }
        func loss(_ temperature: Double) -> Double {
            let losses = zip(rows, symbols.dropFirst()).map { row, target in
                log(row.reduce(0) { $0 + exp((Double($1) - Double(row[Int(target)])) / temperature) })
            }
            return losses.reduce(0, +) / Double(losses.count)
        }
        #expect(abs(loss(1) - evaluation.natsPerCharacter) < 1e-3)
        #expect(try abs(loss(temperature) - #require(evaluation.natsPerCharacterFitted)) < 1e-3)
        #expect(loss(temperature) != loss(1))

        // Of a short validation text, and of none.
        let (short, scored) = try run("b", "  val_max_chars: 500\n")
        #expect(short.fittedTemperature == 1 && scored.natsPerCharacterFitted == scored.natsPerCharacter)
        let (none, unfitted) = try run("c", "  val_fraction: 0\n")
        #expect(none.fittedTemperature == nil && unfitted.natsPerCharacterFitted == nil)
    }

    @Test func `resolved.yaml is a job file of the same job`() throws {
        try fixture.run(
            "a", JobFixture.training + "generate:\n  prompt: \"x \\\"y\\\\\\n\"\n  length: 5\n  unknown: skip\n")
        let resolved = try fixture.bytes(fixture.output("a").resolved)
        let job = try JobFile.parse(resolved, fileName: "resolved.yaml")
        #expect(job.train?.hiddenSize == 24 && job.train?.settings.epochs == 3)
        #expect(job.generate.first?.request.prompt == "x \"y\\\n")
    }

    @Test(
        .enabled("this machine has no GPU") { (try? Engines.device(for: EngineChoice())) == .cpu })
    func `a job that began on a GPU which is gone waits for it, and one that never had it fails`() throws {
        #expect(try fixture.run("new", "device: cuda\n" + JobFixture.training) == .badData)

        fixture.onEvent = { [fixture] in if $0.kind == .checkpointSaved { fixture.stop.set() } }
        #expect(try fixture.run("a", "device: cpu\n" + JobFixture.training) == .checkpointed)
        var checkpoint = try #require(try fixture.output("a").checkpoints.newest().checkpoint)
        checkpoint.configuration.device = "cuda"
        try fixture.output("a").checkpoints.save(checkpoint, keeping: 1)
        #expect(try fixture.run("a", "device: cuda\n" + JobFixture.training) == .temporary)
        #expect(fixture.waits == [.gpu])
        #expect(fixture.events.last?.message.contains("set to cpu") == true)

        fixture.onEvent = nil
        #expect(try fixture.run("a", "device: cpu\n" + JobFixture.training) == .done)
    }

    @Test func `a job that is stopped and goes on ends in the same bytes`() throws {
        let job = JobFixture.training + "generate:\n  length: 50\n"
        try fixture.run("whole", job)
        var exits: [WorkerExit] = []
        var checkpoints = 0
        fixture.onEvent = { [unowned fixture] event in
            guard event.kind == .checkpointSaved else { return }
            checkpoints += 1
            if checkpoints % 3 == 1 { fixture.stop.set() }
        }
        repeat { exits.append(try fixture.run("parts", job)) } while exits.last == .checkpointed && exits.count < 20
        #expect(exits.count > 2 && exits.last == .done)
        let (whole, parts) = (fixture.output("whole"), fixture.output("parts"))
        for (one, other) in [
            (whole.model, parts.model), (whole.lastModel, parts.lastModel),
            (whole.generated.appending("1.txt"), parts.generated.appending("1.txt")),
        ] {
            #expect(try fixture.bytes(one) == fixture.bytes(other))
        }
        func timeless(_ path: FilePath) throws -> [[Substring]] {
            try fixture.text(path).split(separator: "\n").map {
                Array($0.split(separator: ",", omittingEmptySubsequences: false).prefix(6))
            }
        }
        #expect(try timeless(whole.metrics) == timeless(parts.metrics))
    }

    @Test func `a damaged newest checkpoint is passed over with a warning and the bytes are the same`() throws {
        try fixture.run("whole", JobFixture.training)
        fixture.onEvent = { [unowned fixture] event in
            if event.kind == .checkpointSaved, event.fields["STEP"] == "30" { fixture.stop.set() }
        }
        #expect(try fixture.run("a", JobFixture.training) == .checkpointed)
        fixture.onEvent = nil
        let newest = fixture.output("a").checkpoints.file(step: 30)
        try fixture.storage.replace(newest, with: Array(try fixture.bytes(newest).dropLast(5)))
        #expect(try fixture.run("a", JobFixture.training) == .done)
        #expect(fixture.events.contains { $0.kind == .checkpointDamaged })
        #expect(try fixture.bytes(fixture.output("a").lastModel) == fixture.bytes(fixture.output("whole").lastModel))
    }

    @Test func `more epochs train a finished job further, other sizes are refused`() throws {
        try fixture.run("a", JobFixture.training)
        let step = try #require(fixture.output("a").status()?.step)
        let more = JobFixture.training.replacing("epochs: 3", with: "epochs: 5")
        #expect(try fixture.run("a", more) == .done)
        #expect(try #require(fixture.output("a").status()?.step) == step / 3 * 5)
        #expect(
            try fixture.run("a", JobFixture.training.replacing("hidden_size: 24", with: "hidden_size: 32")) == .badJob)
        #expect(fixture.output("a").status()?.reason?.contains("hidden_size=32 (was 24)") == true)
    }

    @Test func `fine-tuning takes the model's sizes and grows its vocabulary`() throws {
        try fixture.run("a", JobFixture.training)
        try fixture.storage.replace(
            fixture.corpora.appending("other.txt"), with: Array(String(repeating: "Ölöwl the cat!\n", count: 300).utf8))
        let tune = "train:\n  corpus: other.txt\n  from: a\n  epochs: 1\n  batch_size: 4\n  seq_length: 10\n"
        #expect(try fixture.run("b", tune) == .done)
        let (base, tuned) = (
            try Model(reading: fixture.output("a").model, in: fixture.storage),
            try Model(reading: fixture.output("b").model, in: fixture.storage)
        )
        #expect(tuned.vocabulary.codePoints.starts(with: base.vocabulary.codePoints))
        #expect(tuned.vocabulary.index(of: 0xD6) != nil && tuned.architecture.hiddenSize == 24)
        #expect(try fixture.run("c", tune.replacing("from: a", with: "from: a\n  hidden_size: 99")) == .badJob)
    }

    @Test func `a fine-tuning job goes on when the model it began with is gone`() throws {
        try fixture.run("a", JobFixture.training)
        let tune =
            "train:\n  corpus: text.txt\n  from: a\n  epochs: 2\n  batch_size: 4\n  seq_length: 10\n"
            + "  checkpoint_every: 5\n"
        fixture.onEvent = { [unowned fixture] event in
            if event.kind == .checkpointSaved { fixture.stop.set() }
        }
        #expect(try fixture.run("b", tune) == .checkpointed)
        fixture.onEvent = nil
        try fixture.storage.remove(fixture.output("a").model)
        #expect(try fixture.run("b", tune) == .done)
    }

    @Test func `a text that was too short can be made longer`() throws {
        let path = fixture.corpora.appending("short.txt")
        let job = JobFixture.training.replacing("text.txt", with: "short.txt")
        try fixture.storage.replace(path, with: Array("too short".utf8))
        #expect(try fixture.run("a", job) == .badData)
        try fixture.storage.replace(path, with: Array(String(repeating: "long enough now\n", count: 500).utf8))
        #expect(try fixture.run("a", job) == .done)
    }

    @Test(arguments: ["early_stop: 2", "lr_schedule: plateau"])
    func `what needs validation is refused where the text leaves none`(setting: String) throws {
        let job = JobFixture.training.replacing("lr: 0.01", with: "lr: 0.01\n  val_fraction: 0.00001\n  \(setting)")
        #expect(try fixture.run("a", job) == .badData)
        let plain = JobFixture.training.replacing("lr: 0.01", with: "lr: 0.01\n  val_fraction: 0.00001")
        #expect(try fixture.run("b", plain) == .done)
        #expect(fixture.output("b").status()?.warnings.joined().contains("no validation") == true)
    }

    @Test(arguments: [
        ("corpus: text.txt", "corpus: missing.txt", WorkerExit.noInput, "does not exist"),
        ("corpus: text.txt", "corpus: /etc/passwd", .noInput, "outside the folders"),
        ("corpus: text.txt", "corpus: ../corpora/../../x", .noInput, "outside the folders"),
        ("corpus: text.txt", "corpus: broken.txt", .badData, "at byte 1, line 1"),
        ("corpus: text.txt", "corpus: folder", .noInput, "not a regular file"),
        ("batch_size: 8", "batch_size: 8000", .badData, "batch_size: "),
        ("lr: 0.01", "lr: 3e38\n  optimizer: sgd\n  clip_norm: 0", .badData, "at step"),
        ("train:", "device: cpu\ntrain:\n  precision: fp16", .badData, "precision: fp16 was asked for"),
        ("train:", "device: cuda\ntrain:\n  precision: bf16", .badData, "precision: bf16 was asked for"),
        ("train:", "time_limit: 0.001s\ntrain:", .badData, "time_limit"),
    ])
    func `what cannot work fails with its reason in the record`(
        from: String, to: String, exit: WorkerExit, reason: String
    ) throws {
        try fixture.storage.replace(fixture.corpora.appending("broken.txt"), with: [0x61, 0xFF])
        try fixture.storage.createDirectory(fixture.corpora.appending("folder"), mode: 0o755)
        #expect(try fixture.run("a", JobFixture.training.replacing(from, with: to)) == exit)
        let status = try #require(fixture.output("a").status())
        #expect(status.state == .failed && status.results != nil)
        #expect(status.reason?.contains(reason) == true, "\(status.reason ?? "")")
    }

    @Test(arguments: ["5", "50"]) func `a loss that stays above guessing fails the job, with the best model kept`(
        rate: String
    ) throws {
        let job =
            JobFixture.training.replacing("lr: 0.01", with: "lr: \(rate)\n  eval_every: 10") + "generate: {length: 9}\n"
        #expect(try fixture.run("a", job) == .badData)
        let status = try #require(fixture.output("a").status())
        #expect(status.state == .failed)
        #expect(
            status.reason?.contains("where guessing among 28 characters loses 3.33;") == true, "\(status.reason ?? "")")
        #expect(fixture.events.contains { $0.kind == .diverged })
        #expect(status.results?.contains { $0.path == "model.safetensors" } == true)
        let model = try Model(reading: fixture.output("a").model, in: fixture.storage)
        #expect(model.validationLoss == status.bestValidationLoss)
        // To try again changes nothing.
        #expect(try fixture.run("a", job) == .badData)
        #expect(fixture.output("a").status()?.state == .failed)
    }

    @Test func `what does nothing is told in the log and the status`() throws {
        let idle = JobFixture.training
            .replacing("num_layers: 2", with: "num_layers: 1\n  strip_gutenberg: true\n  warmup_steps: 5000")
            .replacing("epochs: 3", with: "epochs: 3\n  decay: weights\n  dropout_mask: sequence")
        let job = "evaluate:\n" + idle + "generate: [{length: 5, stop: 'owl Ω'}, {length: 5, stop: owl}]\n"
        #expect(try fixture.run("a", job) == .done)
        let warnings = try #require(fixture.output("a").status()?.warnings)
        let told = fixture.events.filter { $0.kind == .warning }.map(\.message)
        for words in [
            "evaluate: is empty and does nothing; give it the keys it needs, or take it out.",
            "strip_gutenberg cut nothing from \(fixture.corpora)/text.txt: ",
            "stop never occurs: the vocabulary lacks 'Ω' (U+03A9) at position 5.",
            "warmup_steps: 5000 is longer than the run of 246 steps, which never reaches lr; make it smaller.",
            "dropout: 0.2 does nothing, for it acts between layers and there is one; take it out, or raise num_layers.",
            "dropout_mask: sequence does nothing, for nothing is dropped; set dropout_input or dropout_output, or take it "
                + "out.",
            "decay: weights does nothing, for weight_decay is 0; set that, or take it out.",
        ] {
            #expect(warnings.count { $0.hasPrefix(words) } == 1, "\(words): \(warnings)")
            #expect(told.count { $0.hasPrefix(words) } == 1, "\(words)")
        }
        let tune = "train:\n  corpus: text.txt\n  from: a\n  epochs: 1\n  forget_bias: 1\n"
        #expect(try fixture.run("d", tune) == .done)
        #expect(
            fixture.output("d").status()?.warnings.contains { $0.hasPrefix("forget_bias: 1.0 does nothing") } == true)
        // A later job with that model hears of its own stop.
        #expect(try fixture.run("b", "generate: {model: a, length: 5, stop: Ω}") == .done)
        #expect(fixture.output("b").status()?.warnings.first?.hasPrefix("stop never occurs") == true)
        #expect(try fixture.run("c", JobFixture.training + "generate: {length: 5, stop: owl}\n") == .done)
        #expect(
            fixture.output("c").status()?.warnings.contains { $0.contains("does nothing") || $0.contains("stop") }
                == false)
    }

    @Test func `after the loss became infinite the last good checkpoint stays`() throws {
        let job = JobFixture.training
            .replacing("lr: 0.01", with: "lr: 3e38\n  warmup_steps: 3\n  optimizer: sgd\n  clip_norm: 0")
            .replacing("checkpoint_every: 10", with: "checkpoint_every: 1")
        #expect(try fixture.run("a", job) == .badData)
        let (found, damaged) = try fixture.output("a").checkpoints.newest()
        #expect(fixture.events.contains { $0.kind == .diverged })
        #expect(damaged.map(\.error.description) == [])
        #expect(found?.state.engine.parameters.allSatisfy(\.isFinite) == true)
    }

    @Test func `a text that the submitter may not read is not read for them`() throws {
        let secret = fixture.corpora.appending("secret.txt")
        try fixture.storage.replace(secret, with: Array(String(repeating: "secret words\n", count: 500).utf8))
        let job = JobFixture.training.replacing("text.txt", with: "secret.txt")
        try fixture.storage.setMode(0o600, of: secret)
        #expect(try fixture.run("a", job, submitter: 65534) == .noInput)
        #expect(fixture.output("a").status()?.reason?.contains("may not be read by the user") == true)
        try fixture.storage.setMode(0o644, of: secret)
        #expect(try fixture.run("b", job, submitter: 65534) == .done)
        let missing = JobFixture.training.replacing("text.txt", with: "nothing.txt")
        #expect(try fixture.run("c", missing, submitter: 65534) == .noInput)
        #expect(fixture.output("c").status()?.reason?.contains("does not exist") == true)
    }

    @Test func `a generation job without its model or with a damaged one fails and says so`() throws {
        #expect(try fixture.run("g", "generate:\n  model: nobody\n") == .noInput)
        try fixture.run("a", JobFixture.training)
        let model = fixture.output("a").model
        try fixture.storage.replace(model, with: Array(try fixture.bytes(model).dropLast(9)))
        #expect(try fixture.run("h", "generate:\n  model: a\n") == .badData)
    }

    @Test func `an unknown character in a prompt fails, or is skipped with a warning`() throws {
        try fixture.run("a", JobFixture.training)
        #expect(try fixture.run("g", "generate:\n  model: a\n  prompt: Ω\n") == .badData)
        #expect(try fixture.run("h", "generate:\n  model: a\n  prompt: Ωat\n  unknown: skip\n  length: 9\n") == .done)
        #expect(fixture.output("h").status()?.warnings.joined().contains("U+03A9") == true)
    }

    @Test func `whatever a worker has to tell fits into a line of the pipe`() throws {
        let hostile = String(repeating: "\u{1}\n\u{202E}é", count: 200_000)
        var status = JobStatus(job: String(repeating: "é", count: 64), state: .active)
        (status.reason, status.phase) = (hostile, hostile)
        status.warnings = [String](repeating: hostile, count: 300)
        status.results = (0..<20_000).map {
            JobStatus.Result(path: "generated/\($0).txt", sha256: String(repeating: "f", count: 64), bytes: $0)
        }
        let fields = Dictionary(uniqueKeysWithValues: (0..<8).map { ("FIELD_\($0)", hostile) })
        let messages: [WorkerMessage] = [
            .progress(status.news), .event(WorkerEvent(.warning, .warning, hostile, fields: fields)), .alive,
        ]
        for message in messages {
            let line = try JSONEncoder().encode(message)
            #expect(line.count < WorkerMessage.longestLine)
            #expect(!line.contains(10))
            #expect(try JSONDecoder().decode(WorkerMessage.self, from: line) == message)
        }
    }

    @Test func `a prompt that the text lacks is refused before the training`() throws {
        #expect(try fixture.run("a", JobFixture.training + "generate:\n  prompt: \"Übermut\"\n") == .badData)
        #expect(fixture.output("a").status()?.reason?.contains("'Ü' (U+00DC) at position 1") == true)
        #expect(!fixture.events.contains { $0.kind == .trainingStarted })
    }

    @Test func `what a job reads after its training is looked at before it`() throws {
        try fixture.storage.replace(fixture.corpora.appending("greek.txt"), with: Array("the owl, Ω\n".utf8))
        let greek = JobFixture.training + "evaluate: {corpus: greek.txt}\n"
        #expect(try fixture.run("a", greek) == .badData)
        #expect(
            fixture.output("a").status()?.reason?.contains("evaluate.corpus: the model's vocabulary lacks 'Ω'") == true)
        let several =
            JobFixture.training + """
                generate: [{prompt: Ü}, {model: nobody}]
                evaluate: {corpus: nothing.txt}
                """
        #expect(try fixture.run("b", several) == .badData)
        let reason = try #require(fixture.output("b").status()?.reason)
        for words in [
            "generate[1].prompt: ", "generate[2].model: there is no model",
            "evaluate.corpus: the text nothing.txt does",
        ] {
            #expect(reason.contains(words), "\(words): \(reason)")
        }
        #expect(!fixture.events.contains { $0.kind == .trainingStarted })
        let skipping = greek.replacing("greek.txt}", with: "greek.txt, unknown: skip}")
        #expect(try fixture.run("c", skipping) == .done)
    }

    @Test func `the validation text is told by its characters, whatever it is called and however it is cut`() throws {
        let text = try fixture.bytes(fixture.corpora.appending("text.txt"))
        try fixture.storage.replace(fixture.corpora.appending("copy.txt"), with: text)
        let latin = try #require(String(decoding: text, as: UTF8.self).data(using: .isoLatin1))
        try fixture.storage.replace(fixture.corpora.appending("latin.txt"), with: [UInt8](latin))
        func validationText(_ name: String, _ change: String, _ to: String) throws -> String? {
            #expect(try fixture.run(name, JobFixture.training.replacing(change, with: to)) == .done)
            return fixture.output(name).status()?.validationText
        }
        let first = try validationText("a", "text.txt", "text.txt")
        #expect(first?.count == 64)
        #expect(try validationText("b", "text.txt", "copy.txt") == first)
        #expect(try validationText("c", "text.txt", "latin.txt\n  encoding: latin-1") == first)
        #expect(try validationText("d", "epochs: 3", "epochs: 3\n  val_fraction: 0.2") != first)
        #expect(try validationText("e", "epochs: 3", "epochs: 3\n  val_fraction: 0") == nil)
    }

    @Test func `no text is written where a later one cannot be`() throws {
        try fixture.run("a", JobFixture.training)
        #expect(try fixture.run("g", "generate: [{model: a, length: 9}, {model: nobody}]\n") == .noInput)
        #expect(try fixture.storage.status(of: fixture.jobs.appending("g").appending("generated")) == nil)
    }
}
