public import CharnnEngine

/// A network and a batch on which an engine is compared with the reference.
public struct ConformanceCase: Sendable, CustomStringConvertible {
    public var architecture: Architecture
    public var batchSize: Int
    public var sequenceLength: Int
    /// Whether biases and embedding decay, too, or only the matrices do.
    public var decaysAll: Bool

    public init(_ architecture: Architecture, batchSize: Int, sequenceLength: Int, decaysAll: Bool = true) {
        self.decaysAll = decaysAll
        self.architecture = architecture
        self.batchSize = batchSize
        self.sequenceLength = sequenceLength
    }

    public var plan: NetworkPlan { NetworkPlan(architecture, decay: decaysAll ? .all : .weights) }

    public var description: String {
        let a = architecture
        return "\(a.cell.rawValue) \(a.nonlinearity.rawValue) V\(a.vocabularySize) E\(a.embeddingSize) "
            + "H\(a.hiddenSize) L\(a.layerCount) p\(a.dropout) in\(a.dropoutInput) out\(a.dropoutOutput) "
            + "\(a.dropoutMask.rawValue) B\(batchSize) T\(sequenceLength)"
            + (decaysAll ? "" : ", biases do not decay")
    }

    /// A thousand symbols, all of the vocabulary.
    public var text: SymbolText { EngineConformance.text(vocabularySize: architecture.vocabularySize) }

    /// A step of Adam with clipping, which goes on from the one before unless it is the first.
    public func step(_ number: Int) -> TrainingStep {
        TrainingStep(
            number: number, starts: (0..<batchSize).map { $0 * 13 + number }, sequenceLength: sequenceLength,
            resetsState: number == 1,
            optimizer: OptimizerStep(learningRate: 0.01, clipNorm: 1, updateNumber: number), seed: 77)
    }

    /// Every engine on each.
    public static let all = cells + dropouts

    /// Sizes that nothing divides evenly: every cell, several layers, embeddings narrower and wider than the units,
    /// vocabularies smaller and larger than the batch, batches of one shard and of several.
    private static let cells: [ConformanceCase] = [
        ConformanceCase(
            Architecture(
                cell: .lstm, vocabularySize: 29, embeddingSize: 11, hiddenSize: 19, layerCount: 2, dropout: 0.3),
            batchSize: 7, sequenceLength: 9),
        ConformanceCase(
            Architecture(
                cell: .lstm, vocabularySize: 131, embeddingSize: 37, hiddenSize: 17, layerCount: 3, dropout: 0.5),
            batchSize: 9, sequenceLength: 5, decaysAll: false),
        ConformanceCase(
            Architecture(cell: .lstm, vocabularySize: 301, hiddenSize: 33, layerCount: 1), batchSize: 67,
            sequenceLength: 3),
        ConformanceCase(
            Architecture(cell: .lstm, vocabularySize: 7, embeddingSize: 3, hiddenSize: 145, layerCount: 1),
            batchSize: 17, sequenceLength: 2),
        ConformanceCase(
            Architecture(cell: .gru, vocabularySize: 23, hiddenSize: 21, layerCount: 2, dropout: 0.25), batchSize: 13,
            sequenceLength: 7, decaysAll: false),
        ConformanceCase(
            Architecture(
                cell: .gru, vocabularySize: 97, embeddingSize: 5, hiddenSize: 35, layerCount: 3, dropout: 0.5),
            batchSize: 3, sequenceLength: 11),
        ConformanceCase(
            Architecture(
                cell: .rnn, vocabularySize: 41, embeddingSize: 23, hiddenSize: 18, layerCount: 2, dropout: 0.4),
            batchSize: 10, sequenceLength: 6),
        ConformanceCase(
            Architecture(
                cell: .rnn, nonlinearity: .relu, vocabularySize: 61, embeddingSize: 50, hiddenSize: 31, layerCount: 2),
            batchSize: 5, sequenceLength: 8, decaysAll: false),
        ConformanceCase(
            Architecture(cell: .gru, vocabularySize: 2, embeddingSize: 1, hiddenSize: 1, layerCount: 1), batchSize: 1,
            sequenceLength: 1),
    ]

