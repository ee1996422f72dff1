import CharnnCheckpoint
import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTraining
import SystemPackage

/// All that is known of a training before its first step.
///
/// ```
///   checkpoints/ ─▶ newest whole one ─▶ is model.safetensors what that one knows? ─▶ (else: an earlier one)
///         │
///         ▼
///   text: corpus.bin, frozen at the first checkpoint ─▶ same run? (RunIdentity) ─▶ engine, with what was pinned
/// ```
///
/// 1. The order is that of cost: devices and checkpoints are looked at before a long text is read. `metrics.csv` and
///    `resolved.yaml` wait until it is certain that the run goes on.
/// 2. Device, precision and plan of the first attempt are kept for all others, where they can be had.
struct TrainingPreparation {
    /// As the run has it, with all that its file leaves open chosen; where it goes on, as at its beginning.
    let section: TrainSection
    let corpus: EncodedCorpus
    /// Sizes, vocabulary and the text's checksum, with the weights to begin with.
    let model: Model
    /// As ``RunIdentity`` has it, for all checkpoints of this attempt.
    let identity: String
    /// What was chosen for the run, likewise.
    let choices: [String: String]?
    /// With weights, moments and streams' state of the checkpoint, or of a new run.
    let engine: any Engine
    let split: ValidationSplit
    let plan: BatchPlan
    /// Where the run is.
    let progress: TrainingProgress
    let best: BestModel
    /// Whether the run goes on from a checkpoint.
    let isResumed: Bool
    /// What the checkpoint has of `metrics.csv`; nil: it says nothing of it.
    let metricsSHA256: String?

    /// - Throws: What keeps the run from beginning, or from going on; also that the work has to pause.
    init(_ context: JobContext, _ asked: TrainSection) throws {
        let (folder, remedy) = (context.folder, context.environment.startingAnew)
        try context.storage.createDirectories(folder.path, mode: 0o750)
        let (newest, damaged) = try folder.checkpoints.newest()
        var section = try newest.map { try asked.goingOn(from: $0.identity, choices: $0.choices) } ?? asked
        var engines = EnginePreparation(context: context, section: section)
        try engines.requireEngine(resuming: newest)
        // Before anything of the run that the folder holds is changed.
        if let newest { try RunIdentity.check(section, against: newest, remedy: remedy) }
        for (_, error) in damaged {
            context.keeper.event(.checkpointDamaged, .warning, "A checkpoint is passed over: \(error)")
        }
        try folder.checkpoints.sweep(damaged)
        let best = BestModel(context)
        let checkpoint = try newest.map(best.checkpoint(resuming:))
        // A checkpoint has all that came from the model that the run began with, which may be gone by now.
        let base = try section.from.map { try checkpoint?.model ?? Self.baseModel($0, context) }
        if let base, let from = section.from {
            let conflicts = section.conflicts(with: base, from)
            guard conflicts.isEmpty else { throw JobError(.badJob, conflicts.joined(separator: "; ")) }
        }
        let corpus = try TextPreparation(context: context, section: section)
            .encodedCorpus(base, resuming: checkpoint?.model)
        split = ValidationSplit(
            count: corpus.text.count, validationFraction: section.valFraction, validationLimit: section.valMaxChars)
        let open = section
        section = try open.choosing(characters: split.training.count)
        engines = EnginePreparation(context: context, section: section)
        var model = Self.freshModel(section, base, corpus)
        try context.inspectReadings(trained: Alphabet(model))
        identity = RunIdentity.text(section, architecture: model.architecture, encoding: corpus.encoding)
        if let checkpoint {
            try RunIdentity.check(identity, against: checkpoint.identity, remedy: remedy)
            model.parameters = checkpoint.state.engine.parameters
        } else {
            model.parameters =
                base?.growing(to: corpus.vocabulary, seed: section.settings.seed).parameters
                ?? Initialisation.parameters(
                    of: model.architecture, seed: section.settings.seed, forgetBias: section.forgetBias)
        }
        engine = try engines.makeEngine(model, resuming: checkpoint)
        // Moments and the streams' state, too; the parameters alone would begin a new run.
        if let checkpoint { try engine.install(checkpoint.state.engine) }
        if checkpoint == nil {
            section = try Self.prepared(section, engine, corpus.text, split, context)
        } else if section.budget != nil {
            section = try Self.withoutBudget(section, context)
        }
        choices = checkpoint.map(\.choices) ?? open.choices(in: section)
        plan = try BatchPlan(count: split.training.count, settings: section.settings)
        progress = checkpoint?.state.progress ?? TrainingProgress()
        (isResumed, metricsSHA256) = (checkpoint != nil, checkpoint?.files[TrainingRecorder.metricsName])
        (self.section, self.corpus, self.model, self.best) = (section, corpus, model, best)
    }

    /// What is measured before the first step: how steps are done fastest, and how many fit into the budget.
    private static func prepared(
        _ section: TrainSection, _ engine: any Engine, _ text: SymbolText, _ split: ValidationSplit,
        _ context: JobContext
    ) throws -> TrainSection {
        let settings = section.settings
        let plan = try BatchPlan(count: split.training.count, settings: settings)
        // A run that goes on follows the plan of its beginning, for the bits depend on it.
        try engine.findPlan(
            streams: settings.batchSize, sequenceLength: settings.sequenceLength,
            measuring: plan.totalSteps < stepsWorthAPlan ? .none : .kept)
        guard let budget = section.budget else { return section }
        let trial = BudgetTrial(
            context: context, engine: engine, text: text, split: split, settings: settings, plan: plan)
        return section.limited(to: try trial.steps(in: budget))
    }

    /// From where on it pays to measure first how steps are done fastest, which takes about fifty of them.
    private static let stepsWorthAPlan = 5000

    private static func withoutBudget(_ section: TrainSection, _ context: JobContext) throws -> TrainSection {
        context.keeper.warn(
            "budget: counts from the first step of a run on, and this one began without it; max_steps ends it at a step."
        )
        var section = section
        section.budget = nil
        return section
    }

    /// The model that a new run begins with.
    private static func baseModel(_ reference: ModelReference, _ context: JobContext) throws -> Model {
        let file = try context.environment.modelFile(reference, in: context.storage)
        return try Model(reading: file.path, beneath: file.root, expecting: file.found, in: context.storage)
    }

    /// Sizes and vocabulary, without weights as yet.
    private static func freshModel(_ section: TrainSection, _ base: Model?, _ corpus: EncodedCorpus) -> Model {
        let architecture = section.architecture(base, vocabularySize: corpus.vocabulary.count)
        return Model(
            architecture: architecture, vocabulary: corpus.vocabulary, encoding: corpus.encoding, parameters: [],
            weights: section.settings.weightAverage > 0 ? .raw : nil, corpusSHA256: corpus.sha256)
    }
}
