import Glibc

// The average of the weights, an exponential one over every eighth step: less noise than the last weights have, and a
// better model where the learning rate is still high. Of Polyak and Juditsky's averaging (1992) as networks use it now,
// `torch.optim.swa_utils.AveragedModel` with an exponential rule; it begins as a copy, as there.

extension TrainingSettings {
    /// Steps from one move of the average to the next: an update that is rare costs little, and the weights of
    /// neighbouring steps are almost the same.
    static let averagingEvery = 8

    /// How far the average goes to the weights after a step: `a += rate (w - a)`, with
    /// `1 - rate = min(weightAverage, (1 + t) / (10 + t))^8`, so that a young average follows quickly.
    ///
    /// - Parameter step: `t`, from 1.
    /// - Returns: 0 where the average stays, 1 where it begins; nil: the run keeps none.
    public func averageRate(step: Int) -> Double? {
        guard weightAverage > 0 else { return nil }
        guard step % Self.averagingEvery == 0 else { return 0 }
        guard step > Self.averagingEvery else { return 1 }
        let decay = min(weightAverage, Double(1 + step) / Double(10 + step))
        return 1 - pow(decay, Double(Self.averagingEvery))
    }

    /// Whether there is an average after so many steps.
    public func hasAverage(after steps: Int) -> Bool { weightAverage > 0 && steps >= Self.averagingEvery }
}

/// What an evaluation of a run measured.
public struct ValidationScore: Hashable, Sendable {
    /// Of the weights.
    public var weights: EvaluationScore
    /// Of their average; nil: there is none.
    public var average: EvaluationScore?

    public init(weights: EvaluationScore, average: EvaluationScore? = nil) {
        self.weights = weights
        self.average = average
    }

    /// Whether the average scores better than the weights.
    public var isAverageBetter: Bool { average.map { $0.loss < weights.loss } ?? false }

    /// The better of the two, which counts for the best model, early stopping and the plateau schedule.
    public var better: EvaluationScore { isAverageBetter ? average ?? weights : weights }
}
