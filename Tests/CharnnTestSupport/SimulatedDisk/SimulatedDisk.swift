public import CharnnStorage
internal import Synchronization
public import SystemPackage

/// A disk in memory behind the storage protocol: records every operation, fails those that it is told to fail, and
/// keeps what it was after each one, so that the power can fail there.
///
/// Nothing in it depends on time or chance.
public final class SimulatedDisk: Storage {
    /// What an operation does to a disk.
    public enum Kind: Sendable, CaseIterable {
        case look
        /// Needs room: new files, directories, bytes and names.
        case write
        /// Frees room, or changes rights.
        case remove
        case sync
    }

    public struct Operation: Sendable {
        public var call: String
        public var kind: Kind
        public var path: String
        /// Who called, where that is recorded.
        public var stack: CallStack?
        /// The disk when it was done, where that is recorded.
        public var image: DiskImage?
    }

    /// What goes wrong.
    public enum Trouble: Sendable, CaseIterable {
        case inputOutputError, noSpace, interrupted, shortWrite, failedSync, readOnly

        public func strikes(_ operation: Operation) -> Bool {
            switch self {
            case .inputOutputError: true
            case .noSpace: operation.kind == .write
            case .shortWrite: operation.call == "write"
            // Opening, reading and writing are repeated below the protocol.
            case .interrupted: !["open", "read", "write", "mmap"].contains(operation.call)
            case .failedSync: operation.kind == .sync
            case .readOnly: operation.kind == .write || operation.kind == .remove
            }
        }

        var error: (code: StorageError.Code, errno: Errno) {
            switch self {
            case .inputOutputError, .failedSync: (.other, .ioError)
            case .noSpace, .shortWrite: (.noSpace, .noSpace)
            case .interrupted: (.other, .interrupted)
            case .readOnly: (.readOnly, .readOnlyFileSystem)
            }
        }
    }

    public struct Fault: Sendable {
        public var trouble: Trouble
        /// The number of the operation at which it begins.
        public var at: Int
        /// Whether it lasts until ``heal()``.
        public var isLasting: Bool

        public init(_ trouble: Trouble, at: Int, isLasting: Bool) {
            self.trouble = trouble
            self.at = at
            self.isLasting = isLasting
        }
    }

    /// What a bug can be planted in.
    public enum Target: Hashable, Sendable { case fileSync, directorySync, rename }

    /// A planted bug in how a sync or a rename is done.
    public enum Sabotage: Sendable {
        /// A sync does nothing.
        case omitted
        /// A file's sync is done only when the file has been renamed.
        case afterRename
        /// A rename is done only after the next one: what was to be published later is there first.
        case afterNext
    }

    private struct State {
        var image: DiskImage
        var operations: [Operation] = []
        var count = 0
        var fault: Fault?
        var failures = 0
        var locks: [Int: Int] = [:]
        var lastLock = 0
        /// Files whose sync is put off until they are renamed.
        var late: Set<Int> = []
        /// Of these, the renamed ones: their sync comes with the next operation, before which the power may fail.
        var due: Set<Int> = []
        /// A rename that is put off until after the next.
        var waiting: Rename?
    }

    private struct Rename {
        var source: FilePath
        var destination: FilePath
        var replacing: Bool
    }

    private let state: Mutex<State>
    private let records: Bool
    private let sabotage: (@Sendable (Target, CallStack) -> Sabotage?)?

    /// - Parameters:
    ///   - records: Whether operations are kept, with their callers and the disk after each.
    ///   - sabotage: Asked at each sync and rename for a planted bug there.
    public init(
        _ image: DiskImage = DiskImage(), records: Bool = false,
        sabotage: (@Sendable (Target, CallStack) -> Sabotage?)? = nil
    ) {
        state = Mutex(State(image: image))
        self.records = records
        self.sabotage = sabotage
    }

