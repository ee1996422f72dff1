import CharnnModel
import Testing

@Suite struct SamplerTests {
    private func frequencies(_ sampler: Sampler, _ logits: [Float], draws: Int = 20_000) -> [Double] {
        var scratch = Sampler.Scratch()
        var counts = [Double](repeating: 0, count: logits.count)
        for draw in 0..<draws {
            let uniform = (Double(draw) + 0.5) / Double(draws)
            counts[sampler.sample(logits[...], uniform: uniform, scratch: &scratch)] += 1
        }
        return counts.map { $0 / Double(draws) }
    }

    @Test func `symbols come as often as the softmax of the logits says`() {
        // softmax(ln 1, ln 2, ln 5) = 1/8, 2/8, 5/8.
        let found = frequencies(Sampler(temperature: 1), [0, 0.693147, 1.609438])
        for (one, other) in zip(found, [0.125, 0.25, 0.625]) { #expect(abs(one - other) < 1e-3) }
    }

    @Test func `a temperature divides the logits`() {
        // At temperature 0.5 the weights are squared: 1, 4, 25.
        let found = frequencies(Sampler(temperature: 0.5), [0, 0.693147, 1.609438])
        for (one, other) in zip(found, [1.0 / 30, 4.0 / 30, 25.0 / 30]) { #expect(abs(one - other) < 1e-3) }
    }

    @Test func `temperature zero always takes the likeliest symbol, the first of equals`() {
        var scratch = Sampler.Scratch()
        for uniform in [0, 0.5, 0.999] {
            #expect(
                Sampler(temperature: 0).sample([1, 3, 3, 2] as ArraySlice, uniform: uniform, scratch: &scratch) == 1)
        }
    }

    @Test func `top-k leaves the k likeliest and top-p the fewest that reach p`() {
        let logits: [Float] = [0, 0.693147, 1.609438]
        #expect(frequencies(Sampler(temperature: 1, topK: 1), logits) == [0, 0, 1])
        let two = frequencies(Sampler(temperature: 1, topK: 2), logits)
        #expect(two[0] == 0 && abs(two[1] - 2.0 / 7) < 1e-3)
        #expect(frequencies(Sampler(temperature: 1, topP: 0.6), logits) == [0, 0, 1])
        #expect(frequencies(Sampler(temperature: 1, topP: 0.7), logits)[0] == 0)
    }

    @Test func `logits as large as floats get still give a symbol`() {
        var scratch = Sampler.Scratch()
        let logits: [Float] = [-.greatestFiniteMagnitude, .greatestFiniteMagnitude, 0]
        #expect(Sampler(temperature: 0.01).sample(logits[...], uniform: 0.99, scratch: &scratch) == 1)
    }
}
