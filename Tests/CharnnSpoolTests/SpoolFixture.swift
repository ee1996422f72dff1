import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Glibc
import Synchronization
import SystemPackage
import Testing

/// A spool in a folder of its own, with clocks that stand still until they are told to go on.
final class SpoolFixture {
    let folder = TemporaryDirectory("spool")
    let time = TestTime()
    var layout: SpoolLayout { SpoolLayout(root: folder.path.appending("spool")) }
    let disk = LocalStorage()
    var client: SpoolClient { SpoolClient(layout, clock: clock) }
    private var clock: SpoolClock {
        SpoolClock(monotonic: { [time] in time.now }, wall: { [time] in 1_700_000_000 + time.now })
    }

    init() throws { try layout.create(.personal, on: disk) }

    /// Reads lines `priority: N`, `after: A B`, `model: M`, `device: D`, `text: T`; anything else is refused.
    static let check: JobCheck = { bytes, file throws(JobRejection) in
        var requirements = JobRequirements()
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            switch words[0] {
            case "priority:": requirements.priority = Int(words[1])!
            case "after:": requirements.after += words.dropFirst()
            case "ended:":
                requirements.after += words.dropFirst()
                requirements.ended.formUnion(words.dropFirst())
            case "model:": requirements.modelJobs = Array(words.dropFirst())
            case "device:": requirements.mayUseGPU = words[1] != "cpu"
            case "text:": requirements.texts = Array(words.dropFirst())
            default: throw JobRejection("\(file): \(line) is not understood")
            }
        }
        return requirements
    }

    func open(
        _ storage: any Storage = LocalStorage(), sharing: SpoolLayout.Sharing? = nil
    ) throws -> SpoolKeeper {
        return try #require(
            try SpoolKeeper.open(
                layout, sharing: sharing, storage: storage, clock: clock, check: Self.check))
    }

    func drop(_ name: String, _ text: String = "priority: 0") throws {
        let path = layout.incoming.appending(name)
        try disk.replace(path, with: Array(text.utf8))
        // A process that another test started just now has the file open too until its program begins, and then the
        // keeper rightly takes it for half written.
        var tries = 0
        while try disk.open(path, beneath: nil).isOpenForWriting() == true, tries < 1000 {
            usleep(5000)
            tries += 1
        }
    }

    func move(_ file: String, _ from: JobState, _ to: JobState) throws {
        try disk.rename(layout.file(file, in: from), to: layout.file(file, in: to), replacing: false)
    }

    func state(_ job: String) throws -> JobState? { try client.find(job)?.state }

    func status(_ job: String) throws -> JobStatus {
        try #require(try JobStatus.read(layout.status(of: job), on: disk))
    }

    func files(_ state: JobState) throws -> [String] { try disk.list(layout.directory(state)).sorted() }

    /// What a worker does that succeeds.
    func finish(_ job: String, as state: JobState = .done, on storage: some Storage = LocalStorage()) throws {
        try ResultRecord.commit(try status(job), as: state, results: [], at: 0, to: layout.status(of: job), on: storage)
    }
}

final class TestTime: Sendable {
    private let value = Mutex(1000.0)
    var now: Double { value.withLock { $0 } }
    func pass(_ seconds: Double) { value.withLock { $0 += seconds } }
}

extension SpoolKeeper {
    /// Scans and accepts all there is.
    func settle() throws {
        try scan()
        while hasDrops { try acceptDrops() }
        try tick()
    }
}

/// The real file system for somebody who may not look into a directory.
struct BlindStorage: Storage {
    private let real = LocalStorage()
    private let shut: FilePath
    init(_ shut: FilePath) { self.shut = shut }

    private func check(_ path: FilePath) throws(StorageError) {
        guard path != shut, path.starts(with: shut) else { return }
        throw StorageError(.denied, call: "lstat", path: path, errno: .permissionDenied)
    }

    func status(of path: FilePath) throws(StorageError) -> FileStatus? {
        try check(path)
        return try real.status(of: path)
    }
    func list(_ directory: FilePath) throws(StorageError) -> [String] { try real.list(directory) }
    func open(_ path: FilePath, beneath root: FilePath?) throws(StorageError) -> any StorageFile {
        try check(path)
        return try real.open(path, beneath: root)
    }
    func create(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) -> any StorageFile {
        try real.create(path, mode: mode)
    }
    func openForAppending(
        _ path: FilePath, mode: CharnnStorage.FileMode
    ) throws(StorageError) -> any StorageFile { try real.openForAppending(path, mode: mode) }
    func createDirectory(_ path: FilePath, mode: CharnnStorage.FileMode) throws(StorageError) {
        try real.createDirectory(path, mode: mode)
    }
    func rename(_ source: FilePath, to destination: FilePath, replacing: Bool) throws(StorageError) {
        try real.rename(source, to: destination, replacing: replacing)
    }
    func remove(_ path: FilePath) throws(StorageError) { try real.remove(path) }
    func removeDirectory(_ path: FilePath) throws(StorageError) { try real.removeDirectory(path) }
    func setMode(_ mode: CharnnStorage.FileMode, of path: FilePath) throws(StorageError) {
        try real.setMode(mode, of: path)
    }
    func synchronizeDirectory(_ path: FilePath) throws(StorageError) { try real.synchronizeDirectory(path) }
    func space(at path: FilePath) throws(StorageError) -> StorageSpace { try real.space(at: path) }
    func isWritable(_ directory: FilePath) -> Bool { real.isWritable(directory) }
    func lock(_ path: FilePath) throws(StorageError) -> (any StorageLock)? {
        try check(path)
        return try real.lock(path)
    }
    func isLocked(_ path: FilePath) throws(StorageError) -> Bool {
        try check(path)
        return try real.isLocked(path)
    }
    func watch(_ directories: [FilePath]) throws(StorageError) -> any StorageWatch { try real.watch(directories) }
}
