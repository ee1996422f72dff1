import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Glibc
import SystemPackage
import Testing

/// Clocks that jump: the monotonic one never does, the one for people by hours or years.
@Suite(.endsWhatHangs)
struct SpoolTimeTests {
    static let jumps: [Double] = [3600, -3600, 315_360_000, -315_360_000]

    let spool: SpoolFixture
    let wall = TestTime()
    init() throws {
        spool = try SpoolFixture()
        wall.pass(1_700_000_000)
    }

    private func open() throws -> SpoolKeeper {
        let (time, wall) = (spool.time, wall)
        let keeper = try #require(
            try SpoolKeeper.open(
                spool.layout, clock: SpoolClock(monotonic: { time.now }, wall: { wall.now }), check: SpoolFixture.check)
        )
        try keeper.recover()
        return keeper
    }

    private func pass(_ seconds: Double) {
        spool.time.pass(seconds)
        wall.pass(seconds)
    }

    @Test(arguments: jumps) func `order and acceptance do not depend on the clock`(jump: Double) throws {
        let keeper = try open()
        for name in ["b.yaml", "a.yaml", "c.yaml"] {
            try spool.drop(name)
            try keeper.settle()
            wall.pass(jump)
        }
        var order: [String] = []
        while let claim = try keeper.claimNext() {
            order.append(claim.job)
            wall.pass(jump)
            try spool.finish(claim.job)
            try keeper.workerEnded(claim.job, .exited(0), wasStopped: false, lastWords: "")
        }
        #expect(order == ["b", "a", "c"])
        #expect(try spool.files(.done) == ["a.yaml", "b.yaml", "c.yaml"])
    }

    @Test(arguments: jumps) func `a wait after a temporary failure ends within its longest`(jump: Double) throws {
        let keeper = try open()
        try spool.drop("a.yaml")
        try keeper.settle()
        _ = try keeper.claimNext()
        try keeper.workerEnded("a", .exited(75), wasStopped: false, lastWords: "busy")
        #expect(try keeper.claimNext() == nil)
        wall.pass(jump)
        pass(AttemptPolicy.delays.first + AttemptPolicy.delays.longest + 1)
        #expect(try keeper.claimNext()?.job == "a")
    }

    @Test(arguments: jumps) func `a file that is gone counts as removed after two seconds, not sooner`(
        jump: Double
    ) throws {
        let keeper = try open()
        try spool.drop("a.yaml")
        try keeper.settle()
        try spool.disk.remove(spool.layout.file("a.yaml", in: .queue))
        try keeper.settle()
        wall.pass(jump)
        try keeper.settle()
        #expect(try spool.state("a") == nil)
        pass(3)
        try keeper.settle()
        #expect(try spool.state("a") == .cancelled)
    }

    /// An empty file is the one drop that cannot be told to be complete but by time.
    @Test(arguments: jumps) func `a clock that jumps makes no drop complete`(jump: Double) throws {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        wall.pass(Double(now.tv_sec) - wall.now)
        let keeper = try open()
        try spool.drop("a.yaml", "")
        try keeper.scan()
        wall.pass(jump)
        try keeper.scan()
        #expect(!keeper.hasDrops)
        pass(3)
        try keeper.scan()
        #expect(keeper.hasDrops)
    }

    @Test func `a drop that somebody writes is not taken, however long ago the last change was`() throws {
        let keeper = try open()
        try spool.drop("a.yaml")
        let writer = Glibc.open(spool.layout.incoming.appending("a.yaml").string, O_WRONLY)
        defer { if writer >= 0 { close(writer) } }
        pass(100_000)
        try keeper.scan()
        pass(100)
        try keeper.tick()
        #expect(!keeper.hasDrops)
    }
}
