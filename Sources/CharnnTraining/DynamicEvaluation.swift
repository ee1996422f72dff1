public import CharnnEngine

// Dynamic evaluation: a network goes on learning from a text as it scores it, every character being scored before the
// weights have seen it. After Krause, Kahembwe, Murray and Renals, "Dynamic Evaluation of Neural Sequence Models" (2018),
// with the update that they call RMS with decay; the update itself is an engine's (`OptimizerKind.dynamic`).

/// How much gradients of a network differ from parameter to parameter, over its training text: the mean of their squares.
///
/// Where they are small, a step may be large.
public struct GradientStatistics: Sendable, Equatable {
    /// In ``ParameterLayout``.
    public var meanSquares: [Float]

    public init(meanSquares: [Float]) { self.meanSquares = meanSquares }

    /// Batches, streams and characters of each that the mean is taken over.
    static let (batches, streams, length) = (60, 8, 100)

    /// Measures them at places of a text that a seed chooses, from a zero state.
    ///
    /// - Parameters:
    ///   - engine: Of an architecture without dropout.
    ///   - range: What was trained on, at least two characters.
    ///   - shouldStop: Asked between two batches.
    /// - Returns: nil if it was stopped.
    public init?(
        of engine: any Engine, _ text: SymbolText, range: Range<Int>, seed: UInt64, shouldStop: () -> Bool = { false }
    ) throws(EngineError) {
        let length = min(Self.length, range.count - 1)
        let (random, places) = (Philox(key: seed), Double(range.count - length))
        var sums = [Double](repeating: 0, count: ParameterLayout(engine.architecture).count)
        for batch in 0..<Self.batches {
            if shouldStop() { return nil }
            let starts = (0..<Self.streams).map { stream in
                let place = random.uniform(.sampling, stream: 0, index: UInt64(batch * Self.streams + stream))
                return range.lowerBound + min(Int(place * places), Int(places) - 1)
            }
            let step = TrainingStep(
                number: 1, starts: starts, sequenceLength: length, resetsState: true,
                optimizer: OptimizerStep(learningRate: 0, updateNumber: 1), seed: 0)
            let gradient = try engine.gradient(of: step, of: text).gradient
            for index in sums.indices { sums[index] += Double(gradient[index]) * Double(gradient[index]) }
        }
        meanSquares = sums.map { Float($0 / Double(Self.batches)) }
    }
}

/// The numbers of dynamic evaluation.
public struct AdaptationRule: Hashable, Sendable, Codable {
    /// `eta`: what a gradient is multiplied by.
    public var rate: Double
    /// `lambda`: how strongly the weights are drawn back to where they began.
    public var decay = 1e-3
    /// Characters after which the weights move.
    public var segment = 20
    /// In means of the gradients' roots, what is added to each of them.
    public var epsilon = 0.1

    public init(rate: Double) { self.rate = rate }

    /// What measured best: large networks want smaller steps.
    ///
    /// - Parameter hiddenSize: Units of a layer.
    public init(hiddenSize: Int) { self.init(rate: hiddenSize >= 512 ? 5e-5 : 2e-4) }
}

/// Scores a text and learns from it as it goes.
public final class DynamicEvaluation {
    private let engine: any Engine
    private let text: SymbolText
    private let range: Range<Int>
    private let leftOut: PositionSet?
    private let rule: AdaptationRule
    /// The mean of the roots of the mean squares.
    private let meanRoot: Double
    private let base: EngineState
    /// How far it has come, and what it found.
    public private(set) var progress: Progress
    /// Gets the logarithm of what each character that counts had for a probability, in the order of the text.
    public var observer: ((_ position: Int, _ logarithm: Float) -> Void)?

    /// Where an evaluation is.
    public struct Progress: Hashable, Sendable, Codable {
        /// Characters read behind the first of the range.
        public var done = 0
        /// Summed over those that count, nats.
        public var nats = 0.0
        /// Those that count.
        public var count = 0
        /// Where a segment was not finite: from there on nothing was learned; nil: everything was.
        public var frozenAt: Int?

