import CharnnStorage
import SystemPackage

/// A storage of which every operation is a sign of life.
///
/// All of a job's work goes through it, so that nobody who writes a new part of it has to think of giving signs. What
/// returns at once beats nothing; what may wait for a disk beats before, and what may wait long, after or meanwhile as
/// well.
struct BeatingStorage: Storage {
    let base: any Storage
    let pulse: Pulse

    func status(of path: FilePath) throws(StorageError) -> FileStatus? {
        pulse.beat()
        return try base.status(of: path)
    }

    func accessList(of path: FilePath) throws(StorageError) -> [UInt8]? { try base.accessList(of: path) }

    func setAccessList(_ list: AccessList, of path: FilePath) throws(StorageError) {
        try base.setAccessList(list, of: path)
    }

    func list(_ directory: FilePath) throws(StorageError) -> [String] {
        pulse.beat()
        return try base.list(directory)
    }

    func open(_ path: FilePath, beneath root: FilePath?) throws(StorageError) -> any StorageFile {
        pulse.beat()
        return BeatingFile(try base.open(path, beneath: root), pulse)
    }

    func create(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) -> any StorageFile {
        pulse.beat()
        return BeatingFile(try base.create(path, mode: mode), pulse)
    }

    func openForAppending(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) -> any StorageFile {
        BeatingFile(try base.openForAppending(path, mode: mode), pulse)
    }

    func createDirectory(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) {
        try base.createDirectory(path, mode: mode)
    }

    func rename(_ source: FilePath, to destination: FilePath, replacing: Bool) throws(StorageError) {
        pulse.beat()
        try base.rename(source, to: destination, replacing: replacing)
    }

    func remove(_ path: FilePath) throws(StorageError) {
        pulse.beat()
        try base.remove(path)
    }

    func removeDirectory(_ path: FilePath) throws(StorageError) { try base.removeDirectory(path) }

    func setMode(_ mode: CharnnStorage.FileMode, of path: FilePath) throws(StorageError) {
        try base.setMode(mode, of: path)
    }

    func synchronizeDirectory(_ path: FilePath) throws(StorageError) {
        pulse.beat()
        try base.synchronizeDirectory(path)
        pulse.beat()
    }

    func synchronize(_ files: [any StorageFile], directories: [FilePath]) throws(StorageError) {
        pulse.beat()
        // The storage below knows its own files only: of each it asks whether all that was written has come to the disk.
        let own = files.map { ($0 as? BeatingFile)?.base ?? $0 }
        try pulse.vouch(atMost: BeatingFile.patience) { () throws(StorageError) in
            try base.synchronize(own, directories: directories)
        }
    }

    /// What is done to a file beats if it is done with this storage.
    func forEach<File: Sendable, Outcome: Sendable>(
        of files: [File], _ body: @escaping @Sendable (File) throws(StorageError) -> Outcome
    ) -> [Result<Outcome, StorageError>] {
        base.forEach(of: files, body)
    }

    func networkFileSystem(at path: FilePath) throws(StorageError) -> String? { try base.networkFileSystem(at: path) }

    func space(at path: FilePath) throws(StorageError) -> StorageSpace { try base.space(at: path) }

    func isWritable(_ directory: FilePath) -> Bool { base.isWritable(directory) }

    func lock(_ path: FilePath) throws(StorageError) -> (any StorageLock)? { try base.lock(path) }

    func isLocked(_ path: FilePath) throws(StorageError) -> Bool { try base.isLocked(path) }

    func watch(_ directories: [FilePath]) throws(StorageError) -> any StorageWatch { try base.watch(directories) }
}

private final class BeatingFile: StorageFile {
    let base: any StorageFile
    private let pulse: Pulse
    /// Seconds that a sync may take: a checkpoint may be gigabytes and the disk slow; the kernel ends what it cannot do.
    static let patience = 600.0
    var path: FilePath { base.path }

    init(_ base: any StorageFile, _ pulse: Pulse) {
        self.base = base
        self.pulse = pulse
    }

    func status() throws(StorageError) -> FileStatus { try base.status() }

    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        pulse.beat()
        return try base.read(at: offset, count: count)
    }

    func append(_ bytes: [UInt8]) throws(StorageError) {
        pulse.beat()
        try base.append(bytes)
    }

    func truncate(to size: Int) throws(StorageError) { try base.truncate(to: size) }

    func synchronize() throws(StorageError) {
        pulse.beat()
        try pulse.vouch(atMost: Self.patience) { () throws(StorageError) in try base.synchronize() }
    }

    func map() throws(StorageError) -> any StorageMapping {
        pulse.beat()
        return try base.map()
    }

    func isOpenForWriting() -> Bool? { base.isOpenForWriting() }
}
