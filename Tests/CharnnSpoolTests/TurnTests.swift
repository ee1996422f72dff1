import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

@testable import CharnnSpool

/// Whose job is run next.
struct TurnTests {
    private let spool: SharedSpoolFixture
    private let keeper: SpoolKeeper
    private let alice = SharedSpoolFixture.alice
    private let bob = SharedSpoolFixture.bob
    private let carol = SharedSpoolFixture.carol

    init() throws {
        spool = try SharedSpoolFixture()
        keeper = try spool.open()
    }

    /// Runs the next job for so many seconds.
    private func run(_ seconds: Double) throws -> String? {
        guard let claim = try keeper.claimNext() else { return nil }
        spool.time.pass(seconds)
        try spool.finish(claim.job)
        try keeper.workerEnded(claim.job, .exited(0), wasStopped: false, lastWords: "")
        return claim.job
    }

    @Test func `two owners of fifty jobs each take turns by the work that was done for them`() throws {
        // All of alice's come first, and each takes three times as long as one of bob's.
        for number in 1...50 { spool.drop("a\(number).yaml", by: alice) }
        for number in 1...50 { spool.drop("b\(number).yaml", by: bob) }
        try keeper.settle()
        var seconds: [Character: Double] = ["a": 0, "b": 0]
        var jobs: [Character: Int] = [:]
        while true {
            guard let claim = try keeper.claimNext() else { break }
            let whose = claim.job.first!
            let time = whose == "a" ? 30.0 : 10.0
            spool.time.pass(time)
            try spool.finish(claim.job)
            try keeper.workerEnded(claim.job, .exited(0), wasStopped: false, lastWords: "")
            seconds[whose]! += time
            jobs[whose, default: 0] += 1
            // As long as both wait neither is ahead by more than one job.
            if jobs["b"] ?? 0 < 50 { #expect(abs(seconds["a"]! - seconds["b"]!) <= 30) }
        }
        #expect(jobs == ["a": 50, "b": 50])
    }

    @Test func `with one owner the order is that of arrival`() throws {
        for number in 1...9 { spool.drop("a\(number).yaml", by: alice) }
        try keeper.settle()
        var order: [String] = []
        while let job = try run(5) { order.append(job) }
        #expect(order == (1...9).map { "a\($0)" })
    }

    @Test func `work of more than a day ago does not count`() throws {
        spool.drop("a1.yaml", by: alice)
        try keeper.settle()
        #expect(try run(5000) == "a1")
        spool.drop("a2.yaml", by: alice)
        spool.drop("b1.yaml", by: bob)
        try keeper.settle()
        spool.time.pass(86_400 + 100)
        #expect(try run(1) == "a2")
    }

    @Test func `what was done is known after a restart`() throws {
        let spool = try SharedSpoolFixture()
        var keeper: SpoolKeeper? = try spool.open()
        spool.drop("a1.yaml", by: alice)
        try keeper?.settle()
        _ = try keeper?.claimNext()
        spool.time.pass(500)
        try spool.finish("a1")
        try keeper?.workerEnded("a1", .exited(0), wasStopped: false, lastWords: "")
        #expect(keeper?.ownerSeconds == [alice: 500])
        keeper = nil
        keeper = try spool.open()
        #expect(keeper?.ownerSeconds == [alice: 500])
        spool.drop("a2.yaml", by: alice)
        spool.drop("b1.yaml", by: bob)
        try keeper?.settle()
        #expect(try keeper?.claimNext()?.job == "b1")
    }

    @Test func `a job that has begun goes before those that have not`() throws {
        spool.drop("a1.yaml", by: alice)
        try keeper.settle()
        _ = try keeper.claimNext()
        spool.time.pass(1000)
        spool.drop("b1.yaml", by: bob)
        try keeper.settle()
        try keeper.workerEnded("a1", .exited(85), wasStopped: true, lastWords: "")
        #expect(try keeper.claimNext()?.job == "a1")
    }

    @Test func `what a person has held or retried has not begun`() throws {
        for (verb, then) in [(SpoolRequest.Verb.hold, SpoolRequest.Verb.release), (.cancel, .retry)] {
            let name = "a-\(verb.rawValue)"
            spool.drop("\(name).yaml", by: alice)
            try keeper.settle()
            _ = try keeper.claimNext()
            spool.time.pass(1000)
            try keeper.workerEnded(name, .exited(85), wasStopped: true, lastWords: "")
            for verb in [verb, then] {
                try spool.ask(verb, name, by: alice)
                try keeper.settle()
            }
            spool.drop("b-\(verb.rawValue).yaml", by: bob)
            try keeper.settle()
            #expect(try keeper.claimNext()?.job == "b-\(verb.rawValue)")
            try keeper.workerEnded("b-\(verb.rawValue)", .exited(66), wasStopped: false, lastWords: "")
            try spool.ask(.cancel, name, by: alice)
            try keeper.settle()
        }
    }

    @Test func `work that is dated later than now does not count`() throws {
        var ledger = OwnerLedger()
        ledger.add([JobStatus.Work(from: 1000 + 31_536_000, seconds: 3600)], for: alice, at: 1000)
        #expect(ledger.seconds(alice, at: 2000) == 0)
    }

    @Test func `a higher priority goes first, whoever's it is`() throws {
        spool.drop("a1.yaml", by: alice)
        try keeper.settle()
        #expect(try run(1000) == "a1")
        spool.drop("b1.yaml", by: bob)
        spool.drop("a2.yaml", "priority: 1", by: alice)
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "a2")
    }

