import CharnnCPU
import CharnnEngine
import CharnnTestSupport
import Testing

@Suite struct CPUEngineTests {
    /// Those that this processor can train with.
    static let precisions: [CPUEngine.Precision] = CPUEngine.hasBF16 ? [.fp32, .bf16] : [.fp32]

    static let architecture = Architecture(
        cell: .lstm, vocabularySize: 23, embeddingSize: 9, hiddenSize: 20, layerCount: 2, dropout: 0.5)

    @Test(arguments: ConformanceCase.all, KernelLevel.available)
    func `it computes what the reference engine computes`(tested: ConformanceCase, level: KernelLevel) throws {
        let differences = try EngineConformance.differences(of: tested, tolerance: 1e-4) {
            try CPUEngine($0, parameters: $1, threads: 2, kernels: level)
        }
        #expect(differences == [])
    }

    @Test(arguments: ConformanceCase.all)
    func `it computes the same with OpenBLAS alone`(tested: ConformanceCase) throws {
        let differences = try EngineConformance.differences(of: tested, tolerance: 1e-4) {
            try CPUEngine($0, parameters: $1, threads: 2, usesLibraryOnly: true)
        }
        #expect(differences == [])
    }

    @Test(arguments: CPUEngineTests.alone)
    func `a stream alone is computed as the reference engine does`(tested: ConformanceCase) throws {
        let differences = try EngineConformance.differences(of: tested, tolerance: 2e-4) {
            try CPUEngine($0, parameters: $1, threads: 3, leastShare: 1 << 16)
        }
        #expect(differences == [])
    }

    // bf16 has eight bits: a rounded operand is off by 2^-9 at most. Through time and layers errors add up. relu is left
    // out: its derivative jumps at zero, so that a sum that rounding moves past zero changes the gradient at will.
    @Test(
        .enabled(if: CPUEngine.hasBF16, "needs AVX-512 BF16"),
        arguments: ConformanceCase.all.filter { $0.architecture.nonlinearity != .relu })
    func `with bf16 operands it comes near the reference engine`(tested: ConformanceCase) throws {
        let differences = try EngineConformance.differences(of: tested, tolerance: 0.03) {
            try CPUEngine($0, parameters: $1, threads: 2, precision: .bf16)
        }
        #expect(differences == [])
    }

    /// A stream alone, whose products are wide enough to be shared: no number of columns divides evenly.
    private static let alone = [Cell.lstm, .gru].map { cell in
        ConformanceCase(
            Architecture(cell: cell, vocabularySize: 67, embeddingSize: 150, hiddenSize: 203, layerCount: 2),
            batchSize: 1, sequenceLength: 21)
    }

    @Test(arguments: ConformanceCase.all + CPUEngineTests.alone, CPUEngineTests.precisions)
    func `the number of threads changes no bit`(tested: ConformanceCase, precision: CPUEngine.Precision) throws {
        let states = try [1, 2, 3, 8].map { threads in
            let engine = try CPUEngine(
                tested.plan, parameters: EngineConformance.parameters(of: tested.architecture), threads: threads,
                precision: precision, leastShare: 1 << 16)
            for number in 1...3 { try engine.submit(tested.step(number), of: tested.text) }
            return try engine.snapshot()
        }
        #expect(states.allSatisfy { $0 == states[0] })
    }

    // Small layers are one thread's; these are split.
    @Test(arguments: KernelLevel.available, [1, 3])
    func `layers that all threads share predict as the reference does`(level: KernelLevel, streams: Int) throws {
        let architecture = Architecture(
            cell: .lstm, vocabularySize: 19, embeddingSize: 40, hiddenSize: 300, layerCount: 2)
        let parameters = EngineConformance.parameters(of: architecture)
        let reference = try ReferenceEngine<Float>(architecture: architecture, parameters: parameters)
        let engine = try CPUEngine(architecture: architecture, parameters: parameters, threads: 3, kernels: level)
        let (expected, predictor) = (
            try reference.makePredictor(streams: streams), try engine.makePredictor(streams: streams)
        )
        var logits = [Float](repeating: 0, count: streams * architecture.vocabularySize)
        var wanted = logits
        for t in 0..<3 {
            let symbols = (0..<streams).map { Int32((7 * t + 5 * $0) % architecture.vocabularySize) }
            try expected.advance(symbols, logits: &wanted)
            try predictor.advance(symbols, logits: &logits)
            #expect(zip(logits, wanted).allSatisfy { abs($0 - $1) < 1e-4 })
        }
    }

