import CharnnEngine
import CharnnTestSupport
import Testing

@Suite struct ReferenceEngineTests {
    static let cells = Cell.allCases.flatMap { cell in
        (cell.hasNonlinearity ? Nonlinearity.allCases : [.tanh]).map { (cell, $0) }
    }

    @Test(arguments: cells, 1...3)
    func `gradients equal finite differences`(cell: (Cell, Nonlinearity), layers: Int) throws {
        try expectGradients(
            of: Architecture(
                cell: cell.0, nonlinearity: cell.1, vocabularySize: 5, embeddingSize: 3, hiddenSize: 4,
                layerCount: layers, dropout: 0.4))
    }

    @Test(arguments: cells, MaskSpan.allCases)
    func `gradients equal finite differences with dropout everywhere`(
        cell: (Cell, Nonlinearity), span: MaskSpan
    ) throws {
        for (layers, embedding) in [(1, 3), (2, 4), (3, 5)] {
            try expectGradients(
                of: Architecture(
                    cell: cell.0, nonlinearity: cell.1, vocabularySize: 5, embeddingSize: embedding, hiddenSize: 4,
                    layerCount: layers, dropout: 0.4, dropoutInput: 0.3, dropoutOutput: 0.25, dropoutMask: span))
        }
    }

    private func expectGradients(of architecture: Architecture) throws {
        let parameters = EngineConformance.parameters(of: architecture).map { Double($0) * 2 }
        let text = EngineConformance.text(vocabularySize: 5)
        let engine = try ReferenceEngine(architecture: architecture, parameters: parameters)
        // A step that moves nothing leaves a state that is not zero.
        try engine.submit(step(1, resetsState: true), of: text)
        let (_, gradient) = try engine.lossAndGradientInFullPrecision(of: step(2, resetsState: false), of: text)

        func loss(_ index: Int, _ change: Double) throws -> Double {
            var moved = parameters
            moved[index] += change
            try engine.setParameters(moved)
            return try engine.lossAndGradientInFullPrecision(of: step(2, resetsState: false), of: text).loss
        }
        let h = 1e-4
        var differences = 0.0
        var size = 0.0
        for index in parameters.indices {
            // Of fourth order, so that rounding and truncation are both far below 1e-6 of the gradient.
            let near = try loss(index, h) - loss(index, -h)
            let far = try loss(index, 2 * h) - loss(index, -2 * h)
            let estimate = (8 * near - far) / (12 * h)
            differences += (estimate - gradient[index]) * (estimate - gradient[index])
            size += gradient[index] * gradient[index]
        }
        #expect(size > 1e-6)
        #expect(differences.squareRoot() <= 1e-6 * size.squareRoot())
    }

    @Test(arguments: ConformanceCase.all)
    func `single precision agrees with double precision`(tested: ConformanceCase) throws {
        let differences = try EngineConformance.differences(of: tested, tolerance: 1e-4) {
            try ReferenceEngine<Float>($0, parameters: $1)
        }
        #expect(differences == [])
    }

    @Test func `a step that is not finite changes nothing, nor do those after it`() throws {
        let architecture = Architecture(cell: .gru, vocabularySize: 5, hiddenSize: 4, layerCount: 1)
        var parameters = EngineConformance.parameters(of: architecture).map { Double($0) }
        let engine = try ReferenceEngine(architecture: architecture, parameters: parameters)
        let text = EngineConformance.text(vocabularySize: 5)
        parameters[ParameterLayout(architecture)[.headBias].offset] = .nan
        try engine.setParameters(parameters)
        try engine.submit(step(1, resetsState: true), of: text)
        try engine.setParameters(parameters.map { $0.isNaN ? 0 : $0 })
        let before = try engine.snapshot()
        try engine.submit(step(2, resetsState: true), of: text)
        let (outcomes, after) = (try engine.drain(), try engine.snapshot())
        #expect(outcomes.map(\.applied) == [false, false])
        #expect(after == before)
    }

    private func step(_ number: Int, resetsState: Bool) -> TrainingStep {
        TrainingStep(
            number: number, starts: [3, 40], sequenceLength: 4, resetsState: resetsState,
            optimizer: OptimizerStep(Optimizer(.sgd), learningRate: 0, updateNumber: number), seed: 99)
    }
}
