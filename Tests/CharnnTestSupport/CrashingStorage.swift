public import CharnnStorage
internal import Synchronization
public import SystemPackage

/// The real file system until a number of changes have been made; from then on every change fails, as if the process
/// had died there.
public final class CrashingStorage: Storage {
    private let real = LocalStorage()
    private let left: Mutex<Int>

    /// - Parameter changes: How many changes are made before the crash.
    public init(changes: Int) { left = Mutex(changes) }

    /// From now on so many changes are made, as when a full disk has room again.
    public func allow(changes: Int) { left.withLock { $0 = changes } }

    /// Whether the crash has happened.
    public var hasCrashed: Bool { left.withLock { $0 < 0 } }

    fileprivate func count(_ call: String, _ path: FilePath) throws(StorageError) {
        let isOver = left.withLock { left in
            left -= 1
            return left < 0
        }
        if isOver { throw StorageError(.other, call: call, path: path, errno: .ioError) }
    }

    public func status(of path: FilePath) throws(StorageError) -> FileStatus? { try real.status(of: path) }
    public func list(_ directory: FilePath) throws(StorageError) -> [String] { try real.list(directory) }
    public func open(_ path: FilePath, beneath root: FilePath?) throws(StorageError) -> any StorageFile {
        CrashingFile(try real.open(path, beneath: root), self)
    }
    public func create(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) -> any StorageFile {
        try count("create", path)
        return CrashingFile(try real.create(path, mode: mode), self)
    }
    public func openForAppending(
        _ path: FilePath, mode: CharnnStorage.FileMode
    ) throws(StorageError) -> any StorageFile {
        try count("open", path)
        return CrashingFile(try real.openForAppending(path, mode: mode), self)
    }
    public func createDirectory(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) {
        try count("mkdir", path)
        try real.createDirectory(path, mode: mode)
    }
    public func rename(_ source: FilePath, to destination: FilePath, replacing: Bool) throws(StorageError) {
        try count("rename", source)
        try real.rename(source, to: destination, replacing: replacing)
    }
    public func remove(_ path: FilePath) throws(StorageError) {
        try count("unlink", path)
        try real.remove(path)
    }
    public func removeDirectory(_ path: FilePath) throws(StorageError) {
        try count("rmdir", path)
        try real.removeDirectory(path)
    }
    public func setMode(_ mode: CharnnStorage.FileMode, of path: FilePath) throws(StorageError) {
        try count("chmod", path)
        try real.setMode(mode, of: path)
    }
    public func synchronizeDirectory(_ path: FilePath) throws(StorageError) {
        try count("fsync", path)
        try real.synchronizeDirectory(path)
    }
    public func space(at path: FilePath) throws(StorageError) -> StorageSpace { try real.space(at: path) }
    public func lock(_ path: FilePath) throws(StorageError) -> (any StorageLock)? { try real.lock(path) }
    public func watch(_ directories: [FilePath]) throws(StorageError) -> any StorageWatch {
        try real.watch(directories)
    }
}

private final class CrashingFile: StorageFile {
    private let real: any StorageFile
    private let storage: CrashingStorage

    init(_ real: any StorageFile, _ storage: CrashingStorage) {
        self.real = real
        self.storage = storage
    }

    var path: FilePath { real.path }
    func status() throws(StorageError) -> FileStatus { try real.status() }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try real.read(at: offset, count: count) }
    func append(_ bytes: [UInt8]) throws(StorageError) {
        try storage.count("write", path)
        try real.append(bytes)
    }
    func truncate(to size: Int) throws(StorageError) {
        try storage.count("truncate", path)
        try real.truncate(to: size)
    }
    func synchronize() throws(StorageError) {
        try storage.count("fsync", path)
        try real.synchronize()
    }
    func map() throws(StorageError) -> any StorageMapping { try real.map() }
    func isOpenForWriting() -> Bool? { real.isOpenForWriting() }
}
