public import CharnnEngine

/// What is to be written.
public struct GenerationRequest: Sendable, Equatable {
    /// The prime text; empty: a newline is read and not echoed.
    public var prompt: String
    /// Characters written after the prompt, at most.
    public var length: Int
    /// The same for each character of each text.
    public var sampler: Sampler
    /// Texts of the same prompt, each with random numbers of its own.
    public var count: Int
    /// Keys the random numbers of all texts together; text `n` is the same whatever ``count`` is.
    public var seed: UInt64
    /// Writing ends behind this string.
    public var stop: String?
    /// Whether the prompt stands before the text.
    public var echo: Bool
    /// What becomes of characters of the prompt that the vocabulary lacks. A stop string that has any never occurs.
    public var unknown: UnknownPolicy
    /// What stands for ``prompt`` and ``stop`` in a model that learned bytes, where it is not their UTF-8.
    public var promptBytes: [UInt8]?
    /// nil: the UTF-8 of ``stop``, as ``promptBytes`` is that of the prompt.
    public var stopBytes: [UInt8]?
    /// Symbols that are read before the prompt and never echoed; where there are any, a prompt may be empty.
    public var primer: [Int32] = []

    public init(
        prompt: String = "", length: Int = 1000, sampler: Sampler = Sampler(temperature: 0.8), count: Int = 1,
        seed: UInt64 = 1, stop: String? = nil, echo: Bool = true, unknown: UnknownPolicy = .error
    ) {
        self.prompt = prompt
        self.length = length
        self.sampler = sampler
        self.count = count
        self.seed = seed
        self.stop = stop
        self.echo = echo
        self.unknown = unknown
    }
}

extension GenerationRequest {
    /// The prime text in the characters of a vocabulary.
    public func codePointsOfPrompt(_ vocabulary: Vocabulary, _ encoding: TextEncoding) -> [UInt32] {
        Self.codePoints(prompt, promptBytes, vocabulary, encoding)
    }

    /// The same of ``stop``; nothing where there is none.
    public func codePointsOfStop(_ vocabulary: Vocabulary, _ encoding: TextEncoding) -> [UInt32] {
        Self.codePoints(stop ?? "", stopBytes, vocabulary, encoding)
    }

    /// As the text was changed that the vocabulary comes from: without a byte order mark in front, and with line ends of
    /// one character. Where a vocabulary from elsewhere has those characters they stay.
    private static func codePoints(
        _ text: String, _ bytes: [UInt8]?, _ vocabulary: Vocabulary, _ encoding: TextEncoding
    ) -> [UInt32] {
        guard encoding != .bytes else { return bytes.map { $0.map(UInt32.init) } ?? encoding.codePoints(of: text) }
        var points = encoding.codePoints(of: text)[...]
        if points.first == 0xFEFF, vocabulary.index(of: 0xFEFF) == nil { points = points.dropFirst() }
        guard vocabulary.index(of: 13) == nil else { return Array(points) }
        return points.indices.filter { points[$0] != 13 || $0 + 1 == points.endIndex || points[$0 + 1] != 10 }
            .map { points[$0] }
    }
}

/// Writes texts with a model, several side by side.
///
/// Text `n` (from 0) draws its random numbers from the request's seed, `n` and the place in the text alone, so that
/// it is the same whatever the count and however many are written at once.
public struct Generator {
    private let vocabulary: Vocabulary
    private let encoding: TextEncoding
    private let request: GenerationRequest
    private let prompt: [Int32]
    private let stop: [Int32]?
    /// What the vocabulary lacks in the prompt: place (from 0) and code point.
    public let unknown: [(position: Int, codePoint: UInt32)]

    /// - Throws: ``ModelError`` if the prompt has unknown characters and the policy is `error`.
    public init(_ request: GenerationRequest, vocabulary: Vocabulary, encoding: TextEncoding) throws(ModelError) {
        self.vocabulary = vocabulary
        self.encoding = encoding
        self.request = request
        let encoded = try vocabulary.encode(
            request.codePointsOfPrompt(vocabulary, encoding), unknown: request.unknown)
        unknown = encoded.unknown
        // A prompt that is empty, or empty once unknown characters were skipped, begins as after a line's end.
        let begin = request.primer.isEmpty ? [vocabulary.index(of: 10) ?? vocabulary.replacement] : []
        prompt = request.primer + (encoded.symbols.isEmpty ? begin : encoded.symbols)
        echoed = encoded.symbols
        // A stop string with unknown characters never occurs.
        let symbols = request.codePointsOfStop(vocabulary, encoding).map { vocabulary.index(of: $0) }
        if !symbols.isEmpty {
            stop = symbols.contains(nil) ? nil : symbols.compactMap(\.self)
        } else {
            stop = nil
        }
    }

    private let echoed: [Int32]

    /// Writes the texts `numbers` (each from 0), as many side by side as `predictor` has streams.
    ///
    /// - Parameters:
    ///   - emit: Takes the bytes of a text as they come: its number, and some bytes, never half a character.
    ///   - shouldStop: Asked before each character; when true, writing ends at once.
    /// - Returns: False if it was stopped.
    public func write(
        _ numbers: Range<Int>, with predictor: any Predictor,
        emit: (_ text: Int, _ bytes: [UInt8]) throws -> Void, shouldStop: () -> Bool = { false }
    ) throws -> Bool {
        precondition(predictor.streams == numbers.count)
        let size = vocabulary.count
        var logits = [Float](repeating: 0, count: numbers.count * size)
        predictor.reset()
        for symbol in prompt {
            if shouldStop() { return false }
            try predictor.advance([Int32](repeating: symbol, count: numbers.count), logits: &logits)
        }
        var bytes: [UInt8] = []
        if request.echo, !echoed.isEmpty {
            for symbol in echoed { encoding.append(vocabulary.codePoints[Int(symbol)], to: &bytes) }
            for number in numbers { try emit(number, bytes) }
        }

        let random = Philox(key: request.seed)
        var symbols = [Int32](repeating: 0, count: numbers.count)
        var finished = [Bool](repeating: false, count: numbers.count)
        var tails = [[Int32]](repeating: [], count: numbers.count)
        var scratch = Sampler.Scratch()
        for position in 0..<request.length {
            if shouldStop() { return false }
            for (stream, number) in numbers.enumerated() where !finished[stream] {
                let uniform = random.uniform(
                    .sampling, stream: UInt32(truncatingIfNeeded: number), index: UInt64(position))
                let chosen = request.sampler.sample(
                    logits[(stream * size)..<((stream + 1) * size)], uniform: uniform, scratch: &scratch)
                symbols[stream] = Int32(chosen)
                bytes.removeAll(keepingCapacity: true)
                encoding.append(vocabulary.codePoints[chosen], to: &bytes)
                try emit(number, bytes)
                if let stop {
                    tails[stream].append(Int32(chosen))
                    if tails[stream].count > stop.count { tails[stream].removeFirst() }
                    finished[stream] = tails[stream] == stop
                }
            }
            if position + 1 == request.length || finished.allSatisfy(\.self) { break }
            try predictor.advance(symbols, logits: &logits)
        }
        return true
    }
}
