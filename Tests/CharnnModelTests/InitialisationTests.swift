import CharnnEngine
import CharnnModel
import Testing

@Suite struct InitialisationTests {
    private let architecture = Architecture(
        cell: .lstm, vocabularySize: 100, embeddingSize: 80, hiddenSize: 64, layerCount: 2)

    private func moments(_ role: ParameterRole) -> (mean: Double, variance: Double, largest: Double) {
        let values = Initialisation.parameters(of: architecture, seed: 1)[ParameterLayout(architecture)[role].range]
            .map(Double.init)
        let mean = values.reduce(0, +) / Double(values.count)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
        return (mean, variance, values.map(abs).max() ?? 0)
    }

    @Test func `the embedding is standard normal`() {
        let found = moments(.embedding)
        #expect(abs(found.mean) < 0.05 && abs(found.variance - 1) < 0.05 && found.largest > 3)
    }

    @Test(arguments: [
        ParameterRole.inputWeight(layer: 0), .recurrentWeight(layer: 1), .inputBias(layer: 1), .headWeight,
    ])
    func `all else is uniform within one over the root of the hidden size`(role: ParameterRole) {
        let found = moments(role)
        let bound = 1.0 / 8
        #expect(found.largest <= bound && found.largest > 0.95 * bound)
        #expect(abs(found.variance / (bound * bound / 3) - 1) < 0.15)
    }

    @Test func `a forget bias is added to the input biases of an LSTM's forget gates, and to nothing else`() {
        let layout = ParameterLayout(architecture)
        let (plain, raised) = (
            Initialisation.parameters(of: architecture, seed: 1),
            Initialisation.parameters(of: architecture, seed: 1, forgetBias: 1.5)
        )
        let places = (0..<2).flatMap { layer in
            let bias = layout[.inputBias(layer: layer)].offset
            return Array(bias + 64..<bias + 128)
        }
        #expect(zip(plain, raised).enumerated().filter { $1.0 != $1.1 }.map(\.offset) == places)
        #expect(places.allSatisfy { raised[$0] == plain[$0] + 1.5 })

        let other = Architecture(cell: .gru, vocabularySize: 5, hiddenSize: 4, layerCount: 1)
        #expect(
            Initialisation.parameters(of: other, seed: 1)
                == Initialisation.parameters(of: other, seed: 1, forgetBias: 1))
    }

    @Test func `a seed gives the same weights and another seed others`() {
        let one = Initialisation.parameters(of: architecture, seed: 1)
        #expect(one == Initialisation.parameters(of: architecture, seed: 1))
        #expect(one != Initialisation.parameters(of: architecture, seed: 2))
    }
}