    // MARK: - Inherited priorities

    @Test func `a predecessor has the priority of who waits for it, from job to job`() throws {
        spool.drop("first.yaml")
        spool.drop("middle.yaml", "after: first")
        spool.drop("other.yaml", "priority: 5")
        spool.drop("urgent.yaml", "priority: 7\nafter: middle")
        try keeper.settle()
        #expect(try run(1) == "first")
        #expect(keeper.inheritedPriorities["middle"] == 7)
        #expect(try run(1) == "middle")
        #expect(try run(1) == "urgent")
        #expect(try run(1) == "other")
    }

    @Test func `it comes from the same owner's and from administrators' only, and not from held jobs`() throws {
        spool.drop("hers.yaml", by: alice)
        spool.drop("his.yaml", "priority: 9\nafter: hers", by: bob)
        try keeper.settle()
        _ = try keeper.claimNext()
        #expect(keeper.inheritedPriorities == [:])
        spool.drop("more.yaml", by: alice)
        spool.drop("boss.yaml", "priority: 9\nafter: more", by: carol)
        spool.drop("third.yaml", by: alice)
        spool.drop("waits.yaml", "priority: 9\nafter: third", by: alice)
        try keeper.settle()
        try spool.ask(.hold, "waits", by: alice)
        try keeper.settle()
        _ = try keeper.claimNext()
        #expect(keeper.inheritedPriorities["third"] == nil)
        #expect(try spool.files(.active).contains("more.yaml"))
    }

    @Test func `it is at most what the owner may give`() throws {
        let spool = try SharedSpoolFixture()
        var caps = Caps()
        caps.highestPriority = .init(3, "caps.all.priority")
        spool.rules = SpoolRules { [caps] user in user == SharedSpoolFixture.carol ? .none : caps }
        let keeper = try spool.open()
        spool.drop("hers.yaml", by: alice)
        spool.drop("boss.yaml", "priority: 50\nafter: hers", by: carol)
        spool.drop("first.yaml", "priority: 3", by: bob)
        try keeper.settle()
        _ = try keeper.claimNext()
        #expect(keeper.inheritedPriorities == ["hers": 3])
    }

    @Test func `a chain of ten thousand is followed once`() throws {
        var index = SpoolIndex()
        for number in 1...10_000 {
            var ticket = JobTicket(file: "j\(number).yaml", priority: number)
            if number > 1 { ticket.predecessors = [Predecessor(job: "j\(number - 1)", sequence: UInt64(number - 1))] }
            index.insert(
                "j\(number)",
                .init(state: .queued, sequence: UInt64(number), ticket: ticket, submitter: 1001, hasBegun: false))
        }
        #expect(index.next(at: 0) == "j1")
        #expect(index.inherited["j1"] == 10_000)
        #expect(index.inherited.count == 9_999)
    }
}

/// What one person may ask for.
struct CapsTests {
    private let alice = SharedSpoolFixture.alice

    private func rejected(_ caps: Caps, _ text: String) throws -> String {
        let spool = try SharedSpoolFixture()
        spool.rules = SpoolRules { _ in caps }
        let keeper = try spool.open()
        spool.drop("a.yaml", text)
        try keeper.settle()
        guard try spool.files(.rejected).contains("a.yaml") else { return "" }
        return String(
            decoding: try spool.disk.contents(of: spool.layout.file("a.yaml.reason.txt", in: .rejected)) ?? [],
            as: UTF8.self)
    }

    @Test func `what a cap forbids is refused at acceptance, with the cap's name`() throws {
        var caps = Caps()
        caps.lowestPriority = .init(-5, "caps.all.priority")
        caps.highestPriority = .init(0, "caps.users.alice.priority")
        caps.textLength = .init(1000, "caps.groups.students.text_length")
        #expect(try rejected(caps, "priority: 1").contains("caps.users.alice.priority"))
        #expect(try rejected(caps, "priority: -6").contains("caps.all.priority"))
        #expect(try rejected(caps, "length: 1001").contains("caps.groups.students.text_length"))
        #expect(try rejected(caps, "length: 1000\npriority: -5") == "")
    }

