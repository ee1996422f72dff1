import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import CharnnJobs

/// A job's storage gives signs of life, and leaves to the disk below it all that a disk can do better.
@Suite struct BeatingStorageTests {
    private let folder = TemporaryDirectory("beating")

    /// The disk asks each of its own files whether all that was written has come to it; of a stranger's it cannot.
    @Test func `files that are synced together are the disk's own below it`() throws {
        let kinds = Mutex<[String]>([])
        let below = MeddlingStorage { call, _ in
            if call.hasPrefix("sync ") { kinds.withLock { $0.append(call) } }
        }
        let kind = type(of: try below.create(folder.path.appending("own"), mode: 0o600))
        let storage = BeatingStorage(base: below, pulse: Pulse())
        let files = try ["a", "b"].map { try storage.create(folder.path.appending($0), mode: 0o600) }
        try storage.synchronize(files, directories: [folder.path])
        let asked = kinds.withLock { $0 }
        #expect(asked == ["sync \(kind)", "sync \(kind)"])
    }

    @Test func `a sync of files together is a sign of life`() throws {
        let now = Mutex(0.0)
        let signs = Mutex(0)
        let clock = SpoolClock(monotonic: { now.withLock { $0 } }, wall: { 0 })
        let storage = BeatingStorage(base: LocalStorage(), pulse: Pulse(clock: clock) { signs.withLock { $0 += 1 } })
        let file = try storage.create(folder.path.appending("a"), mode: 0o600)
        let before = signs.withLock { $0 }
        now.withLock { $0 += 10 }
        try storage.synchronize([file], directories: [])
        let after = signs.withLock { $0 }
        #expect(after == before + 1)
    }

    @Test func `a sync of files together is told where it fails`() throws {
        let storage = BeatingStorage(base: LocalStorage(), pulse: Pulse())
        let file = try storage.create(folder.path.appending("a"), mode: 0o600)
        #expect(throws: StorageError.self) {
            try storage.synchronize([file], directories: [folder.path.appending("none")])
        }
    }

    @Test func `many files are worked on by several threads, in their order`() {
        let storage = BeatingStorage(base: LocalStorage(), pulse: Pulse())
        let caller = pthread_self()
        let numbers = Array(0..<1000)
        let outcomes = storage.forEach(of: numbers) { number throws(StorageError) in
            (number, isElsewhere: pthread_equal(pthread_self(), caller) == 0)
        }
        let found = outcomes.compactMap { try? $0.get() }
        #expect(found.map(\.0) == numbers)
        #expect(found.count(where: { $0.isElsewhere }) > 0)
    }

    @Test func `a network file system is known through it`() throws {
        let below = MeddlingStorage(networks: ["/net": "nfs"]) { _, _ in }
        let storage = BeatingStorage(base: below, pulse: Pulse())
        #expect(try storage.networkFileSystem(at: "/net/spool") == "nfs")
    }
}
