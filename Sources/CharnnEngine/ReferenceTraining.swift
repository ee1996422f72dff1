/// The dropout of one step, element by element in the layout of ``DropoutMask``.
struct ReferenceDropout {
    let seed: UInt64
    let step: Int

    /// Drops of `x [T, B, W]`, forward or of the gradient.
    func apply<Real: ReferenceReal>(_ mask: NetworkPlan.Mask?, to x: inout [Real], streams: Int) {
        guard let mask else { return }
        for i in x.indices { x[i] *= factor(mask.isLocked ? i % (streams * mask.width) : i, mask) }
    }

    /// What element `index` of a mask has others multiplied by: 0 or `1 / (1 - p)`.
    private func factor<Real: ReferenceReal>(_ index: Int, _ mask: NetworkPlan.Mask) -> Real {
        let number = UInt64(step)
        let block = Philox(key: seed).block(
            UInt32(truncatingIfNeeded: index / 4), UInt32(truncatingIfNeeded: number),
            UInt32(truncatingIfNeeded: number >> 32) << 16 | UInt32(mask.counter), Philox.Purpose.dropout.rawValue)
        return block[index % 4] >= DropoutMask.threshold(mask.probability) ? Real(1 / (1 - mask.probability)) : 0
    }
}

extension ReferenceEngine {
    /// One update as `torch.nn.utils.clip_grad_norm_` and `torch.optim` make it.
    func update(_ gradient: [Real], norm: Real, by step: OptimizerStep) {
        let rule = step.optimizer
        func buffer(_ moment: EngineBuffer) -> [Real] {
            let kept = moments[moment] ?? []
            return rule.moments.contains(moment) && kept.isEmpty ? [Real](repeating: 0, count: gradient.count) : kept
        }
        var (first, second) = (buffer(.firstMoment), buffer(.secondMoment))
        let (u, clip) = (step.constants, Real(step.clipFactor(norm: Double(norm))))
        let (rate, momentum, epsilon) = (Real(u.learningRate), Real(u.momentum), Real(u.epsilon))
        for slot in ParameterLayout(plan).slots {
            let decay = slot.tensor.decays ? Real(u.weightDecay) : 0
            for i in slot.range {
                var g = gradient[i] * clip
                if rule.kind == .adamw { realParameters[i] *= 1 - rate * decay } else { g += decay * realParameters[i] }
                switch rule.kind {
                case .adam, .adamw:
                    first[i] = Real(u.beta1) * first[i] + Real(u.oneMinusBeta1) * g
                    second[i] = Real(u.beta2) * second[i] + Real(u.oneMinusBeta2) * g * g
                    let root = second[i].squareRoot() * Real(u.inverseRootBias) + epsilon
                    realParameters[i] -= Real(u.stepSize) * first[i] / root
                case .rmsprop:
                    second[i] = Real(u.beta2) * second[i] + Real(u.oneMinusBeta2) * g * g
                    var move = g / (second[i].squareRoot() + epsilon)
                    if momentum > 0 {
                        move += momentum * first[i]
                        first[i] = move
                    }
                    realParameters[i] -= rate * move
                case .sgd:
                    if momentum > 0 {
                        g += momentum * first[i]
                        first[i] = g
                    }
                    realParameters[i] -= rate * g
                case .dynamic:
                    realParameters[i] -= rate * gradient[i] * clip / (second[i] + epsilon)
                    realParameters[i] += min(Real(u.weightDecay) * second[i], 1) * (first[i] - realParameters[i])
                }
            }
        }
        (moments[.firstMoment], moments[.secondMoment]) = (first, second)
        if let rate = step.averageRate, rate > 0 { moveAverage(by: Real(rate)) }
    }

    private func moveAverage(by rate: Real) {
        if average.isEmpty { average = [Real](repeating: 0, count: realParameters.count) }
        for i in average.indices { average[i] += rate * (realParameters[i] - average[i]) }
    }
}

/// Reads on with the reference engine's weights, for scoring and for prediction.
final class ReferenceReader<Real: ReferenceReal>: Scorer, Predictor {
    let streams: Int
    private let engine: ReferenceEngine<Real>
    private var state: ReferenceState<Real>

    init(engine: ReferenceEngine<Real>, streams: Int) {
        self.engine = engine
        self.streams = streams
        self.state = .zero(engine.plan, streams: streams)
    }

    func reset() { state = .zero(engine.plan, streams: streams) }

    func score(
        _ text: SymbolText, starts: [Int], length: Int, temperatures: [Double], observe: (([Float]) -> Void)?
    ) throws(EngineError) -> [[Double]] {
        try require(starts: starts, temperatures: temperatures)
        let vocabularySize = engine.architecture.vocabularySize
        let symbols = try text.symbols(starts: starts, length: length + 1, vocabularySize: vocabularySize)
        var sums = temperatures.map { _ in [Double](repeating: 0, count: streams) }
        for t in 0..<length {
            let inputs = Array(symbols[t * streams..<(t + 1) * streams])
            let trace = engine.network.forward(inputs, from: state, dropout: nil)
            state = trace.finalState
            var first: [Float] = []
            for s in 0..<streams {
                let logits = trace.logits[s * vocabularySize..<(s + 1) * vocabularySize]
                let losses = temperatures.map { temperature in
                    var scaled = logits.map { $0 / Real(temperature) }
                    return ReferenceNetwork.crossEntropy(&scaled, target: symbols[(t + 1) * streams + s])
                }
                for (index, loss) in losses.enumerated() { sums[index][s] += Double(loss) }
                first.append(Float(-losses[0]))
            }
            observe?(first)
        }
        return sums
    }

    func advance(_ symbols: [Int32], logits: inout [Float]) throws(EngineError) {
        let vocabularySize = engine.architecture.vocabularySize
        guard symbols.count == streams, logits.count == streams * vocabularySize,
            symbols.allSatisfy({ $0 >= 0 && $0 < vocabularySize })
        else {
            throw EngineError(
                .mismatch, "The symbols or logits do not fit \(streams) streams and \(vocabularySize) symbols.")
        }
        let trace = engine.network.forward(symbols.map { Int($0) }, from: state, dropout: nil)
        state = trace.finalState
        for i in logits.indices { logits[i] = Float(trace.logits[i]) }
    }
}
