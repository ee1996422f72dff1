import CharnnEngine
import Glibc

/// Draws symbols from logits.
public struct Sampler: Sendable, Equatable {
    /// Divides the logits; 0: always the likeliest symbol.
    public var temperature: Double
    /// Only the so many likeliest symbols; 0: all.
    public var topK: Int
    /// Only the likeliest symbols that together reach this probability, at least one; 1: all.
    public var topP: Double

    /// - Parameters:
    ///   - temperature: From 0.
    ///   - topK: From 0.
    ///   - topP: Above 0, up to 1. Where both are given top-k comes first, and top-p is a part of what that leaves.
    public init(temperature: Double, topK: Int = 0, topP: Double = 1) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
    }

    /// Memory that is used again from one draw to the next.
    public struct Scratch {
        var weights: [Double] = []
        var order: [Int] = []
        /// Empty; it grows to the size of the vocabulary at the first draw.
        public init() {}
    }

    /// Draws one symbol.
    ///
    /// - Parameters:
    ///   - logits: `[V]`, unnormalised log-probabilities, all finite.
    ///   - uniform: A number uniform in `[0, 1)`; the same one draws the same symbol.
    /// - Returns: An index into `logits`.
    /// - Complexity: O(V), with top-k or top-p O(V log V).
    public func sample(_ logits: ArraySlice<Float>, uniform: Double, scratch: inout Scratch) -> Int {
        let first = logits.startIndex
        var best = 0
        for i in 0..<logits.count where logits[first + i] > logits[first + best] { best = i }
        guard temperature > 0 else { return best }

        // Subtracting the largest logit keeps exp from overflowing: every weight is in 0...1.
        let largest = Double(logits[first + best])
        scratch.weights.removeAll(keepingCapacity: true)
        for logit in logits { scratch.weights.append(exp((Double(logit) - largest) / temperature)) }
        if (topK > 0 && topK < logits.count) || topP < 1 { restrict(&scratch) }

        let total = scratch.weights.reduce(0, +)
        var left = uniform * total
        for (i, weight) in scratch.weights.enumerated() where weight > 0 {
            left -= weight
            if left < 0 { return i }
        }
        // Rounding can leave a sliver behind the last symbol.
        return best
    }

    /// Sets the weights of all symbols that top-k and top-p exclude to zero.
    private func restrict(_ scratch: inout Scratch) {
        let weights = scratch.weights
        scratch.order = Array(weights.indices)
        // Equal weights keep index order, so that the choice does not depend on the sort.
        scratch.order.sort { weights[$0] != weights[$1] ? weights[$0] > weights[$1] : $0 < $1 }
        var kept = topK > 0 ? min(topK, weights.count) : weights.count
        if topP < 1 {
            let total = scratch.order.prefix(kept).reduce(0) { $0 + weights[$1] }
            var sum = 0.0
            for (rank, index) in scratch.order.prefix(kept).enumerated() {
                sum += weights[index]
                if sum >= topP * total {
                    kept = rank + 1
                    break
                }
            }
        }
        for index in scratch.order.dropFirst(kept) { scratch.weights[index] = 0 }
    }
}
