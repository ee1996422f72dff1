import CharnnEngine
import CharnnModel
import Testing

@Suite struct GeneratorTests {
    private let vocabulary = Vocabulary(codePoints: "\n abcdeé".unicodeScalars.map(\.value).sorted())!

    private func engine() throws -> any Engine {
        let architecture = Architecture(
            cell: .gru, vocabularySize: vocabulary.count, embeddingSize: 6, hiddenSize: 12, layerCount: 1)
        var parameters = Initialisation.parameters(of: architecture, seed: 5)
        for index in parameters.indices { parameters[index] *= 3 }
        return try ReferenceEngine<Float>(architecture: architecture, parameters: parameters)
    }

    private func texts(_ request: GenerationRequest, together: Int) throws -> [String] {
        let engine = try engine()
        let writer = try Generator(request, vocabulary: vocabulary, encoding: .utf8)
        var texts = [[UInt8]](repeating: [], count: request.count)
        var first = 0
        while first < request.count {
            let numbers = first..<min(first + together, request.count)
            #expect(
                try writer.write(
                    numbers, with: try engine.makePredictor(streams: numbers.count), emit: { texts[$0] += $1 }))
            first = numbers.upperBound
        }
        return texts.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func `the same seed writes the same texts whatever the count and however many at once`() throws {
        var request = GenerationRequest(prompt: "ab", length: 40, sampler: Sampler(temperature: 1), count: 5, seed: 9)
        let five = try texts(request, together: 5)
        #expect(try texts(request, together: 2) == five)
        request.count = 2
        #expect(try texts(request, together: 1) == Array(five.prefix(2)))
        #expect(Set(five).count == 5)
        request.seed = 10
        #expect(try texts(request, together: 2) != Array(five.prefix(2)))
    }

    @Test func `line ends and a byte order mark in a prompt are as the text had them`() throws {
        let plain = try texts(GenerationRequest(prompt: "ab\ncd\n", length: 30), together: 1)
        #expect(try texts(GenerationRequest(prompt: "\u{FEFF}ab\r\ncd\r\n", length: 30), together: 1) == plain)
        let stopped = try texts(GenerationRequest(prompt: "ab", length: 30, stop: "\r\n"), together: 1)
        #expect(stopped == (try texts(GenerationRequest(prompt: "ab", length: 30, stop: "\n"), together: 1)))
        // A lone return is none, and a mark within a text neither.
        for prompt in ["a\rb", "a\r", "a\u{FEFF}b"] {
            #expect(throws: ModelError.self) { try texts(GenerationRequest(prompt: prompt, length: 1), together: 1) }
        }
        // A vocabulary from elsewhere may have them.
        let other = Vocabulary(codePoints: [10, 13, 97, 0xFEFF])!
        let request = GenerationRequest(prompt: "\u{FEFF}a\r\n")
        #expect(request.codePointsOfPrompt(other, .utf8) == [0xFEFF, 97, 13, 10])
        #expect(request.codePointsOfPrompt(.bytes, .bytes) == [0xEF, 0xBB, 0xBF, 97, 13, 10])
    }

    @Test func `length counts the characters written after the prompt`() throws {
        let request = GenerationRequest(prompt: "abc", length: 17, echo: false)
        #expect(try texts(request, together: 1)[0].unicodeScalars.count == 17)
        let echoed = GenerationRequest(prompt: "abc", length: 17)
        #expect(try texts(echoed, together: 1)[0].hasPrefix("abc"))
        #expect(try texts(echoed, together: 1)[0].unicodeScalars.count == 20)
        #expect(try texts(GenerationRequest(prompt: "", length: 0), together: 1) == [""])
    }

    @Test func `writing ends behind the stop string`() throws {
        let free = try texts(GenerationRequest(length: 200, sampler: Sampler(temperature: 1)), together: 1)[0]
        let stop = String(free.dropFirst(20).prefix(2))
        let stopped = try texts(
            GenerationRequest(length: 200, sampler: Sampler(temperature: 1), stop: stop), together: 1)[0]
        #expect(stopped.hasSuffix(stop) && free.hasPrefix(stopped) && stopped.count <= 22)
    }

    @Test func `writing can be stopped at any character`() throws {
        let engine = try engine()
        let writer = try Generator(GenerationRequest(length: 100), vocabulary: vocabulary, encoding: .utf8)
        var written = 0
        let finished = try writer.write(
            0..<1, with: try engine.makePredictor(streams: 1), emit: { _, _ in written += 1 },
            shouldStop: { written >= 7 })
        #expect(!finished && written == 7)
    }

    @Test func `an unknown character in the prompt is an error unless told otherwise`() {
        #expect(throws: ModelError.self) {
            try Generator(GenerationRequest(prompt: "aXb"), vocabulary: vocabulary, encoding: .utf8)
        }
        #expect(throws: Never.self) {
            try Generator(GenerationRequest(prompt: "aXb", unknown: .skip), vocabulary: vocabulary, encoding: .utf8)
        }
    }
}
