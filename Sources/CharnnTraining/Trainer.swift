public import CharnnEngine
import Glibc

/// Why training pauses before its end.
public enum TrainingPause: Hashable, Sendable {
    /// Somebody asked; the run goes on later.
    case requested
    /// The job's time is over.
    case timeLimit
}

/// How a call of ``Trainer/run(while:)`` ended.
public enum TrainingEnd: Hashable, Sendable {
    /// All epochs are done.
    case finished
    /// So many evaluations brought no better validation loss.
    case stoppedEarly
    case paused(TrainingPause)
}

/// What a trainer hands out while it works; it opens no files itself.
public protocol TrainerDelegate: AnyObject {
    /// A row of metrics is complete.
    func record(_ row: MetricsRow) throws

    /// The weights after `progress.step`, or their average, have the best validation loss so far, which is `score`.
    func improved(_ progress: TrainingProgress, parameters: [Float], score: EvaluationScore) throws

    /// A sample of text is due.
    ///
    /// - Returns: False if writing it was stopped before its end.
    func sample(step: Int, engine: any Engine) throws -> Bool

    /// A checkpoint is due.
    func save(_ checkpoint: TrainingCheckpoint) throws

    /// Some steps were done; told often, must be cheap.
    func advanced(_ progress: TrainingProgress, charactersPerSecond: Double?) throws

    /// An evaluation begins or, with a score, has ended.
    func evaluating(step: Int, score: ValidationScore?) throws
}

/// Runs a training job's steps: which batch, which learning rate, when to measure, evaluate, sample and save.
///
/// Everything is a function of settings, text and ``TrainingProgress``. Evaluations, samples and checkpoints read the
/// engine's weights and never change its state, so that how often they happen has no effect on the weights.
public final class Trainer {
    private let engine: any Engine
    private let text: SymbolText
    private let settings: TrainingSettings
    private let plan: BatchPlan
    private let evaluator: Evaluator?
    private let delegate: any TrainerDelegate
    private let now: () -> Double

    /// Where the run is; it changes only within ``run(while:)``.
    public private(set) var progress: TrainingProgress
    private var clockAtStart = 0.0
    private var elapsedAtStart = 0.0
    private var clockAtCheckpoint = 0.0
    /// Seconds spent in steps and steps done since the last row, for the speed.
    private var busySeconds = 0.0
    private var busySteps = 0
    private var recentSpeed: Double?

    /// - Parameters:
    ///   - engine: Holds the weights to begin with, or the state of the checkpoint.
    ///   - text: All of the text.
    ///   - progress: That of the checkpoint; a new one otherwise.
    ///   - now: Seconds that never go back.
    /// - Throws: ``TrainingError`` if the text is too short.
    public init(
        engine: any Engine, text: SymbolText, split: ValidationSplit, settings: TrainingSettings,
        progress: TrainingProgress = TrainingProgress(), delegate: any TrainerDelegate, now: @escaping () -> Double
    ) throws(TrainingError) {
        self.engine = engine
        self.text = text
        self.settings = settings
        self.delegate = delegate
        self.now = now
        self.progress = progress
        plan = try BatchPlan(count: split.training.count, settings: settings)
        evaluator = split.validation.count > 1 ? Evaluator(text, range: split.validation) : nil
        planSteps()
    }

    /// A run that was done and is to train further begins its cosine anew, and has its patience back.
    private func planSteps() {
        guard progress.plannedSteps != nil || progress.step == 0 else { return }
        if let planned = progress.plannedSteps, progress.step >= planned, totalSteps > planned {
            progress.restartStep = progress.step
            progress.evaluationsWithoutBest = 0
        }
        progress.plannedSteps = totalSteps
    }

    /// As ``BatchPlan`` counts them.
    public var stepsPerEpoch: Int { plan.stepsPerEpoch }
    /// Likewise.
    public var totalSteps: Int { plan.totalSteps }

    /// Whether early stopping has been reached.
    private var hasStoppedEarly: Bool {
        settings.earlyStop.map { evaluator != nil && progress.evaluationsWithoutBest >= $0 } ?? false
    }

    /// Whether no step is left to be made.
    public var isAtEnd: Bool { progress.step >= totalSteps || hasStoppedEarly }

    /// Trains until the end or until `pause` gives a reason to pause; then a checkpoint was saved.
    ///
    /// - Throws: ``TrainingError/Code/diverged``, what the engine throws, and what the delegate throws.
    public func run(while pause: () -> TrainingPause?) throws -> TrainingEnd {
        clockAtStart = now()
        elapsedAtStart = progress.elapsedSeconds
        clockAtCheckpoint = clockAtStart
        if progress.step == 0, settings.savesBeforeFirstStep { try save() }
        if progress.isUnfinished, let reason = try finishStep(pause) { return .paused(reason) }
        while !isAtEnd {
            if let reason = pause() {
                try save()
                return .paused(reason)
            }
            try advance()
            if let reason = try finishStep(pause) { return .paused(reason) }
            if isCheckpointDue { try save() }
        }
        try save()
        try requireLearning()
        return hasStoppedEarly && progress.step < totalSteps ? .stoppedEarly : .finished
    }

