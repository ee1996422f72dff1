/// What can go wrong with checkpoints.
public struct CheckpointError: Error, Hashable, CustomStringConvertible {
    /// What callers act on: a job waits after ``noSpace``, ``unwritable`` and ``unreadable``, and passes over what is
    /// ``damaged``.
    public enum Code: Hashable, Sendable {
        /// The disk has no room for it; the old ones are kept.
        case noSpace
        case unwritable
        case unreadable
        /// The file is cut short, or its checksum does not match.
        case damaged
    }

    public let code: Code
    /// One sentence: what, where, and how to mend it.
    public let description: String
    /// With ``Code/noSpace``: the bytes that are needed.
    public let bytes: Int

    public init(_ code: Code, _ description: String, bytes: Int = 0) {
        self.code = code
        self.description = description
        self.bytes = bytes
    }
}