    @Test func `so many jobs of one person wait and no more`() throws {
        let spool = try SharedSpoolFixture()
        var caps = Caps()
        caps.queued = .init(2, "caps.all.queued")
        spool.rules = SpoolRules { [caps] _ in caps }
        let keeper = try spool.open()
        for number in 1...3 { spool.drop("a\(number).yaml") }
        spool.drop("b.yaml", by: SharedSpoolFixture.bob)
        try keeper.settle()
        #expect(try spool.files(.queue) == ["a1.yaml", "a2.yaml", "b.yaml"])
        #expect(try spool.files(.rejected).contains("a3.yaml"))
    }

    @Test func `a cap that came later holds when the job is started`() throws {
        let spool = try SharedSpoolFixture()
        let keeper = try spool.open()
        spool.drop("a.yaml", "length: 5000")
        try keeper.settle()
        var caps = Caps()
        caps.textLength = .init(1000, "caps.all.text_length")
        keeper.rules = SpoolRules { [caps] _ in caps }
        #expect(try keeper.claimNext() == nil)
        #expect(try spool.files(.rejected).contains("a.yaml"))
    }
}

/// Jobs that are their owners' alone.
struct PrivacyTests {
    private let spool: SharedSpoolFixture
    private let keeper: SpoolKeeper
    private let alice = SharedSpoolFixture.alice

    init() throws {
        spool = try SharedSpoolFixture()
        keeper = try spool.open()
    }

    private func put(_ name: String, _ mode: CharnnStorage.FileMode) throws {
        let path = spool.layout.corpora.appending(name)
        spool.disk.change { $0.put(path, Array("text".utf8), owner: SharedSpoolFixture.alice) }
        try spool.disk.setMode(mode, of: path)
    }

    private func isShut(_ job: String) throws -> Bool {
        let list = try spool.list(spool.layout.folder(of: job))
        guard let list, list.rights(of: .owningGroup) == 0 else { return false }
        #expect(list.rights(of: .user(alice)) == 5)
        #expect(list.rights(of: .other) == 0)
        return true
    }