    @Test func `going on from a snapshot gives the same bits`() throws {
        let tested = ConformanceCase(Self.architecture, batchSize: 9, sequenceLength: 5)
        let engine = try engine(tested)
        for number in 1...2 { try engine.submit(tested.step(number), of: tested.text) }
        let other = try self.engine(tested)
        try other.install(try engine.snapshot())
        for number in 3...4 {
            try engine.submit(tested.step(number), of: tested.text)
            try other.submit(tested.step(number), of: tested.text)
        }
        let (undisturbed, resumed) = (try engine.snapshot(), try other.snapshot())
        #expect(undisturbed == resumed)
    }

    @Test(arguments: [Float.nan, .infinity], CPUEngineTests.precisions)
    func `a loss that is not finite changes nothing, and nothing is applied until another state`(
        value: Float, precision: CPUEngine.Precision
    ) throws {
        let tested = ConformanceCase(Self.architecture, batchSize: 9, sequenceLength: 5)
        var broken = EngineConformance.parameters(of: tested.architecture)
        for layer in 0..<2 {
            let slot = ParameterLayout(tested.architecture)[.recurrentWeight(layer: layer)]
            broken[slot.offset + 7] = value
        }
        let state = EngineState(parameters: broken)
        let engine = try engine(tested, precision)
        try engine.install(state)
        for number in 1...2 { try engine.submit(tested.step(number), of: tested.text) }
        let outcomes = try engine.drain()
        // Infinity times a zero state is NaN too.
        #expect(outcomes.map(\.applied) == [false, false])
        #expect(outcomes.allSatisfy { !$0.loss.isFinite })
        let after = try engine.snapshot()
        #expect(after.parameters.map(\.bitPattern) == broken.map(\.bitPattern))
        #expect(after[.firstMoment].isEmpty && after[.hidden].isEmpty)

        try engine.install(EngineState(parameters: EngineConformance.parameters(of: tested.architecture)))
        try engine.submit(tested.step(3), of: tested.text)
        let again = try engine.drain()
        #expect(again.map(\.applied) == [true])
    }

    @Test func `an infinite gradient norm is not applied`() throws {
        let tested = ConformanceCase(
            Architecture(cell: .rnn, nonlinearity: .relu, vocabularySize: 5, hiddenSize: 9, layerCount: 1),
            batchSize: 2, sequenceLength: 64)
        // Weights that double the gradient at every step back in time, from a state that the loss cannot see.
        var parameters = [Float](repeating: 0, count: ParameterLayout(tested.architecture).count)
        let layout = ParameterLayout(tested.architecture)
        for slot in layout.slots {
            for i in slot.range {
                switch slot.role {
                case .recurrentWeight: parameters[i] = 2
                case .inputBias: parameters[i] = 1e-30
                case .headWeight: parameters[i] = i % 2 == 0 ? 1e-3 : -1e-3
                default: parameters[i] = 0
                }
            }
        }
        let engine = try engine(tested)
        try engine.install(EngineState(parameters: parameters))
        try engine.submit(tested.step(1), of: tested.text)
        let outcome = try #require(try engine.drain().first)
        #expect(!outcome.applied && !(outcome.loss.isFinite && outcome.gradientNorm.isFinite))
        let kept = try engine.parameters()
        #expect(kept == parameters)
    }

