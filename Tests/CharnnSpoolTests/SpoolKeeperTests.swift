import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import Synchronization
import SystemPackage
import Testing

@Suite(.endsWhatHangs)
struct SpoolKeeperTests {
    let spool: SpoolFixture
    init() throws { spool = try SpoolFixture() }

    private func accepted(_ drops: (String, String)...) throws -> SpoolKeeper { try accepted(drops) }

    private func accepted(_ drops: [(String, String)]) throws -> SpoolKeeper {
        let keeper = try spool.open()
        try keeper.recover()
        for (name, text) in drops {
            try spool.drop(name, text)
            try keeper.settle()
        }
        _ = keeper.takeEvents()
        return keeper
    }

    @Test func `a dropped file becomes a queued job with a folder, a number and an owner`() throws {
        let keeper = try accepted(("a.yaml", "priority: 3"))
        let status = try spool.status("a")
        #expect(try spool.files(.queue) == ["a.yaml"])
        #expect(status.state == .queue && status.sequence == 1 && status.submitter == getuid())
        #expect(try spool.disk.contents(of: spool.layout.jobFile(of: "a")) == Array("priority: 3".utf8))
        #expect(try spool.disk.list(spool.layout.incoming) == [])
        #expect(keeper.count(.queue) == 1)
    }

    @Test func `one spool has one daemon`() throws {
        let keeper = try spool.open()
        #expect(try SpoolKeeper.open(spool.layout, check: SpoolFixture.check) == nil)
        #expect(spool.client.hasDaemon() == true)
        withExtendedLifetime(keeper) {}
    }

    @Test func `a file that is too large is rejected unread, when it is dropped and when it is edited`() throws {
        let keeper = try accepted(("a.yaml", "priority: 0"))
        // What it says is valid, and cut off it would be, too.
        let large = Array("priority: 0\n".utf8) + [UInt8](repeating: 10, count: 1 << 20)
        try spool.drop("b.yaml", String(decoding: large, as: UTF8.self))
        try keeper.settle()
        #expect(try spool.files(.rejected) == ["b.yaml", "b.yaml.reason.txt"])
        try spool.disk.replace(spool.layout.file("a.yaml", in: .queue), with: large)
        try keeper.settle()
        #expect(try keeper.claimNext() == nil)
        #expect(try spool.files(.rejected).contains("a.yaml"))
    }

