import CharnnEngine
import CharnnTestSupport
import Testing

@testable import CharnnCUDA

/// The engine with its real kernels on emulated devices.
@Suite struct CUDAEngineTests {
    /// What splits sums, takes wide tiles, and has several blocks in every direction.
    static let large = [
        ConformanceCase(
            Architecture(
                cell: .lstm, vocabularySize: 45, embeddingSize: 20, hiddenSize: 40, layerCount: 2, dropout: 0.2),
            batchSize: 35, sequenceLength: 15),
        ConformanceCase(
            Architecture(cell: .gru, vocabularySize: 150, embeddingSize: 8, hiddenSize: 136, layerCount: 2),
            batchSize: 33, sequenceLength: 4),
        ConformanceCase(
            Architecture(
                cell: .lstm, vocabularySize: 45, hiddenSize: 40, layerCount: 1, dropoutInput: 0.2, dropoutOutput: 0.3,
                dropoutMask: .sequence), batchSize: 35, sequenceLength: 15),
    ]

    /// relu is left out where operands are rounded: its derivative jumps at zero, so that a sum that rounding moves past zero
    /// changes the gradient at will.
    static let smooth = ConformanceCase.all.filter { $0.architecture.nonlinearity != .relu } + large

    /// fp16 has eleven bits: a rounded operand is off by 2^-12 at most. Through time and layers errors add up.
    static func tolerance(_ precision: CUDAEngine.Precision) -> Double { precision == .fp32 ? 1e-4 : 0.01 }

    private static let architecture = Architecture(
        cell: .lstm, vocabularySize: 23, embeddingSize: 9, hiddenSize: 20, layerCount: 2, dropout: 0.5)
    private static let tested = ConformanceCase(architecture, batchSize: 9, sequenceLength: 5)

    // Many multiprocessors, for which a launch costs nothing, get smaller tiles and more splits.
    @Test(arguments: large, CUDAEngine.Precision.allCases)
    func `on a device of other size it computes the same`(
        tested: ConformanceCase, precision: CUDAEngine.Precision
    ) throws {
        let differences = try EngineConformance.differences(of: tested, tolerance: Self.tolerance(precision)) {
            try EmulatedDevice.manyProcessors.engine(plan: $0, $1, precision, tuning: Tuning(launchCost: 0))
        }
        #expect(differences == [])
    }

    @Test(arguments: CUDAEngine.Precision.allCases, StepWays.allCases.filter { $0.forward == $0.backward })
    func `it computes what the reference engine computes, whichever way time steps are done`(
        precision: CUDAEngine.Precision, ways: StepWays
    ) throws {
        for tested in precision == .fp32 ? ConformanceCase.all + Self.large : Self.smooth {
            let differences = try EngineConformance.differences(of: tested, tolerance: Self.tolerance(precision)) {
                try EmulatedDevice.inOrder.engine(plan: $0, $1, precision, tuning: Tuning(steps: ways))
            }
            #expect(differences == [], "\(tested)")
        }
    }

