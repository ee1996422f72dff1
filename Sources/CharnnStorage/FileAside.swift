public import SystemPackage

/// A file that is written under another name and takes its own when it is whole.
///
/// The order matters. Without the sync before it the rename can reach the disk before the data does; without one of the
/// directory after it the rename itself can be lost.
public struct FileAside {
    /// What is written.
    public let file: any StorageFile
    /// Where it is written.
    public let path: FilePath
    private let storage: any Storage

    /// Begins a file; what a crash left under that name is removed.
    public init(_ path: FilePath, mode: FileMode = 0o640, in storage: any Storage) throws(StorageError) {
        self.path = path
        self.storage = storage
        try storage.discard(path)
        file = try storage.create(path, mode: mode)
    }

    /// Gives it its name, under which a reader finds what was there before or the whole of it, also after a power
    /// failure. Which of the two is left to chance until the name's directory is synced.
    ///
    /// - Parameter replacing: Whether something may stand there.
    public func publish(as name: FilePath, replacing: Bool = true) throws(StorageError) {
        try file.synchronize()
        try storage.rename(path, to: name, replacing: replacing)
    }

    /// Removes it, as where it could not be written to its end.
    public func discard() { try? storage.discard(path) }
}

extension Storage {
    /// Replaces a file durably: after a crash the old one or the whole new one is there.
    ///
    /// - Parameter write: Writes the new one, in as many pieces as it likes.
    public func replacing(
        _ path: FilePath, mode: FileMode = 0o640, _ write: (any StorageFile) throws(StorageError) -> Void
    ) throws(StorageError) {
        let aside = try FileAside(path.partial, mode: mode, in: self)
        try write(aside.file)
        try aside.publish(as: path)
        try synchronizeDirectory(path.removingLastComponent())
    }

    /// Replaces a file's contents durably.
    public func replace(_ path: FilePath, with bytes: [UInt8], mode: FileMode = 0o640) throws(StorageError) {
        try replacing(path, mode: mode) { file throws(StorageError) in try file.append(bytes) }
    }

    /// Replaces a file's contents so that a reader sees the old file or the whole new one, and finds one of the two
    /// after a power failure; see ``FileAside/publish(as:replacing:)``.
    public func swap(_ path: FilePath, with bytes: [UInt8], mode: FileMode = 0o640) throws(StorageError) {
        let aside = try FileAside(path.partial, mode: mode, in: self)
        try aside.file.append(bytes)
        try aside.publish(as: path)
    }
}
