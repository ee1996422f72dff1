import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Glibc
import Synchronization
import SystemPackage
import Testing

/// People who drop files and mean harm.
@Suite(.endsWhatHangs)
struct SpoolHostilityTests {
    let spool: SpoolFixture
    init() throws { spool = try SpoolFixture() }

    /// What may be put in a drop's place between the look at it and its use.
    enum Swap: String, CaseIterable, CustomTestStringConvertible {
        case link, hardLink, fifo, folder, nothing, anotherFile
        var testDescription: String { rawValue }
    }

    @Test(arguments: Swap.allCases, ["open", "rename"])
    func `what is swapped between check and use is never read as a job`(swap: Swap, call: String) throws {
        let secret = spool.folder.path.appending("secret.yaml")
        try spool.disk.replace(secret, with: Array("priority: 7".utf8))
        try spool.drop("a.yaml", "priority: 1")
        let path = spool.layout.incoming.appending("a.yaml")
        let moment = Moment()
        let storage = MeddlingStorage { name, target in
            guard name == call, target == path, moment.comes else { return }
            unlink(path.string)
            switch swap {
            case .link: #expect(symlink(secret.string, path.string) == 0)
            case .hardLink: #expect(link(secret.string, path.string) == 0)
            case .fifo: #expect(mkfifo(path.string, 0o600) == 0)
            case .folder: #expect(mkdir(path.string, 0o700) == 0)
            case .nothing: break
            case .anotherFile:
                let file = creat(path.string, 0o600)
                #expect(write(file, "priority: 3", 11) == 11)
                close(file)
            }
        }
        let keeper = try spool.open(storage)
        try keeper.recover()
        #expect(keeper.hasDrops)
        moment.awaits()
        while keeper.hasDrops { try keeper.acceptDrops() }
        #expect(moment.isOver, "nothing was swapped")
        try keeper.settle()
        let accepted = try spool.files(.queue)
        switch swap {
        case .anotherFile:
            #expect(accepted == ["a.yaml"])
            #expect(try spool.status("a").ticket?.priority == 3)
        default:
            #expect(accepted == [])
            let isTold = keeper.takeEvents().contains { if case .ignored = $0 { true } else { false } }
            #expect(isTold == (swap != .nothing))
        }
        #expect(try spool.disk.list(spool.layout.accepting).filter { !$0.hasPrefix(".") } == [])
        #expect(try spool.disk.contents(of: secret) == Array("priority: 7".utf8))
    }

    /// The one moment at which something is swapped: a drop is also opened before, to see whether it is complete.
    private final class Moment: Sendable {
        private enum State { case early, due, over }
        private let state = Mutex(State.early)

        func awaits() { state.withLock { $0 = .due } }

        var comes: Bool {
            state.withLock { state in
                guard state == .due else { return false }
                state = .over
                return true
            }
        }

        var isOver: Bool { state.withLock { $0 == .over } }
    }

    @Test(.enabled(if: getuid() == 0, "needs root, to give files to others"))
    func `a drop that is swapped for a file of the daemon's while it is moved is not taken in the daemon's name`()
        throws
    {
        let path = spool.layout.incoming.appending("a.yaml")
        let isSwapped = Mutex(false)
        let storage = MeddlingStorage { call, source in
            guard call == "rename", source == path, !isSwapped.withLock({ $0 }) else { return }
            isSwapped.withLock { $0 = true }
            // Moved away and not removed: what was opened keeps its name, and only that it is another file tells.
            rename(path.string, path.removingLastComponent().appending(".aside").string)
            try? LocalStorage().replace(path, with: Array("priority: 9".utf8), mode: 0o644)
        }
        let keeper = try spool.open(storage, sharing: .group)
        try keeper.recover()
        try spool.drop("a.yaml", "priority: 1")
        #expect(chown(path.string, 65534, 65534) == 0)
        try keeper.settle()
        try keeper.settle()
        #expect(isSwapped.withLock { $0 })
        #expect(try spool.files(.queue) == [])
        #expect(try spool.files(.rejected).contains("a.yaml"))
    }

