import CharnnCheckpoint
import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTraining
import CharnnWords
import SystemPackage

/// The `train` section of a job at work: its text, its engine, where it goes on, and what the trainer hands out.
///
/// ```
///   checkpoints/ ─▶ newest whole one ─▶ is model.safetensors what that one knows? ─▶ (else: an earlier one)
///         │
///         ▼
///   text: corpus.bin, frozen at the first checkpoint ─▶ same run? (RunIdentity) ─▶ engine, with what was pinned
///         │
///         ▼
///   metrics.csv cut back ─▶ resolved.yaml ─▶ Trainer ─▶ last.safetensors, the best model checked
/// ```
///
/// 1. The order is that of cost: devices and checkpoints are looked at before a long text is read. `metrics.csv` and
///    `resolved.yaml` are changed only when it is certain that the run goes on.
/// 2. A checkpoint counts on the rows of `metrics.csv` and on the best model as they were when it was saved, and has
///    the checksums of both. So rows are synced, and the best model is written, before it.
/// 3. A better model that comes after a checkpoint replaces `model.safetensors`, and the former one is kept until the
///    next checkpoint: a run that goes on from the older one takes it back. Thus the bytes of a run that was killed are
///    those of one that was not.
/// 4. A best model that somebody changed is never taken for the run's own: it is written again from an earlier
///    checkpoint, or the job fails and says so.
/// 5. Device, precision and plan of the first attempt are kept for all others, where they can be had.
///
/// The trainer knows none of this; it hands out rows, better models, samples and checkpoints, and this class puts them
/// into the folder.
final class TrainingJob {
    private let runner: JobRunner
    private let section: TrainSection
    private var folder: JobFolder { runner.folder }
    private var keeper: StatusKeeper { runner.keeper }

    // What follows is set in run(), before the trainer first calls back.
    private var model: Model?
    private var metrics: MetricsFile?
    private var events: EventFile?
    /// As ``RunIdentity`` has it, for all checkpoints of this attempt.
    private var identity = ""
    private var engine: (any Engine)?
    private var totalSteps = 0
    /// The SHA-256 of the best model so far, as it was written; nil where there is none, or where it is still to be
    /// written again.
    private var bestSHA256: String?
    /// The same as of the newest checkpoint, and whether a copy of that model is kept until the next one.
    private var checkpointedBest: String?
    private var isFormerKept = false
    /// Whether the best model is not compared with its checksum: a checkpoint of version 0.1.0 has none.
    private var isBestUnchecked = false

    /// Characters of a sample.
    static let sampleLength = 500
    /// From where on it pays to measure first how steps are done fastest, which takes about fifty of them.
    private static let stepsWorthAPlan = 5000

    init(_ runner: JobRunner, _ section: TrainSection) {
        self.runner = runner
        self.section = section
    }

