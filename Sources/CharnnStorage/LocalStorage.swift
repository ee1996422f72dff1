internal import CLinux
internal import Dispatch
internal import Glibc
internal import Synchronization
public import SystemPackage

/// The storage of this machine: every operation is a system call on the real file system.
///
/// What holds for all of them:
/// 1. Descriptors are close-on-exec, so that a worker inherits no lock and no spool file.
/// 2. The last component of a path is never followed when it is a link, and opening never blocks: a pipe or device
///    that somebody put where a file was expected is refused.
/// 3. Only open, read and write are repeated after EINTR. A sync is never repeated: after a failed one the kernel has
///    marked the pages clean, and a second that succeeds would be a lie.
public struct LocalStorage: Storage {
    public init() {}

    public func status(of path: FilePath) throws(StorageError) -> FileStatus? {
        var raw = stat()
        guard lstat(path.string, &raw) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw StorageError(last: "lstat", path)
        }
        return FileStatus(raw)
    }

    public func accessList(of path: FilePath) throws(StorageError) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: Self.largestAccessList)
        let count = charnn_access_list(path.string, &bytes, bytes.count)
        if count >= 0 { return Array(bytes.prefix(count)) }
        if errno == ENODATA || errno == EOPNOTSUPP { return nil }
        throw StorageError(last: "lgetxattr", path)
    }

    public func setAccessList(_ list: AccessList, of path: FilePath) throws(StorageError) {
        let bytes = list.bytes
        guard charnn_set_access_list(path.string, bytes, bytes.count) == 0 else {
            throw StorageError(last: "lsetxattr", path)
        }
    }

    /// The most that Linux keeps in one attribute.
    private static let largestAccessList = 1 << 16

    public func list(_ directory: FilePath) throws(StorageError) -> [String] {
        guard let stream = opendir(directory.string) else { throw StorageError(last: "opendir", directory) }
        defer { closedir(stream) }
        var found: [(name: String, inode: UInt64)] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw StorageError(last: "readdir", directory) }
                // A directory has them in the order of a hash. In this one they lie on the disk, and whoever reads them
                // one after the other after a reboot has them much sooner.
                found.sort { $0.inode < $1.inode }
                return found.map(\.name)
            }
            // Bytes that are no UTF-8 are repaired here, so such a name finds no file afterwards: it is as if it
            // were not there, and the spool reports it as a name that cannot be used.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { found.append((name, UInt64(entry.pointee.d_ino))) }
        }
    }

    public func open(_ path: FilePath, beneath root: FilePath?) throws(StorageError) -> any StorageFile {
        let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        let descriptor =
            if let root { try openBeneath(root, path, flags) } else { try Self.open(path, flags) }
        let file = LocalFile(descriptor: descriptor, path: path)
        guard try file.status().kind == .regular else {
            throw StorageError(.notRegular, call: "open", path: path, errno: .invalidArgument)
        }
        return file
    }

    public func create(_ path: FilePath, mode: FileMode) throws(StorageError) -> any StorageFile {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_APPEND
        return LocalFile(descriptor: try Self.open(path, flags, mode), path: path)
    }

    public func openForAppending(_ path: FilePath, mode: FileMode) throws(StorageError) -> any StorageFile {
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_APPEND
        let file = LocalFile(descriptor: try Self.open(path, flags, mode), path: path)
        guard try file.status().kind == .regular else {
            throw StorageError(.notRegular, call: "open", path: path, errno: .invalidArgument)
        }
        return file
    }

    public func createDirectory(_ path: FilePath, mode: FileMode) throws(StorageError) {
        guard mkdir(path.string, mode.bits) != 0 else { return }
        let error = StorageError(last: "mkdir", path)
        if error.code == .alreadyExists, try status(of: path)?.kind == .directory { return }
        throw error
    }

    public func rename(_ source: FilePath, to destination: FilePath, replacing: Bool) throws(StorageError) {
        let result =
            replacing
            ? Glibc.rename(source.string, destination.string) : charnn_rename_new(source.string, destination.string)
        guard result != 0 else { return }
        guard !replacing, errno == EINVAL || errno == ENOSYS, try status(of: source)?.kind == .regular else {
            throw StorageError(last: "rename", source, naming: destination)
        }
        // A file system without RENAME_NOREPLACE: link fails on an existing name too. A crash between the two calls
        // leaves both names for one inode, which the spool's recovery resolves.
        guard link(source.string, destination.string) == 0 else {
            throw StorageError(last: "link", source, naming: destination)
        }
        try remove(source)
    }

    public func remove(_ path: FilePath) throws(StorageError) {
        guard unlink(path.string) == 0 else { throw StorageError(last: "unlink", path) }
    }

    public func removeDirectory(_ path: FilePath) throws(StorageError) {
        guard rmdir(path.string) == 0 else { throw StorageError(last: "rmdir", path) }
    }

    public func setMode(_ mode: FileMode, of path: FilePath) throws(StorageError) {
        guard charnn_set_mode(path.string, mode.bits) == 0 else { throw StorageError(last: "chmod", path) }
    }

    public func synchronizeDirectory(_ path: FilePath) throws(StorageError) {
        let directory = path.isEmpty ? FilePath(".") : path
        let descriptor = try Self.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw StorageError(last: "fsync", directory) }
    }

    public func synchronize(_ files: [any StorageFile], directories: [FilePath]) throws(StorageError) {
        if let first = directories.first, files.count + directories.count >= Self.manyToSynchronize,
            try synchronizeFileSystem(of: first)
        {
            // A write that failed before may have been told to another who synced; each file knows of its own.
            for file in files { try (file as? LocalFile)?.requireWritten() }
            return
        }
        for outcome in forEach(of: files, { file throws(StorageError) in try file.synchronize() }) {
            try outcome.get()
        }
        for outcome in forEach(of: directories, { path throws(StorageError) in try synchronizeDirectory(path) }) {
            try outcome.get()
        }
    }

    /// From so many on the whole file system is synced at once, which takes a third of the time.
    private static let manyToSynchronize = 16
    /// Seconds that such a sync is waited for. It writes what others have written, too, however much that is.
    private static let patience = 5.0

    /// Syncs all of a file system.
    ///
    /// - Returns: false if that takes so long that it is better to sync single files; it then goes on by itself.
    private func synchronizeFileSystem(of directory: FilePath) throws(StorageError) -> Bool {
        let descriptor = try Self.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        let ended = DispatchSemaphore(value: 0)
        let outcome = Mutex<StorageError?>(nil)
        let work = { @Sendable in
            if charnn_sync_file_system(descriptor) != 0 {
                let error = StorageError(last: "syncfs", directory)
                outcome.withLock { $0 = error }
            }
            close(descriptor)
            ended.signal()
        }
        guard LocalThread.start(work) else {
            close(descriptor)
            return false
        }
        guard ended.wait(timeout: .now() + Self.patience) == .success else { return false }
        if let error = outcome.withLock({ $0 }) { throw error }
        return true
    }

    public func forEach<File: Sendable, Outcome: Sendable>(
        of files: [File], _ body: @escaping @Sendable (File) throws(StorageError) -> Outcome
    ) -> [Result<Outcome, StorageError>] {
        let share = (files.count + Self.threads - 1) / Self.threads
        guard share >= Self.worthAThread else {
            return files.map { file in Result { () throws(StorageError) in try body(file) } }
        }
        let parts = stride(from: 0, to: files.count, by: share).map { $0..<min($0 + share, files.count) }
        let outcomes = Mutex([Int: [Result<Outcome, StorageError>]]())
        let ended = DispatchSemaphore(value: 0)
        for part in parts {
            let work = { @Sendable in
                let own = files[part].map { file in Result { () throws(StorageError) in try body(file) } }
                outcomes.withLock { $0[part.lowerBound] = own }
                ended.signal()
            }
            // Without a thread to be had it is done here.
            if !LocalThread.start(work) { work() }
        }
        for _ in parts { ended.wait() }
        return outcomes.withLock { outcomes in parts.flatMap { outcomes[$0.lowerBound] ?? [] } }
    }

    /// More than there are processors: most of their time they wait for a disk that does many things at once.
    private static let threads = 32
    /// So many files of a thread are worth its start.
    private static let worthAThread = 16

    public func space(at path: FilePath) throws(StorageError) -> StorageSpace {
        var raw = statvfs()
        guard statvfs(path.string, &raw) == 0 else { throw StorageError(last: "statvfs", path) }
        // Some file systems, such as btrfs, count no inodes and report none at all.
        let inodes = raw.f_files == 0 ? UInt64.max : UInt64(raw.f_favail)
        return StorageSpace(bytes: UInt64(raw.f_bavail) * UInt64(raw.f_frsize), inodes: inodes)
    }

    public func networkFileSystem(at path: FilePath) throws(StorageError) -> String? {
        var path = path.isEmpty ? FilePath(".") : path
        var type = charnn_file_system_type(path.string)
        while type < 0, errno == ENOENT || errno == ENOTDIR, path.removeLastComponent() {
            if path.isEmpty { path = "." }
            type = charnn_file_system_type(path.string)
        }
        guard type >= 0 else { throw StorageError(last: "statfs", path) }
        let number = UInt32(truncatingIfNeeded: type)
        guard number == NetworkFileSystems.fuse else { return NetworkFileSystems.names[number] }
        // Where /proc is not to be had, nothing more can be known.
        guard let status = try status(of: path.appending(".")),
            let table = try? open("/proc/self/mountinfo", beneath: nil).read(at: 0, count: Self.largestTable)
        else { return nil }
        return NetworkFileSystems.fuse(in: String(decoding: table, as: UTF8.self), device: status.device)
    }

    /// Of a table of mounts so much is read.
    private static let largestTable = 4 << 20

    public func isWritable(_ directory: FilePath) -> Bool { access(directory.string, W_OK | X_OK) == 0 }

    public func lock(_ path: FilePath) throws(StorageError) -> (any StorageLock)? {
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        let lock = LocalLock(descriptor: try Self.open(path, flags, 0o600))
        try handOver(lock.descriptor, path)
        guard charnn_lock(lock.descriptor) == 0 else {
            if errno == EWOULDBLOCK { return nil }
            throw StorageError(last: "flock", path)
        }
        // Where the file system has no such locks, nobody can ask.
        if charnn_lock_askable(lock.descriptor) != 0, errno == EAGAIN || errno == EACCES { return nil }
        return lock
    }

    /// Gives a lock file that the superuser made to whom its folder belongs: a tool run by root must not leave what
    /// keeps the service from starting.
    private func handOver(_ descriptor: Int32, _ path: FilePath) throws(StorageError) {
        guard geteuid() == 0 else { return }
        var (file, folder) = (stat(), stat())
        guard fstat(descriptor, &file) == 0, file.st_uid == 0,
            lstat(path.removingLastComponent().string, &folder) == 0, folder.st_uid != 0
        else { return }
        guard fchown(descriptor, folder.st_uid, folder.st_gid) == 0 else { throw StorageError(last: "fchown", path) }
    }

    public func isLocked(_ path: FilePath) throws(StorageError) -> Bool {
        let descriptor: Int32
        do throws(StorageError) {
            descriptor = try Self.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
        } catch {
            if error.code == .notFound { return false }
            throw error
        }
        defer { close(descriptor) }
        let answer = charnn_is_locked(descriptor)
        guard answer >= 0 else { throw StorageError(last: "fcntl", path) }
        return answer == 1
    }

    public func watch(_ directories: [FilePath]) throws(StorageError) -> any StorageWatch {
        try LocalWatch(directories)
    }

    /// Opens a folder below `root`, following no link from there on, to make files in it: whoever may write in a folder
    /// above could otherwise have them made elsewhere.
    public func folder(_ path: FilePath, beneath root: FilePath) throws(StorageError) -> LocalFolder {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW
        // Openat2 refuses a path that names no place below.
        let isRoot = path.lexicallyNormalized() == root.lexicallyNormalized()
        if !isRoot, try status(of: path)?.kind == .link {
            throw StorageError(.outsideRoot, call: "openat2", path: path, errno: .tooManySymbolicLinkLevels)
        }
        return LocalFolder(
            descriptor: isRoot
                ? try Self.open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : try openBeneath(root, path, flags))
    }

    /// open, repeated when a signal came between.
    private static func open(_ path: FilePath, _ flags: Int32, _ mode: FileMode = 0) throws(StorageError) -> Int32 {
        while true {
            let descriptor = Glibc.open(path.string, flags, mode.bits)
            if descriptor >= 0 { return descriptor }
            if errno != EINTR { throw StorageError(last: "open", path) }
        }
    }

    /// How often opening is tried again where a folder above is being moved, or somebody has a lease on the file: the
    /// kernel takes a lease away after 45 seconds, but its holder may take another, so it is not waited for that long.
    private static let openingTries = 20
    /// Microseconds before the second try; each wait is longer than the one before.
    private static let openingPause: UInt32 = 5000

    /// Opens `path`, which must lie below `root`, following no link from there on.
    private func openBeneath(_ root: FilePath, _ path: FilePath, _ flags: Int32) throws(StorageError) -> Int32 {
        var relative = path
        if path.isAbsolute, !relative.removePrefix(root) {
            throw StorageError(.outsideRoot, call: "open", path: path, errno: .permissionDenied)
        }
        // The root itself is the administrator's and may be reached through links.
        let directory = try Self.open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(directory) }
        var tries = 0
        while true {
            let descriptor = charnn_open_beneath(directory, relative.string, flags)
            if descriptor >= 0 { return descriptor }
            switch errno {
            case EINTR: continue
            case EAGAIN where tries < Self.openingTries:
                tries += 1
                usleep(UInt32(tries) * Self.openingPause)
            case ENOSYS, EPERM: return try openStepwise(directory, relative, flags, path)
            case EXDEV, ELOOP:
                throw StorageError(.outsideRoot, call: "openat2", path: path, errno: Errno(rawValue: errno))
            default: throw StorageError(last: "openat2", path)
            }
        }
    }

    /// What openat2 does, for kernels and sandboxes without it: each component is opened on its own, links refused.
    private func openStepwise(
        _ root: Int32, _ relative: FilePath, _ flags: Int32, _ path: FilePath
    ) throws(StorageError) -> Int32 {
        var directory = dup(root)
        defer { close(directory) }
        let components = Array(relative.components)
        for (index, component) in components.enumerated() {
            guard component.kind == .regular else {
                throw StorageError(.outsideRoot, call: "openat", path: path, errno: .permissionDenied)
            }
            let isLast = index == components.count - 1
            let next = charnn_openat(
                directory, component.string, isLast ? flags : O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            if next < 0 {
                if errno == ELOOP || (errno == ENOTDIR && !isLast) {
                    throw StorageError(.outsideRoot, call: "openat", path: path, errno: Errno(rawValue: errno))
                }
                throw StorageError(last: "openat", path)
            }
            if isLast { return next }
            close(directory)
            directory = next
        }
        throw StorageError(.notRegular, call: "openat", path: path, errno: .isDirectory)
    }
}

