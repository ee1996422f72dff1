import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Glibc
import SystemPackage
import Testing

/// Where a spool may lie: on a file system of this machine, and in nobody else's folder.
@Suite struct SpoolPlaceTests {
    private let folder = TemporaryDirectory("place")
    private var home: FilePath { folder.path.appending("home") }
    private var local: FilePath { folder.path.appending("local") }

    /// A disk on which the home folder is of the network.
    private func disk(
        _ networks: [FilePath: String]? = nil, _ meddle: @escaping @Sendable (String, FilePath) -> Void = { _, _ in }
    ) -> MeddlingStorage {
        MeddlingStorage(networks: networks ?? [home: "nfs"], meddle)
    }

    private func choose(_ requested: FilePath? = nil, on disk: some Storage) throws(StorageError) -> SpoolLayout {
        let home = home.string
        return try SpoolLayout.choose(
            requested, isDaemon: true, environment: { $0 == "HOME" ? home : nil }, system: "/nonexistent", on: disk,
            local: local)
    }

    private static let check: JobCheck = { _, _ throws(JobRejection) in JobRequirements() }

    @Test func `a spool on a network file system is refused, nothing is made, and a place that would do is named`()
        throws
    {
        let disk = disk()
        let layout = try choose(home.appending("spool"), on: disk)
        let error = #expect(throws: StorageError.self) {
            try SpoolKeeper.open(layout, storage: disk, check: Self.check)
        }
        #expect(error?.code == .networkFileSystem)
        #expect(
            error?.description
                == "\(layout.root) lies on a network file system (nfs), where locks and notices of changes cannot be "
                + "relied on")
        #expect(error?.remedy == "name a folder on a local disk, such as /var/tmp/charnnd-\(getuid())")
        #expect(try disk.status(of: home) == nil)
    }

    @Test func `so is one of which only the daemon's own folder is there`() throws {
        let layout = SpoolLayout(root: local)
        try layout.create(.personal, on: LocalStorage())
        let error = #expect(throws: StorageError.self) {
            try SpoolKeeper.open(layout, storage: disk([layout.accepting: "ceph"]), check: Self.check)
        }
        #expect(error?.code == .networkFileSystem)
        #expect(error?.found == "ceph")
    }

    @Test func `the system's spool has its place, so a disk for it is asked for`() throws {
        let layout = SpoolLayout(root: local)
        try layout.create(.group, on: LocalStorage())
        let error = #expect(throws: StorageError.self) {
            try SpoolKeeper.open(layout, storage: disk([local: "nfs"]), check: Self.check)
        }
        #expect(error?.remedy == "mount a local file system there, or name a folder on one")
    }

    @Test func `runs lie in a spool of one's own, also beside the shared one`() throws {
        let (home, state) = (home.string, home.appending(".local/state/charnnd"))
        func homeOfRuns(_ layout: SpoolLayout) throws -> SpoolLayout {
            try layout.homeOfRuns(environment: { $0 == "HOME" ? home : nil }, on: LocalStorage(), local: local)
        }
        let spool = SpoolLayout(root: folder.path.appending("spool"))
        #expect(try homeOfRuns(spool) == spool)
        try spool.create(.personal, on: LocalStorage())
        #expect(try homeOfRuns(spool) == spool)
        let shared = SpoolLayout(root: folder.path.appending("shared"))
        try shared.create(.group, on: LocalStorage())
        #expect(try homeOfRuns(shared).root == state)
        #expect(
            try shared.homeOfRuns(
                environment: { $0 == "HOME" ? home : nil }, on: disk([state: "nfs"]), local: local
            ).root == local)
    }

    @Test func `a home on the network has its spool on the local disk, which is told when it is made`() throws {
        let disk = disk()
        let layout = try choose(on: disk)
        #expect(layout.root == local)
        let former = home.appending(".local/state/charnnd")
        #expect(
            try layout.notice(on: disk)
                == "\(former) lies on a network file system (nfs), so the spool is made in \(local), on this machine's "
                + "disk; CHARNND_SPOOL or --spool names another")
        try layout.create(.personal, on: disk)
        #expect(try disk.status(of: local)?.mode == 0o700)
        #expect(try choose(on: disk) == layout)
        #expect(try layout.notice(on: disk) == nil)
    }

    @Test func `what the former spool has is told of`() throws {
        let disk = disk()
        try disk.createDirectories(home.appending(".local/state/charnnd"), mode: 0o700)
        let notice = try choose(on: disk).notice(on: disk)
        #expect(notice?.contains("; what is in the former stays there; ") == true)
    }

    @Test func `a local home keeps its spool, and so does one that has no local disk beside it`() throws {
        let own = home.appending(".local/state/charnnd")
        #expect(try choose(on: disk([:])).root == own)
        #expect(try choose(on: disk([folder.path: "nfs"])).root == own)
        #expect(try choose(on: disk([:])).notice(on: disk([:])) == nil)
    }

    @Test(arguments: ["a link", "no folder", "open to be written to by others"])
    func `a place that somebody else has prepared is refused`(what: String) throws {
        switch what {
        case "a link":
            #expect(mkdir(folder.path.appending("theirs").string, 0o700) == 0)
            #expect(symlink("theirs", local.string) == 0)
        case "no folder": close(creat(local.string, 0o600))
        default:
            #expect(mkdir(local.string, 0o700) == 0)
            #expect(chmod(local.string, 0o777) == 0)
        }
        let error = #expect(throws: StorageError.self) { try choose(on: disk()) }
        #expect(error?.code == .notOwn)
        #expect(
            error?.description
                == "\(local) must be a folder of your own in which nobody else may write, and is \(what)")
        #expect(error?.remedy == "have it removed, or name another place")
    }

    @Test(.enabled(if: getuid() == 0, "takes root")) func `another user's folder is refused`() throws {
        #expect(mkdir(local.string, 0o700) == 0)
        #expect(chown(local.string, 4711, 4711) == 0)
        let error = #expect(throws: StorageError.self) { try choose(on: disk()) }
        #expect(error?.found == "another user's (4711)")
    }

    @Test func `whoever makes the folder first does not get the spool`() throws {
        let local = local
        let disk = disk { call, path in
            guard call == "mkdir", path == local else { return }
            mkdir(path.string, 0o777)
            chmod(path.string, 0o777)
        }
        let layout = try choose(on: disk)
        let error = #expect(throws: StorageError.self) { try layout.create(.personal, on: disk) }
        #expect(error?.code == .notOwn)
        #expect(try disk.list(local).isEmpty)
        #expect(try disk.status(of: local)?.mode == 0o777, "its rights are not touched")
    }
}
