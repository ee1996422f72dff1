import Glibc

/// Mean losses over steps 10k + 1 … 10k + 10, by which a run is judged.
///
/// They are kept in the checkpoint and depend on nothing but the steps: neither on what is logged or evaluated nor on
/// where a run was interrupted. Steps of the warm-up are left out.
public struct LossRows: Hashable, Sendable, Codable {
    /// The steps of a row.
    static let length = 10
    /// The rows by which it is judged whether a run has learned.
    static let judged = 3
    /// How far above that of guessing a loss may stay, nats.
    static let tolerance = 0.5

    /// The means of the last whole rows, the newest last.
    public private(set) var means: [Double] = []
    /// Of the row that is not whole yet.
    private var sum = 0.0
    private var count = 0
    /// Of all steps.
    private var wholeSum = 0.0
    private var wholeCount = 0

    /// Rows of a run that has made no step, or whose checkpoint is older than they are: they then fill from where it
    /// goes on.
    public init() {}

    /// Counts a step behind the warm-up.
    public mutating func add(_ loss: Double, step: Int) {
        wholeSum += loss
        wholeCount += 1
        if step % Self.length == 1 { (sum, count) = (0, 0) }
        sum += loss
        count += 1
        guard step % Self.length == 0 else { return }
        // A row that began in the warm-up, or before these rows were kept, is none.
        if count == Self.length {
            means.append(sum / Double(Self.length))
            if means.count > Self.judged { means.removeFirst() }
        }
        (sum, count) = (0, 0)
    }

    /// What the last steps lost, nats a character, if that is more than guessing would have: the last three rows, or,
    /// where there are fewer, the mean of all steps; nil: it is not.
    ///
    /// - Parameter symbols: The size of the vocabulary, V: guessing loses ln V.
    public func lossOfDivergence(symbols: Int) -> Double? {
        let limit = log(Double(symbols)) + Self.tolerance
        guard means.count == Self.judged else {
            return wholeCount > 0 && wholeSum / Double(wholeCount) > limit ? wholeSum / Double(wholeCount) : nil
        }
        return means.allSatisfy { $0 > limit } ? means.reduce(0, +) / Double(Self.judged) : nil
    }
}
