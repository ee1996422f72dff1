import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

/// What the queue does while the disk fails.
@Suite(.endsWhatHangs)
struct SpoolTroubleTests {
    private let disk = SimulatedDisk()
    private let layout = SpoolLayout(root: "/spool")

    private func open(_ other: SimulatedDisk? = nil) throws -> SpoolKeeper {
        let keeper = try SpoolKeeper.open(
            layout, sharing: .personal, storage: other ?? disk,
            clock: SpoolClock(monotonic: { 1000 }, wall: { 1_700_000_000 }), check: SpoolFixture.check)
        return try #require(keeper)
    }

    private func drop(_ name: String, _ text: String = "priority: 0") {
        let path = layout.incoming.appending(name)
        disk.change { $0.put(path, Array(text.utf8)) }
    }

    private func accepted(_ keeper: SpoolKeeper) -> [String] {
        keeper.takeEvents().compactMap { if case .accepted(let job, _, _, _) = $0 { job } else { nil } }
    }

    @Test func `drops stay where they are while none can be accepted, and none is lost`() throws {
        let keeper = try open()
        try keeper.recover()
        for number in 0..<1000 { drop("job-\(number).yaml") }
        disk.change { $0.mostFiles = 0 }
        try keeper.settle()
        #expect(!keeper.hasDrops && keeper.hasTrouble)
        // Those that were on their way are few: each has files open when it goes on.
        #expect(try disk.list(layout.accepting).count < 600)
        #expect(try disk.list(layout.incoming).count > 400)
        disk.change { $0.mostFiles = nil }
        try keeper.settle()
        #expect(keeper.count(.queue) == 1000)
        #expect(Set(accepted(keeper)).count == 1000)
    }

    @Test func `a drop that is accepted late, after a sync had failed, is told once`() throws {
        let keeper = try open()
        try keeper.recover()
        for operations in 0..<60 {
            let name = "job-\(operations)"
            drop("\(name).yaml")
            disk.fail(.init(.failedSync, at: disk.count + operations, isLasting: false))
            try? keeper.settle()
            disk.heal()
            try keeper.settle()
            #expect(accepted(keeper) == [name], "a sync failed after \(operations) operations")
        }
    }

    @Test func `job files that are many and long are accepted a few at a time`() throws {
        let keeper = try open()
        try keeper.recover()
        let long = String(repeating: "priority: 0\n", count: 60_000)
        for number in 0..<20 { drop("job-\(number).yaml", long) }
        try keeper.scan()
        try keeper.acceptDrops()
        #expect(keeper.count(.queue) < 10 && keeper.hasDrops)
        try keeper.settle()
        #expect(keeper.count(.queue) == 20)
    }

    @Test func `cleaning without the right to says so and removes nothing`() throws {
        let keeper = try open()
        try keeper.recover()
        drop("a.yaml")
        try keeper.settle()
        let client = SpoolClient(layout, storage: disk)
        try client.cancel("a")
        try keeper.settle()
        try disk.setMode(0o500, of: layout.folder(of: "a"))
        let before = disk.image.files
        let error = #expect(throws: SpoolClientError.self) { try client.clean(endedBefore: 4e9) }
        #expect(error?.code == .denied)
        #expect(error?.description.contains("a may not be removed by this user") == true)
        #expect(disk.image.files == before)
        try disk.setMode(0o700, of: layout.folder(of: "a"))
        #expect(try client.clean(endedBefore: 4e9) == ["a"])
    }

    @Test func `what a crash left is taken once, whichever operation of the recovery fails`() throws {
        do {
            let keeper = try open()
            try keeper.recover()
            drop("a.yaml")
            try keeper.settle()
        }
        drop("c.yaml")
        drop("d.yaml")
        var image = disk.image
        let accepting = { (name: String) in layout.accepting.appending(name) }
        // The drop of a job that was published; one with its name from before it was submitted; one on its way in.
        image.put(accepting("000000000001.a.yaml"), Array("priority: 0".utf8))
        image.link(layout.incoming.appending("c.yaml"), as: layout.incoming.appending(".c.yaml.partial"))
        image.link(layout.incoming.appending("d.yaml"), as: accepting("000000000900.d.yaml"))
        var operation = 0
        while true {
            let disk = SimulatedDisk(image)
            disk.fail(.init(.inputOutputError, at: operation, isLasting: false))
            var keeper = try? open(disk)
            let isRecovered = (try? keeper?.recover()) != nil
            if disk.failures == 0 { break }
            if keeper == nil { keeper = try open(disk) }
            if !isRecovered { try keeper?.recover() }
            for _ in 0..<3 { try keeper?.settle() }
            #expect(try disk.list(layout.directory(.queue)).sorted() == ["a.yaml", "c.yaml", "d.yaml"], "\(operation)")
            #expect(try disk.list(layout.jobs).sorted() == ["a", "c", "d"], "\(operation)")
            #expect(try disk.list(layout.incoming) == [], "\(operation)")
            #expect(try disk.list(layout.accepting).filter { !$0.hasPrefix(".") } == [], "\(operation)")
            operation += 1
        }
        #expect(operation > 50)
    }
}