    public var image: DiskImage { state.withLock { $0.image } }
    /// Operations so far.
    public var count: Int { state.withLock { $0.count } }
    public var operations: [Operation] { state.withLock { $0.operations } }
    /// How many operations were failed.
    public var failures: Int { state.withLock { $0.failures } }

    /// Changes the disk from outside, as a person or the machine does.
    public func change<Result: Sendable>(_ body: @Sendable (inout DiskImage) -> Result) -> Result {
        state.withLock { body(&$0.image) }
    }

    public func fail(_ fault: Fault) { state.withLock { $0.fault = fault } }

    /// From now on nothing fails.
    public func heal() { state.withLock { $0.fault = nil } }

    // MARK: - One operation

    private func perform<Value: Sendable>(
        _ call: String, _ kind: Kind, _ path: FilePath, _ body: (inout State) throws(StorageError) -> Value,
        partly: (inout State) -> Void = { _ in }
    ) throws(StorageError) -> Value {
        let stack = records ? CallStack() : nil
        let outcome: Swift.Result<Value, StorageError> = state.withLock { state in
            let number = state.count
            state.count += 1
            for file in state.due { state.image.synchronize(file) }
            state.due = []
            var operation = Operation(call: call, kind: kind, path: path.string, stack: stack)
            let outcome: Swift.Result<Value, StorageError>
            if let fault = state.fault, number >= fault.at, fault.trouble.strikes(operation) {
                if !fault.isLasting { state.fault = nil }
                state.failures += 1
                if fault.trouble == .shortWrite || kind == .sync { partly(&state) }
                let (code, errno) = fault.trouble.error
                outcome = .failure(StorageError(code, call: call, path: path, errno: errno))
            } else {
                do throws(StorageError) {
                    outcome = .success(try body(&state))
                } catch {
                    outcome = .failure(error)
                }
            }
            if records {
                operation.image = state.image
                state.operations.append(operation)
            }
            return outcome
        }
        return try outcome.get()
    }

    private static func missing(_ call: String, _ path: FilePath) -> StorageError {
        StorageError(.notFound, call: call, path: path, errno: .noSuchFileOrDirectory)
    }

    private static func exists(_ call: String, _ path: FilePath) -> StorageError {
        StorageError(.alreadyExists, call: call, path: path, errno: .fileExists)
    }

    private static func requireRoom(
        _ image: DiskImage, bytes: Int = 0, files: Int = 0, _ call: String, _ path: FilePath
    ) throws(StorageError) {
        let isFull = image.capacity.map { bytes > 0 && image.used + bytes > $0 } ?? false
        let hasNoInodes = image.mostFiles.map { files > 0 && image.nodes.count + files > $0 } ?? false
        if isFull || hasNoInodes { throw StorageError(.noSpace, call: call, path: path, errno: .noSpace) }
    }

    // MARK: - The protocol

    public func status(of path: FilePath) throws(StorageError) -> FileStatus? {
        try perform("lstat", .look, path) { state in
            state.image.node(at: path).flatMap { state.image.status(of: $0) }
        }
    }

    public func accessList(of path: FilePath) throws(StorageError) -> [UInt8]? {
        try perform("getxattr", .look, path) { state throws(StorageError) in
            guard let number = state.image.node(at: path) else { throw Self.missing("getxattr", path) }
            return state.image.nodes[number]?.accessList
        }
    }

    public func setAccessList(_ list: AccessList, of path: FilePath) throws(StorageError) {
        try perform("setxattr", .remove, path) { state throws(StorageError) in
            guard let number = state.image.node(at: path) else { throw Self.missing("setxattr", path) }
            guard state.image.hasAccessLists else {
                throw StorageError(.unsupported, call: "setxattr", path: path, errno: .notSupported)
            }
            state.image.nodes[number]?.accessList = list.bytes
        }
    }

    public func list(_ directory: FilePath) throws(StorageError) -> [String] {
        try perform("readdir", .look, directory) { state throws(StorageError) in
            guard let number = state.image.node(at: directory), let node = state.image.nodes[number],
                node.kind == .directory
            else { throw Self.missing("opendir", directory) }
            return node.names.keys.sorted().map(\.text)
        }
    }

