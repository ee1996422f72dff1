import CCharnnKernels
import CharnnEngine
import Glibc

extension CharnnKernels {
    func update(_ kind: OptimizerKind) -> @convention(c) (UnsafePointer<CharnnUpdate>) -> Void {
        switch kind {
        case .adam: adam
        case .adamw: adamw
        case .rmsprop: rmsprop
        case .sgd: sgd
        }
    }
}

extension CharnnUpdate {
    /// What a rule means for all parameters, its constants worked out in double precision.
    init(
        _ rule: OptimizerStep, clip: Double, parameters: Buffer<Float>, _ gradient: Buffer<Float>,
        _ first: Buffer<Float>, _ second: Buffer<Float>
    ) {
        let (correction1, correction2) =
            (1 - pow(rule.beta1, Double(rule.updateNumber)), 1 - pow(rule.beta2, Double(rule.updateNumber)))
        self.init(
            count: parameters.count, parameters: parameters.base, gradient: gradient.base, first: first.base,
            second: second.base, scale: Float(clip), learningRate: Float(rule.learningRate), beta1: Float(rule.beta1),
            beta2: Float(rule.beta2), epsilon: Float(rule.epsilon), momentum: Float(rule.momentum),
            weightDecay: Float(rule.weightDecay), stepSize: Float(rule.learningRate / correction1),
            inverseRootBias: Float(1 / correction2.squareRoot()), oneMinusBeta1: Float(1 - rule.beta1),
            oneMinusBeta2: Float(1 - rule.beta2))
    }
}

extension Workspace {
    /// The mean of the rows' losses, summed by shard, time and stream.
    var meanLoss: Double {
        var sum = 0.0
        for shard in shards {
            let first = shard.first * capacity
            for row in first..<first + steps * shard.count { sum += Double(losses.base[row]) }
        }
        return sum / Double(steps * streams)
    }
}
