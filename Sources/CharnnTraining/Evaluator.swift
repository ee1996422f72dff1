public import CharnnEngine

/// The negative log-likelihood of a text under a model.
public struct TextScore: Hashable, Sendable {
    /// Summed over all predicted characters, nats.
    public var nats: Double
    /// The number of predicted characters.
    public var count: Int

    public init(nats: Double, count: Int) {
        self.nats = nats
        self.count = count
    }

    /// Nats a character.
    public var loss: Double { nats / Double(count) }
    public var bitsPerCharacter: Double { loss / 0.693_147_180_559_945_3 }
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

    /// - Parameter range: The positions of `text` that are read; all but the first are predicted.
    public init(_ text: SymbolText, range: Range<Int>) {
        self.text = text
        self.range = range
    }

    /// How many pieces side by side a text of `count` predictions is cut into.
    static func pieces(count: Int) -> Int {
        // A piece of less than four times its warm-up costs more than it saves.
        max(1, min(mostPieces, (count - warmup) / (4 * warmup)))
    }

    /// Scores the text.
    ///
    /// - Parameter shouldStop: Asked about every `chunk` time steps.
    /// - Returns: nil if it was stopped, or if there is nothing to predict.
    public func score(with engine: any Engine, shouldStop: () -> Bool = { false }) throws(EngineError) -> TextScore? {
        let count = range.count - 1
        guard count > 0 else { return nil }
        let pieces = Self.pieces(count: count)
        // Piece k begins at k·own and reads warm-up + own characters; the first is scored on all of them. What does
        // not divide evenly is read by the last piece alone, while the others run on unscored.
        let warm = pieces == 1 ? 0 : Self.warmup
        let own = (count - warm) / pieces
        let rest = count - warm - own * pieces
        let scorer = try engine.makeScorer(streams: pieces)
        scorer.reset()
        var nats = 0.0
        var position = 0
        for (length, scored) in [(warm, 0..<min(1, pieces)), (own, 0..<pieces), (rest, (pieces - 1)..<pieces)] {
            var left = length
            while left > 0 {
                if shouldStop() { return nil }
                let now = min(left, Self.chunk)
                let starts = (0..<pieces).map { range.lowerBound + $0 * own + position }
                let sums = try scorer.score(text, starts: starts, length: now)
                for piece in scored { nats += sums[piece] }
                position += now
                left -= now
            }
        }
        return TextScore(nats: nats, count: count)
    }
}
