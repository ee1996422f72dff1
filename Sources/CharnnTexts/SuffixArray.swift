/// All suffixes of a text in ascending order, made by induced sorting (SA-IS): linear time, a few seconds for ten
/// million symbols.
///
/// Memory while it is made: about 17 bytes a symbol; afterwards 4, beside the text.
public struct SuffixArray: Sendable {
    /// The text; symbols from 0.
    public let text: [Int32]
    /// Where each suffix begins, in the suffixes' order.
    public let order: [Int32]

    /// - Parameters:
    ///   - text: Fewer than 2³¹ symbols, each from 0 up to, not including, `alphabet`.
    /// - Complexity: O(count + alphabet)
    public init(_ text: [Int32], alphabet: Int) {
        self.text = text
        order = InducedSorting.suffixes(of: text, largest: Int32(max(0, alphabet - 1)))
    }

    /// The lengths of the common prefixes of neighbours, cut at 255: `[0]` is 0, `[i]` that of suffixes `i - 1` and
    /// `i` of ``order``.
    ///
    /// - Complexity: O(count), by Kasai's algorithm.
    public func commonPrefixes() -> [UInt8] {
        var rank = [Int32](repeating: 0, count: text.count)
        for (place, start) in order.enumerated() { rank[Int(start)] = Int32(place) }
        var prefixes = [UInt8](repeating: 0, count: text.count)
        var length = 0
        for start in text.indices {
            let place = Int(rank[start])
            guard place > 0 else {
                length = 0
                continue
            }
            let other = Int(order[place - 1])
            while max(start, other) + length < text.count, text[start + length] == text[other + length] { length += 1 }
            prefixes[place] = UInt8(min(length, 255))
            length = max(0, length - 1)
        }
        return prefixes
    }

    /// The longest prefix of `pattern[from...]` that occurs in the text, and where.
    ///
    /// - Returns: Its length, and the range of ``order`` of the suffixes that begin with it; empty for length 0.
    /// - Complexity: O(length · log count)
    func longestMatch(of pattern: [Int32], from start: Int) -> (length: Int, places: Range<Int>) {
        // The suffixes that begin with the pattern so far lie side by side; each symbol narrows them down.
        var places = 0..<order.count
        var length = 0
        while start + length < pattern.count, !places.isEmpty {
            let symbol = pattern[start + length]
            let narrowed = narrow(places, at: length, to: symbol)
            guard !narrowed.isEmpty else { break }
            places = narrowed
            length += 1
            // One suffix is left: the rest is compared symbol by symbol.
            if places.count == 1 {
                let place = Int(order[places.lowerBound])
                while start + length < pattern.count, place + length < text.count,
                    text[place + length] == pattern[start + length]
                {
                    length += 1
                }
                break
            }
        }
        return (length, length > 0 ? places : 0..<0)
    }

    /// Of suffixes that agree in their first `depth` symbols those whose next one is `symbol`.
    private func narrow(_ places: Range<Int>, at depth: Int, to symbol: Int32) -> Range<Int> {
        func next(_ place: Int) -> Int32 {
            let position = Int(order[place]) + depth
            return position < text.count ? text[position] : -1
        }
        func first(in places: Range<Int>, where isFound: (Int32) -> Bool) -> Int {
            var (low, high) = (places.lowerBound, places.upperBound)
            while low < high {
                let middle = low + (high - low) / 2
                if isFound(next(middle)) { high = middle } else { low = middle + 1 }
            }
            return low
        }
        let low = first(in: places) { $0 >= symbol }
        return low..<first(in: low..<places.upperBound) { $0 > symbol }
    }
}
