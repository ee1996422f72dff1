public import CharnnEngine
import CharnnWords

/// The negative log-likelihood of a text under a model.
public struct EvaluationScore: Hashable, Sendable {
    /// Summed over all predicted characters, nats.
    public var nats: Double
    /// The number of predicted characters.
    public var count: Int
    /// `[2, temperatures]`, nats: the first half of the text and the second, at the further temperatures that were asked
    /// for.
    public var halves: [[Double]] = [[], []]

    public init(nats: Double, count: Int) {
        self.nats = nats
        self.count = count
    }

    /// What follows of a score at ``TemperatureFit/nodes``; nil: of another one, or of a text that is too short for it.
    public var fit: TemperatureFit? {
        guard count >= TemperatureFit.leastCharacters, halves[0].count == TemperatureFit.nodes.count else { return nil }
        return TemperatureFit(halves: halves)
    }

    /// Nats a character.
    public var loss: Double { nats / Double(count) }
    /// ``loss`` divided by ln 2.
    public var bitsPerCharacter: Double { bits(loss) }
}

/// Scores a text from a zero state, predicting every character but the first once.
///
/// A long text is cut into pieces that are scored side by side. All pieces but the first begin with characters that
/// only warm the state up and are scored by the piece before. The cut depends on the text's length alone.
public struct Evaluator {
    /// Characters that warm a piece's state up.
    static let warmup = 256
    /// The most pieces.
    static let mostPieces = 64
    /// Steps between two questions whether to stop.
    static let chunk = 64

    private let text: SymbolText
    private let range: Range<Int>
    private let leftOut: PositionSet?
    /// How many characters are predicted.
    public let count: Int

    /// - Parameters:
    ///   - range: The positions of `text` that are read; all but the first are predicted.
    ///   - leftOut: Those that are only read: how well they are predicted does not count.
    public init(_ text: SymbolText, range: Range<Int>, leavingOut leftOut: PositionSet? = nil) {
        self.text = text
        self.range = range
        self.leftOut = leftOut
        let predicted = range.dropFirst()
        count = predicted.count - (leftOut?.count(in: predicted) ?? 0)
    }

    /// How many pieces side by side a text of `count` predictions is cut into.
    static func pieces(count: Int) -> Int {
        // A piece of less than four times its warm-up costs more than it saves.
        max(1, min(mostPieces, (count - warmup) / (4 * warmup)))
    }

    /// How the text is cut: piece k begins at k·own and reads warm-up + own characters; the first is scored on all of
    /// them. What does not divide evenly is read by the last piece alone, while the others run on unscored.
    private var cut: (pieces: Int, warm: Int, own: Int, rest: Int) {
        let all = range.count - 1
        let pieces = Self.pieces(count: all)
        let warm = pieces == 1 ? 0 : Self.warmup
        let own = (all - warm) / pieces
        return (pieces, warm, own, all - warm - own * pieces)
    }

    /// How often it is asked whether to stop, where no character is left out.
    public var chunkCount: Int {
        let (_, warm, own, rest) = cut
        return [warm, own, rest].reduce(0) { $0 + ($1 + Self.chunk - 1) / Self.chunk }
    }

    /// Gets the logarithm of what each character that counts had for a probability, in no order of places.
    public struct Observer {
        let temperature: Double
        let note: (_ position: Int, _ logarithm: Float) -> Void

        /// - Parameter temperature: At which the probabilities are taken.
        public init(at temperature: Double, _ note: @escaping (_ position: Int, _ logarithm: Float) -> Void) {
            (self.temperature, self.note) = (temperature, note)
        }
    }

    /// Scores the text.
    ///
    /// - Parameters:
    ///   - temperatures: Others beside 1 at which it is scored as well.
    ///   - observer: Told of each character by itself; nil: nobody is.
    ///   - shouldStop: Asked about every `chunk` time steps.
    /// - Returns: nil if it was stopped, or if there is nothing to predict.
    public func score(
        with engine: any Engine, temperatures: [Double] = [], observer: Observer? = nil,
        shouldStop: () -> Bool = { false }
    ) throws(EngineError) -> EvaluationScore? {
        guard count > 0 else { return nil }
        let (pieces, warm, own, rest) = cut
        let scorer = try engine.makeScorer(streams: pieces)
        scorer.reset()
        var score = EvaluationScore(nats: 0, count: count)
        score.halves = [[Double]](repeating: [Double](repeating: 0, count: temperatures.count), count: 2)
        let middle = range.lowerBound + range.count / 2
        // A scorer tells of each character at the first of its temperatures.
        let all = (observer.map { [$0.temperature] } ?? []) + [1] + temperatures
        let atOne = all.count - temperatures.count - 1
        var position = 0
        for (length, scored) in [(warm, 0..<min(1, pieces)), (own, 0..<pieces), (rest, (pieces - 1)..<pieces)] {
            var left = length
            while left > 0 {
                if shouldStop() { return nil }
                let starts = (0..<pieces).map { range.lowerBound + $0 * own + position }
                let now = run(of: scored, starts, atMost: min(left, Self.chunk))
                let counted = scored.filter { leftOut?.contains(starts[$0] + 1) != true }
                var time = 0
                let sums = try scorer.score(
                    text, starts: starts, length: now, temperatures: all,
                    observe: observer.map { observer in
                        { logarithms in
                            for first in stride(from: 0, to: logarithms.count, by: pieces) {
                                time += 1
                                for piece in counted { observer.note(starts[piece] + time, logarithms[first + piece]) }
                            }
                        }
                    })
                for piece in counted {
                    score.nats += sums[atOne][piece]
                    let half = starts[piece] < middle ? 0 : 1
                    for index in temperatures.indices { score.halves[half][index] += sums[atOne + 1 + index][piece] }
                }
                position += now
                left -= now
            }
        }
        return score
    }

    /// How many steps can be scored together: up to one after which a character is left out, which is one by itself.
    private func run(of pieces: Range<Int>, _ starts: [Int], atMost limit: Int) -> Int {
        guard let leftOut else { return limit }
        let next = (0..<limit).first { step in pieces.contains { leftOut.contains(starts[$0] + step + 1) } }
        return max(1, next ?? limit)
    }
}
