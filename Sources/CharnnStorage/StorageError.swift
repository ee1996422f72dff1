public import SystemPackage

/// A file operation that failed.
public struct StorageError: Error, Hashable, CustomStringConvertible {
    /// What callers act on.
    public struct Code: Hashable, Sendable {
        private enum Kind { case notFound, alreadyExists, notRegular, outsideRoot, denied, noSpace, readOnly, other }
        private let kind: Kind
        public static let notFound = Code(kind: .notFound)
        public static let alreadyExists = Code(kind: .alreadyExists)
        /// A link, directory, pipe or device where a regular file was wanted.
        public static let notRegular = Code(kind: .notRegular)
        /// The path leads out of the folder it must stay in.
        public static let outsideRoot = Code(kind: .outsideRoot)
        public static let denied = Code(kind: .denied)
        /// No room, no inodes, or a quota.
        public static let noSpace = Code(kind: .noSpace)
        public static let readOnly = Code(kind: .readOnly)
        public static let other = Code(kind: .other)
    }

    public let code: Code
    /// The system call, such as `rename`.
    public let call: String
    public let path: FilePath
    public let errno: Errno

    public init(_ code: Code, call: String, path: FilePath, errno: Errno) {
        self.code = code
        self.call = call
        self.path = path
        self.errno = errno
    }

    public var description: String { "\(call) \(path): \(errno.description)" }
}
