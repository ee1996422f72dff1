import CharnnEngine
import CharnnModel
import Foundation
import Testing

@Suite struct EnsemblePredictorTests {
    private static func vocabulary(_ text: String) throws -> Vocabulary {
        try #require(Vocabulary(codePoints: text.unicodeScalars.map(\.value)))
    }

    private static func engine(_ vocabulary: Vocabulary, seed: UInt64) throws -> any Engine {
        let architecture = Architecture(
            cell: .gru, vocabularySize: vocabulary.count, embeddingSize: 6, hiddenSize: 12, layerCount: 1)
        let parameters = Initialisation.parameters(of: architecture, seed: seed).map { 3 * $0 }
        return try ReferenceEngine<Float>(architecture: architecture, parameters: parameters)
    }

    private static func probabilities(_ logits: [Float], at temperature: Double) -> [Double] {
        let weights = logits.map { exp(Double($0) / temperature) }
        return weights.map { $0 / weights.reduce(0, +) }
    }

    @Test(arguments: [1.0, 0.6]) func `what follows has the mean of the probabilities, each at the temperature`(
        temperature: Double
    ) throws {
        // The second lacks d, has e of its own, and its symbols stand in another order.
        let (first, second) = (try Self.vocabulary(" abcd"), try Self.vocabulary("ecb a"))
        let all = first.growing(by: second.codePoints)
        #expect(all.count == 6)
        let engines = [try Self.engine(first, seed: 1), try Self.engine(second, seed: 2)]
        let ensemble = EnsemblePredictor(
            [(try engines[0].makePredictor(streams: 2), first), (try engines[1].makePredictor(streams: 2), second)],
            vocabulary: all, temperature: temperature)
        let alone = try engines.map { try $0.makePredictor(streams: 2) }
        var (one, other) = ([Float](repeating: 0, count: 10), [Float](repeating: 0, count: 10))
        var found = [Float](repeating: 0, count: 12)
        for pair in ["ab", "de", "c ", "ee", "da"] {
            let points = pair.unicodeScalars.map(\.value)
            try ensemble.advance(points.compactMap(all.index), logits: &found)
            try alone[0].advance(points.map { first.index(of: $0) ?? first.replacement }, logits: &one)
            try alone[1].advance(points.map { second.index(of: $0) ?? second.replacement }, logits: &other)
            for stream in 0..<2 {
                let a = Self.probabilities(Array(one[stream * 5..<stream * 5 + 5]), at: temperature)
                let b = Self.probabilities(Array(other[stream * 5..<stream * 5 + 5]), at: temperature)
                for (symbol, point) in all.codePoints.enumerated() {
                    let wanted =
                        (first.index(of: point).map { a[Int($0)] } ?? 0)
                        + (second.index(of: point).map { b[Int($0)] } ?? 0)
                    #expect(abs(exp(Double(found[stream * 6 + symbol])) - wanted / 2) < 1e-6)
                }
            }
        }
        ensemble.reset()
        alone[0].reset()
        try ensemble.advance([0, 0], logits: &found)
        #expect(found.allSatisfy { $0.isFinite })
        #expect(throws: EngineError.self) { try ensemble.advance([0, 6], logits: &found) }
        #expect(throws: EngineError.self) { try ensemble.advance([0], logits: &found) }
    }

    @Test func `a model beside itself writes as it does alone`() throws {
        let vocabulary = try Self.vocabulary("\n abcdeé")
        let engine = try Self.engine(vocabulary, seed: 5)
        func text(_ predictor: any Predictor, _ temperature: Double) throws -> String {
            let request = GenerationRequest(
                prompt: "ab", length: 60, sampler: Sampler(temperature: temperature, topP: 0.9), seed: 3)
            var bytes: [UInt8] = []
            _ = try Generator(request, vocabulary: vocabulary, encoding: .utf8).write(0..<1, with: predictor) {
                bytes += $1
            }
            return String(decoding: bytes, as: UTF8.self)
        }
        let twice = try EnsemblePredictor(
            [(engine.makePredictor(streams: 1), vocabulary), (engine.makePredictor(streams: 1), vocabulary)],
            vocabulary: vocabulary, temperature: 0.8)
        #expect(try text(twice, 1) == text(engine.makePredictor(streams: 1), 0.8))
    }
}