    /// Trains to the end, or throws the reason why not.
    ///
    /// - Returns: The best model, read back from its file: what the texts are written with is what is kept.
    func run() throws -> LoadedModel {
        try runner.storage.createDirectories(folder.path, mode: 0o750)
        let (newest, damaged) = try folder.checkpoints.newest()
        try requireEngine(resuming: newest)
        // Before anything of the run that the folder holds is changed.
        if let newest { try RunIdentity.check(section, against: newest, remedy: runner.environment.startingAnew) }
        for (_, error) in damaged {
            keeper.event(.checkpointDamaged, .warning, "A checkpoint is passed over: \(error)")
        }
        try folder.checkpoints.sweep(damaged)
        let checkpoint = try newest.map(withBestModel)
        // A checkpoint has all that came from the model that the run began with, which may be gone by now.
        let base = try section.from.map { try checkpoint?.model ?? baseModel($0) }
        if let base, let from = section.from {
            let conflicts = section.conflicts(with: base, from)
            guard conflicts.isEmpty else { throw JobError(.badJob, conflicts.joined(separator: "; ")) }
        }
        let corpus = try encodedCorpus(base, resuming: checkpoint?.model)
        var model = freshModel(base, corpus)
        try runner.inspectReadings(trained: Alphabet(model))
        identity = RunIdentity.text(section, architecture: model.architecture, encoding: corpus.encoding)
        if let checkpoint {
            try RunIdentity.check(
                identity, against: checkpoint.identity, remedy: runner.environment.startingAnew)
            model.parameters = checkpoint.state.engine.parameters
        } else {
            model.parameters =
                base?.growing(to: corpus.vocabulary, seed: section.settings.seed).parameters
                ?? Initialisation.parameters(of: model.architecture, seed: section.settings.seed)
        }
        self.model = model

        let engine = try makeEngine(model, resuming: checkpoint)
        self.engine = engine
        // Moments and the streams' state, too; the parameters alone would begin a new run.
        if let checkpoint { try engine.install(checkpoint.state.engine) }
        let split = ValidationSplit(
            count: corpus.text.count, validationFraction: section.valFraction, validationLimit: section.valMaxChars)
        let progress = checkpoint?.state.progress ?? TrainingProgress()
        metrics = try MetricsFile(folder.metrics, keepingRowsTo: progress.lastRow, in: runner.storage)
        events = try? EventFile(
            folder.events, keepingEventsTo: progress.isUnfinished ? progress.step - 1 : progress.step,
            time: runner.clock.wall(), in: runner.storage)
        if let checkpoint, let known = checkpoint.files[Self.metricsName], !known.isEmpty,
            try sha256(of: folder.metrics) != known
        {
            keeper.warn("metrics.csv was changed since the checkpoint; its rows are kept as they are.")
        }
        let trainer = try Trainer(
            engine: engine, text: corpus.text, split: split, settings: section.settings, progress: progress,
            delegate: self, now: runner.clock.monotonic)
        totalSteps = trainer.totalSteps
        // A run that goes on follows the plan of its beginning, for the bits depend on it.
        if checkpoint == nil {
            try engine.findPlan(
                streams: section.settings.batchSize, sequenceLength: section.settings.sequenceLength,
                measuring: totalSteps < Self.stepsWorthAPlan ? .none : .kept)
        }
        try announce(trainer, corpus: corpus, split: split, engine: engine, resuming: checkpoint != nil)

        let end = try trainer.run(while: runner.pause)
        if case .paused = end { throw runner.paused() }
        return try finish(trainer, engine: engine, model: model, end: end)
    }

    // MARK: - Before the first step

    /// The best model as of the newest checkpoint, where a better one has come since: a run that goes on from there
    /// takes it back.
    private var formerModel: FilePath { folder.path.appending(.modelOfCheckpoint) }

    /// Copies the best model before it is replaced, if it is the one that the newest checkpoint knows; once between two
    /// checkpoints.
    private func keepFormerModel() throws {
        guard !isFormerKept, let known = checkpointedBest, known == bestSHA256 else { return }
        let reading = try runner.storage.open(folder.model, beneath: nil)
        try runner.storage.replacing(formerModel) { file throws(StorageError) in
            try file.append(contentsOf: reading)
        }
        isFormerKept = true
    }

    /// The newest checkpoint knows the present best model: nobody goes back to the former.
    private func discardFormerModel() throws {
        try runner.storage.discard(formerModel.partial)
        try runner.storage.discard(formerModel)
        isFormerKept = false
    }

    private static let modelName = JobFolderFile.model.rawValue
    private static let metricsName = JobFolderFile.metrics.rawValue

    private func sha256(of file: FilePath) throws -> String {
        try runner.storage.sha256(of: try runner.storage.open(file, beneath: nil)).sha256
    }