    /// Below the first layer, above the last and between them, alone and together, for a character and for a sequence;
    /// where the first layer's input product could be looked up, and where not.
    public static let dropouts: [ConformanceCase] = [
        ConformanceCase(
            Architecture(
                cell: .lstm, vocabularySize: 19, embeddingSize: 11, hiddenSize: 21, layerCount: 2, dropout: 0.3,
                dropoutInput: 0.2, dropoutOutput: 0.4), batchSize: 9, sequenceLength: 7),
        ConformanceCase(
            Architecture(
                cell: .lstm, vocabularySize: 23, hiddenSize: 18, layerCount: 2, dropout: 0.5, dropoutInput: 0.25,
                dropoutOutput: 0.5, dropoutMask: .sequence), batchSize: 17, sequenceLength: 6),
        ConformanceCase(
            Architecture(
                cell: .gru, vocabularySize: 13, hiddenSize: 15, layerCount: 1, dropoutInput: 0.5,
                dropoutMask: .sequence), batchSize: 11, sequenceLength: 5, decaysAll: false),
        ConformanceCase(
            Architecture(
                cell: .gru, vocabularySize: 301, embeddingSize: 7, hiddenSize: 25, layerCount: 2, dropout: 0.2,
                dropoutInput: 0.3, dropoutOutput: 0.1, dropoutMask: .sequence), batchSize: 10, sequenceLength: 9),
        ConformanceCase(
            Architecture(
                cell: .rnn, vocabularySize: 17, embeddingSize: 5, hiddenSize: 14, layerCount: 1, dropoutOutput: 0.5),
            batchSize: 7, sequenceLength: 11),
        ConformanceCase(
            Architecture(
                cell: .rnn, vocabularySize: 29, embeddingSize: 19, hiddenSize: 13, layerCount: 2, dropout: 0.3,
                dropoutInput: 0.4, dropoutOutput: 0.2), batchSize: 13, sequenceLength: 3),
    ]
}

/// What every engine has to do as the reference engine in double precision does.
public struct EngineConformance {
    private let engine: any Engine
    private let reference: ReferenceEngine<Double>
    private let tested: ConformanceCase
    private let text: SymbolText
    private let tolerance: Double
    private var differences: [String] = []

    /// Compares gradients, steps, carried state, scorer and predictor.
    ///
    /// - Parameters:
    ///   - make: Makes the engine under test.
    ///   - tolerance: The largest relative difference, in the Euclidean norm, of any tensor.
    /// - Returns: What differs, one line each; empty for an engine that conforms.
    public static func differences(
        of tested: ConformanceCase, tolerance: Double, _ make: (NetworkPlan, [Float]) throws -> any Engine
    ) throws -> [String] {
        let parameters = Self.parameters(of: tested.architecture)
        let reference = try ReferenceEngine(tested.plan, parameters: parameters.map { Double($0) })
        var suite = EngineConformance(
            engine: try make(tested.plan, parameters), reference: reference,
            tested: tested, text: Self.text(vocabularySize: tested.architecture.vocabularySize), tolerance: tolerance)
        try suite.compareGradient("first gradient", number: 1)
        for kind in OptimizerKind.allCases + [.dynamic] { try suite.compareSteps(kind) }
        try suite.compareAverage()
        try suite.compareGradient("gradient with carried state", number: 1 << 33)
        try suite.compareScorer()
        try suite.comparePredictor()
        return suite.differences
    }

    /// Parameters in `-0.4..<0.4`.
    public static func parameters(of architecture: Architecture) -> [Float] {
        let random = Philox(key: 3)
        return (0..<ParameterLayout(architecture).count).map {
            Float(random.uniform(.initialisation, stream: 9, index: UInt64($0)) * 0.8 - 0.4)
        }
    }

    /// A thousand symbols, all of the vocabulary.
    public static func text(vocabularySize: Int) -> SymbolText {
        let random = Philox(key: 5)
        return SymbolText(
            (0..<1000).map { Int32(random.uniform(.sampling, stream: 1, index: $0) * Double(vocabularySize)) })
    }

