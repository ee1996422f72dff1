import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Synchronization
import SystemPackage
import Testing

@testable import CharnnJobs

/// What an administrator allows a job, while it runs.
@Suite struct JobCapTests {
    private let fixture: JobFixture
    init() throws { fixture = try JobFixture() }

    @Test func `a job whose folder outgrows its cap ends and says so, and goes on when the cap is raised`() throws {
        let samples = fixture.output("a").samples
        try fixture.storage.createDirectories(samples, mode: 0o755)
        try fixture.storage.replace(samples.appending("large"), with: [UInt8](repeating: 1, count: 5 << 20))
        var configuration = ServiceConfiguration()
        configuration.caps.all.disk = .init(4 << 20, "caps.all.disk")
        #expect(try fixture.run("a", JobFixture.training, configuration: configuration) == .badData)
        let reason = try #require(fixture.output("a").status()?.reason)
        #expect(reason.contains("the job's folder has") && reason.contains("caps.all.disk"), "\(reason)")
        configuration.caps.all.disk = .init(64 << 20, "caps.all.disk")
        #expect(try fixture.run("a", JobFixture.training, configuration: configuration) == .done)
    }

    @Test func `a job whose checkpoints cannot stay below its cap is refused before it trains`() throws {
        var configuration = ServiceConfiguration()
        configuration.caps.all.disk = .init(1 << 16, "caps.all.disk")
        #expect(try fixture.run("a", JobFixture.training, configuration: configuration) == .badJob)
        let reason = try #require(fixture.output("a").status()?.reason)
        #expect(reason.contains("would take") && reason.contains("caps.all.disk"), "\(reason)")
        #expect(!fixture.events.contains { $0.kind == .trainingStarted })
    }

    @Test func `a job that has had its time ends and says so`() throws {
        var configuration = ServiceConfiguration()
        configuration.caps.all.time = .init(0.001, "caps.all.time")
        #expect(try fixture.run("a", JobFixture.training, configuration: configuration) == .badData)
        let reason = try #require(fixture.output("a").status()?.reason)
        #expect(reason.contains("of work") && reason.contains("caps.all.time"), "\(reason)")
    }

    @Test func `a folder is measured with all that lies below it, twice a minute at most`() throws {
        let now = Mutex(0.0)
        let clock = SpoolClock(monotonic: { now.withLock { $0 } }, wall: { 0 })
        let folder = fixture.folder.path.appending("measured")
        try fixture.storage.createDirectories(folder.appending("below"), mode: 0o755)
        let size = FolderSize(folder, in: fixture.storage, clock: clock)
        #expect(size.bytes() == 0)
        try fixture.storage.replace(folder.appending("a"), with: [UInt8](repeating: 1, count: 10))
        try fixture.storage.replace(folder.appending("below").appending("b"), with: [UInt8](repeating: 1, count: 7))
        now.withLock { $0 = 29 }
        #expect(size.bytes() == 0)
        now.withLock { $0 = 30 }
        #expect(size.bytes() == 17)
    }
}