    public func open(_ path: FilePath, beneath root: FilePath?) throws(StorageError) -> any StorageFile {
        try perform("open", .look, path) { state throws(StorageError) in
            try self.file(path, state)
        }
    }

    private func file(_ path: FilePath, _ state: State) throws(StorageError) -> SimulatedFile {
        guard let number = state.image.node(at: path) else { throw Self.missing("open", path) }
        guard state.image.nodes[number]?.kind == .regular else {
            throw StorageError(.notRegular, call: "open", path: path, errno: .invalidArgument)
        }
        return SimulatedFile(path, number, self)
    }

    public func create(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) -> any StorageFile {
        try perform("creat", .write, path) { state throws(StorageError) in
            guard let place = state.image.place(of: path) else { throw Self.missing("open", path) }
            guard state.image.node(at: path) == nil else { throw Self.exists("open", path) }
            try Self.requireRoom(state.image, files: 1, "open", path)
            return SimulatedFile(path, state.image.make(.regular, in: place.directory, place.name, mode: mode), self)
        }
    }

    public func openForAppending(
        _ path: FilePath, mode: CharnnStorage.FileMode
    ) throws(StorageError) -> any StorageFile {
        try perform("creat", .write, path) { state throws(StorageError) in
            if state.image.node(at: path) != nil { return try self.file(path, state) }
            guard let place = state.image.place(of: path) else { throw Self.missing("open", path) }
            try Self.requireRoom(state.image, files: 1, "open", path)
            return SimulatedFile(path, state.image.make(.regular, in: place.directory, place.name, mode: mode), self)
        }
    }

    public func createDirectory(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) {
        try perform("mkdir", .write, path) { state throws(StorageError) in
            if let number = state.image.node(at: path) {
                if state.image.nodes[number]?.kind == .directory { return }
                throw Self.exists("mkdir", path)
            }
            guard let place = state.image.place(of: path) else { throw Self.missing("mkdir", path) }
            try Self.requireRoom(state.image, files: 1, "mkdir", path)
            _ = state.image.make(.directory, in: place.directory, place.name, mode: mode)
        }
    }

    public func rename(_ source: FilePath, to destination: FilePath, replacing: Bool) throws(StorageError) {
        let planted = sabotage?(.rename, CallStack())
        try perform("rename", .write, source) { state throws(StorageError) in
            let rename = Rename(source: source, destination: destination, replacing: replacing)
            let waiting = state.waiting
            state.waiting = nil
            if planted == .afterNext {
                if let waiting { try? Self.perform(waiting, &state) }
                guard state.image.node(at: source) != nil else { throw Self.missing("rename", source) }
                state.waiting = rename
            } else {
                try Self.perform(rename, &state)
                // What it was to move may be gone or replaced by now; then it has no effect.
                if let waiting { try? Self.perform(waiting, &state) }
            }
        }
    }

    private static func perform(_ rename: Rename, _ state: inout State) throws(StorageError) {
        let (source, destination) = (rename.source, rename.destination)
        guard let number = state.image.node(at: source), let from = state.image.place(of: source) else {
            throw missing("rename", source)
        }
        guard state.image.nodes[number]?.isProtected != true else {
            throw StorageError(.denied, call: "rename", path: source, errno: .notPermitted)
        }
        guard let to = state.image.place(of: destination) else { throw missing("rename", destination) }
        if let old = state.image.node(at: destination) {
            guard rename.replacing else { throw exists("rename", destination) }
            guard state.image.nodes[old]?.kind == .regular else {
                throw StorageError(.notRegular, call: "rename", path: source, errno: .isDirectory)
            }
            // Two names of one file: rename does nothing.
            if old == number { return }
        }
        state.image.move(number, from: from, to: to, replacing: rename.replacing)
        if state.late.remove(number) != nil { state.due.insert(number) }
    }