/// A folder that is open: below ``path`` it is always this one, whatever becomes of its name.
public final class LocalFolder: Sendable {
    private let descriptor: Int32

    init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// A way to the folder that nobody can bend, as long as this value lives.
    public var path: FilePath { FilePath("/proc/self/fd/\(descriptor)") }
}

/// A lock by flock: it belongs to the open file and so ends with this value or with the process.
private final class LocalLock: StorageLock {
    let descriptor: Int32
    init(descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }
}

extension StorageError {
    /// The error that the call which just failed left in errno.
    ///
    /// - Parameter naming: A second path of the call, named when that is the one in the way.
    init(last call: String, _ path: FilePath, naming destination: FilePath? = nil) {
        let number = Glibc.errno
        let code: Code =
            switch number {
            case ENOENT, ENOTDIR: .notFound
            case EEXIST, ENOTEMPTY: .alreadyExists
            case ELOOP, EISDIR, ENXIO, ENODEV: .notRegular
            case EACCES, EPERM: .denied
            case ENOSPC, EDQUOT: .noSpace
            case EROFS: .readOnly
            case EOPNOTSUPP: .unsupported
            case EXDEV: .otherFileSystem
            case EAGAIN: .busy
            default: .other
            }
        let path = code == .alreadyExists ? destination ?? path : path
        let other = code == .otherFileSystem ? destination : nil
        self.init(code, call: call, path: path, beside: other, errno: Errno(rawValue: number))
    }
}

extension FileStatus {
    init(_ raw: stat) {
        let kind: Kind =
            switch raw.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFLNK: .link
            case S_IFIFO: .fifo
            default: .other
            }
        self.init(
            kind: kind, size: Int(raw.st_size), mode: FileMode(raw.st_mode & 0o7777), owner: raw.st_uid,
            group: raw.st_gid, device: UInt64(raw.st_dev), inode: UInt64(raw.st_ino), links: Int(raw.st_nlink),
            modified: Double(raw.st_mtim.tv_sec) + Double(raw.st_mtim.tv_nsec) / 1e9,
            changed: Double(raw.st_ctim.tv_sec) + Double(raw.st_ctim.tv_nsec) / 1e9)
    }
}
