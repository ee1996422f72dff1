/// The dropout of one step, element by element in the layout of ``DropoutMask``.
struct ReferenceDropout {
    let seed: UInt64
    let step: Int

    /// What element `index` of a layer's output is multiplied by: 0 or `1 / (1 - p)`.
    func factor<Real: ReferenceReal>(_ index: Int, layer: Int, _ probability: Double) -> Real {
        let number = UInt64(step)
        let block = Philox(key: seed).block(
            UInt32(truncatingIfNeeded: index / 4), UInt32(truncatingIfNeeded: number),
            UInt32(truncatingIfNeeded: number >> 32) << 16 | UInt32(layer), Philox.Purpose.dropout.rawValue)
        return block[index % 4] >= DropoutMask.threshold(probability) ? Real(1 / (1 - probability)) : 0
    }
}

extension ReferenceEngine {
    /// One update as `torch.nn.utils.clip_grad_norm_` and `torch.optim` make it.
    func update(_ gradient: [Real], norm: Real, by rule: OptimizerStep) {
        let (beta1, beta2) = (Real(rule.beta1), Real(rule.beta2))
        let (rate, decay, momentum) = (Real(rule.learningRate), Real(rule.weightDecay), Real(rule.momentum))
        let epsilon = Real(rule.epsilon)
        let clip = rule.clipNorm > 0 ? min(1, Real(rule.clipNorm) / (norm + Real(1e-6))) : 1
        var correction1: Real = 1
        var correction2: Real = 1
        for _ in 0..<rule.updateNumber { (correction1, correction2) = (correction1 * beta1, correction2 * beta2) }
        (correction1, correction2) = (1 - correction1, 1 - correction2)

        let zeros = [Real](repeating: 0, count: gradient.count)
        if firstMoment.isEmpty && rule.usesFirstMoment { firstMoment = zeros }
        if secondMoment.isEmpty && rule.usesSecondMoment { secondMoment = zeros }
        for i in gradient.indices {
            var g = gradient[i] * clip
            if rule.kind == .adamw { realParameters[i] *= 1 - rate * decay } else { g += decay * realParameters[i] }
            switch rule.kind {
            case .adam, .adamw:
                firstMoment[i] = beta1 * firstMoment[i] + (1 - beta1) * g
                secondMoment[i] = beta2 * secondMoment[i] + (1 - beta2) * g * g
                let root = secondMoment[i].squareRoot() / correction2.squareRoot() + epsilon
                realParameters[i] -= rate / correction1 * firstMoment[i] / root
            case .rmsprop:
                secondMoment[i] = beta2 * secondMoment[i] + (1 - beta2) * g * g
                var move = g / (secondMoment[i].squareRoot() + epsilon)
                if momentum > 0 {
                    move += momentum * firstMoment[i]
                    firstMoment[i] = move
                }
                realParameters[i] -= rate * move
            case .sgd:
                if momentum > 0 {
                    g += momentum * firstMoment[i]
                    firstMoment[i] = g
                }
                realParameters[i] -= rate * g
            }
        }
    }
}

extension OptimizerStep {
    /// Whether the rule keeps a mean gradient or a momentum buffer.
    public var usesFirstMoment: Bool {
        switch kind {
        case .adam, .adamw: true
        case .rmsprop, .sgd: momentum > 0
        }
    }

    /// Whether the rule keeps a mean square.
    public var usesSecondMoment: Bool { kind != .sgd }
}

/// Reads on with the reference engine's weights, for scoring and for prediction.
final class ReferenceReader<Real: ReferenceReal>: Scorer, Predictor {
    let streams: Int
    private let engine: ReferenceEngine<Real>
    private var state: ReferenceState<Real>

    init(engine: ReferenceEngine<Real>, streams: Int) {
        self.engine = engine
        self.streams = streams
        self.state = .zero(engine.architecture, streams: streams)
    }

    func reset() { state = .zero(engine.architecture, streams: streams) }

    func score(_ text: SymbolText, starts: [Int], length: Int) throws(EngineError) -> [Double] {
        let vocabularySize = engine.architecture.vocabularySize
        let symbols = try text.symbols(starts: starts, length: length + 1, vocabularySize: vocabularySize)
        var sums = [Double](repeating: 0, count: streams)
        for t in 0..<length {
            let inputs = Array(symbols[t * streams..<(t + 1) * streams])
            let trace = engine.network.forward(inputs, from: state, dropout: nil)
            state = trace.finalState
            for s in 0..<streams {
                var logits = Array(trace.logits[s * vocabularySize..<(s + 1) * vocabularySize])
                sums[s] += Double(
                    ReferenceNetwork.crossEntropy(&logits, target: symbols[(t + 1) * streams + s]))
            }
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