    // MARK: - Steps

    /// Submits as many steps as the engine likes to have in flight, but none beyond the next step after which
    /// something is due, and waits for them.
    private func advance() throws {
        let began = now()
        var count = 0
        repeat {
            count += 1
            let number = progress.step + count
            try engine.submit(step(number), of: text)
        } while count < engine.stepsInFlight && progress.step + count < totalSteps
            && !isAnythingDue(after: progress.step + count)
        for outcome in try engine.drain() {
            guard outcome.applied else {
                throw TrainingError(.diverged, divergence(outcome))
            }
            progress.step = outcome.number
            progress.lossSum += outcome.loss
            progress.normSum += outcome.gradientNorm
            progress.stepsSummed += 1
            progress.lastTrainLoss = outcome.loss
            if outcome.number > settings.warmupSteps {
                var rows = progress.lossRows ?? LossRows()
                rows.add(outcome.loss, step: outcome.number)
                progress.lossRows = rows
            }
        }
        busySeconds += now() - began
        busySteps += count
        progress.elapsedSeconds = elapsed
        try delegate.advanced(progress, charactersPerSecond: speed ?? recentSpeed)
    }

    /// The step of a number, from 1.
    func step(_ number: Int) -> TrainingStep { plan.step(number, learningRate: learningRate(number)) }

    private func learningRate(_ number: Int) -> Double {
        settings.learningRate(
            step: number, stepsPerEpoch: plan.stepsPerEpoch, reductions: progress.learningRateReductions,
            restart: progress.restartStep ?? 0)
    }

    private func divergence(_ outcome: StepOutcome) -> String {
        let what = outcome.loss.isFinite ? "the gradient" : "the loss"
        let rate = learningRate(outcome.number)
        return "\(what) became infinite or no number at step \(outcome.number); "
            + "the weights before it are kept. Try a smaller lr (now \(rate)), a smaller clip_norm "
            + "(now \(settings.clipNorm == 0 ? "off" : String(settings.clipNorm))), or some warmup_steps"
    }

    /// A run that ends above the loss of guessing has learned nothing, however finite all of it is.
    private func requireLearning() throws {
        let symbols = engine.architecture.vocabularySize
        guard let loss = progress.lossRows?.lossOfDivergence(symbols: symbols) else { return }
        throw TrainingError(
            .diverged,
            "the loss ended at \(Self.rounded(loss)) nats a character, where guessing among \(symbols) characters loses "
                + "\(Self.rounded(log(Double(symbols)))); the best model so far is kept. Try a smaller lr (now "
                + "\(settings.learningRate)) or some warmup_steps, under another name: the checkpoints of this job have "
                + "the spoiled weights")
    }

    private static func rounded(_ nats: Double) -> String {
        let hundredths = Int(min(nats, 1e15) * 100 + 0.5)
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }

    /// An update can carry a weight beyond what a float holds while loss and gradient are still finite; what is kept
    /// must never have such weights.
    private func requireFinite(_ parameters: [Float]) throws {
        guard parameters.allSatisfy(\.isFinite) else {
            throw TrainingError(
                .diverged,
                "weights became infinite or no number at or before step \(progress.step); "
                    + "the last checkpoint is kept. Try a smaller lr (now \(learningRate(progress.step)))")
        }
    }

    private var elapsed: Double { elapsedAtStart + now() - clockAtStart }

    private var speed: Double? {
        guard busySeconds > 0, busySteps > 0 else { return nil }
        return Double(busySteps * settings.batchSize * settings.sequenceLength) / busySeconds
    }

    // MARK: - What is due after a step

    private func isRowDue(after step: Int) -> Bool { step % settings.logEvery == 0 || isEvaluationDue(after: step) }

    private func isEvaluationDue(after step: Int) -> Bool {
        evaluator != nil && (step % (settings.evaluateEvery ?? plan.stepsPerEpoch) == 0 || step == totalSteps)
    }

    private func isSampleDue(after step: Int) -> Bool {
        let every = settings.sampleEvery ?? plan.stepsPerEpoch
        return every > 0 && step % every == 0
    }

    private func isAnythingDue(after step: Int) -> Bool {
        if case .steps(let every) = settings.checkpointEvery, step % every == 0 { return true }
        return isRowDue(after: step) || isSampleDue(after: step) || step % plan.stepsPerEpoch == 0
    }

    private var isCheckpointDue: Bool {
        guard progress.step < totalSteps else { return false }
        switch settings.checkpointEvery {
        case .steps(let every): return progress.step % every == 0
        case .seconds(let seconds): return now() - clockAtCheckpoint >= seconds
        }
    }

