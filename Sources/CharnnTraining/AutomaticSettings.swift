import Glibc

/// What is chosen where a job file leaves length and batch of a training open: functions of the number of characters that
/// are trained on, fitted to measurements.
///
/// A short text wants small batches, or its epochs have no steps, and few steps, or the network learns it by heart; a
/// long one wants both large. The table of the measurements stands in README.
public enum AutomaticSettings {
    /// Of the formulas below; runs keep what was chosen for them.
    public static let version = 1
    /// Characters to train on of the texts that were measured; outside of it the formulas are a guess.
    public static let measured = 45_000...1_004_000
    /// The least batch that is chosen for a text that has so many sequences.
    public static let leastBatchSize = 8
    /// Evaluations of a run, if its epochs are not fewer.
    private static let evaluations = 40

    /// `B`: the power of two next to `N / 6,000` on a logarithmic scale, from 8 to 64.
    ///
    /// - Parameters:
    ///   - count: `N`.
    ///   - sequenceLength: `T`; a text with fewer sequences than that gets as many as it has.
    public static func batchSize(characters count: Int, sequenceLength: Int) -> Int {
        var batch = leastBatchSize
        while batch < 64, count >= Int(Double(batch) * 6_000 * 2.0.squareRoot()) { batch *= 2 }
        return max(1, min(batch, (count - 1) / sequenceLength))
    }

    /// Steps of all epochs: `1,100 (N / 90,000)^0.44`, from 500 to 20,000.
    public static func steps(characters count: Int) -> Int {
        Int(min(20_000, max(500, 1_100 * pow(Double(count) / 90_000, 0.44))).rounded())
    }

    /// Epochs that come to so many steps.
    public static func epochs(characters count: Int, stepsPerEpoch: Int) -> Int {
        max(1, Int((Double(steps(characters: count)) / Double(stepsPerEpoch)).rounded()))
    }

    /// Steps from one evaluation to the next: an epoch, or in a run of many epochs some of them.
    public static func evaluateEvery(stepsPerEpoch: Int, steps: Int) -> Int {
        max(stepsPerEpoch, (steps + evaluations - 1) / evaluations)
    }

    /// Evaluations without a better one after which such a run ends, and the share of its steps before which none counts:
    /// the rate is high until then.
    public static let earlyStop = (evaluations: 8, after: 0.6)
}
