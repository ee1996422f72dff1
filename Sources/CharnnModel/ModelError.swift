internal import CharnnStorage

/// What is wrong with a model, a file of one, or what is asked of it.
public struct ModelError: Error, Hashable, CustomStringConvertible {
    /// What callers act on: a job ends for most of them, and tries again later after ``readFailed`` and ``unwritable``.
    public enum Code: Hashable, Sendable {
        /// The file is not there or cannot be read.
        case unreadable
        /// The disk failed; later it may be better.
        case readFailed
        /// The file is no safetensors file, is cut short, or contradicts itself.
        case damaged
        /// A sound file, but not of a model that this program knows.
        case notAModel
        /// Characters that the vocabulary lacks.
        case unknownCharacters
        /// Writing failed.
        case unwritable

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
