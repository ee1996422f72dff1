/// What can stop a training run for good.
public struct TrainingError: Error, Hashable, CustomStringConvertible {
    /// All of them are final for the job as it stands: none gets better by waiting.
    public enum Code: Hashable, Sendable {
        /// The text is too short for the batch.
        case tooShort
        /// Loss or gradient became infinite or no number, or the loss stayed above that of guessing.
        case diverged
        /// A checkpoint does not fit the run that is to go on from it.
        case mismatch
    }

    public let code: Code
    /// One sentence: what, where, and how to mend it.
    public let description: String

    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
