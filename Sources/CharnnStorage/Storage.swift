public import SystemPackage

/// Every way in which charnnd touches a file system that matters: durable writes, renames, syncs, locks, mappings,
/// watches.
///
/// All of it stands behind this one protocol so that a simulated disk can record each operation, fail it, or lose
/// power at it. Operations are single system calls or nearly so; what is made of several, such as durable
/// replacement, is an extension and so runs on every storage. Nothing is retried here, and a failed sync is never
/// repeated: the pages it was for are gone.
public protocol Storage: Sendable {
    /// What stands at `path` itself, a link unfollowed; nil if there is nothing.
    func status(of path: FilePath) throws(StorageError) -> FileStatus?

    /// The POSIX access list of what stands at `path`, as the kernel hands it out; nil where permission bits say all.
    func accessList(of path: FilePath) throws(StorageError) -> [UInt8]?

    /// Gives what stands at `path` an access list, of which its permission bits follow.
    ///
    /// - Throws: ``StorageError/Code/unsupported`` where the file system has none.
    func setAccessList(_ list: AccessList, of path: FilePath) throws(StorageError)

    /// The names in a directory, without `.` and `..`, in no order.
    func list(_ directory: FilePath) throws(StorageError) -> [String]

    /// Opens a regular file to read; anything else is refused without blocking, a link at the end unfollowed.
    ///
    /// - Parameter root: When given, the file must lie below it and no link may be followed on the way from it.
    func open(_ path: FilePath, beneath root: FilePath?) throws(StorageError) -> any StorageFile

    /// Creates a new file to write; fails with ``StorageError/Code/alreadyExists`` if anything stands there.
    func create(_ path: FilePath, mode: FileMode) throws(StorageError) -> any StorageFile

    /// Opens a file to append to, creating it if there is none.
    func openForAppending(_ path: FilePath, mode: FileMode) throws(StorageError) -> any StorageFile

    /// Makes one directory; it is no error if it is there already.
    func createDirectory(_ path: FilePath, mode: FileMode) throws(StorageError)

    /// Moves a file or directory within one file system.
    ///
    /// - Parameter replacing: Whether something at `destination` is replaced; if not, it is
    ///   ``StorageError/Code/alreadyExists``.
    func rename(_ source: FilePath, to destination: FilePath, replacing: Bool) throws(StorageError)

    /// Removes a file or link.
    func remove(_ path: FilePath) throws(StorageError)

    /// Removes an empty directory.
    func removeDirectory(_ path: FilePath) throws(StorageError)

    /// Changes rights.
    func setMode(_ mode: FileMode, of path: FilePath) throws(StorageError)

    /// Makes the names in a directory durable.
    func synchronizeDirectory(_ path: FilePath) throws(StorageError)

    /// Makes files, and the names in directories, durable together: all of one file system, and in no order. Many wait
    /// for the disk once, and not each on its own.
    func synchronize(_ files: [any StorageFile], directories: [FilePath]) throws(StorageError)

    /// Does the same for many files, none of which concerns another; where a disk is waited for, for several at once.
    ///
    /// - Returns: What came of each, in the order of `files`.
    func forEach<File: Sendable, Outcome: Sendable>(
        of files: [File], _ body: @escaping @Sendable (File) throws(StorageError) -> Outcome
    ) -> [Result<Outcome, StorageError>]

    /// Room on the file system of `path`.
    func space(at path: FilePath) throws(StorageError) -> StorageSpace

    /// The type of network file system, such as `nfs`, on which a path lies, or the nearest folder above it that is there;
    /// nil where other machines have no part in it.
    func networkFileSystem(at path: FilePath) throws(StorageError) -> String?

    /// Whether this process may put names into a directory and take them out.
    func isWritable(_ directory: FilePath) -> Bool

    /// Takes an exclusive lock that ends with its holder's process or value.
    ///
    /// The lock file is created if needed and left in place.
    /// - Returns: nil while another process or value holds it.
    func lock(_ path: FilePath) throws(StorageError) -> (any StorageLock)?

    /// Whether somebody holds the lock of a file. It is neither taken for that nor made where there is none.
    func isLocked(_ path: FilePath) throws(StorageError) -> Bool

    /// Watches directories for files that appear, are closed after writing, leave, or are moved; hidden ones, whose
    /// names begin with a dot, are not told.
    func watch(_ directories: [FilePath]) throws(StorageError) -> any StorageWatch
}

extension Storage {
    /// None.
    public func accessList(of path: FilePath) throws(StorageError) -> [UInt8]? { nil }

    /// Fails: there are none.
    public func setAccessList(_ list: AccessList, of path: FilePath) throws(StorageError) {
        throw StorageError(.unsupported, call: "setxattr", path: path, errno: .notSupported)
    }