    @Test func `to ask whether a daemon works makes no file and takes no lock`() throws {
        #expect(spool.client.hasDaemon() == false)
        #expect(try spool.disk.list(spool.layout.accepting) == [])
        do {
            // While somebody asks again and again, each daemon that starts finds the spool free.
            let client = spool.client
            let asking = Thread { while !Thread.current.isCancelled { _ = client.hasDaemon() } }
            asking.start()
            defer { asking.cancel() }
            for _ in 0..<50 { #expect(try SpoolKeeper.open(spool.layout, check: SpoolFixture.check) != nil) }
        }
        #expect(spool.client.hasDaemon() == false)
    }

    @Test func `in a shared spool a daemon shows itself to those who may not look into accepting`() throws {
        let keeper = try spool.open(sharing: .group)
        // As for others.
        let blind = SpoolClient(spool.layout, storage: BlindStorage(spool.layout.accepting))
        #expect(blind.hasDaemon() == true)
        withExtendedLifetime(keeper) {}
        let none = try SpoolFixture()
        #expect(SpoolClient(none.layout, storage: BlindStorage(none.layout.accepting)).hasDaemon() == nil)
    }

    @Test func `jobs run by priority, then in the order of their arrival`() throws {
        let keeper = try accepted(
            ("z.yaml", "priority: 0"), ("a.yaml", "priority: 0"), ("m.yaml", "priority: 5"), ("l.json", "priority: -1"))
        #expect(try spool.client.list().map(\.name) == ["m", "z", "a", "l"])
        var order: [String] = []
        while let claim = try keeper.claimNext() { order.append(claim.job) }
        #expect(order == ["m", "z", "a", "l"])
    }

    @Test func `a job that is moved while the directories are listed is listed once`() throws {
        _ = try accepted(("a.yaml", "priority: 0"), ("z.yaml", "priority: 0"))
        let layout = spool.layout
        let hasMoved = Mutex(false)
        // Its status is read when it was seen in queue/, and before active/ is listed.
        let disk = MeddlingStorage { call, path in
            guard path == layout.status(of: "z"), !hasMoved.withLock({ $0 }) else { return }
            hasMoved.withLock { $0 = true }
            try? LocalStorage().rename(
                layout.file("z.yaml", in: .queue), to: layout.file("z.yaml", in: .active), replacing: false)
        }
        let listed = try SpoolClient(layout, storage: disk).list()
        #expect(hasMoved.withLock { $0 } && listed.map(\.name).sorted() == ["a", "z"])
    }

    @Test func `a name in use is numbered, also against jobs that ended`() throws {
        let keeper = try accepted(("b.yaml", "priority: 0"))
        _ = try keeper.claimNext()
        try spool.finish("b")
        try keeper.workerEnded("b", .exited(0), wasStopped: false, lastWords: "")
        for name in ["b.yaml", "b.json", "b.yml"] {
            try spool.drop(name)
            try keeper.settle()
        }
        #expect(try spool.files(.queue) == ["b-2.yaml", "b-3.json", "b-4.yml"])
        #expect(try spool.state("b") == .done)
    }

    @Test func `what is no job file stays, and that is told once`() throws {
        let incoming = spool.layout.incoming
        #expect(mkfifo(incoming.appending("pipe.yaml").string, 0o666) == 0)
        #expect(symlink("/etc/passwd", incoming.appending("link.yaml").string) == 0)
        try spool.disk.createDirectory(incoming.appending("folder.yaml"), mode: 0o700)
        try spool.drop("text.txt")
        try spool.drop("backup.yaml~")
        try spool.drop(".hidden.yaml")
        try spool.drop("first.yaml")
        #expect(link(incoming.appending("first.yaml").string, incoming.appending("second.yaml").string) == 0)
        let keeper = try spool.open()
        try keeper.recover()
        try keeper.settle()
        let told = keeper.takeEvents().compactMap { if case .ignored(let file, _) = $0 { file } else { nil } }
        #expect(told.sorted() == ["first.yaml", "folder.yaml", "link.yaml", "pipe.yaml", "second.yaml", "text.txt"])
        try keeper.settle()
        #expect(keeper.takeEvents().isEmpty)
        #expect(try spool.files(.queue) == [])
        #expect(try spool.disk.list(incoming).count == 8)
    }

    @Test(arguments: [
        ("a\nb.yaml", "a_b.yaml"), ("-rf.yaml", "_rf.yaml"), ("a:b.yaml", "a_b.yaml"),
        (String(repeating: "x", count: 200) + ".yaml", String(repeating: "x", count: 128) + ".yaml"),
    ])
    func `a name that cannot be used is rejected under a mended one`(name: String, mended: String) throws {
        let keeper = try accepted((name, "priority: 0"))
        #expect(try spool.files(.rejected) == [mended, mended + ".reason.txt"])
        #expect(keeper.count(.queue) == 0)
    }

    @Test func `bad files are rejected with the reason beside them, and the queue goes on`() throws {
        let keeper = try accepted(
            ("big.yaml", String(repeating: "priority: 0\n", count: 200_000)), ("bad.yaml", "nonsense"),
            ("bad.yaml", "nonsense again"), ("good.yaml", "priority: 0"))
        #expect(try spool.files(.rejected).filter { !$0.hasSuffix(".txt") } == ["bad-2.yaml", "bad.yaml", "big.yaml"])
        let reason = try spool.disk.contents(of: spool.layout.file("bad-2.yaml.reason.txt", in: .rejected))
        #expect(reason == Array("bad.yaml: nonsense again is not understood\n".utf8))
        #expect(try keeper.claimNext()?.job == "good")
        #expect(try spool.disk.list(spool.layout.jobs) == ["good"])
    }

    @Test func `an empty file waits for its contents for two seconds`() throws {
        let keeper = try spool.open()
        try keeper.recover()
        try spool.drop("a.yaml", "")
        // The drop's time is the machine's; the test's clock says that it lies in the future.
        try keeper.settle()
        #expect(try spool.files(.queue) == [])
        try spool.drop("a.yaml", "priority: 1")
        try keeper.settle()
        #expect(try spool.files(.queue) == ["a.yaml"])
    }

    @Test func `a file that somebody still writes is not taken`() throws {
        let keeper = try spool.open()
        try keeper.recover()
        let path = spool.layout.incoming.appending("a.yaml")
        var writer: FileHandle? = FileHandle(
            fileDescriptor: open(path.string, O_WRONLY | O_CREAT, 0o600), closeOnDealloc: true)
        writer?.write(Data("priority:".utf8))
        try keeper.settle()
        #expect(try spool.files(.queue) == [])
        writer?.write(Data(" 7".utf8))
        writer = nil
        try keeper.settle()
        #expect(try spool.status("a").ticket?.priority == 7)
    }

    @Test func `people hold, release, cancel and retry by moving files`() throws {
        let keeper = try accepted(("a.yaml", "priority: 0"))
        for (from, to, event) in [
            (JobState.queue, JobState.held, SpoolEvent.held(job: "a", reason: nil)),
            (.held, .queue, .released(job: "a")),
            (.queue, .cancelled, .cancelled(job: "a")), (.cancelled, .queue, .again(job: "a")),
        ] {
            try spool.move("a.yaml", from, to)
            try keeper.handle(.arrived(directory: spool.layout.directory(to), name: "a.yaml"))
            #expect(keeper.takeEvents() == [event])
            #expect(try spool.status("a").state == to)
        }
    }

    @Test func `moves made while no daemon runs count at its start`() throws {
        var keeper: SpoolKeeper? = try accepted(("a.yaml", "priority: 0"), ("b.yaml", "priority: 0"))
        keeper = nil
        _ = keeper
        try spool.client.hold("a")
        try spool.client.cancel("b")
        let next = try spool.open()
        try next.recover()
        #expect(try spool.status("a").state == .held)
        #expect(try spool.status("b").state == .cancelled)
        #expect(try next.claimNext() == nil)
    }

    @Test func `a removed file counts as cancelled after two seconds and is written anew`() throws {
        let keeper = try accepted(("a.yaml", "priority: 4"))
        try spool.disk.remove(spool.layout.file("a.yaml", in: .queue))
        try keeper.settle()
        #expect(keeper.takeEvents().isEmpty)
        #expect(try keeper.claimNext() == nil)
        spool.time.pass(2.1)
        try keeper.settle()
        #expect(keeper.takeEvents() == [.restored(job: "a", to: .cancelled), .cancelled(job: "a")])
        #expect(try spool.disk.contents(of: spool.layout.file("a.yaml", in: .cancelled)) == Array("priority: 4".utf8))
    }

    @Test func `an editor that saves by renaming cancels nothing, and its edit counts`() throws {
        let keeper = try accepted(("a.yaml", "priority: 0"), ("b.yaml", "priority: 1"))
        let path = spool.layout.file("a.yaml", in: .queue)
        try spool.disk.remove(path)
        try keeper.settle()
        spool.time.pass(1)
        try spool.disk.replace(path, with: Array("priority: 2".utf8))
        try keeper.settle()
        spool.time.pass(5)
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "a")
        #expect(try spool.disk.contents(of: spool.layout.jobFile(of: "a")) == Array("priority: 2".utf8))
    }

