/// Where a picture of values ends at the top, so that one wild value does not flatten all others.
enum RobustRange {
    /// The highest value, or a little above nearly all of them where the rest lies far higher.
    ///
    /// - Parameters:
    ///   - values: Finite, in any order.
    ///   - outliers: So many of the highest may be cut off.
    ///   - factor: How many times the height of all others the whole has to be for that.
    ///   - room: The height that is shown, as a multiple of that of the others.
    static func top(
        of values: [Double], ignoring outliers: Int, beyond factor: Double, room: Double
    ) -> Double {
        let sorted = values.sorted()
        guard let low = sorted.first, let highest = sorted.last else { return 0 }
        let most = sorted[max(0, sorted.count - 1 - outliers)]
        // Where nearly all values are equal there is no height to compare with.
        guard most > low, highest - low > factor * (most - low) else { return highest }
        return low + (most - low) * room
    }
}