    /// The checkpoint to go on from, if the best model so far is what the run wrote; else an earlier one from which it is
    /// written again.
    private func withBestModel(_ checkpoint: Checkpoint) throws -> Checkpoint {
        guard let bestStep = checkpoint.state.progress.bestStep else { return checkpoint }
        let known = checkpoint.files[Self.modelName]
        isBestUnchecked = checkpoint.files.isEmpty
        // Saved on the way to where it is written again.
        if known == nil, !isBestUnchecked { return checkpoint }
        if let known, folder.exists(formerModel), try sha256(of: formerModel) == known {
            try runner.storage.rename(formerModel, to: folder.model, replacing: true)
            try runner.storage.synchronizeDirectory(folder.path)
        }
        guard folder.exists(folder.model) else {
            keeper.warn("The best model so far is missing; the next evaluation begins anew.")
            return withoutBest(checkpoint)
        }
        if let known, try sha256(of: folder.model) == known {
            (bestSHA256, checkpointedBest) = (known, known)
            return checkpoint
        }
        // Steps of which the evaluations are behind the checkpoint.
        let evaluated = checkpoint.state.progress.step - (checkpoint.state.progress.isUnfinished ? 1 : 0)
        do throws(ModelError) {
            let found = try Model(reading: folder.model, in: runner.storage)
            // It was written after the checkpoint: that evaluation is made again, and the file with it.
            if isBestUnchecked || found.step ?? 0 > evaluated { return checkpoint }
        } catch {
            if error.code == .readFailed { throw error }
            if isBestUnchecked {
                keeper.warn("The best model so far is damaged; the next evaluation begins anew.")
                return withoutBest(checkpoint)
            }
        }
        guard let earlier = try folder.checkpoints.newest(before: bestStep).checkpoint else {
            throw JobError(
                .badData,
                "\(folder.model) is not what this run wrote: it was changed or damaged, and no checkpoint from before step "
                    + "\(bestStep) is left to write it again. Put it back from a copy, or remove it, and "
                    + "\(runner.environment.tryingAgain): without it the run goes on without the best model so far")
        }
        keeper.warn(
            "model.safetensors was changed or damaged since the run wrote it at step \(bestStep); the run goes back to "
                + "step \(earlier.state.progress.step) to write it again.")
        try folder.checkpoints.discard(from: earlier.state.progress.step + 1)
        return earlier
    }

    /// The next evaluation is then the best so far, and writes the file.
    private func withoutBest(_ checkpoint: Checkpoint) -> Checkpoint {
        var checkpoint = checkpoint
        checkpoint.state.progress.bestStep = nil
        checkpoint.state.progress.bestValidationLoss = nil
        return checkpoint
    }

    /// Refuses a device or precision that this machine lacks before a long text is read for nothing.
    private func requireEngine(resuming checkpoint: Checkpoint?) throws {
        let choice = runner.engineChoice(precision: section.precision)
        do {
            try runner.engines.probe(choice)
        } catch {
            // It was there when the job began: as after an update of the driver, until the machine is started again.
            guard error.code == .unavailable, choice.device == .cuda, checkpoint?.configuration.device == "cuda" else {
                throw error
            }
            throw JobError(
                .temporary,
                "the GPU on which the job began cannot be used any more: \(error.description). The job waits for it, or "
                    + "goes on without it if device is set to cpu", waitingFor: .gpu)
        }
    }

    /// The model that a new run begins with.
    private func baseModel(_ reference: ModelReference) throws -> Model {
        let file = try runner.environment.modelFile(reference, in: runner.storage)
        return try Model(reading: file.path, beneath: file.root, expecting: file.found, in: runner.storage)
    }