    @Test func `an edit that makes a file invalid rejects the job when it is claimed`() throws {
        let keeper = try accepted(("a.yaml", "priority: 1"), ("b.yaml", "priority: 0"))
        try spool.disk.replace(spool.layout.file("a.yaml", in: .queue), with: Array("oops".utf8))
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "b")
        #expect(try spool.files(.rejected) == ["a.yaml", "a.yaml.reason.txt"])
        #expect(try spool.status("a").state == .rejected)
        try spool.disk.replace(spool.layout.file("a.yaml", in: .rejected), with: Array("priority: 1".utf8))
        try spool.move("a.yaml", .rejected, .queue)
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "a")
    }

    @Test func `a running job that is moved is stopped, and ends where it was moved to`() throws {
        for state in [JobState.held, .cancelled, .queue] {
            let spool = try SpoolFixture()
            let keeper = try spool.open()
            try keeper.recover()
            try spool.drop("a.yaml")
            try keeper.settle()
            #expect(try keeper.claimNext()?.attempt == 1)
            _ = keeper.takeEvents()
            try spool.move("a.yaml", .active, state)
            try keeper.tick()
            try keeper.tick()
            #expect(keeper.takeEvents() == [.stop(job: "a")])
            try keeper.workerEnded("a", .exited(85), wasStopped: true, lastWords: "")
            #expect(try spool.state("a") == state)
            #expect(try spool.status("a").state == state)
        }
    }

    @Test func `a result written before a move was seen makes the job done`() throws {
        let keeper = try accepted(("a.yaml", "priority: 0"))
        _ = try keeper.claimNext()
        try spool.finish("a")
        try spool.move("a.yaml", .active, .cancelled)
        try keeper.workerEnded("a", .exited(0), wasStopped: false, lastWords: "")
        #expect(try spool.state("a") == .done)
        #expect(try spool.status("a").filed == true)
    }

    @Test func `a done job that is moved to the queue is run again under its name`() throws {
        let keeper = try accepted(("a.yaml", "priority: 0"))
        _ = try keeper.claimNext()
        try spool.finish("a")
        try keeper.workerEnded("a", .exited(0), wasStopped: false, lastWords: "")
        try spool.client.retry("a")
        try keeper.settle()
        #expect(try keeper.claimNext()?.attempt == 2)
        #expect(try spool.status("a").results == nil)
    }

    @Test func `a job waits for those it names, and is held when one will not succeed`() throws {
        let keeper = try accepted(
            ("late.yaml", "after: first second"), ("first.yaml", "priority: 0"), ("second.yaml", "priority: 0"))
        #expect(keeper.blocker(of: "late") == .unfinished("first"))
        #expect(try keeper.claimNext()?.job == "first")
        try keeper.workerEnded("first", .exited(65), wasStopped: false, lastWords: "bad")
        #expect(keeper.blocker(of: "late") == .failed("first"))
        #expect(try spool.client.why("late").contains("failed"))
        try spool.client.retry("first")
        try keeper.settle()
        for job in ["first", "second"] {
            #expect(try keeper.claimNext()?.job == job)
            try spool.finish(job)
            try keeper.workerEnded(job, .exited(0), wasStopped: false, lastWords: "")
        }
        #expect(try keeper.claimNext()?.job == "late")
    }

    @Test func `a cancelled predecessor holds those that wait for it`() throws {
        let keeper = try accepted(("first.yaml", "priority: 0"), ("late.yaml", "after: first"))
        try spool.client.cancel("first")
        try keeper.settle()
        #expect(try spool.state("late") == .held)
        #expect(try spool.client.why("late").contains("first, which must succeed first, was cancelled"))
    }

    @Test(arguments: ["done", "failed", "cancelled", "rejected"])
    func `a job that need only be over is waited for, and then it is all the same how it went`(end: String) throws {
        let keeper = try accepted(("late.yaml", "ended: first"))
        #expect(keeper.blocker(of: "late") == .missing("first"))
        #expect(try keeper.claimNext() == nil)
        try spool.drop("first.yaml", end == "rejected" ? "nonsense" : "priority: 0")
        try keeper.settle()
        if end != "rejected" {
            #expect(keeper.blocker(of: "late") == .unfinished("first"))
            #expect(try spool.client.why("late").contains("waits for first"))
        }
        switch end {
        case "cancelled":
            try spool.client.cancel("first")
            try keeper.settle()
        case "rejected": break
        default:
            #expect(try keeper.claimNext()?.job == "first")
            // A daemon that starts meanwhile knows it from the ticket.
            if end == "done" { try spool.finish("first") }
            try keeper.workerEnded("first", .exited(end == "done" ? 0 : 65), wasStopped: false, lastWords: "bad")
        }
        #expect(try spool.status("late").ticket?.predecessors.map(\.whenEnded) == [true])
        #expect(try keeper.claimNext()?.job == "late")
    }

    @Test func `a job that was over and is tried again is waited for again, and a model needs one that is done`() throws
    {
        let keeper = try accepted(
            ("first.yaml", "priority: 1"), ("late.yaml", "ended: first"), ("reader.yaml", "ended: first\nmodel: first"))
        #expect(try keeper.claimNext()?.job == "first")
        try keeper.workerEnded("first", .exited(65), wasStopped: false, lastWords: "bad")
        #expect(keeper.blocker(of: "late") == nil && keeper.blocker(of: "reader") == .failed("first"))
        try spool.client.retry("first")
        try keeper.settle()
        #expect(keeper.blocker(of: "late") == .unfinished("first"))
        // An edit may ask for more.
        try spool.client.cancel("first")
        try keeper.settle()
        #expect(keeper.blocker(of: "late") == nil)
        #expect(try spool.state("reader") == .held && spool.state("late") == .queue)
    }

    @Test func `a rejected file that was mended under the same name is no damage`() throws {
        let keeper = try accepted(("a.yaml", "nonsense"))
        try spool.drop("a.yaml", "priority: 0")
        try keeper.settle()
        _ = try keeper.claimNext()
        try spool.finish("a")
        try keeper.workerEnded("a", .exited(0), wasStopped: false, lastWords: "")
        #expect(try spool.files(.done) == ["a.yaml"])
        #expect(try spool.files(.rejected).contains("a.yaml"))
        let found = try SpoolCheck.findings(spool.layout, storage: spool.disk, check: SpoolFixture.check)
        #expect(found.filter { $0.weight == .damage } == [])
        // What is left of the first file has not the second one's status, and is not shown beside it.
        let jobs = try spool.client.list()
        #expect(jobs.first { $0.state == .rejected }?.status == nil)
        #expect(SpoolClient.withoutMended(jobs).map(\.state) == [.done])
    }

    @Test func `why tells of a drop that is not taken, and for what reason`() throws {
        let keeper = try accepted([])
        let incoming = spool.layout.incoming
        try spool.drop("job (1).yaml")
        try spool.drop("one.yaml")
        try FileManager.default.createSymbolicLink(
            atPath: "\(incoming)/link.yaml", withDestinationPath: "\(incoming)/one.yaml")
        try spool.disk.createDirectory(incoming.appending("folder.yaml"), mode: 0o700)
        try FileManager.default.linkItem(atPath: "\(incoming)/one.yaml", toPath: "\(incoming)/two.yaml")
        try spool.drop("text.txt")
        for (name, reason) in [
            ("job (1)", "its name will be refused"), ("link", "it is a link"), ("folder", "it is a folder"),
            ("one", "several names"), ("text.txt", "does not end in"),
        ] {
            #expect(try spool.client.why(name).contains("stays there: "), "\(name)")
            #expect(try spool.client.why(name).contains(reason), "\(name)")
        }
        withExtendedLifetime(keeper) {}
    }

    @Test(arguments: ["after: bad", "model: bad"], [false, true])
    func `a job that waits for a rejected one is held, until the file is mended`(line: String, isLater: Bool) throws {
        let drops = [("late.yaml", line), ("bad.yaml", "nonsense")]
        let keeper = try accepted(isLater ? drops.reversed() : drops)
        try keeper.settle()
        #expect(try spool.state("late") == .held)
        #expect(try spool.status("late").reason == "bad, which must succeed first, was rejected.")
        // Mended and dropped again it is a job that can be waited for.
        try spool.drop("bad.yaml", "priority: 0")
        try keeper.settle()
        try spool.client.release("late")
        try keeper.settle()
        #expect(try spool.state("late") == .queue)
        #expect(try keeper.claimNext()?.job == "bad")
    }

    @Test func `a model that is still being trained is waited for, an unknown one is not`() throws {
        let keeper = try accepted(
            ("text.yaml", "model: kjv\npriority: 9"), ("kjv.yaml", "priority: 0"),
            ("more.yaml", "model: kjv\npriority: 9"),
            ("lost.yaml", "model: nothing\npriority: 8"))
        var order: [String] = []
        spool.time.pass(SpoolKeeper.patience)
        while let claim = try keeper.claimNext() { order.append(claim.job) }
        // The model has the priority of those that wait for it.
        #expect(order == ["kjv", "lost"])
        try spool.finish("kjv")
        try keeper.workerEnded("kjv", .exited(0), wasStopped: false, lastWords: "")
        #expect(try keeper.claimNext()?.job == "text")
        #expect(try keeper.claimNext()?.job == "more")
    }

    @Test func `a model's job may be dropped a moment after the job that uses it`() throws {
        let keeper = try accepted(("a-text.yaml", "model: kjv"))
        #expect(try keeper.claimNext() == nil)
        #expect(keeper.isExpecting && keeper.nextDelay != nil)
        spool.time.pass(SpoolKeeper.patience - 0.1)
        try spool.drop("kjv.yaml")
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "kjv")
        spool.time.pass(1)
        #expect(try keeper.claimNext() == nil)
        try spool.finish("kjv")
        try keeper.workerEnded("kjv", .exited(0), wasStopped: false, lastWords: "")
        #expect(try keeper.claimNext()?.job == "a-text")
    }

    @Test func `what came while no daemon looked is taken in the order in which it came`() throws {
        for name in ["z", "b", "m"] {
            try spool.drop("\(name).yaml")
            usleep(20_000)
        }
        let keeper = try spool.open()
        try keeper.recover()
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "z")
        #expect(try spool.status("b").sequence == 2 && spool.status("m").sequence == 3)
    }

    @Test func `a circle is refused`() throws {
        _ = try accepted(
            ("self.yaml", "after: self"), ("a.yaml", "after: b"), ("b.yaml", "after: c"), ("c.yaml", "after: a"))
        #expect(try spool.files(.queue) == ["a.yaml"])
        // It waits for the one that was refused.
        #expect(try spool.files(.held) == ["b.yaml"])
        #expect(try spool.files(.rejected) == ["c.yaml", "c.yaml.reason.txt", "self.yaml", "self.yaml.reason.txt"])
        let reason = try #require(try spool.disk.contents(of: spool.layout.file("c.yaml.reason.txt", in: .rejected)))
        #expect(String(decoding: reason, as: UTF8.self).contains("c waits for a waits for b waits for c"))
    }

    @Test func `a temporary failure waits, also over a restart`() throws {
        var keeper: SpoolKeeper? = try accepted(("a.yaml", "priority: 0"))
        _ = try keeper?.claimNext()
        try keeper?.workerEnded("a", .exited(75), wasStopped: false, lastWords: "busy")
        #expect(try keeper?.claimNext() == nil)
        keeper = nil
        let next = try spool.open()
        try next.recover()
        #expect(try next.claimNext() == nil)
        spool.time.pass(61)
        #expect(try next.claimNext()?.attempt == 2)
    }

    @Test func `a GPU that fails three times in a row is left alone for a while, and jobs for the CPU go on`() throws {
        let names = ["a", "b", "c", "d", "e"]
        let keeper = try accepted(
            names.map { ("\($0).yaml", "priority: 1") } + [("x.yaml", "device: cpu"), ("y.yaml", "device: cpu")])
        func fails(_ job: String) throws {
            #expect(try keeper.claimNext()?.job == job)
            try keeper.workerEnded(job, .gpuFailed, wasStopped: false, lastWords: "fell off the bus")
        }
        func works(_ job: String) throws {
            #expect(try keeper.claimNext()?.job == job)
            try spool.finish(job)
            try keeper.workerEnded(job, .exited(0), wasStopped: false, lastWords: "")
        }
        for job in ["a", "b", "c"] { try fails(job) }
        #expect(keeper.takeEvents().contains(.gpuRests(seconds: 300, failures: 3, reason: "fell off the bus")))
        try works("x")
        #expect(try keeper.claimNext()?.job == "y")
        try keeper.workerEnded("y", .exited(85), wasStopped: true, lastWords: "")
        try works("y")
        #expect(try keeper.claimNext() == nil)
        #expect(keeper.isWaitingForGPU && keeper.blocker(of: "d") == .lacksGPU(1_700_000_000 + spool.time.now + 300))
        // Their own delay is over sooner; they wait all the same, and what ran on the CPU says nothing about the GPU.
        spool.time.pass(299)
        #expect(try keeper.claimNext() == nil)
        spool.time.pass(2)
        // One is tried; a job that fails for a reason of its own says nothing of the GPU.
        #expect(try keeper.claimNext()?.job == "a")
        try spool.finish("a", as: .failed)
        try keeper.workerEnded("a", .exited(66), wasStopped: false, lastWords: "")
        #expect(!keeper.takeEvents().contains(.gpuWorks))
        try fails("b")
        #expect(keeper.takeEvents().contains(.gpuRests(seconds: 600, failures: 4, reason: "fell off the bus")))
        #expect(try keeper.claimNext() == nil)
        spool.time.pass(601)
        try works("b")
        #expect(keeper.takeEvents().contains(.gpuWorks))
        for job in ["c", "d", "e"] { try works(job) }
        #expect(!keeper.isWaitingForGPU)
        #expect(try spool.files(.done).count == 6)
    }

    @Test func `a GPU that fails now and then while jobs get on is not left alone`() throws {
        let keeper = try accepted(("a.yaml", "priority: 1"))
        for step in 1...5 {
            #expect(try keeper.claimNext()?.job == "a")
            let checkpoints = spool.layout.folder(of: "a").appending("checkpoints")
            try spool.disk.createDirectories(checkpoints, mode: 0o750)
            try spool.disk.replace(checkpoints.appending("step-\(step).safetensors"), with: [1])
            try keeper.workerEnded("a", .gpuFailed, wasStopped: false, lastWords: "an error")
            spool.time.pass(AttemptPolicy.delays.longest + 1)
        }
        #expect(!keeper.takeEvents().contains { if case .gpuRests = $0 { true } else { false } })
    }

    @Test func `why believes what the daemon says that the queue waits for, while there is one`() throws {
        var keeper: SpoolKeeper? = try accepted(("a.yaml", "priority: 1"), ("b.yaml", "device: cpu"))
        let now = 1_700_000_000 + spool.time.now
        var waits = QueueWaits()
        waits.gpuUntil = now + 300
        waits.gpuReason = "fell off the bus"
        try waits.save(spool.layout, on: spool.disk)
        #expect(try spool.client.why("a").contains("a waits until 2023-11-"))
        #expect(try spool.client.why("a").contains("(the last time: fell off the bus)"))
        #expect(try spool.client.place(of: "a")?.secondsUntilStart == 300)
        #expect(try spool.client.why("b").contains("b is next"))
        #expect(try spool.client.place(of: "b")?.before == [])
        spool.time.pass(301)
        #expect(try spool.client.why("a").contains("a is next"))
        waits.disk = "5 bytes must be free"
        try waits.save(spool.layout, on: spool.disk)
        #expect(try spool.client.why("a").contains("a waits, as the whole queue does, for the disk: 5 bytes"))
        #expect(try spool.client.place(of: "a") == nil)
        // Neither what is damaged nor what is old is believed.
        try spool.disk.replace(spool.layout.jobs.appending(".waits.json"), with: Array("{".utf8))
        #expect(try spool.client.why("a").contains("a is next"))
        try waits.save(spool.layout, on: spool.disk)
        let path = spool.layout.jobs.appending(".waits.json")
        let said = String(decoding: try #require(try spool.disk.contents(of: path)), as: UTF8.self)
        #expect(try spool.client.why("a").contains("for the disk"))
        // No process has so high a number.
        let ofAnother = said.replacing("\"daemon\":\(getpid())", with: "\"daemon\":\(Int32.max)")
        #expect(ofAnother != said)
        try spool.disk.replace(path, with: Array(ofAnother.utf8))
        #expect(try spool.client.why("a").contains("a is next"))
        try spool.disk.replace(path, with: Array(said.utf8))
        withExtendedLifetime(keeper) {}
        keeper = nil
        #expect(try spool.client.why("a").contains("no daemon works"))
        try QueueWaits().save(spool.layout, on: spool.disk)
        #expect(try spool.disk.status(of: spool.layout.jobs.appending(".waits.json")) == nil)
    }

    @Test func `an edit decides anew whether a job waits for the GPU`() throws {
        let keeper = try accepted(
            ("a.yaml", "priority: 1"), ("b.yaml", "priority: 1"), ("c.yaml", "priority: 1"), ("d.yaml", "priority: 0"))
        for job in ["a", "b", "c"] {
            #expect(try keeper.claimNext()?.job == job)
            try keeper.workerEnded(job, .gpuFailed, wasStopped: false, lastWords: "")
        }
        #expect(try keeper.claimNext() == nil)
        try spool.disk.replace(spool.layout.file("d.yaml", in: .queue), with: Array("device: cpu".utf8))
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "d")
    }

    @Test func `three crashes hold the job, and a release starts the count anew`() throws {
        let keeper = try accepted(("a.yaml", "priority: 0"))
        for _ in 1...3 {
            #expect(try keeper.claimNext() != nil)
            try keeper.workerEnded("a", .signalled(11), wasStopped: false, lastWords: "boom")
        }
        #expect(try spool.state("a") == .held)
        #expect(try spool.client.why("a").contains("3 crashes in a row"))
        try spool.client.release("a")
        try keeper.settle()
        #expect(try keeper.claimNext()?.attempt == 4)
        try keeper.workerEnded("a", .signalled(11), wasStopped: false, lastWords: "boom")
        #expect(try spool.state("a") == .queue)
    }

    @Test func `a job whose machine goes down again and again without progress is held`() throws {
        var keeper: SpoolKeeper? = try accepted(("a.yaml", "priority: 0"))
        for _ in 1...5 {
            #expect(try keeper?.claimNext() != nil)
            keeper = nil
            keeper = try spool.open()
            try keeper?.recover()
        }
        #expect(try spool.state("a") == .held)
    }

    @Test func `a worker that outlives its daemon is waited for`() throws {
        var keeper: SpoolKeeper? = try accepted(("a.yaml", "priority: 0"))
        _ = try keeper?.claimNext()
        var worker = try spool.disk.lock(spool.layout.lock(of: "a"))
        keeper = nil
        let next = try spool.open()
        try next.recover()
        #expect(try next.claimNext() == nil)
        #expect(next.isExpecting)
        try spool.finish("a")
        worker = nil
        _ = worker
        try next.tick()
        #expect(try spool.state("a") == .done)
    }

    @Test func `a job folder in which somebody works outside the queue is not started`() throws {
        let keeper = try accepted(("a.yaml", "priority: 0"))
        var other = try spool.disk.lock(spool.layout.lock(of: "a"))
        #expect(try keeper.claimNext() == nil)
        other = nil
        _ = other
        spool.time.pass(2)
        #expect(try keeper.claimNext()?.job == "a")
    }

    @Test func `a file put straight into a state directory is taken as a drop`() throws {
        let keeper = try accepted(("a.yaml", "priority: 0"))
        try spool.disk.replace(spool.layout.file("b.yaml", in: .queue), with: Array("priority: 1".utf8))
        try spool.disk.replace(spool.layout.file("c.yaml", in: .held), with: Array("priority: 1".utf8))
        try spool.disk.replace(spool.layout.file("a.yaml", in: .held), with: Array("priority: 1".utf8))
        try keeper.settle()
        #expect(try spool.files(.queue) == ["a.yaml", "b.yaml"])
        #expect(try spool.files(.held) == ["a-2.yaml", "c.yaml"])
        #expect(try spool.status("b").sequence != nil)
    }

    @Test func `a flood of drops is accepted in the order of their names`() throws {
        for number in 0..<500 { try spool.drop("job-\(1000 + number).yaml") }
        let keeper = try spool.open()
        try keeper.recover()
        try keeper.settle()
        #expect(keeper.count(.queue) == 500)
        #expect(try (0..<500).allSatisfy { try keeper.claimNext()?.job == "job-\(1000 + $0)" })
    }

    @Test func `cleaning removes what has ended and keeps what others wait for`() throws {
        let keeper = try accepted(
            ("old.yaml", "priority: 9"), ("base.yaml", "priority: 8"), ("later.yaml", "after: base"),
            ("bad.yaml", "bad"))
        for job in ["old", "base"] {
            _ = try keeper.claimNext()
            try spool.finish(job)
            try keeper.workerEnded(job, .exited(0), wasStopped: false, lastWords: "")
        }
        #expect(Set(try spool.client.clean(endedBefore: 4e9)) == ["old", "bad"])
        #expect(try spool.disk.list(spool.layout.jobs).sorted() == ["base", "later"])
        try keeper.settle()
        try spool.drop("old.yaml")
        try keeper.settle()
        #expect(try spool.state("old") == .queue)
    }
}