    @Test func `a symbol outside the vocabulary is refused`() throws {
        let engine = try engine(ConformanceCase(Self.architecture, batchSize: 1, sequenceLength: 4))
        let step = TrainingStep(
            number: 1, starts: [0], sequenceLength: 4, resetsState: true,
            optimizer: OptimizerStep(learningRate: 1, updateNumber: 1), seed: 1)
        #expect(throws: EngineError.self) { try engine.submit(step, of: SymbolText([1, 2, 23, 4, 5])) }
        #expect(throws: EngineError.self) { try engine.submit(step, of: SymbolText([1, 2, 3, 4])) }
        #expect(throws: EngineError.self) { try engine.submit(step, of: SymbolText([1, -2, 3, 4, 5])) }
    }

    @Test(arguments: Cell.allCases, CPUEngineTests.precisions)
    func `a short text is memorised`(cell: Cell, precision: CPUEngine.Precision) throws {
        let sentence = Array("In the beginning God created the heaven and the earth. ".utf8)
        let vocabulary = Set(sentence).sorted()
        let symbols = (0..<1200).map { i in
            Int32(vocabulary.firstIndex(of: sentence[i % sentence.count]) ?? 0)
        }
        let architecture = Architecture(
            cell: cell, vocabularySize: vocabulary.count, hiddenSize: 48, layerCount: 2, dropout: 0.1)
        let parameters = EngineConformance.parameters(of: architecture).map { $0 * 0.35 }
        let engine = try CPUEngine(architecture: architecture, parameters: parameters, precision: precision)
        let text = SymbolText(symbols)
        for number in 1...200 {
            let rule = OptimizerStep(learningRate: 0.005, clipNorm: 1, updateNumber: number)
            let starts = (0..<8).map { ($0 * 131 + number * 17) % 1100 }
            try engine.submit(
                TrainingStep(
                    number: number, starts: starts, sequenceLength: 30, resetsState: true, optimizer: rule, seed: 1),
                of: text)
        }
        let first = try #require(try engine.drain().first)
        #expect(first.loss > 2.5)
        let scorer = try engine.makeScorer(streams: 1)
        let nats = try scorer.score(text, starts: [100], length: 1000)[0] / 1000
        #expect(nats < 0.08)
    }

    @Test func `absurd sizes have a predicted memory that nothing has`() {
        let absurd = Architecture(cell: .lstm, vocabularySize: 100, hiddenSize: 1_000_000_000, layerCount: 2)
        let bytes = CPUEngine.predictedBytes(absurd, batchSize: 64, sequenceLength: 100)
        #expect(bytes > 1 << 60)
        let more = Architecture(cell: .lstm, vocabularySize: .max, hiddenSize: .max, layerCount: .max)
        #expect(CPUEngine.predictedBytes(more, batchSize: .max, sequenceLength: .max) == .max)
    }

    @Test func `what dropout keeps counts in the predicted memory`() {
        func bytes(_ drop: (inout Architecture) -> Void) -> UInt64 {
            var architecture = Architecture(
                cell: .lstm, vocabularySize: 20, embeddingSize: 60, hiddenSize: 50, layerCount: 2)
            drop(&architecture)
            return CPUEngine.predictedBytes(architecture, batchSize: 30, sequenceLength: 40, threads: 1)
        }
        let (none, rows) = (bytes { _ in }, UInt64(30 * 40))
        #expect(bytes { $0.dropoutOutput = 0.5 } == none + 4 * rows * 50)
        // Numbers of the embedding in place of two tables, and a gradient that is as wide as they are.
        #expect(bytes { $0.dropoutInput = 0.5 } == none + 4 * (rows * (60 + 10) - 2 * 20 * 200))
    }

    private func engine(_ tested: ConformanceCase, _ precision: CPUEngine.Precision = .fp32) throws -> CPUEngine {
        try CPUEngine(
            architecture: tested.architecture, parameters: EngineConformance.parameters(of: tested.architecture),
            threads: 2, precision: precision)
    }
}