    /// None: a disk of this machine.
    public func networkFileSystem(at path: FilePath) throws(StorageError) -> String? { nil }

    /// One after the other.
    public func synchronize(_ files: [any StorageFile], directories: [FilePath]) throws(StorageError) {
        for file in files { try file.synchronize() }
        for directory in directories { try synchronizeDirectory(directory) }
    }

    /// One after the other.
    public func forEach<File: Sendable, Outcome: Sendable>(
        of files: [File], _ body: @escaping @Sendable (File) throws(StorageError) -> Outcome
    ) -> [Result<Outcome, StorageError>] {
        files.map { file in Result { () throws(StorageError) in try body(file) } }
    }
}

/// An open file. It is closed when the value goes away.
public protocol StorageFile: AnyObject, Sendable {
    var path: FilePath { get }

    func status() throws(StorageError) -> FileStatus

    /// Up to `count` bytes from `offset`; fewer only at the end of the file.
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8]

    /// Writes all of `bytes` at the end.
    func append(_ bytes: [UInt8]) throws(StorageError)

    /// Cuts the file, or lengthens it with zeros.
    func truncate(to size: Int) throws(StorageError)

    /// Makes contents and size durable.
    func synchronize() throws(StorageError)

    /// Maps the whole file to read.
    func map() throws(StorageError) -> any StorageMapping

    /// Whether somebody has the file open for writing, as far as a read lease can tell; nil where it cannot.
    func isOpenForWriting() -> Bool?
}

/// A file's bytes in memory, valid as long as the value lives.
public protocol StorageMapping: AnyObject, Sendable {
    var count: Int { get }
    /// The mapped bytes. They go away with this value, so it must be kept for as long as the pointer is used.
    var bytes: UnsafeRawBufferPointer { get }
}

/// A held lock; it ends with the value.
public protocol StorageLock: AnyObject, Sendable {}

/// A watch on directories: a hint that something changed, never the truth of what.
public protocol StorageWatch: AnyObject, Sendable {
    /// Hints as they come; ends when the watch is cancelled.
    var hints: AsyncStream<StorageHint> { get }
    func cancel()
}

/// That something happened in a watched directory.
public enum StorageHint: Sendable, Hashable {
    /// A name appeared complete: it was closed after writing, or moved in.
    case arrived(directory: FilePath, name: String)
    /// A name appeared, perhaps not complete yet, or left.
    case changed(directory: FilePath, name: String)
    /// Hints were lost, or a directory went away: scan everything.
    case overflow
}

/// Permission bits.
public struct FileMode: Hashable, Sendable, ExpressibleByIntegerLiteral {
    /// As `chmod` takes them, with set-group-ID and the sticky bit; without the file's type.
    public let bits: UInt32
    public init(_ bits: UInt32) { self.bits = bits }
    public init(integerLiteral value: UInt32) { bits = value }
}

/// What the file system knows of a file.
public struct FileStatus: Hashable, Sendable {
    /// `other` are devices and sockets. A link is told as itself, never as what it leads to.
    public enum Kind: Hashable, Sendable { case regular, directory, link, fifo, other }
    public var kind: Kind
    /// Bytes; of what is no regular file whatever the file system says.
    public var size: Int
    /// Where there is an access list, its group bits are the mask.
    public var mode: FileMode
    /// The numeric user id.
    public var owner: UInt32
    /// The numeric group id.
    public var group: UInt32
    public var device: UInt64
    /// With ``device`` it tells one file from another; the number of a removed file is given to new ones.
    public var inode: UInt64
    /// Names of the same file; more than one where somebody made a hard link, with which other people's files can be
    /// shown as one's own.
    public var links: Int
    /// Last modification, seconds since 1970.
    public var modified: Double
    /// When it was last written, moved or given other rights, seconds since 1970; nobody can set it back.
    public var changed: Double

    public init(
        kind: Kind, size: Int, mode: FileMode, owner: UInt32, group: UInt32, device: UInt64, inode: UInt64, links: Int,
        modified: Double, changed: Double
    ) {
        self.kind = kind
        self.size = size
        self.mode = mode
        self.owner = owner
        self.group = group
        self.device = device
        self.inode = inode
        self.links = links
        self.modified = modified
        self.changed = changed
    }
}

/// Free room for an unprivileged writer.
public struct StorageSpace: Hashable, Sendable {
    /// Without what the file system reserves for root.
    public var bytes: UInt64
    /// Files that can still be made; `.max` or a large number on file systems that make inodes as they go.
    public var inodes: UInt64
    public init(bytes: UInt64, inodes: UInt64) {
        self.bytes = bytes
        self.inodes = inodes
    }
}