    /// Does what is due after the last step. When it has to pause in the middle, a checkpoint from before all of it is
    /// saved, so that all of it is done again at the resume.
    private func finishStep(_ pause: () -> TrainingPause?) throws -> TrainingPause? {
        let before = progress
        let step = progress.step
        guard isRowDue(after: step) || isSampleDue(after: step) else { return nil }

        // An evaluation may reduce the rate of the steps that follow; the row tells that of the step done.
        let rate = learningRate(step)
        var reason: TrainingPause?
        let shouldStop = {
            if reason == nil { reason = pause() }
            return reason != nil
        }
        var score: ValidationScore?
        if isEvaluationDue(after: step), let evaluator {
            try delegate.evaluating(step: step, score: nil)
            score = try validate(evaluator, shouldStop)
            guard let score else { return try leaveUnfinished(before, reason) }
            try take(score, shouldStop)
            try delegate.evaluating(step: step, score: score)
        }
        if isRowDue(after: step) { try record(score, rate: rate) }
        if isSampleDue(after: step), try !delegate.sample(step: step, engine: engine) {
            return try leaveUnfinished(before, pause())
        }
        progress.isUnfinished = false
        return nil
    }

    private func leaveUnfinished(_ before: TrainingProgress, _ reason: TrainingPause?) throws -> TrainingPause {
        progress = before
        progress.isUnfinished = true
        try save()
        return reason ?? .requested
    }

    /// Scores the validation text with the weights and with their average; nil: it was stopped.
    private func validate(_ evaluator: Evaluator, _ shouldStop: () -> Bool) throws -> ValidationScore? {
        func score() throws(EngineError) -> EvaluationScore? {
            let isFitted = progress.fitsTemperature == true && evaluator.count >= TemperatureFit.leastCharacters
            return try evaluator.score(
                with: engine, temperatures: isFitted ? TemperatureFit.nodes : [], shouldStop: shouldStop)
        }
        guard let weights = try score() else { return nil }
        guard settings.hasAverage(after: progress.step) else { return ValidationScore(weights: weights) }
        let average = try engine.withAverage { try score() }
        return average.map { ValidationScore(weights: weights, average: $0) }
    }

    /// Counts an evaluation for the best model, early stopping and the plateau schedule.
    ///
    /// - Parameter signOfLife: Called between long operations, of which there are few: its answer waits until they are
    ///   done.
    private func take(_ score: ValidationScore, _ signOfLife: () -> Bool) throws {
        _ = signOfLife()
        guard score.weights.loss.isFinite else {
            throw TrainingError(
                .diverged,
                "the validation loss became infinite or no number at step \(progress.step); try a smaller lr")
        }
        progress.lastValidationLoss = score.weights.loss
        if score.better.loss < progress.bestValidationLoss ?? .infinity {
            progress.bestValidationLoss = score.better.loss
            progress.isBestAverage = score.average.map { _ in score.isAverageBetter }
            progress.bestStep = progress.step
            progress.evaluationsWithoutBest = 0
            progress.evaluationsOnPlateau = 0
            let parameters =
                try score.isAverageBetter
                ? engine.withAverage {
                    _ = signOfLife()
                    return try engine.parameters()
                } : engine.parameters()
            try requireFinite(parameters)
            try delegate.improved(progress, parameters: parameters, score: score.better)
            return
        }
        if Double(progress.step) > settings.earlyStopAfter * Double(totalSteps) { progress.evaluationsWithoutBest += 1 }
        progress.evaluationsOnPlateau += 1
        if settings.schedule == .plateau, progress.evaluationsOnPlateau >= settings.learningRatePatience {
            progress.learningRateReductions += 1
            progress.evaluationsOnPlateau = 0
        }
    }

    private func record(_ score: ValidationScore?, rate: Double) throws {
        progress.elapsedSeconds = elapsed
        let steps = Double(progress.stepsSummed)
        let row = MetricsRow(
            step: progress.step, epoch: Double(progress.step) / Double(plan.stepsPerEpoch),
            trainLoss: steps > 0 ? progress.lossSum / steps : nil, validationLoss: score?.weights.loss,
            learningRate: rate,
            gradientNorm: steps > 0 ? progress.normSum / steps : nil, charactersPerSecond: speed,
            elapsedSeconds: progress.elapsedSeconds, averageValidationLoss: score?.average?.loss)
        if let loss = row.trainLoss { progress.lastTrainLoss = loss }
        progress.lossSum = 0
        progress.normSum = 0
        progress.stepsSummed = 0
        progress.lastRow = progress.step
        recentSpeed = speed ?? recentSpeed
        busySeconds = 0
        busySteps = 0
        try delegate.record(row)
    }

    private func save() throws {
        progress.elapsedSeconds = elapsed
        let state = try engine.snapshot()
        try requireFinite(state.parameters)
        try delegate.save(TrainingCheckpoint(progress: progress, engine: state))
        clockAtCheckpoint = now()
    }
}