    /// The text of this job: frozen as soon as there is a checkpoint, encoded anew before.
    ///
    /// - Parameters:
    ///   - base: Whose vocabulary and encoding hold, where the run has no checkpoint.
    ///   - model: That of the checkpoint: its vocabulary's indices must stay, and it has the text's checksum.
    private func encodedCorpus(_ base: Model?, resuming model: Model?) throws -> EncodedCorpus {
        var damage: CorpusError?
        if let model, folder.exists(folder.corpus) {
            do {
                let frozen = try EncodedCorpus(
                    reading: folder.corpus, in: runner.storage, expecting: model.corpusSHA256,
                    shouldStop: { [runner] in runner.shouldPause })
                ResumeNotes(runner, section).tellOfChangedTexts(since: frozen)
                return frozen
            } catch {
                guard error.code == .damaged else { throw error.code == .interrupted ? runner.paused() : error }
                keeper.warn("\(error); it is made anew from the text.")
                damage = error
            }
        }
        do {
            return try encodeCorpus(base, resuming: model)
        } catch {
            // A pause and what may be better later are no end.
            let reason = JobError(error)
            guard let damage, reason.exit != .checkpointed, reason.exit != .temporary else { throw error }
            throw JobError(.badData, "\(damage), and it cannot be made anew: \(reason)")
        }
    }

    /// Reads the text's files and writes `corpus.bin`. Where a checkpoint is there the result must be the very text of
    /// before.
    private func encodeCorpus(_ base: Model?, resuming model: Model?) throws -> EncodedCorpus {
        let origin = section.origin(base)
        keeper.enter("encoding")
        let files = try runner.environment.corpusFiles(section.corpus, in: runner.storage)
        let encoder = CorpusEncoder(
            files, origin: origin, storage: runner.storage, shouldStop: { [runner] in runner.shouldPause },
            progress: { [keeper] part in keeper.update { $0.phase = "encoding \(Int(part * 100)) %" } },
            note: { [keeper] in keeper.warn("\($0).") })
        do {
            try encoder.encode(to: folder.corpus, base: (model ?? base)?.vocabulary)
        } catch {
            throw error.code == .interrupted ? runner.paused() : error
        }
        let corpus = try EncodedCorpus(reading: folder.corpus, in: runner.storage, expecting: model?.corpusSHA256)
        keeper.event(
            .encoded, .info,
            "The text has \(grouped(corpus.text.count)) characters, \(corpus.vocabulary.count) different ones.",
            ["CHARACTERS": String(corpus.text.count), "VOCABULARY": String(corpus.vocabulary.count)])
        return corpus
    }

    /// Sizes and vocabulary, without weights as yet.
    private func freshModel(_ base: Model?, _ corpus: EncodedCorpus) -> Model {
        let architecture = section.architecture(base, vocabularySize: corpus.vocabulary.count)
        return Model(
            architecture: architecture, vocabulary: corpus.vocabulary, encoding: corpus.encoding, parameters: [],
            corpusSHA256: corpus.sha256)
    }

    /// What was `auto` in the first attempt is now what it came to then. Where that is not to be had any more the job
    /// goes on with what there is, and is told that its bytes may differ; a key that says something is never departed
    /// from.
    private func makeEngine(_ model: Model, resuming checkpoint: Checkpoint?) throws -> any Engine {
        var choice = runner.engineChoice(precision: section.precision)
        let wanted = choice
        if let pinned = checkpoint?.configuration {
            if choice.device == .auto, let device = DeviceChoice(rawValue: pinned.device) { choice.device = device }
            if choice.precision == .auto, let precision = PrecisionChoice(rawValue: pinned.precision) {
                choice.precision = precision
            }
        }
        let engine: any Engine
        do {
            engine = try makeEngine(choice, model)
        } catch let error as EngineError {
            guard error.code == .unavailable, choice != wanted else { throw error }
            keeper.warn("\(error.description). The job goes on with what there is.")
            engine = try makeEngine(wanted, model)
        }
        if let pinned = checkpoint?.configuration {
            engine.follow(plan: pinned.plan)
            var now = engine.configuration
            now.threads = pinned.threads
            if now != pinned {
                keeper.warn(
                    "The run began with \(pinned.deviceName), \(pinned.precision), \(pinned.method) and goes on with "
                        + "\(now.deviceName), \(now.precision), \(now.method); its bytes may differ from an "
                        + "undisturbed run's.")
            }
        }
        return engine
    }