        public init() {}
    }

    /// Begins at the first character of a range, or goes on.
    ///
    /// - Parameters:
    ///   - engine: Of an architecture without dropout, with the model's weights, which are lost.
    ///   - statistics: Of the same network.
    ///   - leftOut: Positions of characters that are only read: they neither count nor teach.
    ///   - state: What ``snapshot()`` gave.
    public init(
        _ engine: any Engine, _ text: SymbolText, range: Range<Int>, leavingOut leftOut: PositionSet? = nil,
        statistics: GradientStatistics, rule: AdaptationRule, goingOnFrom state: (EngineState, Progress)? = nil
    ) throws(EngineError) {
        (self.engine, self.text, self.range, self.leftOut, self.rule) = (engine, text, range, leftOut, rule)
        let parameters = try engine.parameters()
        let roots = statistics.meanSquares.map { $0.squareRoot() }
        meanRoot = roots.reduce(0.0) { $0 + Double($1) } / Double(max(1, roots.count))
        base = EngineState(parameters: parameters, [.firstMoment: parameters, .secondMoment: roots])
        progress = state?.1 ?? Progress()
        try engine.install(state?.0 ?? base)
    }

    /// Characters to predict.
    private var total: Int { range.count - 1 }

    /// All that an evaluation needs to go on, with ``progress``.
    public func snapshot() throws(EngineError) -> EngineState { try engine.snapshot() }

    /// Reads to the end.
    ///
    /// - Parameter shouldStop: Asked between two segments.
    /// - Returns: nil if it was stopped; a later call goes on.
    public func score(shouldStop: () -> Bool = { false }) throws(EngineError) -> EvaluationScore? {
        while progress.done < total {
            if shouldStop() { return nil }
            try readSegment()
        }
        return EvaluationScore(nats: progress.nats, count: progress.count)
    }

    /// Scores a segment with the weights as they are, and then moves them.
    private func readSegment() throws(EngineError) {
        let (length, counts) = nextSegment
        var outcome = try read(length, learns: counts && progress.frozenAt == nil)
        if !outcome.applied, progress.frozenAt == nil {
            // The weights that it began with, and the state that it has come to.
            progress.frozenAt = progress.done
            var state = base
            let reached = try engine.snapshot()
            (state[.hidden], state[.cell]) = (reached[.hidden], reached[.cell])
            try engine.install(state)
            outcome = try read(length, learns: false)
        }
        guard outcome.applied else {
            throw EngineError(.mismatch, "The loss of the text at character \(progress.done + 1) is not finite.")
        }
        if counts {
            progress.nats += outcome.loss * Double(length)
            progress.count += length
            if let observer {
                let first = range.lowerBound + progress.done + 1
                for (index, loss) in try engine.characterLosses().enumerated() { observer(first + index, -loss) }
            }
        }
        progress.done += length
    }

    /// Up to a character that is left out, which is a segment by itself.
    private var nextSegment: (length: Int, counts: Bool) {
        let limit = min(rule.segment, total - progress.done)
        guard let leftOut else { return (limit, true) }
        let first = (0..<limit).first { leftOut.contains(range.lowerBound + progress.done + $0 + 1) }
        guard let first else { return (limit, true) }
        return first == 0 ? (1, false) : (first, true)
    }

    private func read(_ length: Int, learns: Bool) throws(EngineError) -> StepOutcome {
        let optimizer = Optimizer(
            .dynamic, epsilon: max(rule.epsilon * meanRoot, 1e-30),
            weightDecay: learns && meanRoot > 0 ? rule.decay / meanRoot : 0)
        try engine.submit(
            TrainingStep(
                number: 1, starts: [range.lowerBound + progress.done], sequenceLength: length,
                resetsState: progress.done == 0,
                optimizer: OptimizerStep(optimizer, learningRate: learns ? rule.rate : 0, updateNumber: 1), seed: 0),
            of: text)
        guard let outcome = try engine.drain().last else {
            throw EngineError(.mismatch, "The engine has told nothing of a segment.")
        }
        return outcome
    }
}
