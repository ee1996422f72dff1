import CharnnEngine

/// Which part of a text is trained on and which is kept for validation.
public struct ValidationSplit: Hashable, Sendable {
    /// Positions trained on; begins at 0.
    public let training: Range<Int>
    /// The contiguous tail; empty when validation is off.
    public let validation: Range<Int>

    /// - Parameters:
    ///   - count: `N`, characters in all.
    ///   - fraction: The part of them that is kept for validation: the last `⌊N · fraction⌋`.
    ///   - limit: The most characters that are scored; the rest of the tail is neither trained on nor scored.
    public init(count: Int, validationFraction fraction: Double, validationLimit limit: Int? = nil) {
        let tail = Int((Double(count) * fraction).rounded(.down))
        training = 0..<(count - tail)
        validation = (count - tail)..<(count - tail + min(tail, limit ?? tail))
    }
}
