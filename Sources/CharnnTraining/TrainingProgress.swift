public import CharnnEngine

/// A row of `metrics.csv`. Losses in nats a character; nil: not measured.
public struct MetricsRow: Hashable, Sendable, Codable {
    public var step: Int
    /// Epochs done, with their fraction.
    public var epoch: Double
    /// The mean over the steps since the row before.
    public var trainLoss: Double?
    public var validationLoss: Double?
    public var learningRate: Double
    /// The global norm before clipping, the mean over the steps since the row before.
    public var gradientNorm: Double?
    public var charactersPerSecond: Double?
    public var elapsedSeconds: Double

    public init(
        step: Int, epoch: Double, trainLoss: Double?, validationLoss: Double?, learningRate: Double,
        gradientNorm: Double?, charactersPerSecond: Double?, elapsedSeconds: Double
    ) {
        self.step = step
        self.epoch = epoch
        self.trainLoss = trainLoss
        self.validationLoss = validationLoss
        self.learningRate = learningRate
        self.gradientNorm = gradientNorm
        self.charactersPerSecond = charactersPerSecond
        self.elapsedSeconds = elapsedSeconds
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
    public var stepsSummed = 0
    /// By which it is judged whether the run has diverged; nil in checkpoints of version 0.1.0.
    public var lossRows: LossRows?
    /// The step of the last row of metrics; rows behind it do not belong to this progress.
    public var lastRow = 0
    public var bestValidationLoss: Double?
    /// The step of the best validation loss.
    public var bestStep: Int?
    public var lastTrainLoss: Double?
    public var lastValidationLoss: Double?
    /// Evaluations since the best one.
    public var evaluationsWithoutBest = 0
    /// Evaluations since the last improvement or reduction, for the `plateau` schedule.
    public var evaluationsOnPlateau = 0
    public var learningRateReductions = 0
    /// Seconds of training over all attempts.
    public var elapsedSeconds = 0.0
    /// Whether what is due after `step` (a row, an evaluation, a sample) was not yet done.
    public var isUnfinished = false

    public init() {}
}

/// Everything needed to go on: the value behind a checkpoint file.
public struct TrainingCheckpoint: Sendable {
    public var progress: TrainingProgress
    public var engine: EngineState

    public init(progress: TrainingProgress, engine: EngineState) {
        self.progress = progress
        self.engine = engine
    }
}
