internal import Glibc

/// How well an n-gram model with backoff predicts the validation text that a network is measured on.
///
/// Witten and Bell's interpolation, a proper distribution at each order: with `n(h)` the occurrences of the context `h`
/// in the training text, `n(hc)` those followed by `c`, `t(h)` the number of different followers, and `h'` the context
/// without its first character,
///
///     p(c | h) = (n(hc) + t(h) · p(c | h')) / (n(h) + t(h)),    p(c | h) = p(c | h') where n(h) = 0,
///
/// and below order 0 all characters are equally likely. (Absolute discounting did worse on the King James Bible and on
/// Plato's Republic, by 0.05 bits.) No table of n-grams is built: in a suffix array the occurrences
/// of a context lie side by side, so that one pass an order counts and scores everything.
public struct NGramModel: Sendable, Equatable {
    /// The most characters of context that are tried.
    public static let highestOrder = 12

    /// `[k]`: bits a character with contexts of up to `k` characters.
    public let bitsPerCharacter: [Double]
    /// The characters that were predicted: all of the validation text but the first, as for the network.
    public let predicted: Int

    /// The number of context characters that does best on the validation text; choosing it there flatters the model a
    /// little.
    public var bestOrder: Int {
        bitsPerCharacter.indices.min { bitsPerCharacter[$0] < bitsPerCharacter[$1] } ?? 0
    }

    /// - Parameters:
    ///   - suffixes: Of the text that holds both parts.
    ///   - prefixes: ``SuffixArray/commonPrefixes()`` of it.
    ///   - training: What is counted.
    ///   - validation: What is predicted, from its second character on; contexts reach back to its first.
    ///   - alphabet: The number of different characters.
    /// - Returns: nil if there is nothing to predict, or if `shouldStop` said so.
    public init?(
        _ suffixes: SuffixArray, prefixes: [UInt8], training: Range<Int>, validation: Range<Int>, alphabet: Int,
        shouldStop: () -> Bool = { false }
    ) {
        guard validation.count > 1, !training.isEmpty, alphabet > 0 else { return nil }
        var probabilities = [Double](repeating: 1 / Double(alphabet), count: validation.count)
        var bits: [Double] = []
        for order in 0...Self.highestOrder {
            if shouldStop() { return nil }
            Self.refine(
                &probabilities, order: order, suffixes, prefixes, training: training, validation: validation)
            let sum = probabilities.dropFirst().reduce(0) { $0 - log2($1) }
            bits.append(sum / Double(validation.count - 1))
        }
        bitsPerCharacter = bits
        predicted = validation.count - 1
    }

    /// Takes the probability of each predicted character from one order to the next.
    static func refine(
        _ probabilities: inout [Double], order: Int, _ suffixes: SuffixArray, _ prefixes: [UInt8],
        training: Range<Int>, validation: Range<Int>
    ) {
        let (places, depth) = (suffixes.order, UInt8(order))
        var start = 0
        while start < places.count {
            // A group: suffixes that agree in `order` symbols, which are a context and what follows it.
            var end = start + 1
            while end < places.count, prefixes[end] >= depth { end += 1 }
            score(start..<end, &probabilities, order, places, prefixes, training, validation)
            start = end
        }
    }

    private static func score(
        _ group: Range<Int>, _ probabilities: inout [Double], _ order: Int, _ places: [Int32], _ prefixes: [UInt8],
        _ training: Range<Int>, _ validation: Range<Int>
    ) {
        func isCounted(_ start: Int) -> Bool { start >= training.lowerBound && start + order < training.upperBound }
        func isPredicted(_ start: Int) -> Bool {
            start >= validation.lowerBound && start + order < validation.upperBound
                && start + order > validation.lowerBound
        }
        // Order 0 has no context to agree in, and its followers are told apart by their first symbol.
        let deeper = UInt8(order + 1)
        var (occurrences, followers, predictions) = (0, 0, 0)
        forEachFollower(group, deeper, prefixes) { run in
            var counted = 0
            for place in run {
                let start = Int(places[place])
                if isCounted(start) { counted += 1 } else if isPredicted(start) { predictions += 1 }
            }
            occurrences += counted
            if counted > 0 { followers += 1 }
        }
        guard occurrences > 0, predictions > 0 else { return }
        let (weight, total) = (Double(followers), Double(occurrences + followers))
        forEachFollower(group, deeper, prefixes) { run in
            var counted = 0
            for place in run where isCounted(Int(places[place])) { counted += 1 }
            for place in run {
                let start = Int(places[place])
                guard isPredicted(start) else { continue }
                let index = start + order - validation.lowerBound
                probabilities[index] = (Double(counted) + weight * probabilities[index]) / total
            }
        }
    }

    private static func forEachFollower(
        _ group: Range<Int>, _ depth: UInt8, _ prefixes: [UInt8], _ body: (Range<Int>) -> Void
    ) {
        var start = group.lowerBound
        while start < group.upperBound {
            var end = start + 1
            while end < group.upperBound, prefixes[end] >= depth { end += 1 }
            body(start..<end)
            start = end
        }
    }
}