    /// The engine of a choice, if it has room for the job.
    private func makeEngine(_ choice: EngineChoice, _ model: Model) throws -> any Engine {
        let (resolved, reason) = try runner.engines.resolve(
            choice, architecture: model.architecture, batchSize: section.settings.batchSize,
            sequenceLength: section.settings.sequenceLength)
        if let reason { keeper.warn(reason) }
        try checkRoom(resolved, model)
        return try runner.engines.makeEngine(
            resolved, architecture: model.architecture, parameters: model.parameters)
    }

    /// Refuses what cannot fit before anything is taken for it.
    ///
    /// Memory that lacks is the job's fault, for the machine has no more; room on the disk may come.
    private func checkRoom(_ choice: EngineChoice, _ model: Model) throws {
        let settings = section.settings
        let needed = runner.engines.predictedBytes(
            choice, architecture: model.architecture, batchSize: settings.batchSize,
            sequenceLength: settings.sequenceLength)
        keeper.update(force: true) { $0.neededMemory = needed }
        if let refusal = runner.environment.refusal(ofMemory: needed) { throw refusal }
        let weights = UInt64(ParameterLayout(model.architecture).count) * 4
        // A checkpoint is three times the weights; one more than is kept exists while it is written.
        let disk = weights * UInt64(3 * (section.keepCheckpoints + 1) + 3)
        let free = try runner.storage.space(at: folder.path).bytes
        guard disk <= free else {
            throw JobError(
                .temporary,
                "checkpoints and models will take \(byteCount(disk)) in \(folder.path), and only \(byteCount(free)) "
                    + "are free; make room on that disk", waitingFor: .disk(bytes: disk))
        }
        if let cap = runner.environment.configuration.caps.all.disk, disk > cap.value {
            throw JobError(
                .badJob,
                "checkpoints and models would take \(byteCount(disk)), and the job's folder may have "
                    + "\(byteCount(cap.value)) (\(cap.key)); make the network or keep_checkpoints smaller")
        }
    }

    /// Says what is going to happen, in `resolved.yaml`, the status, the page and the log.
    private func announce(
        _ trainer: Trainer, corpus: EncodedCorpus, split: ValidationSplit, engine: any Engine, resuming: Bool
    ) throws {
        let architecture = engine.architecture
        let used = resuming ? ResumeNotes(runner, section).tellOfChanges(trainer, architecture) : section
        try ResolvedFile(runner.job, used, engine: engine.configuration, architecture: architecture)
            .write(to: folder.resolved, in: runner.storage)
        keeper.update(force: true) { status in
            status.phase = "training"
            status.step = trainer.progress.step
            status.totalSteps = trainer.totalSteps
            status.epoch = trainer.progress.step / trainer.stepsPerEpoch
            status.totalEpochs = section.settings.epochs
            status.bestValidationLoss = trainer.progress.bestValidationLoss
            status.validationText = split.validation.count > 1 ? corpus.sha256(of: split.validation) : nil
        }
        runner.page.write(keeper.status)
        let parameters = ParameterLayout(architecture).count
        let words =
            "\(architecture.cell.rawValue.uppercased()) \(architecture.layerCount) x \(architecture.hiddenSize), "
            + "\(grouped(parameters)) parameters, \(grouped(split.training.count)) characters to train on, "
            + "\(grouped(trainer.totalSteps)) steps, on \(engine.configuration.deviceName) "
            + "(\(engine.configuration.method), \(engine.configuration.precision))"
        if section.valFraction > 0, split.validation.count < 2 {
            try section.requireValidation(split, of: corpus.text.count)
            keeper.warn("There is no validation: val_fraction leaves fewer than two characters for it.")
        }
        for note in section.notes(steps: trainer.totalSteps, layers: architecture.layerCount) {
            keeper.warn("\(note).")
        }
        let step = trainer.progress.step
        if resuming {
            keeper.event(
                .resumed, .notice, "Training goes on from step \(step): \(words).",
                ["STEP": String(step), "TOTAL_STEPS": String(trainer.totalSteps)])
        } else {
            keeper.event(
                .trainingStarted, .notice, "Training begins: \(words).",
                ["STEP": "0", "TOTAL_STEPS": String(trainer.totalSteps)])
            let note = FewSteps.note(steps: trainer.totalSteps, perEpoch: trainer.stepsPerEpoch)
            if let note { keeper.warn("\(note).") }
        }
    }

