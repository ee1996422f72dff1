import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// Real processes in a spool on a disk of a few megabytes. It takes root to mount one.
@Suite(.enabled("needs root to mount a small disk") { SmallDisk.isPossible }, .endsWhatHangs)
struct FullDiskTests {
    private static let job = """
        train:
          corpus: tale.txt
          hidden_size: 96
          num_layers: 1
          epochs: 3
          seq_length: 20
          batch_size: 8
          checkpoint_every: 20
          eval_every: 20
        """

    @Test func `a full disk pauses the queue until there is room, and the job ends as if nothing had been`() throws {
        let undisturbed = try TestSpool()
        try undisturbed.corpus("tale.txt", Corpus.tale(20000))
        try undisturbed.drop("a.yaml", Self.job)
        #expect(try undisturbed.once().status == 0)
        let expected = try undisturbed.results("a")

        let spool = try TestSpool()
        let disk = try SmallDisk(at: spool.layout.root, megabytes: 16)
        defer { disk.unmount() }
        try spool.layout.create(.personal, on: spool.storage)
        try spool.corpus("tale.txt", Corpus.tale(20000))
        let filler = spool.layout.root.appending("filler")
        try spool.storage.replace(filler, with: [UInt8](repeating: 1, count: 13 << 20))
        try spool.drop("a.yaml", Self.job)
        let daemon = try spool.start(.charnnd, [])
        try eventually("the daemon says that it waits") {
            daemon.errorSoFar.contains("The queue waits for the disk")
                && daemon.errorSoFar.contains("must be free")
        }
        try eventually("the job waits in the queue") { try spool.state("a") == .queue }
        #expect(try spool.status("a")?.notBefore == nil)
        #expect(try spool.status("a")?.crashes == 0)
        try eventually("why tells of it") { try spool.charnn("why", "a").output.contains("for the disk: ") }
        try spool.storage.remove(filler)
        try eventually("the job is done") { try spool.state("a") == .done }
        #expect(daemon.errorSoFar.contains("The disk has room again"))
        daemon.signal(SIGTERM)
        #expect(try daemon.end().status == 0)
        try spool.expectResults("a", equal: expected)
    }

    @Test func `a check without room to measure in counts the steps alone, and calls no job bad for it`() throws {
        let spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(20000))
        let folder = spool.folder.path.appending("small")
        try spool.storage.createDirectory(folder, mode: 0o700)
        let disk = try SmallDisk(at: folder, megabytes: 1)
        defer { disk.unmount() }
        let job = spool.folder.path.appending("big.yaml")
        let large = Self.job.replacing("hidden_size: 96", with: "hidden_size: 512")
        try spool.storage.replace(job, with: Array(large.utf8))
        let end = try spool.charnn("check", "big.yaml", with: ["TMPDIR": folder.string])
        #expect(end.status == 0 && end.output.hasPrefix("big.yaml: valid\n"), "\(end.output)\(end.error)")
        #expect(end.output.contains("the steps alone") && end.output.contains("No space left"), "\(end.output)")
        #expect(try spool.storage.list(folder) == [])
        let none = try spool.charnn("check", "big.yaml", with: ["TMPDIR": "/nowhere"])
        #expect(none.status == 0 && none.output.contains("set TMPDIR"), "\(none.output)\(none.error)")
    }

    @Test func `a disk without inodes pauses the queue until files are removed`() throws {
        let spool = try TestSpool()
        let disk = try SmallDisk(at: spool.layout.root, megabytes: 64, inodes: 400)
        defer { disk.unmount() }
        try spool.layout.create(.personal, on: spool.storage)
        try spool.corpus("tale.txt", Corpus.tale(20000))
        try spool.drop("a.yaml", Self.job)
        let filler = spool.layout.root.appending("filler")
        try spool.storage.createDirectory(filler, mode: 0o700)
        while try spool.storage.space(at: spool.layout.root).inodes > 20 {
            let name = "\(try spool.storage.space(at: filler).inodes)"
            _ = try spool.storage.create(filler.appending(name), mode: 0o600)
        }
        let daemon = try spool.start(.charnnd, [])
        try eventually("the daemon says that it waits") {
            daemon.errorSoFar.contains("The queue waits for the disk") && daemon.errorSoFar.contains("inodes left")
        }
        try eventually("the job waits in the queue") { try spool.state("a") == .queue }
        for name in try spool.storage.list(filler) { try spool.storage.remove(filler.appending(name)) }
        try eventually("the job is done") { try spool.state("a") == .done }
        #expect(try spool.status("a")?.attempts == 1)
        daemon.signal(SIGTERM)
        #expect(try daemon.end().status == 0)
    }

    @Test func `a disk that can only be read pauses the queue until it can be written`() throws {
        let spool = try TestSpool()
        let disk = try SmallDisk(at: spool.layout.root, megabytes: 64)
        defer { disk.unmount() }
        try spool.layout.create(.personal, on: spool.storage)
        try spool.corpus("tale.txt", Corpus.tale(20000))
        try spool.drop("a.yaml", Self.job)
        let daemon = try spool.start(.charnnd, [])
        try eventually("the job runs") { try spool.state("a") == .active }
        try disk.forbidWriting()
        try eventually("the daemon says that it waits") { daemon.errorSoFar.contains("make the disk writable again") }
        disk.allowWriting()
        try eventually("the job is done") { try spool.state("a") == .done }
        daemon.signal(SIGTERM)
        #expect(try daemon.end().status == 0)
    }
}

/// A file system in memory.
private struct SmallDisk {
    let path: FilePath

    static var isPossible: Bool { getuid() == 0 && unshareable }

    /// Root in a container may lack the right to mount.
    private static let unshareable: Bool = {
        let path = NSTemporaryDirectory() + "charnn-mount-\(getpid())"
        guard mkdir(path, 0o700) == 0 else { return false }
        defer { rmdir(path) }
        guard mount("none", path, "tmpfs", 0, "size=1m") == 0 else { return false }
        return umount(path) == 0
    }()

    init(at path: FilePath, megabytes: Int, inodes: Int = 0) throws {
        self.path = path
        guard mount("none", path.string, "tmpfs", 0, "size=\(megabytes)m,nr_inodes=\(inodes)") == 0 else {
            throw NeverHappened(description: "mount \(path): errno \(errno)")
        }
    }

    /// What is opened from now on can only be read; files that are open cannot be taken from their writers.
    func forbidWriting() throws {
        let bind = UInt(MS_BIND)
        let readOnly = UInt(MS_REMOUNT) | bind | UInt(MS_RDONLY)
        guard mount(path.string, path.string, nil, bind, nil) == 0, mount(nil, path.string, nil, readOnly, nil) == 0
        else { throw NeverHappened(description: "mount \(path) to be read only: errno \(errno)") }
    }

    func allowWriting() { umount2(path.string, Int32(MNT_DETACH)) }

    func unmount() { umount2(path.string, Int32(MNT_DETACH)) }
}
