public import SystemPackage

/// A file operation that failed.
public struct StorageError: Error, Hashable, CustomStringConvertible {
    /// What callers act on.
    public struct Code: Hashable, Sendable {
        private enum Kind {
            case notFound, alreadyExists, notRegular, outsideRoot, denied, noSpace, readOnly, otherFileSystem
            case networkFileSystem, notOwn, damaged, busy, unsupported, other
        }
        private let kind: Kind
        /// Nothing stands there, or a part of the path is no directory (``StorageError/errno`` tells them apart).
        public static let notFound = Code(kind: .notFound)
        /// Something stands where nothing may be replaced.
        public static let alreadyExists = Code(kind: .alreadyExists)
        /// A link, directory, pipe or device where a regular file was wanted.
        public static let notRegular = Code(kind: .notRegular)
        /// The path leads out of the folder it must stay in.
        public static let outsideRoot = Code(kind: .outsideRoot)
        /// The rights of the file or of a folder on the way forbid it.
        public static let denied = Code(kind: .denied)
        /// No room, no inodes, or a quota.
        public static let noSpace = Code(kind: .noSpace)
        /// The file system is mounted read-only, as some are after an error.
        public static let readOnly = Code(kind: .readOnly)
        /// Two paths that must lie on one file system do not.
        public static let otherFileSystem = Code(kind: .otherFileSystem)
        /// The file is there, but its contents are not what they must be.
        public static let damaged = Code(kind: .damaged)
        /// On a file system that other machines share.
        public static let networkFileSystem = Code(kind: .networkFileSystem)
        /// A folder that must be this user's alone and is not.
        public static let notOwn = Code(kind: .notOwn)
        /// Somebody has a lease on the file, and may take it again as often as he likes.
        public static let busy = Code(kind: .busy)
        /// The file system has no access lists.
        public static let unsupported = Code(kind: .unsupported)
        /// All else; ``StorageError/errno`` says what. But for a name that is too long it counts as a disk that may
        /// recover.
        public static let other = Code(kind: .other)
    }

    /// Whether the same may succeed later without anybody changing the file or its name: a disk failed, or had no room.
    public var isTransient: Bool {
        (code == .other && errno != .fileNameTooLong) || code == .noSpace || code == .readOnly || code == .busy
    }

    public let code: Code
    /// The system call, such as `rename`.
    public let call: String
    /// What the call was about; of a rename the source.
    public let path: FilePath
    /// The system's own word; where a check of this program failed, the nearest one.
    public let errno: Errno
    /// The second path of ``Code/otherFileSystem``; a place that would do instead of one on a
    /// ``Code/networkFileSystem``.
    public let other: FilePath?
    /// What was found there: of a ``Code/networkFileSystem`` its type, of what is ``Code/notOwn`` what is wrong with it.
    public let found: String?

    public init(
        _ code: Code, call: String, path: FilePath, beside other: FilePath? = nil, found: String? = nil, errno: Errno
    ) {
        self.other = other
        self.found = found
        self.code = code
        self.call = call
        self.path = path
        self.errno = errno
    }

    /// A clause without its full stop, to be put into a sentence; what mends it is in ``remedy``.
    public var description: String {
        switch code {
        case .otherFileSystem where other != nil:
            return
                "\(path) and \(other ?? "") lie on different file systems; mount one file system over all of the spool"
        case .networkFileSystem:
            return "\(path) lies on a network file system (\(found ?? "unknown")), where locks and notices of changes "
                + "cannot be relied on"
        case .notOwn:
            return "\(path) must be a folder of your own in which nobody else may write, and is \(found ?? "another's")"
        case .notRegular: return errno == .isDirectory ? "\(path) is a folder" : "\(path) is no regular file"
        case .damaged: return "\(path) is damaged: what it holds cannot be read as what it must be"
        case .outsideRoot: return "\(path) leads out of the folder in which it must be"
        default: return "\(path) cannot be \(done): \(errno.description)"
        }
    }

    /// What the call would have done to the path, in a sentence's words.
    private var done: String {
        switch call {
        case "open", "openat", "openat2": "opened"
        case "access", "fstat", "getxattr", "lgetxattr", "lstat", "statfs", "statvfs": "looked at"
        case "opendir", "readdir": "listed"
        case "pread", "mmap": "read"
        case "mkdir": "made"
        case "rename", "link": "moved"
        case "unlink", "rmdir": "removed"
        case "chmod", "lsetxattr", "setxattr": "given its rights"
        case "ftruncate": "shortened"
        case "write": "written"
        case "flock", "fcntl": "locked"
        case "fchown": "given to its folder's owner"
        case "inotify_init1", "inotify_add_watch", "eventfd": "watched"
        default: "written to the disk (\(call))"
        }
    }
}

extension StorageError {
    /// How a person mends it, to be said behind the description; nil where it can only be tried again.
    public var remedy: String? {
        // What is written goes by another name until it is whole.
        let folder = path.removingLastComponent()
        switch code {
        case .notFound where errno == .notDirectory: return "a part of that path is a file: name another place"
        case .notFound:
            return ["open", "openat"].contains(call) && path.lastComponent?.string.hasSuffix(".partial") != true
                ? "look at the path" : "make the folder first (mkdir -p \(folder)), or name another"
        case .notRegular: return "name a file"
        case .denied: return "you may not do that there: look at the rights (ls -ld \(folder)), or name another place"
        case .noSpace: return "make room on the disk (df \(folder)), or name another place"
        case .readOnly: return "the file system is mounted read-only: name another place"
        case .networkFileSystem:
            return other.map { "name a folder on a local disk, such as \($0)" }
                ?? "mount a local file system there, or name a folder on one"
        case .notOwn: return "have it removed, or name another place"
        default: return nil
        }
    }
}