    private func step(_ number: Int, _ optimizer: OptimizerStep, resetsState: Bool = false) -> TrainingStep {
        TrainingStep(
            number: number, starts: (0..<tested.batchSize).map { ($0 * 37 + number % 101) % 900 },
            sequenceLength: tested.sequenceLength, resetsState: resetsState, optimizer: optimizer,
            seed: 0x1234_5678_9abc)
    }

    private mutating func compareGradient(_ name: String, number: Int) throws {
        let step = step(number, OptimizerStep(learningRate: 0, updateNumber: 1))
        let (loss, gradient) = try engine.gradient(of: step, of: text)
        let expected = try reference.lossAndGradientInFullPrecision(of: step, of: text)
        compare("\(name): loss", [loss], [expected.loss])
        for slot in ParameterLayout(tested.architecture).slots {
            compare(
                "\(name): \(slot.role)", gradient[slot.range].map { Double($0) }, Array(expected.gradient[slot.range]))
        }
    }

    private mutating func compareSteps(_ kind: OptimizerKind) throws {
        var state = EngineState(parameters: Self.parameters(of: tested.architecture))
        if kind == .dynamic {
            state[.firstMoment] = state.parameters.map { $0 / 2 }
            // Some are drawn back to it all the way.
            state[.secondMoment] = state.parameters.indices.map { Float(1 + $0 % 61) }
        }
        try engine.install(state)
        try reference.install(state)
        for number in 1...3 {
            // A large epsilon, so that parameters without a gradient do not make noise of rounding errors.
            let rule = OptimizerStep(
                Optimizer(kind, beta1: 0.8, beta2: 0.95, epsilon: 1e-3, momentum: 0.5, weightDecay: 0.02),
                learningRate: 0.01, clipNorm: number == 2 ? 0.1 : 0, updateNumber: number,
                averageRate: [0, 1, 0.3][number - 1])
            let step = step(number, rule, resetsState: number == 1)
            try engine.submit(step, of: text)
            try reference.submit(step, of: text)
        }
        compare(
            "\(kind.rawValue): losses of characters", try engine.characterLosses(), try reference.characterLosses())
        let (outcomes, expected) = (try engine.drain(), try reference.drain())
        if outcomes.map(\.number) != [1, 2, 3] || !outcomes.allSatisfy(\.applied) {
            differences.append("\(kind.rawValue): steps were lost: \(outcomes)")
        }
        compare("\(kind.rawValue): losses", outcomes.map(\.loss), expected.map(\.loss))
        compare("\(kind.rawValue): norms", outcomes.map(\.gradientNorm), expected.map(\.gradientNorm))
        let (after, wanted) = (try engine.snapshot(), try reference.snapshot())
        for slot in ParameterLayout(tested.architecture).slots {
            let start = state.parameters[slot.range]
            func change(_ x: [Float]) -> [Double] { zip(x[slot.range], start).map { Double($0) - Double($1) } }
            // Of the change, not of the parameter: a parameter of 0.4 that moves by 0.01 would hide an error.
            compare("\(kind.rawValue): \(slot.role)", change(after.parameters), change(wanted.parameters), slack: 1e-7)
            compare(
                "\(kind.rawValue): average of \(slot.role)", change(after[.average]), change(wanted[.average]),
                slack: 1e-7)
        }
        for buffer in EngineBuffer.allCases {
            compare("\(kind.rawValue): \(buffer.rawValue)", after[buffer], wanted[buffer])
        }
    }

    /// With the average in the weights' place, and then with the weights again.
    private mutating func compareAverage() throws {
        let before = try engine.snapshot()
        let scorer = try engine.makeScorer(streams: 1)
        func losses(_ engine: any Engine) throws -> [Double] {
            let scorer = try engine.makeScorer(streams: 1)
            return try (0..<9).map { try scorer.score(text, starts: [$0], length: 1)[0] }
        }
        let own = try losses(engine)
        let (averaged, expected) = (
            try engine.withAverage { try losses(engine) }, try reference.withAverage { try losses(reference) }
        )
        compare("scorer of the average", averaged, expected)
        let again = try losses(engine)
        // One that was made before has the weights as they are at each call.
        _ = try engine.withAverage { try scorer.score(text, starts: [0], length: 1) }
        scorer.reset()
        if try own != again || averaged == own || again[0] != scorer.score(text, starts: [0], length: 1)[0] {
            differences.append("average: a scorer has other weights than those that stand there")
        }
        if try engine.withAverage({ try engine.parameters() }) != before[.average] {
            differences.append("average: the parameters in its place are others")
        }
        if try engine.snapshot() != before { differences.append("average: something changed by looking at it") }
        try engine.install(EngineState(parameters: before.parameters))
        if (try? engine.exchangeAverage()) != nil { differences.append("average: there is none, and it was taken") }
        try engine.install(before)
    }

