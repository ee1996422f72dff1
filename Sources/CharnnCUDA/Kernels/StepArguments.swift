import CCharnnCUDA
import CharnnEngine
import Glibc

// The structure that steps leave in the device's memory for all kernels that depend on the step: the only thing that
// changes between two replays of a graph. Its layout stands in `CharnnCUDAArguments.h`.

extension CharnnStep {
    /// A step as the device reads it, its constants worked out in double precision.
    init(_ step: TrainingStep, text: TextStore.Place, resets: Bool, scale: Float, slot: Int) {
        let rule = step.optimizer
        let (correction1, correction2) =
            (1 - pow(rule.beta1, Double(rule.updateNumber)), 1 - pow(rule.beta2, Double(rule.updateNumber)))
        let kind =
            switch rule.kind {
            case .adam: CharnnAdam
            case .adamw: CharnnAdamW
            case .rmsprop: CharnnRMSprop
            case .sgd: CharnnSGD
            }
        self.init(
            number: UInt64(step.number), seed: step.seed, text: text.address, textWidth: Int32(text.width),
            resetsState: resets ? 1 : 0, slot: Int32(slot), optimizer: Int32(kind), lossScale: scale,
            learningRate: Float(rule.learningRate), beta1: Float(rule.beta1), beta2: Float(rule.beta2),
            epsilon: Float(rule.epsilon), momentum: Float(rule.momentum), weightDecay: Float(rule.weightDecay),
            stepSize: Float(rule.learningRate / correction1), inverseRootBias: Float(1 / correction2.squareRoot()),
            oneMinusBeta1: Float(1 - rule.beta1), oneMinusBeta2: Float(1 - rule.beta2), reserved: 0,
            clipNorm: rule.clipNorm)
    }

    /// What reading without training needs.
    init(reading text: TextStore.Place) {
        self.init()
        self.text = text.address
        textWidth = Int32(text.width)
        lossScale = 1
    }
}