    // A missing barrier lets a thread read what another has not written yet, in one order or the other; and so does a missing wait
    // between the branches of a step, which an emulated device does in such an order, too.
    @Test(
        arguments: [ConformanceCase.all[1], .all[5], .all[6], .dropouts[1], .dropouts[5]] + large,
        CUDAEngine.Precision.allCases)
    func `neither the order of blocks, threads and branches nor the chunks change a bit`(
        tested: ConformanceCase, precision: CUDAEngine.Precision
    ) throws {
        let orders: [(EmulatedDevice, chunkSteps: Int?)] = [
            (.inOrder, 100), (.inOrder, nil), (.backwards, 1), (.mixed, 2), (.mixed, 3),
        ]
        for way in [StepWay.fused, .apart] {
            let states = try orders.map { device, chunkSteps in
                let engine = try device.engine(
                    tested.architecture, EngineConformance.parameters(of: tested.architecture), precision,
                    tuning: Tuning(chunkSteps: chunkSteps, steps: .init(forward: way, backward: way)))
                // The first as it is, the other recorded.
                for number in 1...2 { try engine.submit(tested.step(number), of: tested.text) }
                return try engine.snapshot()
            }
            for (order, state) in zip(orders, states) { #expect(state == states[0], "\(way) \(order)") }
        }
    }

    // Every cell, and every optimiser; the kernel of the one does not know of the other.
    @Test(
        arguments: PyTorchRecording.cells.map { ($0, OptimizerKind.adam) }
            + [OptimizerKind.adamw, .rmsprop, .sgd].map { ("lstm", $0) })
    func `50 steps equal those of PyTorch`(cell: String, optimizer: OptimizerKind) throws {
        let differences = try PyTorchRecording.differences(cell: cell, optimizer: optimizer) {
            try EmulatedDevice.inOrder.engine($0, $1)
        }
        #expect(differences == [])
    }

    @Test(arguments: PyTorchRecording.regularised)
    func `steps with dropout, decay and forget bias equal those of PyTorch`(name: String) throws {
        let differences = try PyTorchRecording.differences(regularised: name) {
            try EmulatedDevice.inOrder.engine(plan: $0, $1, .fp32, tuning: Tuning())
        }
        #expect(differences == [])
    }

    @Test(arguments: CUDAEngine.Precision.allCases)
    func `going on from a snapshot gives the same bits`(precision: CUDAEngine.Precision) throws {
        let engine = try engine(precision)
        for number in 1...2 { try engine.submit(step(number), of: text) }
        let other = try self.engine(precision)
        try other.install(try engine.snapshot())
        // More than the device keeps outcomes of.
        for number in 3...(CUDAEngine.slots + 5) {
            try engine.submit(step(number), of: text)
            try other.submit(step(number), of: text)
        }
        let (undisturbed, resumed) = (try engine.snapshot(), try other.snapshot())
        #expect(undisturbed == resumed)
        let outcomes = try engine.drain()
        #expect(outcomes.map(\.number) == Array(1...(CUDAEngine.slots + 5)))
    }

    @Test(arguments: [Float.nan, .infinity], CUDAEngine.Precision.allCases)
    func `a loss that is not finite changes nothing, and nothing is applied until another state`(
        value: Float, precision: CUDAEngine.Precision
    ) throws {
        var broken = EngineConformance.parameters(of: Self.architecture)
        for layer in 0..<2 {
            broken[ParameterLayout(Self.architecture)[.recurrentWeight(layer: layer)].offset + 7] = value
        }
        let engine = try engine(precision)
        try engine.install(EngineState(parameters: broken))
        for number in 1...3 { try engine.submit(step(number), of: text) }
        let outcomes = try engine.drain()
        #expect(outcomes.map(\.number) == [1, 2, 3])
        #expect(outcomes.map(\.applied) == [false, false, false])
        #expect(outcomes.allSatisfy { !$0.loss.isFinite })
        let after = try engine.snapshot()
        #expect(after.parameters.map(\.bitPattern) == broken.map(\.bitPattern))
        #expect(after[.firstMoment].allSatisfy { $0 == 0 } && after[.hidden].allSatisfy { $0 == 0 })

        try engine.install(EngineState(parameters: EngineConformance.parameters(of: Self.architecture)))
        try engine.submit(step(4), of: text)
        let again = try engine.drain()
        #expect(again.map(\.applied) == [true])
    }

    /// A network whose gradient grows with every step back in time, from states that hardly change the loss.
    private func exploding(_ growth: Float, steps: Int) -> (tested: ConformanceCase, parameters: [Float]) {
        let tested = ConformanceCase(
            Architecture(cell: .rnn, nonlinearity: .relu, vocabularySize: 5, hiddenSize: 9, layerCount: 1),
            batchSize: 2, sequenceLength: steps)
        let layout = ParameterLayout(tested.architecture)
        var parameters = [Float](repeating: 0, count: layout.count)
        for slot in layout.slots {
            for i in slot.range {
                switch slot.role {
                case .recurrentWeight: parameters[i] = growth
                case .inputBias: parameters[i] = 1e-6
                case .headWeight: parameters[i] = i % 2 == 0 ? 1e-3 : -1e-3
                default: parameters[i] = 0
                }
            }
        }
        return (tested, parameters)
    }

    @Test func `a gradient that fp16 cannot hold is computed again with a smaller scale`() throws {
        let (tested, parameters) = exploding(0.5, steps: 12)
        let engine = try EmulatedDevice.inOrder.engine(tested.architecture, parameters, .fp16)
        let reference = try ReferenceEngine<Double>(
            architecture: tested.architecture, parameters: parameters.map { Double($0) })
        // Beyond what the first scale leaves room for, within what the second does.
        let norm = try reference.gradient(of: tested.step(1), of: tested.text).gradient
            .reduce(0) { $0 + Double($1 * $1) }.squareRoot()
        #expect(norm * Double(CUDAEngine.scales[0] * 24) > 65504)
        for number in 1...3 {
            // From zero each and without learning: otherwise the states would soon be beyond fp16 themselves.
            var step = tested.step(number)
            step.resetsState = true
            step.optimizer.learningRate = 0
            try engine.submit(step, of: tested.text)
            try reference.submit(step, of: tested.text)
        }
        let (outcomes, expected) = (try engine.drain(), try reference.drain())
        #expect(outcomes.map(\.number) == [1, 2, 3])
        #expect(outcomes.map(\.applied) == [true, true, true])
        #expect(zip(outcomes, expected).allSatisfy { abs($0.gradientNorm - $1.gradientNorm) < 0.01 * $1.gradientNorm })
    }

    @Test(arguments: CUDAEngine.Precision.allCases)
    func `an infinite gradient norm is not applied`(precision: CUDAEngine.Precision) throws {
        let (tested, parameters) = exploding(2, steps: 64)
        let engine = try EmulatedDevice.inOrder.engine(tested.architecture, parameters, precision)
        try engine.submit(tested.step(1), of: tested.text)
        let outcome = try #require(try engine.drain().first)
        #expect(!outcome.applied && !(outcome.loss.isFinite && outcome.gradientNorm.isFinite))
        let kept = try engine.parameters()
        #expect(kept == parameters)
    }

    @Test func `steps of another number of streams each tell their own outcome`() throws {
        let parameters = EngineConformance.parameters(of: Self.architecture)
        let engine = try EmulatedDevice.inOrder.engine(Self.architecture, parameters)
        let reference = try ReferenceEngine<Double>(
            architecture: Self.architecture, parameters: parameters.map { Double($0) })
        for number in 1...4 {
            var step = step(number)
            step.resetsState = number % 2 == 1
            if number > 2 { step.starts.removeLast(3) }
            try engine.submit(step, of: text)
            try reference.submit(step, of: text)
        }
        let (outcomes, expected) = (try engine.drain(), try reference.drain())
        #expect(outcomes.map(\.number) == [1, 2, 3, 4])
        #expect(zip(outcomes, expected).allSatisfy { abs($0.loss - $1.loss) < 1e-4 })
    }

    @Test func `a symbol outside the vocabulary is refused`() throws {
        let engine = try engine(.fp32)
        let step = TrainingStep(
            number: 1, starts: [0], sequenceLength: 4, resetsState: true,
            optimizer: OptimizerStep(learningRate: 1, updateNumber: 1), seed: 1)
        #expect(throws: EngineError.self) { try engine.submit(step, of: SymbolText([1, 2, 23, 4, 5])) }
        #expect(throws: EngineError.self) { try engine.submit(step, of: SymbolText([1, 2, 3, 4])) }
        #expect(throws: EngineError.self) { try engine.submit(step, of: SymbolText([1, -2, 3, 4, 5])) }
    }

    @Test func `a text that does not fit the device gives the same bits batch by batch`() throws {
        let symbols = (0..<80_000).map { Int32($0 * $0 % 23) }
        let states = try [EmulatedDevice.inOrder, .small].map { device in
            let engine = try device.engine(Self.architecture, EngineConformance.parameters(of: Self.architecture))
            for number in 1...2 { try engine.submit(step(number), of: SymbolText(symbols)) }
            let scorer = try engine.makeScorer(streams: 2)
            let nats = try scorer.score(SymbolText(symbols), starts: [5, 70_000], length: 9)
            return (try engine.snapshot(), nats)
        }
        #expect(states[0].0 == states[1].0)
        #expect(states[0].1 == states[1].1)
    }

    @Test func `what does not fit the device is refused in bytes before anything is done`() throws {
        let wide = Architecture(cell: .lstm, vocabularySize: 23, hiddenSize: 64, layerCount: 1)
        let tested = ConformanceCase(wide, batchSize: 40, sequenceLength: 25)
        let engine = try EmulatedDevice.small.engine(wide, EngineConformance.parameters(of: wide))
        let error = #expect(throws: EngineError.self) { try engine.submit(tested.step(1), of: tested.text) }
        #expect(error?.code == .deviceFailed)
        #expect(error?.description.contains("of 1048576 are free") == true)
        let predicted = CUDAEngine.predictedBytes(
            wide, batchSize: 40, sequenceLength: 25, precision: .fp32, multiprocessors: 4)
        #expect(predicted > 1 << 20)
    }

    @Test func `what dropout keeps counts in the memory of a step`() {
        func bytes(_ drop: (inout Architecture) -> Void) -> Int {
            var architecture = Architecture(
                cell: .lstm, vocabularySize: 20, embeddingSize: 64, hiddenSize: 32, layerCount: 2)
            drop(&architecture)
            return TrainingWorkspace.bytes(
                Sizes(NetworkPlan(architecture), .fp16, streams: 30, steps: 40), multiprocessors: 4)
        }
        let (none, rows) = (bytes { _ in }, 30 * 40)
        #expect(bytes { $0.dropoutOutput = 0.5 } == none + 2 * rows * 32)
        // What is read of the embedding, its gradient, and the packed weights; instead of the table's gradient.
        #expect(bytes { $0.dropoutInput = 0.5 } > none + 6 * rows * 64 - 4 * 20 * 128)
    }

    @Test func `absurd sizes have a predicted memory that nothing has`() {
        let more = Architecture(cell: .lstm, vocabularySize: .max, hiddenSize: .max, layerCount: .max)
        let bytes = CUDAEngine.predictedBytes(
            more, batchSize: .max, sequenceLength: .max, precision: .fp16, multiprocessors: 132)
        #expect(bytes == .max)
    }

    private func engine(_ precision: CUDAEngine.Precision) throws -> CUDAEngine {
        try EmulatedDevice.inOrder.engine(
            Self.architecture, EngineConformance.parameters(of: Self.architecture), precision)
    }

    private var text: SymbolText { Self.tested.text }
    private func step(_ number: Int) -> TrainingStep { Self.tested.step(number) }
}
