public import CharnnEngine
import Glibc

/// Several models as one: what follows has the mean of their probabilities.
///
/// It reads and writes symbols of a vocabulary that has those of all; a model reads another's as what stands for unknown
/// characters, and gives them the probability 0.
public final class EnsemblePredictor: Predictor {
    private struct Member {
        let predictor: any Predictor
        /// `[symbol]`: its own symbol for one of the whole vocabulary.
        let own: [Int32?]
        let replacement: Int32
        var logits: [Float]
        let size: Int
    }

    private var members: [Member]
    private let size: Int
    private let temperature: Double
    public let streams: Int

    /// - Parameters:
    ///   - members: At least one, all of the same number of streams.
    ///   - vocabulary: Of all of them.
    ///   - temperature: By which each divides its logits, above 0.
    public init(
        _ members: [(predictor: any Predictor, vocabulary: Vocabulary)], vocabulary: Vocabulary, temperature: Double
    ) {
        streams = members[0].predictor.streams
        (size, self.temperature) = (vocabulary.count, temperature)
        self.members = members.map { member in
            Member(
                predictor: member.predictor, own: vocabulary.codePoints.map { member.vocabulary.index(of: $0) },
                replacement: member.vocabulary.replacement,
                logits: [Float](repeating: 0, count: member.predictor.streams * member.vocabulary.count),
                size: member.vocabulary.count)
        }
    }

    public func reset() { for member in members { member.predictor.reset() } }

    /// What it writes are logarithms of probabilities, at the temperature that it was made with.
    public func advance(_ symbols: [Int32], logits: inout [Float]) throws(EngineError) {
        guard symbols.count == streams, logits.count == streams * size,
            symbols.allSatisfy({ $0 >= 0 && $0 < size })
        else {
            throw EngineError(.mismatch, "The symbols or logits do not fit \(streams) streams and \(size) symbols.")
        }
        var sums = [Double](repeating: 0, count: logits.count)
        for index in members.indices {
            let member = members[index]
            try member.predictor.advance(
                symbols.map { member.own[Int($0)] ?? member.replacement }, logits: &members[index].logits)
            for stream in 0..<streams {
                let own = members[index].logits[stream * member.size..<(stream + 1) * member.size]
                let largest = Double(own.max() ?? 0)
                let weights = own.map { exp((Double($0) - largest) / temperature) }
                let total = weights.reduce(0, +)
                for (symbol, place) in member.own.enumerated() {
                    if let place { sums[stream * size + symbol] += weights[Int(place)] / total }
                }
            }
        }
        // What no model ever writes is finite, too.
        for index in logits.indices { logits[index] = Float(max(log(sums[index] / Double(members.count)), -1e4)) }
    }
}
