import CCharnnCUDA
import CharnnEngine

// The structure that steps leave in the device's memory for all kernels that depend on the step: the only thing that
// changes between two replays of a graph. Its layout stands in `CharnnCUDAArguments.h`.

extension CharnnStep {
    /// A step as the device reads it.
    init(_ step: TrainingStep, text: TextStore.Place, resets: Bool, scale: Float, slot: Int) {
        let u = step.optimizer.constants
        let kind =
            switch step.optimizer.optimizer.kind {
            case .adam: CharnnAdam
            case .adamw: CharnnAdamW
            case .rmsprop: CharnnRMSprop
            case .sgd: CharnnSGD
            case .dynamic: CharnnDynamic
            }
        self.init(
            number: UInt64(step.number), seed: step.seed, text: text.address, textWidth: Int32(text.width),
            resetsState: resets ? 1 : 0, slot: Int32(slot), optimizer: Int32(kind), lossScale: scale,
            learningRate: Float(u.learningRate), beta1: Float(u.beta1), beta2: Float(u.beta2),
            epsilon: Float(u.epsilon), momentum: Float(u.momentum), weightDecay: Float(u.weightDecay),
            stepSize: Float(u.stepSize), inverseRootBias: Float(u.inverseRootBias),
            oneMinusBeta1: Float(u.oneMinusBeta1), oneMinusBeta2: Float(u.oneMinusBeta2),
            averageRate: Float(step.optimizer.averageRate ?? 0), clipNorm: step.optimizer.clipNorm)
    }

    /// What reading without training needs.
    init(reading text: TextStore.Place) {
        self.init()
        self.text = text.address
        textWidth = Int32(text.width)
        lossScale = 1
    }
}
