public import CharnnEngine

/// How the text is cut into batches.
public enum Batching: String, Sendable, CaseIterable, Codable {
    /// Parallel streams whose recurrent state is carried from step to step.
    case stream
    /// Independent windows, each from a zero state, in a random order.
    case windows
}

/// How the learning rate changes.
public enum LearningRateSchedule: String, Sendable, CaseIterable, Codable {
    case constant
    /// Half a cosine from the full rate to the least, ending at the last step.
    case cosine
    /// Multiplied by a factor every so many epochs.
    case step
    /// Multiplied by a factor after so many evaluations without a better validation loss.
    case plateau
}

/// How often a checkpoint is due.
public enum CheckpointInterval: Hashable, Sendable, Codable {
    case steps(Int)
    case seconds(Double)
}

/// All numbers of a training run but the architecture's.
public struct TrainingSettings: Hashable, Sendable {
    public var epochs = 2
    public var sequenceLength = 100
    public var batchSize = 64
    public var batching = Batching.stream
    /// Distance between the starts of windows, characters.
    public var stride = 100
    public var optimizer = OptimizerKind.adam
    public var beta1 = 0.9
    public var beta2 = 0.999
    public var epsilon = 1e-8
    public var momentum = 0.0
    public var weightDecay = 0.0
    public var learningRate = 0.002
    public var schedule = LearningRateSchedule.constant
    public var warmupSteps = 0
    public var leastLearningRate = 0.0
    /// Epochs between the factors of the `step` schedule.
    public var learningRateStepEvery = 10
    public var learningRateGamma = 0.5
    /// Evaluations without improvement that the `plateau` schedule waits for.
    public var learningRatePatience = 2
    /// Global gradient norm; 0: never clip.
    public var clipNorm = 5.0
    public var seed: UInt64 = 1
    /// Steps between evaluations; nil: at each epoch's end.
    public var evaluateEvery: Int?
    /// Steps between samples; nil: at each epoch's end; 0: never.
    public var sampleEvery: Int?
    public var logEvery = 10
    public var checkpointEvery = CheckpointInterval.seconds(300)
    /// Evaluations without a better validation loss after which training ends; nil: never.
    public var earlyStop: Int?

    public init() {}
}