    @Test func `a job that reads what the group may not read is its owner's alone`() throws {
        try put("open.txt", 0o644)
        try put("shut.txt", 0o600)
        spool.drop("open.yaml", "text: open.txt")
        spool.drop("shut.yaml", "text: shut.txt")
        spool.drop("both.yaml", "text: open.txt\ntext: shut.txt")
        spool.drop("missing.yaml", "text: nothing.txt")
        spool.drop("outside.yaml", "text: ../../etc/shadow")
        try keeper.settle()
        #expect(try !isShut("open"))
        for job in ["shut", "both", "missing", "outside"] { #expect(try isShut(job), "\(job)") }
        let file = try spool.list(spool.layout.file("shut.yaml", in: .queue))
        #expect(file?.rights(of: .owningGroup) == 0)
        #expect(file?.rights(of: .user(alice)) == 4)
        #expect(try spool.status("shut").isPrivate == true)
    }

    @Test(arguments: [
        "text: \(String(repeating: "a", count: 300)).txt", "text: \(String(repeating: "d/", count: 1900))f",
        "text: .", "text: ..", (0..<300).map { "text: t\($0).txt" }.joined(separator: "\n"),
    ])
    func `a text of an odd name makes the job private and holds up nobody`(line: String) throws {
        spool.drop("odd.yaml", line)
        spool.drop("other.yaml", by: SharedSpoolFixture.bob)
        try keeper.settle()
        #expect(try isShut("odd"))
        #expect(try spool.files(.queue) == ["odd.yaml", "other.yaml"])
        #expect(try keeper.claimNext() != nil)
    }

    @Test func `a model file is looked for among the texts where no job has it`() throws {
        for (name, mode) in [("open.safetensors", 0o644), ("shut.safetensors", 0o600)] as [(String, UInt32)] {
            try put(name, FileMode(mode))
            spool.drop("\(name).yaml", "model-file: \(name)")
        }
        try keeper.settle()
        #expect(try !isShut("open.safetensors"))
        #expect(try isShut("shut.safetensors"))
    }

    @Test(arguments: [(64, false), (65, true)])
    func `so many texts are looked at and no more`(count: Int, isPrivate: Bool) throws {
        for number in 0..<count { try put("t\(number).txt", 0o644) }
        spool.drop("a.yaml", (0..<count).map { "text: t\($0).txt" }.joined(separator: "\n"))
        try keeper.settle()
        #expect(try isShut("a") == isPrivate)
    }

    @Test func `a folder that is not the daemon's own is no job's`() throws {
        let spool = try SharedSpoolFixture()
        var keeper: SpoolKeeper? = try spool.open()
        spool.drop("a.yaml")
        try keeper?.settle()
        keeper = nil
        // As somebody could once make it who could write in jobs/.
        var status = try spool.status("a")
        status.submitter = 0
        let (path, bytes) = (spool.layout.status(of: "a"), status.encoded)
        spool.disk.change { $0.put(path, bytes, owner: SharedSpoolFixture.bob) }
        keeper = try spool.open()
        try keeper?.settle()
        #expect(try keeper?.claimNext() == nil)
    }

    @Test func `share says so whatever the texts`() throws {
        try put("shut.txt", 0o600)
        spool.drop("a.yaml", "text: shut.txt\nshare: group")
        spool.drop("b.yaml", "share: owner")
        try keeper.settle()
        #expect(try !isShut("a"))
        #expect(try isShut("b"))
    }

    @Test func `what was missing is looked at again at the start`() throws {
        spool.drop("a.yaml", "text: later.txt")
        try keeper.settle()
        #expect(try isShut("a"))
        try put("later.txt", 0o644)
        #expect(try keeper.claimNext()?.job == "a")
        #expect(try !isShut("a"))
    }

    @Test func `what was closed and worked on stays closed`() throws {
        try put("t.txt", 0o600)
        spool.drop("a.yaml", "text: t.txt")
        try keeper.settle()
        _ = try keeper.claimNext()
        try keeper.workerEnded("a", .exited(85), wasStopped: true, lastWords: "")
        try put("t.txt", 0o644)
        #expect(try keeper.claimNext()?.job == "a")
        #expect(try isShut("a"))
    }

    @Test func `a file that is written anew is closed as well`() throws {
        spool.drop("a.yaml", "share: owner")
        try keeper.settle()
        let path = spool.layout.file("a.yaml", in: .queue)
        spool.disk.change { $0.drop(path) }
        try keeper.settle()
        spool.time.pass(3)
        try keeper.settle()
        #expect(try spool.list(spool.layout.file("a.yaml", in: .cancelled))?.rights(of: .owningGroup) == 0)
    }

    @Test func `no power failure opens what is its owner's alone, and a status that says so is true`() throws {
        let spool = try SharedSpoolFixture(records: true)
        let keeper = try spool.open()
        let text = spool.layout.corpora.appending("t.txt")
        spool.disk.change { $0.put(text, Array("text".utf8), owner: SharedSpoolFixture.alice) }
        spool.drop("own.yaml", "share: owner")
        spool.drop("late.yaml", "text: t.txt")
        spool.drop("edited.yaml")
        try keeper.settle()
        let edit = SpoolRequest(
            .edit, job: "edited", sequence: try #require(try spool.status("edited").sequence),
            file: Array("share: owner".utf8))
        spool.ask(edit, by: alice)
        try spool.disk.setMode(0o600, of: text)
        try keeper.settle()
        for _ in 0..<3 { #expect(try keeper.claimNext() != nil) }
        #expect(try spool.status("late").isPrivate == true)

        for (index, operation) in spool.disk.operations.enumerated() where operation.kind != .look {
            guard let image = operation.image else { continue }
            for failure in image.powerFailures(limit: 8, seed: UInt64(index)) {
                let found = opened(image.outcome(failure), spool.layout)
                #expect(found == [], "a power failure at \(operation.call) \(operation.path)")
            }
        }
    }

    /// The daemon's files that others can read though they, or the status of their job, say that they may not.
    private func opened(_ image: DiskImage, _ layout: SpoolLayout) -> [String] {
        let disk = SimulatedDisk(image)
        let closed = ["late", "edited"].filter {
            (try? JobStatus.read(layout.status(of: $0), on: disk))??.isPrivate == true
        }
        // An edited job's former file was open.
        let folders = closed.map { "\(layout.folder(of: $0))/" }
        let files = closed.contains("late") ? Set(JobState.allCases.map { "\(layout.file("late.yaml", in: $0))" }) : []
        return image.files.filter { path, bytes in
            let isSecret =
                bytes == Array("share: owner".utf8) || files.contains(path) || folders.contains { path.hasPrefix($0) }
            guard isSecret, (try? disk.status(of: FilePath(path)))??.owner == image.user else { return false }
            return ![AccessList.Who.owningGroup, .other].allSatisfy { image.isShut(FilePath(path), to: $0) }
        }.keys.sorted()
    }
}