    public func remove(_ path: FilePath) throws(StorageError) {
        try perform("unlink", .remove, path) { state throws(StorageError) in
            guard let number = state.image.node(at: path), let place = state.image.place(of: path) else {
                throw Self.missing("unlink", path)
            }
            guard state.image.nodes[number]?.kind != .directory else {
                throw StorageError(.notRegular, call: "unlink", path: path, errno: .isDirectory)
            }
            guard state.image.nodes[number]?.isProtected != true else {
                throw StorageError(.denied, call: "unlink", path: path, errno: .notPermitted)
            }
            state.image.remove(place.name, from: place.directory, number)
        }
    }

    public func removeDirectory(_ path: FilePath) throws(StorageError) {
        try perform("rmdir", .remove, path) { state throws(StorageError) in
            guard let number = state.image.node(at: path), let place = state.image.place(of: path),
                let node = state.image.nodes[number], node.kind == .directory
            else { throw Self.missing("rmdir", path) }
            guard node.names.isEmpty else { throw Self.exists("rmdir", path) }
            state.image.remove(place.name, from: place.directory, number)
        }
    }

    public func setMode(_ mode: CharnnStorage.FileMode, of path: FilePath) throws(StorageError) {
        try perform("chmod", .remove, path) { state throws(StorageError) in
            guard let number = state.image.node(at: path) else { throw Self.missing("chmod", path) }
            state.image.nodes[number]?.mode = mode
            state.image.nodes[number]?.accessList = nil
        }
    }

    public func synchronizeDirectory(_ path: FilePath) throws(StorageError) {
        let planted = sabotage?(.directorySync, CallStack())
        try perform("fsync directory", .sync, path) { state throws(StorageError) in
            guard let number = state.image.node(at: path) else { throw Self.missing("open", path) }
            if planted == nil { state.image.synchronizeDirectory(number) }
        }
    }

    public func space(at path: FilePath) throws(StorageError) -> StorageSpace {
        try perform("statvfs", .look, path) { state in
            let bytes = state.image.capacity.map { UInt64(max(0, $0 - state.image.used)) } ?? 1 << 40
            let files = state.image.mostFiles.map { UInt64(max(0, $0 - state.image.nodes.count)) } ?? 1 << 20
            return StorageSpace(bytes: bytes, inodes: files)
        }
    }

    public func isWritable(_ directory: FilePath) -> Bool {
        state.withLock { state in
            state.image.node(at: directory).flatMap { state.image.nodes[$0] }.map { $0.mode.bits & 0o200 != 0 } ?? false
        }
    }

    public func lock(_ path: FilePath) throws(StorageError) -> (any StorageLock)? {
        let taken: (node: Int, lock: Int)? = try perform("flock", .write, path) { state throws(StorageError) in
            let number: Int
            if let found = state.image.node(at: path) {
                number = found
            } else {
                guard let place = state.image.place(of: path) else { throw Self.missing("open", path) }
                try Self.requireRoom(state.image, files: 1, "open", path)
                number = state.image.make(.regular, in: place.directory, place.name, mode: 0o600)
            }
            guard state.locks[number] == nil else { return nil }
            state.lastLock += 1
            state.locks[number] = state.lastLock
            return (number, state.lastLock)
        }
        return taken.map { SimulatedLock(self, $0.node, $0.lock) }
    }

    public func isLocked(_ path: FilePath) throws(StorageError) -> Bool {
        try perform("fcntl", .look, path) { state in
            state.image.node(at: path).map { state.locks[$0] != nil } ?? false
        }
    }

    fileprivate func unlock(_ node: Int, _ lock: Int) {
        state.withLock { if $0.locks[node] == lock { $0.locks[node] = nil } }
    }

    public func watch(_ directories: [FilePath]) throws(StorageError) -> any StorageWatch {
        try perform("inotify", .look, directories.first ?? "") { _ in NoWatch() }
    }

    // MARK: - Open files