    // MARK: - After the last step

    /// Writes the last weights and makes sure of the best: what somebody changed meanwhile must not pass for a result.
    private func finish(
        _ trainer: Trainer, engine: any Engine, model: Model, end: TrainingEnd
    ) throws -> LoadedModel {
        let progress = trainer.progress
        if end == .stoppedEarly {
            keeper.event(
                .stoppedEarly, .notice,
                "Stopped early at step \(progress.step): \(progress.evaluationsWithoutBest) evaluations without a "
                    + "better validation loss.", ["STEP": String(progress.step)])
        }
        try metrics?.synchronize()
        if progress.bestStep != nil, !isBestUnchecked, try bestSHA256 != sha256(of: folder.model) {
            let what =
                bestSHA256 == nil
                ? "is not of this run as it went on, and was not written again"
                : "is not what this run wrote: it was changed or damaged while it ran"
            throw JobError(
                .badData,
                "\(folder.model) \(what). Remove it and \(runner.environment.tryingAgain): the run goes on from its newest "
                    + "checkpoint, without the best model so far")
        }
        var last = model
        last.parameters = try engine.parameters()
        last.step = progress.step
        last.validationLoss = progress.lastValidationLoss
        try last.write(to: folder.lastModel, in: runner.storage)
        // Without validation the last weights are the model.
        if progress.bestStep == nil { try last.write(to: folder.model, in: runner.storage) }
        try discardFormerModel()
        let best = try Model(reading: folder.model, in: runner.storage)
        return LoadedModel(model: best, name: Self.modelName)
    }
}

// MARK: - What the trainer hands out

extension TrainingJob: TrainerDelegate {
    func record(_ row: MetricsRow) throws {
        try metrics?.append(row)
        // For looking at only: what fails is missing there.
        try? events?.append(row, time: runner.clock.wall())
        runner.page.mayWrite(keeper.status)
        guard keeper.mayLogProgress(), let loss = row.trainLoss else { return }
        var fields = ["STEP": String(row.step), "EPOCH": fixed(row.epoch, 2), "LOSS": fixed(loss, 4)]
        if let norm = row.gradientNorm { fields["GRADIENT_NORM"] = fixed(norm, 4) }
        let left = keeper.status.secondsLeft.map { ", \(duration($0)) left" } ?? ""
        keeper.event(
            .progress, .info,
            "Step \(row.step) of \(totalSteps): loss \(fixed(loss, 4)) nats (\(fixed(bits(loss), 3)) "
                + "bits per character)\(row.charactersPerSecond.map { ", \(grouped(Int($0))) characters/s" } ?? "")"
                + "\(left).", fields)
    }

    /// Durable before the checkpoint that has its checksum.
    func improved(_ progress: TrainingProgress, parameters: [Float]) throws {
        guard var best = model else { return }
        best.parameters = parameters
        best.step = progress.step
        best.validationLoss = progress.bestValidationLoss
        try keepFormerModel()
        try best.write(to: folder.model, in: runner.storage)
        bestSHA256 = try sha256(of: folder.model)
        isBestUnchecked = false
    }

