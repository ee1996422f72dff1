internal import Glibc

/// How well an n-gram model with backoff predicts the validation text that a network is measured on.
///
/// Interpolation with absolute discounting (Ney, Essen and Kneser), a proper distribution at each order: with `n(h)` the
/// occurrences of the context `h` in the training text, `n(hc)` those followed by `c`, `t(h)` the number of different
/// followers, and `h'` the context without its first character,
///
///     p(c | h) = (max(n(hc) - d, 0) + d · t(h) · p(c | h')) / n(h),    p(c | h) = p(c | h') where n(h) = 0,
///
/// and below order 0 all characters are equally likely. The discount of an order is `d = n₁ / (n₁ + 2 n₂)`, of the numbers
/// of n-grams that occur once and twice in the training text; ½ where it has none of either. No table of n-grams is built: in a suffix array the occurrences
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
    private static func refine(
        _ probabilities: inout [Double], order: Int, _ suffixes: SuffixArray, _ prefixes: [UInt8],
        training: Range<Int>, validation: Range<Int>
    ) {
        let pass = Pass(
            order: order, places: suffixes.order, prefixes: prefixes, training: training, validation: validation)
        let discount = pass.discount()
        pass.forEachRun(in: 0..<suffixes.order.count, sharing: order) { context in
            pass.score(context, discount, &probabilities)
        }
    }

    /// One order's way over the suffix array. Suffixes that share a context lie side by side, and among them those that
    /// share what follows it.
    private struct Pass {
        let order: Int
        let places: [Int32]
        let prefixes: [UInt8]
        let training: Range<Int>
        let validation: Range<Int>

        /// Whether a suffix begins with a context of the training text and what follows there.
        private func isCounted(_ place: Int) -> Bool {
            let start = Int(places[place])
            return start >= training.lowerBound && start + order < training.upperBound
        }

        /// The index among the validation text's characters of what follows a context there; nil: nothing to predict.
        private func predicted(_ place: Int) -> Int? {
            let start = Int(places[place])
            guard start >= validation.lowerBound, start + order < validation.upperBound,
                start + order > validation.lowerBound
            else { return nil }
            return start + order - validation.lowerBound
        }

        /// The runs of suffixes that agree in their first `depth` symbols.
        func forEachRun(in range: Range<Int>, sharing depth: Int, _ body: (Range<Int>) -> Void) {
            let depth = UInt8(depth)
            var start = range.lowerBound
            while start < range.upperBound {
                var end = start + 1
                while end < range.upperBound, prefixes[end] >= depth { end += 1 }
                body(start..<end)
                start = end
            }
        }

        func discount() -> Double {
            var (once, twice) = (0, 0)
            forEachRun(in: 0..<places.count, sharing: order + 1) { run in
                var counted = 0
                for place in run where isCounted(place) { counted += 1 }
                if counted == 1 { once += 1 }
                if counted == 2 { twice += 1 }
            }
            return once > 0 && twice > 0 ? Double(once) / Double(once + 2 * twice) : 0.5
        }

        func score(_ context: Range<Int>, _ discount: Double, _ probabilities: inout [Double]) {
            var (occurrences, followers, hasPredictions) = (0, 0, false)
            forEachRun(in: context, sharing: order + 1) { run in
                var counted = 0
                for place in run {
                    if isCounted(place) { counted += 1 } else if predicted(place) != nil { hasPredictions = true }
                }
                occurrences += counted
                if counted > 0 { followers += 1 }
            }
            guard occurrences > 0, hasPredictions else { return }
            let (total, rest) = (Double(occurrences), discount * Double(followers))
            forEachRun(in: context, sharing: order + 1) { run in
                var counted = 0
                for place in run where isCounted(place) { counted += 1 }
                let own = max(Double(counted) - discount, 0)
                for place in run {
                    guard let index = predicted(place) else { continue }
                    probabilities[index] = (own + rest * probabilities[index]) / total
                }
            }
        }
    }
}