    @Test(.enabled(if: getuid() == 0, "needs root, to give files to others"))
    func `whoever puts another file in the place of a waiting job's becomes its submitter`() throws {
        do {
            let keeper = try spool.open(sharing: .personal)
            try keeper.recover()
            try spool.drop("a.yaml")
            try keeper.settle()
        }
        let keeper = try spool.open(sharing: .group)
        try keeper.recover()
        let path = spool.layout.file("a.yaml", in: .queue)
        try spool.disk.replace(path, with: Array("priority: 1".utf8))
        #expect(chown(path.string, 65534, 65534) == 0)
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "a")
        #expect(try spool.status("a").submitter == 65534)
    }

    /// Takes a lease on a file, so that nobody else can open it until it is closed.
    private func lease(_ path: FilePath) -> Int32 {
        signal(SIGIO, SIG_IGN)
        let file = Glibc.open(path.string, O_RDWR)
        // F_SETLEASE, which Swift does not import. A process that another test starts has the file open for a moment, too.
        var tries = 0
        while fcntl(file, 1024, Int32(F_WRLCK)) != 0, tries < 1000 {
            usleep(5000)
            tries += 1
        }
        #expect(file >= 0 && tries < 1000)
        return file
    }

    @Test func `a lease on one job's file keeps no other from being started`() throws {
        let keeper = try spool.open()
        try keeper.recover()
        try spool.drop("a.yaml", "priority: 5")
        try spool.drop("b.yaml", "priority: 1")
        try keeper.settle()
        let holder = lease(spool.layout.file("a.yaml", in: .queue))
        #expect(try keeper.claimNext()?.job == "b")
        #expect(try keeper.claimNext() == nil)
        try keeper.settle()
        #expect(try spool.state("a") == .queue)
        close(holder)
        spool.time.pass(61)
        #expect(try keeper.claimNext()?.job == "a")
    }

    @Test func `leases on drops, and on drops on their way, keep no other from being accepted`() throws {
        // Left in accepting/ by a daemon that ended, more than one takes in at a time.
        var holders: [Int32] = []
        for number in 1...300 {
            let path = spool.layout.accepting.appending("00000\(1_000_000 + number).j\(number).yaml")
            try spool.disk.replace(path, with: Array("priority: 0".utf8))
            holders.append(lease(path))
        }
        try spool.drop("leased.yaml")
        holders.append(lease(spool.layout.incoming.appending("leased.yaml")))
        try spool.drop("other.yaml")
        let keeper = try spool.open()
        try keeper.recover()
        try keeper.settle()
        let files = try spool.files(.queue)
        #expect(files == ["other.yaml"], "\(files.prefix(3)) \(keeper.takeEvents().prefix(5))")
        for holder in holders { close(holder) }
        try keeper.settle()
        spool.time.pass(31)
        try keeper.settle()
        #expect(try spool.files(.queue).count == 302)
    }

    @Test func `a removal of very many jobs is followed a turn at a time`() throws {
        let time = spool.time
        let storage = MeddlingStorage { call, _ in if call == "create" { time.pass(0.1) } }
        let keeper = try spool.open(storage)
        try keeper.recover()
        for number in 0..<40 { try spool.drop("j\(number).yaml") }
        try keeper.settle()
        for name in try spool.files(.queue) { try spool.disk.remove(spool.layout.file(name, in: .queue)) }
        try keeper.scan()
        time.pass(5)
        try keeper.tick()
        let first = keeper.count(.cancelled)
        #expect(first > 0 && first < 40)
        for _ in 0..<40 { try keeper.tick() }
        #expect(keeper.count(.cancelled) == 40)
    }

    @Test func `a name that is not UTF-8 is told once, by a scan and by a hint`() throws {
        let keeper = try spool.open()
        try keeper.recover()
        let bytes = Array("\(spool.layout.incoming)/caf".utf8CString.dropLast()) + [-23] + Array(".yaml".utf8CString)
        let file = creat(bytes, 0o600)
        #expect(file >= 0)
        close(file)
        try keeper.handle(.arrived(directory: spool.layout.incoming, name: "caf\u{FFFD}.yaml"))
        for _ in 0..<3 { try keeper.settle() }
        let told = keeper.takeEvents()
        #expect(
            told == [.ignored(file: "caf\u{FFFD}.yaml", reason: "Its name is not UTF-8; give it another name.")])
        #expect(!keeper.isExpecting)
        #expect(unlink(bytes) == 0)
        try keeper.settle()
        close(creat(bytes, 0o600))
        try keeper.settle()
        #expect(keeper.takeEvents().count == 1)
    }

    @Test func `a spool that its group may drop into keeps the daemon's files from being taken as drops`() throws {
        try spool.disk.setMode(0o3730, of: spool.layout.incoming)
        let keeper = try spool.open()
        try keeper.recover()
        // By the daemon's own user, as a file is that somebody took out of queue/.
        try spool.drop("a.yaml")
        try keeper.settle()
        #expect(try spool.files(.queue) == [])
        #expect(try spool.files(.rejected) == ["a.yaml", "a.yaml.reason.txt"])
    }

    @Test func `a spool in two file systems is refused, and both places are named`() throws {
        let other = FilePath("/dev/shm/charnn-test-\(getpid())")
        guard mkdir(other.string, 0o700) == 0 else { return }
        defer { rmdir(other.string) }
        let held = spool.layout.directory(.held)
        let devices = [other, held].map { try? spool.disk.status(of: $0)?.device }
        // Where both are one file system there is nothing to see.
        guard devices[0] != devices[1] else { return }
        try spool.disk.removeDirectory(held)
        #expect(symlink(other.string, held.string) == 0)
        let error = #expect(throws: StorageError.self) { try spool.open() }
        #expect(error?.code == .otherFileSystem)
        #expect(
            error?.description
                == "\(held) and \(spool.layout.accepting) lie on different file systems; mount one file system over all "
                + "of the spool")
    }

    @Test func `an overflow of hints is a look at everything`() throws {
        let keeper = try spool.open()
        try keeper.recover()
        for number in 0..<300 { try spool.drop("job-\(number).yaml") }
        try keeper.handle(.overflow)
        while keeper.hasDrops { try keeper.acceptDrops() }
        #expect(keeper.count(.queue) == 300)
        #expect(Set(try spool.client.list().compactMap { $0.status?.sequence }).count == 300)
    }
}
