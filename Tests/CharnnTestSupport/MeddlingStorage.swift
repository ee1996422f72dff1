public import CharnnStorage
internal import Synchronization
public import SystemPackage

/// The real file system, at which somebody meddles just before an operation: what is between a check and its use.
public final class MeddlingStorage: Storage {
    private let real = LocalStorage()
    private let meddler: Mutex<(@Sendable (String, FilePath) -> Void)?>

    private let networks: [FilePath: String]
    private let accessLists: [FilePath: [UInt8]]

    /// - Parameters:
    ///   - networks: Folders that are taken for network file systems, with their types.
    ///   - accessLists: What stands on files beside their permission bits.
    ///   - meddle: Called before each operation with the name of its call and its path.
    public init(
        networks: [FilePath: String] = [:], accessLists: [FilePath: [UInt8]] = [:],
        _ meddle: @escaping @Sendable (_ call: String, _ path: FilePath) -> Void
    ) {
        self.networks = networks
        self.accessLists = accessLists
        meddler = Mutex(meddle)
    }

    public func accessList(of path: FilePath) throws(StorageError) -> [UInt8]? { accessLists[path] }

    public func setAccessList(_ list: AccessList, of path: FilePath) throws(StorageError) {
        try real.setAccessList(list, of: path)
    }

    private func meddle(_ call: String, _ path: FilePath) { meddler.withLock { $0 }?(call, path) }

    public func status(of path: FilePath) throws(StorageError) -> FileStatus? {
        meddle("lstat", path)
        return try real.status(of: path)
    }
    public func list(_ directory: FilePath) throws(StorageError) -> [String] { try real.list(directory) }
    public func open(_ path: FilePath, beneath root: FilePath?) throws(StorageError) -> any StorageFile {
        meddle("open", path)
        return try real.open(path, beneath: root)
    }
    public func create(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) -> any StorageFile {
        meddle("create", path)
        return try real.create(path, mode: mode)
    }
    public func openForAppending(
        _ path: FilePath, mode: CharnnStorage.FileMode
    ) throws(StorageError) -> any StorageFile {
        meddle("open", path)
        return try real.openForAppending(path, mode: mode)
    }
    public func createDirectory(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) {
        meddle("mkdir", path)
        try real.createDirectory(path, mode: mode)
    }
    public func rename(_ source: FilePath, to destination: FilePath, replacing: Bool) throws(StorageError) {
        meddle("rename", source)
        try real.rename(source, to: destination, replacing: replacing)
    }
    public func remove(_ path: FilePath) throws(StorageError) {
        meddle("unlink", path)
        try real.remove(path)
    }
    public func removeDirectory(_ path: FilePath) throws(StorageError) { try real.removeDirectory(path) }
    public func setMode(_ mode: CharnnStorage.FileMode, of path: FilePath) throws(StorageError) {
        try real.setMode(mode, of: path)
    }
    public func synchronizeDirectory(_ path: FilePath) throws(StorageError) { try real.synchronizeDirectory(path) }
    /// Of each file the kind is told, by which the real file system knows its own.
    public func synchronize(_ files: [any StorageFile], directories: [FilePath]) throws(StorageError) {
        for file in files { meddle("sync \(type(of: file))", file.path) }
        try real.synchronize(files, directories: directories)
    }
    public func forEach<File: Sendable, Outcome: Sendable>(
        of files: [File], _ body: @escaping @Sendable (File) throws(StorageError) -> Outcome
    ) -> [Result<Outcome, StorageError>] {
        real.forEach(of: files, body)
    }
    public func space(at path: FilePath) throws(StorageError) -> StorageSpace { try real.space(at: path) }
    public func networkFileSystem(at path: FilePath) throws(StorageError) -> String? {
        if let found = networks.first(where: { path.starts(with: $0.key) }) { return found.value }
        return try real.networkFileSystem(at: path)
    }
    public func isWritable(_ directory: FilePath) -> Bool { real.isWritable(directory) }
    public func lock(_ path: FilePath) throws(StorageError) -> (any StorageLock)? { try real.lock(path) }
    public func isLocked(_ path: FilePath) throws(StorageError) -> Bool { try real.isLocked(path) }
    public func watch(_ directories: [FilePath]) throws(StorageError) -> any StorageWatch {
        try real.watch(directories)
    }
}
