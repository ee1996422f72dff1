/// A set of places in a text, a bit each.
public struct PositionSet: Sendable, Equatable {
    private var words: [UInt64] = []

    public init() {}

    /// Memory grows up to the highest place that was put in, an eighth of a byte for each.
    ///
    /// - Parameter position: From 0.
    public mutating func insert(_ position: Int) {
        let word = position / 64
        if word >= words.count { words += [UInt64](repeating: 0, count: word + 1 - words.count) }
        words[word] |= 1 << UInt64(position % 64)
    }

    /// False also for places beyond all that were put in.
    public func contains(_ position: Int) -> Bool {
        let word = position / 64
        return word < words.count && words[word] >> UInt64(position % 64) & 1 == 1
    }

    /// How many of some places are in the set.
    public func count(in range: Range<Int>) -> Int { range.count { contains($0) } }
}