    private mutating func compareScorer() throws {
        let starts = (0..<tested.batchSize).map { $0 * 11 % 500 }
        let (scorer, expected) = (
            try engine.makeScorer(streams: starts.count), try reference.makeScorer(streams: starts.count)
        )
        for round in 0..<3 {
            if round == 2 {
                scorer.reset()
                expected.reset()
            }
            let places = starts.map { $0 + 6 * (round % 2) }
            compare(
                "scorer, round \(round)", try scorer.score(text, starts: places, length: 6),
                try expected.score(text, starts: places, length: 6))
        }
        try compareTemperatures(starts, scorer, expected)
    }

    private mutating func compareTemperatures(
        _ starts: [Int], _ scorer: any Scorer, _ expected: any Scorer
    ) throws {
        // Another number of temperatures from one call to the next, and the first of them not the smallest.
        for temperatures in [[0.7, 1, 1.5], [1.2], [1, 0.5, 2, 4]] {
            var (logarithms, wanted): ([Float], [Float]) = ([], [])
            let sums = try scorer.score(text, starts: starts, length: 6, temperatures: temperatures) {
                logarithms += $0
            }
            let others = try expected.score(text, starts: starts, length: 6, temperatures: temperatures) {
                wanted += $0
            }
            for (index, temperature) in temperatures.enumerated() {
                compare("scorer, temperature \(temperature)", sums[index], others[index])
            }
            compare("scorer, logarithms at \(temperatures[0])", logarithms, wanted)
        }
        for temperatures in [[], [0], [1, -1], [.nan]] {
            let sums = try? scorer.score(text, starts: starts, length: 6, temperatures: temperatures, observe: nil)
            if sums != nil { differences.append("scorer: temperatures \(temperatures) are not refused") }
        }
    }

    private mutating func comparePredictor() throws {
        let size = tested.architecture.vocabularySize
        let (predictor, expected) = (try engine.makePredictor(streams: 3), try reference.makePredictor(streams: 3))
        var logits = [Float](repeating: 0, count: 3 * size)
        var wanted = logits
        for t in 0..<4 {
            let symbols = [text[t], text[t + 50], text[t + 100]]
            try predictor.advance(symbols, logits: &logits)
            try expected.advance(symbols, logits: &wanted)
            compare("predictor, symbol \(t)", logits, wanted)
        }
        let alone = try engine.makePredictor(streams: 1)
        var single = [Float](repeating: 0, count: size)
        for t in 0..<4 { try alone.advance([text[t + 50]], logits: &single) }
        if single != Array(logits[size..<2 * size]) {
            differences.append("predictor: a stream alone gets other logits than beside others")
        }
    }

    private mutating func compare(_ name: String, _ a: [Float], _ b: [Float]) {
        compare(name, a.map { Double($0) }, b.map { Double($0) })
    }

    /// - Parameter slack: An absolute difference a number that rounding alone explains.
    private mutating func compare(_ name: String, _ a: [Double], _ b: [Double], slack: Double = 0) {
        guard a.count == b.count else {
            differences.append("\(name): \(a.count) numbers instead of \(b.count)")
            return
        }
        let difference = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        let size = b.reduce(0) { $0 + $1 * $1 }.squareRoot()
        let allowed = tolerance * size + slack * Double(b.count).squareRoot()
        // Written so that NaN fails.
        if !(difference <= allowed) { differences.append("\(name): differs by \(difference) of \(size)") }
    }
}
