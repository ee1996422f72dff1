import CCharnnKernels
import CharnnEngine

extension CharnnKernels {
    func update(_ kind: OptimizerKind) -> @convention(c) (UnsafePointer<CharnnUpdate>) -> Void {
        switch kind {
        case .adam: adam
        case .adamw: adamw
        case .rmsprop: rmsprop
        case .sgd: sgd
        case .dynamic: dynamic
        }
    }
}

extension CharnnUpdate {
    /// What a rule's constants mean for all parameters.
    init(
        _ u: UpdateConstants, clip: Double, parameters: Buffer<Float>, _ gradient: Buffer<Float>,
        _ first: Buffer<Float>, _ second: Buffer<Float>
    ) {
        self.init(
            count: parameters.count, parameters: parameters.base, gradient: gradient.base, first: first.base,
            second: second.base, scale: Float(clip), learningRate: Float(u.learningRate), beta1: Float(u.beta1),
            beta2: Float(u.beta2), epsilon: Float(u.epsilon), momentum: Float(u.momentum),
            weightDecay: Float(u.weightDecay), stepSize: Float(u.stepSize), inverseRootBias: Float(u.inverseRootBias),
            oneMinusBeta1: Float(u.oneMinusBeta1), oneMinusBeta2: Float(u.oneMinusBeta2))
    }
}
