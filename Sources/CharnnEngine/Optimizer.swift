import Glibc

/// The rules by which gradients change parameters, as PyTorch's `torch.optim` defines them.
public enum OptimizerKind: String, Sendable, CaseIterable, Codable {
    /// `torch.optim.Adam`; weight decay is added to the gradient.
    case adam
    /// `torch.optim.AdamW`; weight decay is decoupled.
    case adamw
    /// `torch.optim.RMSprop` with `alpha` = the second of `betas`, not centred; momentum as there.
    case rmsprop
    /// `torch.optim.SGD`; momentum without damping or Nesterov.
    case sgd
    /// Of dynamic evaluation, which learns from a text as it scores it (Krause et al., "Dynamic Evaluation of Neural
    /// Sequence Models", 2018). With the anchor `a`, the weights that it began with, as first moment and `s`, the root of
    /// the gradients' mean square over the training text, as second, which both stay as they are:
    /// `p -= learningRate g / (s + epsilon)`, `p += min(weightDecay s, 1) (a - p)`, for all tensors.
    case dynamic

    /// Those that a training may be asked for.
    public static let allCases: [OptimizerKind] = [.adam, .adamw, .rmsprop, .sgd]
}

/// A rule with its hyperparameters, the same in all steps of a run.
public struct Optimizer: Sendable, Hashable {
    /// Decides which of the numbers below are read.
    public var kind: OptimizerKind
    /// See ``OptimizerKind``: Adam's alone.
    public var beta1: Double
    /// Adam's second, or the `alpha` of RMSprop.
    public var beta2: Double
    /// Added to the root of the mean square; not read by SGD.
    public var epsilon: Double
    /// Of RMSprop and SGD; 0: there is no buffer.
    public var momentum: Double
    /// In PyTorch's terms, not multiplied by the learning rate yet; 0: off. Only for tensors that decay
    /// (``NetworkPlan/Tensor/decays``).
    public var weightDecay: Double

    /// The defaults are those of PyTorch's Adam.
    public init(
        _ kind: OptimizerKind = .adam, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        momentum: Double = 0, weightDecay: Double = 0
    ) {
        self.kind = kind
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.momentum = momentum
        self.weightDecay = weightDecay
    }

    /// The moments that the rule keeps.
    public var moments: [EngineBuffer] {
        switch kind {
        case .adam, .adamw, .dynamic: [.firstMoment, .secondMoment]
        case .rmsprop: momentum > 0 ? [.firstMoment, .secondMoment] : [.secondMoment]
        case .sgd: momentum > 0 ? [.firstMoment] : []
        }
    }
}

/// The numbers of one optimiser update.
public struct OptimizerStep: Sendable, Hashable {
    /// The rule.
    public var optimizer: Optimizer
    /// After warm-up and schedule.
    public var learningRate: Double
    /// The global gradient norm above which gradients are scaled down, as `torch.nn.utils.clip_grad_norm_` does
    /// (the scale is `clipNorm / (norm + 1e-6)`); 0: never.
    public var clipNorm: Double
    /// The number of this update since the moments were zero, from 1.
    public var updateNumber: Int
    /// How far the average of the weights goes to the new weights after this update, `a += averageRate (w - a)`: 1 makes
    /// it equal to them, 0 leaves it. nil: the run keeps no average.
    public var averageRate: Double?

    public init(
        _ optimizer: Optimizer = Optimizer(), learningRate: Double, clipNorm: Double = 0, updateNumber: Int,
        averageRate: Double? = nil
    ) {
        self.averageRate = averageRate
        self.optimizer = optimizer
        self.learningRate = learningRate
        self.clipNorm = clipNorm
        self.updateNumber = updateNumber
    }

    /// What the gradient is multiplied by first.
    public func clipFactor(norm: Double) -> Double { clipNorm > 0 ? min(1, clipNorm / (norm + 1e-6)) : 1 }

    /// What follows from these numbers for all parameters alike, worked out once in double precision.
    public var constants: UpdateConstants { UpdateConstants(self) }
}

/// The numbers in the formulas of an update, after Kingma and Ba, "Adam" (2015), algorithm 1, where moments that begin
/// with zero are corrected.
public struct UpdateConstants: Sendable, Hashable {
    /// That of the step.
    public let learningRate: Double
    /// See ``Optimizer``.
    public let beta1: Double
    /// See ``Optimizer``.
    public let beta2: Double
    /// `1 - beta1`, before rounding to single precision.
    public let oneMinusBeta1: Double
    /// `1 - beta2`, likewise.
    public let oneMinusBeta2: Double
    /// See ``Optimizer``.
    public let epsilon: Double
    /// See ``Optimizer``.
    public let momentum: Double
    /// See ``Optimizer``.
    public let weightDecay: Double
    /// Adam: `learningRate / (1 - beta1^n)`.
    public let stepSize: Double
    /// Adam: `1 / sqrt(1 - beta2^n)`.
    public let inverseRootBias: Double

    fileprivate init(_ step: OptimizerStep) {
        let rule = step.optimizer
        learningRate = step.learningRate
        (beta1, beta2) = (rule.beta1, rule.beta2)
        (oneMinusBeta1, oneMinusBeta2) = (1 - rule.beta1, 1 - rule.beta2)
        (epsilon, momentum, weightDecay) = (rule.epsilon, rule.momentum, rule.weightDecay)
        stepSize = step.learningRate / (1 - pow(rule.beta1, Double(step.updateNumber)))
        inverseRootBias = 1 / (1 - pow(rule.beta2, Double(step.updateNumber))).squareRoot()
    }
}
