internal import CharnnStorage

/// What is wrong with a text.
public struct CorpusError: Error, Hashable, CustomStringConvertible {
    /// What callers act on: which of them may be better later, and which are the job's own fault.
    public enum Code: Hashable, Sendable {
        /// A file is not there, is no regular file, or may not be read.
        case unreadable
        /// The disk failed; later it may be better.
        case readFailed
        /// A file is not text in the encoding it should have.
        case undecodable
        /// There is nothing to train on.
        case empty
        /// Characters that the given vocabulary lacks.
        case unknownCharacters
        /// The encoded text is damaged.
        case damaged
        /// A file changed while it was read; later it may be at rest.
        case changed
        /// The encoded text could not be written.
        case unwritable
        /// Encoding was interrupted on request.
        case interrupted

        /// What an error of reading means.
        static func reading(_ error: any Error) -> Code {
            (error as? StorageError)?.isTransient == true ? .readFailed : .unreadable
        }
    }

    public let code: Code
    /// One sentence: what, where, and how to mend it.
    public let description: String

    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