    fileprivate func status(of number: Int, _ path: FilePath) throws(StorageError) -> FileStatus {
        try perform("fstat", .look, path) { state throws(StorageError) in
            guard let status = state.image.status(of: number) else { throw Self.missing("fstat", path) }
            return status
        }
    }

    fileprivate func read(_ number: Int, _ path: FilePath, _ offset: Int, _ count: Int) throws(StorageError) -> [UInt8]
    {
        try perform("read", .look, path) { state in
            let bytes = state.image.nodes[number]?.bytes ?? []
            let start = min(offset, bytes.count)
            return Array(bytes[start..<(start + min(count, bytes.count - start))])
        }
    }

    fileprivate func append(_ bytes: [UInt8], _ number: Int, _ path: FilePath) throws(StorageError) {
        try perform("write", .write, path) { state throws(StorageError) in
            if let capacity = state.image.capacity {
                let room = capacity - state.image.used
                if room < bytes.count { state.image.append(bytes.prefix(max(0, room)), to: number) }
                try Self.requireRoom(state.image, bytes: bytes.count - max(0, room), "write", path)
            }
            state.image.append(bytes, to: number)
        } partly: { state in
            state.image.append(bytes.prefix(bytes.count / 2), to: number)
        }
    }

    fileprivate func truncate(_ number: Int, _ path: FilePath, to size: Int) throws(StorageError) {
        try perform("ftruncate", .write, path) { state in state.image.truncate(number, to: size) }
    }

    fileprivate func synchronize(_ number: Int, _ path: FilePath) throws(StorageError) {
        let planted = sabotage?(.fileSync, CallStack())
        try perform("fsync", .sync, path) { state in
            switch planted {
            case .omitted: break
            case .afterRename: state.late.insert(number)
            case nil, .afterNext: state.image.synchronize(number)
            }
        } partly: { state in
            state.image.failSynchronizing(number)
        }
    }

    fileprivate func map(_ number: Int, _ path: FilePath) throws(StorageError) -> SimulatedMapping {
        try perform("mmap", .look, path) { state in SimulatedMapping(state.image.nodes[number]?.bytes ?? []) }
    }
}

private final class SimulatedFile: StorageFile {
    let path: FilePath
    private let number: Int
    private let disk: SimulatedDisk

    init(_ path: FilePath, _ number: Int, _ disk: SimulatedDisk) {
        self.path = path
        self.number = number
        self.disk = disk
    }

    func status() throws(StorageError) -> FileStatus { try disk.status(of: number, path) }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        try disk.read(number, path, offset, count)
    }
    func append(_ bytes: [UInt8]) throws(StorageError) { try disk.append(bytes, number, path) }
    func truncate(to size: Int) throws(StorageError) { try disk.truncate(number, path, to: size) }
    func synchronize() throws(StorageError) { try disk.synchronize(number, path) }
    func map() throws(StorageError) -> any StorageMapping { try disk.map(number, path) }
    func isOpenForWriting() -> Bool? { disk.image.tellsWriters ? false : nil }
}

/// `@unchecked Sendable`: the memory is written before anybody else has it, and freed when nobody has.
private final class SimulatedMapping: StorageMapping, @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    var count: Int { bytes.count }

    init(_ contents: [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: contents.count, alignment: 16)
        memory.copyBytes(from: contents)
        bytes = UnsafeRawBufferPointer(memory)
    }

    deinit { bytes.deallocate() }
}

private final class SimulatedLock: StorageLock {
    private let disk: SimulatedDisk
    private let node: Int
    private let lock: Int

    init(_ disk: SimulatedDisk, _ node: Int, _ lock: Int) {
        self.disk = disk
        self.node = node
        self.lock = lock
    }

    deinit { disk.unlock(node, lock) }
}

private final class NoWatch: StorageWatch {
    let hints: AsyncStream<StorageHint>
    init() { (hints, _) = AsyncStream.makeStream() }
    func cancel() {}
}
