import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

/// Where a job stands in line, told from a spool's files alone.
struct QueuePlaceTests {
    private let folder = TemporaryDirectory("place")
    private let disk = LocalStorage()
    private var layout: SpoolLayout { SpoolLayout(root: folder.path.appending("spool")) }

    init() throws { try layout.create(.personal, on: disk) }

    private func job(
        _ name: String, _ state: JobState, _ sequence: UInt64, priority: Int = 0, after: [String] = [],
        left: Double? = nil, took: Double? = nil
    ) throws {
        var status = JobStatus(job: name, state: state)
        status.sequence = sequence
        status.secondsLeft = left
        status.elapsedSeconds = took
        status.ticket = JobTicket(
            file: "\(name).yaml", priority: priority, predecessors: after.map { Predecessor(job: $0) })
        try disk.createDirectories(layout.folder(of: name), mode: 0o700)
        try disk.replace(layout.status(of: name), with: status.encoded)
        try disk.replace(layout.file("\(name).yaml", in: state), with: [])
    }

    private func place(_ name: String) throws -> QueuePlace? { try SpoolClient(layout).place(of: name) }

    @Test func `priority and arrival decide, and what waits for another comes behind it`() throws {
        try job("first", .queue, 1)
        try job("early", .queue, 2, after: ["late"])
        try job("middle", .queue, 3)
        try job("late", .queue, 4)
        try job("urgent", .queue, 5, priority: 9)
        #expect(try place("urgent")?.before == [])
        #expect(try place("late")?.before == ["urgent", "first", "middle"])
        #expect(try place("early")?.before == ["urgent", "first", "middle", "late"])
        #expect(try place("first")?.running == nil)
    }

    @Test func `a job whose turn does not come by itself has no place`() throws {
        try job("bad", .failed, 1)
        try job("waits", .queue, 2, after: ["bad"])
        try job("waits-too", .queue, 3, after: ["waits"])
        try job("orphan", .queue, 4, after: ["nobody"])
        try job("free", .queue, 5)
        for name in ["waits", "waits-too", "orphan", "bad", "unknown"] { #expect(try place(name) == nil, "\(name)") }
        #expect(try place("free")?.before == [])
    }

    @Test func `the start is told from what runs and from what jobs took before`() throws {
        try job("runs", .active, 1, left: 100)
        try job("a", .queue, 2)
        try job("again", .queue, 3, left: 40)
        try job("last", .queue, 4, after: ["runs"])
        #expect(try place("a")?.secondsUntilStart == 100)
        #expect(try place("a")?.typicalSeconds == nil)
        #expect(try place("again")?.secondsUntilStart == nil, "nobody knows how long a takes")
        for (index, seconds) in [10.0, 30, 5000].enumerated() {
            try job("old\(index)", .done, UInt64(10 + index), took: seconds)
        }
        #expect(try place("again")?.secondsUntilStart == 130)
        #expect(try place("last")?.secondsUntilStart == 170)
        #expect(try place("last")?.typicalSeconds == 30)
        #expect(try place("last")?.running == "runs")
    }
}
