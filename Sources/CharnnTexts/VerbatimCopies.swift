/// What a text that a model wrote has in common, word for word, with the text that it learned from.
public struct VerbatimCopies: Sendable, Equatable {
    /// A passage that stands in both.
    public struct Copy: Sendable, Equatable {
        /// Where it begins in the written text, in characters from 0.
        public var start: Int
        /// Its length in characters.
        public var length: Int
        /// Where it first stands in the searched text, in characters from 0.
        public var place: Int
        /// How often it stands there.
        public var occurrences: Int

        public init(start: Int, length: Int, place: Int, occurrences: Int) {
            self.start = start
            self.length = length
            self.place = place
            self.occurrences = occurrences
        }
    }

    /// From this length on a passage counts as recited: in ordinary prose passages of fifty characters hardly ever
    /// repeat by themselves.
    public static let recited = 50
    /// The most occurrences among which the first in the text is looked for.
    private static let mostCompared = 10_000

    /// The longest passages that do not overlap, the longest first.
    public var longest: [Copy]
    /// Characters that were looked at.
    public var characters: Int
    /// Of them, those inside a passage of ``recited`` characters or more.
    public var recitedCharacters: Int

    /// - Parameters:
    ///   - written: The written text in the vocabulary of the other; -1 for what that lacks.
    ///   - from: Where the model's own writing begins, behind a prompt.
    ///   - count: The most passages that are kept.
    public init(of written: [Int32], from first: Int = 0, in suffixes: SuffixArray, count: Int = 5) {
        var candidates: [(copy: Copy, places: Range<Int>)] = []
        var isRecited = [Bool](repeating: false, count: written.count)
        var lastEnd = first
        for start in first..<max(first, written.count) {
            let (length, places) = suffixes.longestMatch(of: written, from: start)
            // A passage that ends where the one before ended is its tail.
            guard length > 0, start + length > lastEnd else { continue }
            lastEnd = start + length
            candidates.append((Copy(start: start, length: length, place: 0, occurrences: places.count), places))
            if length >= Self.recited { for i in start..<(start + length) { isRecited[i] = true } }
        }
        candidates.sort { ($1.copy.length, $0.copy.start) < ($0.copy.length, $1.copy.start) }
        longest = []
        for (copy, places) in candidates where longest.count < count {
            guard !longest.contains(where: { $0.overlaps(copy) }) else { continue }
            var found = copy
            found.place = places.prefix(Self.mostCompared).map { Int(suffixes.order[$0]) }.min() ?? 0
            longest.append(found)
        }
        characters = max(0, written.count - first)
        recitedCharacters = isRecited.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
}

extension VerbatimCopies.Copy {
    fileprivate func overlaps(_ other: Self) -> Bool {
        start < other.start + other.length && other.start < start + length
    }
}
