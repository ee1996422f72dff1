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
    /// How often the training part of the text is gone through. With ``BatchPlan/stepsPerEpoch`` it gives the length of
    /// the run, and so where a cosine ends.
    public var epochs = 2
    /// The most steps, whatever the epochs come to; nil: as many as they do.
    public var mostSteps: Int?
    /// `T`: characters that a step reads of each stream, and the reach of backpropagation through time.
    public var sequenceLength = 100
    /// `B`: streams or windows that a step reads side by side.
    public var batchSize = 64
    public var batching = Batching.stream
    /// Distance between the starts of windows, characters.
    public var stride = 100
    /// The rule that changes the weights. Numbers that it does not read are kept all the same, so that a job file may
    /// name them.
    public var optimizer = Optimizer()
    /// The rate after the warm-up, from which the schedule goes down.
    public var learningRate = 0.002
    public var schedule = LearningRateSchedule.constant
    /// Steps during which the rate rises in a straight line from 0; the cosine begins behind them.
    public var warmupSteps = 0
    /// What no schedule goes below; the warm-up, which begins near 0, may.
    public var leastLearningRate = 0.0
    /// Epochs between the factors of the `step` schedule.
    public var learningRateStepEvery = 10
    /// The factor of the schedules `step` and `plateau`, above 0 and at most 1.
    public var learningRateGamma = 0.5
    /// Evaluations without improvement that the `plateau` schedule waits for.
    public var learningRatePatience = 2
    /// How slowly the average of the weights follows them, a factor each step; 0: none is kept.
    public var weightAverage = 0.998
    /// Global gradient norm; 0: never clip.
    public var clipNorm = 5.0
    /// Keys the initial weights, dropout, the order of windows and the samples written on the way.
    public var seed: UInt64 = 1
    /// Steps between evaluations; nil: at each epoch's end.
    public var evaluateEvery: Int?
    /// Steps between samples; nil: at each epoch's end; 0: never.
    public var sampleEvery: Int?
    /// Steps between rows of metrics; each evaluation makes a row besides.
    public var logEvery = 10
    /// A number of steps puts checkpoints at the same places in every run, a time does not. The bytes of the weights
    /// depend on neither.
    public var checkpointEvery = CheckpointInterval.seconds(300)
    /// Evaluations without a better validation loss after which training ends; nil: never.
    public var earlyStop: Int?
    /// The share of all steps before which no evaluation counts for that.
    public var earlyStopAfter = 0.0
    /// Whether a checkpoint is saved before the first step, since it has what was chosen for the run.
    public var savesBeforeFirstStep = false

    public init() {}
}
