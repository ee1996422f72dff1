import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Glibc
import SystemPackage
import Testing

/// One name in two forms of Unicode, as Macs and keyboards write it, is one name.
@Suite(.endsWhatHangs)
struct NormalFormTests {
    let spool: SpoolFixture
    init() throws { spool = try SpoolFixture() }

    static let composed = "mod\u{E8}le"
    static let decomposed = "mode\u{300}le"

    private func opened() throws -> SpoolKeeper {
        let keeper = try spool.open()
        try keeper.recover()
        return keeper
    }

    private func bytes(_ names: [String]) -> [[UInt8]] { names.map { Array($0.utf8) } }

    @Test func `a name is kept composed, however it was dropped`() throws {
        let keeper = try opened()
        try spool.drop("\(Self.decomposed).yaml")
        try keeper.settle()
        #expect(bytes(try spool.files(.queue)) == bytes(["\(Self.composed).yaml"]))
        #expect(bytes(try spool.disk.list(spool.layout.jobs)) == bytes([Self.composed]))
        #expect(try spool.disk.list(spool.layout.incoming) == [])
    }

    @Test func `twins are both taken, and the second gets a number`() throws {
        for order in [[Self.composed, Self.decomposed], [Self.decomposed, Self.composed]] {
            let spool = try SpoolFixture()
            for name in order { try spool.drop("\(name).yaml") }
            let keeper = try spool.open()
            try keeper.recover()
            while keeper.hasDrops { try keeper.acceptDrops() }
            #expect(try spool.disk.list(spool.layout.incoming) == [])
            let files = bytes(try spool.files(.queue))
            #expect(Set(files) == Set(bytes(["\(Self.composed).yaml", "\(Self.composed)-2.yaml"])))
        }
    }

    @Test func `a person finds, holds and cancels a job by either form`() throws {
        let keeper = try opened()
        try spool.drop("\(Self.composed).yaml")
        try keeper.settle()
        for name in [Self.composed, Self.decomposed] {
            #expect(try spool.client.find(name)?.state == .queue)
            #expect(try spool.client.why(name).contains("is next"))
            _ = try spool.client.hold(name)
            try keeper.settle()
            _ = try spool.client.release(name)
            try keeper.settle()
        }
        #expect(try keeper.claimNext()?.job == Self.composed)
    }

    @Test func `a predecessor is bound in either form`() throws {
        let keeper = try opened()
        try spool.drop("later.yaml", "after: \(Self.decomposed)")
        try spool.drop("\(Self.composed).yaml")
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == Self.composed)
        try spool.finish(Self.composed)
        try keeper.workerEnded(Self.composed, .exited(0), wasStopped: false, lastWords: "")
        #expect(try keeper.claimNext()?.job == "later")
    }

    @Test func `a job file that a person moves under the other form is still the job's`() throws {
        let keeper = try opened()
        try spool.drop("\(Self.composed).yaml")
        try keeper.settle()
        try spool.disk.rename(
            spool.layout.file("\(Self.composed).yaml", in: .queue),
            to: spool.layout.file("\(Self.decomposed).yaml", in: .held), replacing: false)
        try keeper.settle()
        #expect(bytes(try spool.files(.held)) == bytes(["\(Self.composed).yaml"]))
        #expect(keeper.count(.held) == 1)
        #expect(try spool.status(Self.composed).state == .held)
    }

    /// A shared spool in which a job of the composed name waits.
    private func shared() throws -> (SharedSpoolFixture, SpoolKeeper) {
        let spool = try SharedSpoolFixture()
        spool.drop("\(Self.composed).yaml")
        let keeper = try spool.open()
        try keeper.settle()
        return (spool, keeper)
    }

    @Test(arguments: [JobState.queue, .held])
    func `a move under the other form that a crash left with both names counts as made`(place: JobState) throws {
        let (spool, keeper) = try shared()
        let twin = spool.layout.file("\(Self.decomposed).yaml", in: place)
        let file = spool.layout.file("\(Self.composed).yaml", in: .queue)
        spool.disk.change { $0.link(file, as: twin) }
        try keeper.settle()
        for state in JobState.allCases {
            #expect(bytes(try spool.files(state)) == bytes(state == place ? ["\(Self.composed).yaml"] : []), "\(state)")
        }
        #expect(try spool.status(Self.composed).state == place)
        #expect(try spool.disk.list(spool.layout.jobs).filter { !$0.hasPrefix(".") } == [Self.composed])
    }

    @Test func `a job file under the other form that cannot be renamed for a while is not gone`() throws {
        let (spool, keeper) = try shared()
        let twin = spool.layout.file("\(Self.decomposed).yaml", in: .held)
        try spool.disk.rename(
            spool.layout.file("\(Self.composed).yaml", in: .queue), to: twin, replacing: false)
        spool.disk.change { $0.protect(twin) }
        for _ in 0..<3 {
            try keeper.settle()
            spool.time.pass(40)
        }
        #expect(try spool.files(.cancelled) == [])
        spool.disk.change { $0.protect(twin, false) }
        try keeper.settle()
        #expect(bytes(try spool.files(.held)) == bytes(["\(Self.composed).yaml"]))
        #expect(try spool.status(Self.composed).state == .held)
    }

    @Test func `a twin put straight into a state directory is a job of its own`() throws {
        let keeper = try opened()
        try spool.drop("\(Self.composed).yaml")
        try keeper.settle()
        try spool.disk.replace(
            spool.layout.file("\(Self.decomposed).yaml", in: .queue), with: Array("priority: 1".utf8))
        try keeper.settle()
        #expect(
            Set(bytes(try spool.files(.queue)))
                == Set(bytes(["\(Self.composed).yaml", "\(Self.composed)-2.yaml"])))
    }

    @Test func `a folder of an older version stays in its form, is found, and its job runs`() throws {
        // As version 0.1.0 left it.
        let (name, file) = (Self.decomposed, "\(Self.decomposed).yaml")
        let folder = spool.layout.folder(of: name)
        try spool.disk.createDirectories(folder, mode: 0o700)
        for path in [spool.layout.file(file, in: .queue), folder.appending("job.yaml")] {
            try spool.disk.replace(path, with: Array("priority: 0".utf8))
        }
        var status = JobStatus(job: name, state: .queue)
        status.sequence = 5
        status.submitter = getuid()
        status.ticket = JobTicket(file: file)
        try status.save(folder.appending("status.json"), on: spool.disk)
        let keeper = try opened()
        #expect(try spool.client.find(Self.composed)?.state == .queue)
        #expect(try spool.client.list().map(\.status?.sequence) == [5])
        try spool.drop("\(Self.composed).yaml")
        try keeper.settle()
        let claim = try keeper.claimNext()
        #expect(claim.map { Array($0.job.utf8) } == Array(name.utf8))
        #expect(bytes(try spool.files(.active)) == bytes([file]))
        #expect(bytes(try spool.files(.queue)) == bytes(["\(Self.composed)-2.yaml"]))
    }
}
