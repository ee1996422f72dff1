public import CharnnEngine

/// A row of `metrics.csv`. Losses in nats a character; nil: not measured.
public struct MetricsRow: Hashable, Sendable, Codable {
    /// Steps done, from the beginning of the run and not of the attempt.
    public var step: Int
    /// Epochs done, with their fraction.
    public var epoch: Double
    /// The mean over the steps since the row before.
    public var trainLoss: Double?
    /// Only of steps after which an evaluation was due.
    public var validationLoss: Double?
    /// That of the step itself, also where the evaluation after it has reduced the rate.
    public var learningRate: Double
    /// The global norm before clipping, the mean over the steps since the row before.
    public var gradientNorm: Double?
    /// Over the steps since the row before; evaluations, samples and checkpoints do not count. nil in the first row
    /// behind a resume that made no step.
    public var charactersPerSecond: Double?
    /// As in ``TrainingProgress/elapsedSeconds``.
    public var elapsedSeconds: Double
    /// Of the average of the weights, where there is one.
    public var averageValidationLoss: Double?

    public init(
        step: Int, epoch: Double, trainLoss: Double?, validationLoss: Double?, learningRate: Double,
        gradientNorm: Double?, charactersPerSecond: Double?, elapsedSeconds: Double,
        averageValidationLoss: Double? = nil
    ) {
        self.averageValidationLoss = averageValidationLoss
        self.step = step
        self.epoch = epoch
        self.trainLoss = trainLoss
        self.validationLoss = validationLoss
        self.learningRate = learningRate
        self.gradientNorm = gradientNorm
        self.charactersPerSecond = charactersPerSecond
        self.elapsedSeconds = elapsedSeconds
    }

    /// The better of the two: by it the best model is chosen.
    public var betterValidationLoss: Double? {
        [validationLoss, averageValidationLoss].compactMap(\.self).min()
    }
}

/// All that a trainer remembers between steps beside the engine's state.
///
/// Together with ``EngineState`` and the settings it determines every later step.
public struct TrainingProgress: Hashable, Sendable, Codable {
    /// Steps done.
    public var step = 0
    /// Sums over the steps since the last row of metrics.
    public var lossSum = 0.0
    public var normSum = 0.0
    /// Steps of which the sums above are; 0 right behind a row.
    public var stepsSummed = 0
    /// By which it is judged whether the run has diverged; nil in checkpoints of version 0.1.0.
    public var lossRows: LossRows?
    /// The step of the last row of metrics; rows behind it do not belong to this progress.
    public var lastRow = 0
    /// Whether a temperature is fitted to the best model; nil in runs that version 0.1.0 began, whose models have none.
    public var fitsTemperature: Bool? = true
    /// nats a character; nil before the first evaluation, or where there is no validation.
    public var bestValidationLoss: Double?
    /// The step of the best validation loss.
    public var bestStep: Int?
    /// Whether it is the loss of the average of the weights; nil: the run keeps none.
    public var isBestAverage: Bool?
    /// Of the last step, or right behind a row that row's mean; for the status.
    public var lastTrainLoss: Double?
    /// nats a character; it goes into the model file of the last weights.
    public var lastValidationLoss: Double?
    /// Evaluations since the best one.
    public var evaluationsWithoutBest = 0
    /// Evaluations since the last improvement or reduction, for the `plateau` schedule.
    public var evaluationsOnPlateau = 0
    /// All steps of the run as they were last planned; nil in runs that version 0.1.0 began.
    public var plannedSteps: Int?
    /// The step behind which the cosine begins anew, of a run that was done and trains further; nil: it never did.
    public var restartStep: Int?
    /// How often the `plateau` schedule has reduced the rate, which follows from it: a resumed run has the same.
    public var learningRateReductions = 0
    /// Seconds of training over all attempts.
    public var elapsedSeconds = 0.0
    /// Whether what is due after `step` (a row, an evaluation, a sample) was not yet done.
    public var isUnfinished = false

    /// A run before its first step.
    public init() {}
}

/// Everything needed to go on: the value behind a checkpoint file.
public struct TrainingCheckpoint: Sendable {
    /// As of the same step as ``engine``; where ``TrainingProgress/isUnfinished`` is set, from before all that was due
    /// after it.
    public var progress: TrainingProgress
    /// Weights, moments and recurrent state after that step.
    public var engine: EngineState

    public init(progress: TrainingProgress, engine: EngineState) {
        self.progress = progress
        self.engine = engine
    }
}
