import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTraining
import CharnnWords
import SystemPackage

/// The `train` section of a job at work.
///
/// ```
///   TrainingPreparation ─▶ TrainingRecorder ─▶ resolved.yaml ─▶ Trainer ─▶ last.safetensors, the best model checked
///   what there is           what comes of it                    hands out to the recorder
/// ```
///
/// The trainer knows nothing of files, the recorder nothing of how a run begins, and the preparation is a value.
struct TrainingJob {
    private let context: JobContext
    private let asked: TrainSection
    private var folder: JobFolder { context.folder }
    private var keeper: StatusKeeper { context.keeper }

    init(_ context: JobContext, _ section: TrainSection) {
        self.context = context
        asked = section
    }

    /// Trains to the end, or throws the reason why not.
    ///
    /// - Returns: The best model, read back from its file: what the texts are written with is what is kept.
    func run() throws -> LoadedModel {
        let preparation = try TrainingPreparation(context, asked)
        let section = preparation.section
        let recorder = try TrainingRecorder(context, preparation)
        let engine = preparation.engine
        let trainer = try Trainer(
            engine: engine, text: preparation.corpus.text, split: preparation.split, settings: section.settings,
            progress: preparation.progress, delegate: recorder, now: context.clock.monotonic)
        try announce(trainer, preparation)
        let end = try trainer.run(while: context.pause)
        if case .paused = end { throw context.paused() }
        if end == .stoppedEarly { tellOfEarlyStop(trainer.progress) }
        tellOfFit()
        try recorder.synchronize()
        return try finish(trainer.progress, preparation)
    }

    /// Says what is going to happen, in `resolved.yaml`, the status, the page and the log.
    private func announce(
        _ trainer: Trainer, _ preparation: TrainingPreparation
    ) throws {
        let (section, corpus, split) = (preparation.section, preparation.corpus, preparation.split)
        let engine = preparation.engine
        let architecture = engine.architecture
        let used = preparation.isResumed ? ResumeNotes(context, section).tellOfChanges(trainer, architecture) : section
        try ResolvedFile(context.job, used, engine: engine.configuration, architecture: architecture)
            .write(to: folder.resolved, in: context.storage)
        keeper.update(force: true) { status in
            status.phase = "training"
            status.step = trainer.progress.step
            status.totalSteps = trainer.totalSteps
            status.epoch = trainer.progress.step / trainer.stepsPerEpoch
            status.totalEpochs = (trainer.totalSteps + trainer.stepsPerEpoch - 1) / trainer.stepsPerEpoch
            status.bestValidationLoss = trainer.progress.bestValidationLoss
            status.validationText = split.validation.count > 1 ? corpus.sha256(of: split.validation) : nil
        }
        context.page.write(keeper.status)
        let parameters = ParameterLayout(architecture).count
        let words =
            "\(architecture.cell.rawValue.uppercased()) \(architecture.layerCount) x \(architecture.hiddenSize), "
            + "\(grouped(parameters)) parameters, \(grouped(split.training.count)) characters to train on, "
            + "\(grouped(trainer.totalSteps)) steps\(chosen(preparation)), on \(engine.configuration.deviceName) "
            + "(\(engine.configuration.method), \(engine.configuration.precision))"
        if section.valFraction > 0, split.validation.count < 2 {
            try section.requireValidation(split, of: corpus.text.count)
            keeper.warn("There is no validation: val_fraction leaves fewer than two characters for it.")
        }
        let notes = asked.notes(
            steps: trainer.totalSteps, layers: architecture.layerCount, characters: split.training.count)
        for note in notes {
            keeper.warn("\(note).")
        }
        let step = trainer.progress.step
        if preparation.isResumed {
            keeper.event(
                .resumed, .notice, "Training goes on from step \(step): \(words).",
                ["STEP": String(step), "TOTAL_STEPS": String(trainer.totalSteps)])
        } else {
            keeper.event(
                .trainingStarted, .notice, "Training begins: \(words).",
                ["STEP": "0", "TOTAL_STEPS": String(trainer.totalSteps)])
            if asked.epochs != nil,
                let note = FewSteps.note(steps: trainer.totalSteps, perEpoch: trainer.stepsPerEpoch)
            {
                keeper.warn("\(note).")
            }
        }
    }

    /// What was chosen for the run, as a part of a sentence.
    private func chosen(_ preparation: TrainingPreparation) -> String {
        guard let choices = preparation.choices, choices["epochs"] ?? choices["batch_size"] != nil else { return "" }
        let words = choices.filter { ["epochs", "batch_size"].contains($0.key) }.sorted { $0.key < $1.key }
            .map { "\($0.key) \($0.value)" }
        return " (for a text of this length \(words.joined(separator: " and ")) were chosen)"
    }

    private func tellOfEarlyStop(_ progress: TrainingProgress) {
        keeper.event(
            .stoppedEarly, .notice,
            "Stopped early at step \(progress.step): \(progress.evaluationsWithoutBest) evaluations without a "
                + "better validation loss.", ["STEP": String(progress.step)])
    }

    private func tellOfFit() {
        guard let temperature = keeper.status.fittedTemperature, let loss = keeper.status.fittedValidationLoss
        else { return }
        keeper.event(
            .evaluated, .info,
            "At the temperature \(fixed(temperature, 3)), which fits it, the best model needs \(fixed(loss, 4)) nats, "
                + "\(fixed(bits(loss), 3)) bits per character; each half of the validation text was scored at the "
                + "temperature of the other.",
            ["TEMPERATURE": fixed(temperature, 6), "VAL_LOSS_FITTED": fixed(loss, 6)])
    }

    /// Writes the last weights and makes sure of the best.
    private func finish(
        _ progress: TrainingProgress, _ preparation: TrainingPreparation
    ) throws -> LoadedModel {
        let best = preparation.best
        if progress.bestStep != nil { try best.requireOwn() }
        var last = preparation.model
        let engine = preparation.engine
        last.parameters = try engine.parameters()
        last.step = progress.step
        last.validationLoss = progress.lastValidationLoss
        try last.write(to: folder.lastModel, in: context.storage)
        if progress.bestStep == nil {
            // Without validation the last weights are the model, or their average.
            if preparation.section.settings.hasAverage(after: progress.step) {
                last.parameters = try engine.withAverage { try engine.parameters() }
                last.weights = .average
            }
            try last.write(to: folder.model, in: context.storage)
        }
        try best.discardFormer()
        return LoadedModel(
            model: try Model(reading: folder.model, in: context.storage), name: BestModel.name,
            file: CorpusFile(path: folder.model))
    }
}