    /// The seed is the job's at every step, so that samples differ by what was learned alone.
    func sample(step: Int, engine: any Engine) throws -> Bool {
        guard let model else { return true }
        // A prompt of the job's own shows the text that people wait for; characters that the vocabulary lacks must
        // not stop the training.
        var request = runner.job.generate.first?.request ?? GenerationRequest()
        request.length = Self.sampleLength
        request.count = 1
        request.unknown = .skip
        request.seed = section.settings.seed
        let writer = try Generator(request, vocabulary: model.vocabulary, encoding: model.encoding)
        var text: [UInt8] = []
        let finished = try writer.write(
            0..<1, with: try engine.makePredictor(streams: 1), emit: { text += $1 },
            shouldStop: { [runner] in runner.shouldPause })
        guard finished else { return false }
        try runner.storage.createDirectories(folder.samples, mode: 0o750)
        let file = folder.samples.appending("\(CheckpointFolder.name(step: step)).txt")
        try runner.storage.replace(file, with: text + [10])
        try? events?.append(sample: model.encoding.text(of: text), step: step, time: runner.clock.wall())
        runner.page.mayWrite(keeper.status)
        keeper.event(.sampled, .debug, "Wrote a sample at step \(step).", ["STEP": String(step)])
        return true
    }

    /// In this order: rows synced, the daemon told that a stop has to wait, the model of a run without validation, the
    /// checkpoint, and only then what the one before needed is removed.
    func save(_ checkpoint: TrainingCheckpoint) throws {
        guard let model, let engine else { return }
        // Rows first: a checkpoint counts on the rows up to it.
        try metrics?.synchronize()
        // Where the step is not finished the file has a row that will be cut off.
        var files = [Self.metricsName: checkpoint.progress.isUnfinished ? "" : try sha256(of: folder.metrics)]
        if checkpoint.progress.bestStep != nil { files[Self.modelName] = bestSHA256 }
        let checkpoint = Checkpoint(
            model: model, state: checkpoint, identity: identity, configuration: engine.configuration,
            files: isBestUnchecked ? [:] : files)
        keeper.savingCheckpoint(bytes: checkpoint.size)
        if checkpoint.state.progress.bestStep == nil {
            var last = model
            last.parameters = checkpoint.state.engine.parameters
            last.step = checkpoint.state.progress.step
            try last.write(to: folder.model, in: runner.storage)
        }
        try folder.checkpoints.save(checkpoint, keeping: section.keepCheckpoints)
        checkpointedBest = checkpoint.files[Self.modelName]
        try discardFormerModel()
        let step = checkpoint.state.progress.step
        keeper.event(.checkpointSaved, .info, "Saved a checkpoint at step \(step).", ["STEP": String(step)])
    }

    /// The status alone, which is written once a second at most.
    func advanced(_ progress: TrainingProgress, charactersPerSecond: Double?) throws {
        let stepSize = Double(section.settings.batchSize * section.settings.sequenceLength)
        keeper.update { status in
            status.phase = "training"
            status.step = progress.step
            status.epoch = totalSteps > 0 ? progress.step * section.settings.epochs / totalSteps : nil
            status.trainLoss = progress.lastTrainLoss
            status.charactersPerSecond = charactersPerSecond
            status.secondsLeft = charactersPerSecond.map { Double(totalSteps - progress.step) * stepSize / $0 }
        }
    }

    func evaluating(step: Int, score: EvaluationScore?) throws {
        guard let score else { return keeper.enter("evaluating") }
        keeper.update(force: true) { status in
            status.phase = "training"
            status.validationLoss = score.loss
            status.bestValidationLoss = min(score.loss, status.bestValidationLoss ?? .infinity)
        }
        keeper.event(
            .evaluated, .info,
            "Validation at step \(step): \(fixed(score.loss, 4)) nats, \(fixed(score.bitsPerCharacter, 3)) bits per "
                + "character.", ["STEP": String(step), "VAL_LOSS": fixed(score.loss, 6)])
    }
}
