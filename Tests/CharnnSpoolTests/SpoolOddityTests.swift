import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// What people with rights to the state directories, or a full disk, can put in the queue's way.
@Suite(.endsWhatHangs)
struct SpoolOddityTests {
    let spool: SpoolFixture
    init() throws { spool = try SpoolFixture() }

    private func accepted(_ drops: (String, String)...) throws -> SpoolKeeper {
        let keeper = try spool.open()
        try keeper.recover()
        for (name, text) in drops {
            try spool.drop(name, text)
            try keeper.settle()
        }
        _ = keeper.takeEvents()
        return keeper
    }

    @Test func `odd directories stop nothing`() throws {
        let rejected = spool.layout.directory(.rejected)
        for odd in [
            rejected.appending("x.yaml.reason.txt"), rejected.appending(".bad.yaml.reason.txt.partial"),
            spool.layout.directory(.queue).appending(".1.copy"), spool.layout.directory(.queue).appending(".77.copy"),
            spool.layout.folder(of: "zz").appending("status.json"),
        ] {
            try spool.disk.createDirectories(odd, mode: 0o700)
        }
        try spool.disk.createDirectories(spool.layout.folder(of: "link"), mode: 0o700)
        #expect(symlink("/etc/passwd", spool.layout.status(of: "link").string) == 0)
        try spool.disk.createDirectories(spool.layout.folder(of: "pipe"), mode: 0o700)
        #expect(mkfifo(spool.layout.status(of: "pipe").string, 0o600) == 0)
        let keeper = try accepted(("a.yaml", "priority: 1"), ("bad.yaml", "bad"), ("b.yaml", "priority: 0"))
        #expect(try spool.files(.rejected).contains("bad-2.yaml"))
        #expect(try keeper.claimNext()?.job == "a")
        #expect(try keeper.claimNext()?.job == "b")
    }

    @Test func `a job whose folder cannot be used does not keep the next one from being started`() throws {
        let keeper = try accepted(("a.yaml", "priority: 1"), ("b.yaml", "priority: 0"))
        try spool.disk.remove(spool.layout.status(of: "a"))
        try spool.disk.createDirectories(spool.layout.status(of: "a").appending("x"), mode: 0o700)
        #expect(try keeper.claimNext()?.job == "b")
        #expect(try spool.state("a") == .held)
        #expect(try keeper.claimNext() == nil)
    }

    @Test func `in a shared spool a job's file under another name is not adopted as the daemon's`() throws {
        var keeper: SpoolKeeper? = try accepted(
            ("att.yaml", "priority: 1"), ("other.yaml", "priority: 5"), ("victim.yaml", "priority: 0"))
        keeper = nil
        _ = keeper
        let next = try spool.open(sharing: .group)
        try next.recover()
        let queue = spool.layout.directory(.queue)
        try spool.disk.rename(
            queue.appending("other.yaml"), to: queue.appending("victim.yaml"), replacing: true)
        try spool.move("att.yaml", .queue, .held)
        try spool.disk.rename(
            spool.layout.file("att.yaml", in: .held), to: queue.appending("att9.yaml"), replacing: false)
        try next.settle()
        #expect(
            try spool.files(.rejected) == [
                "att9.yaml", "att9.yaml.reason.txt", "victim-2.yaml", "victim-2.yaml.reason.txt",
            ])
        #expect(try next.claimNext() == nil)
        spool.time.pass(3)
        try next.settle()
        #expect(try spool.files(.cancelled) == ["att.yaml", "other.yaml", "victim.yaml"])
    }

    @Test func `a told drop is not waited for`() throws {
        try spool.drop("first.yaml")
        let incoming = spool.layout.incoming
        #expect(link(incoming.appending("first.yaml").string, incoming.appending("second.yaml").string) == 0)
        let keeper = try accepted()
        try keeper.settle()
        #expect(!keeper.isExpecting)
        try spool.disk.remove(incoming.appending("second.yaml"))
        try keeper.settle()
        try keeper.settle()
        #expect(try spool.files(.queue) == ["first.yaml"])
    }

    @Test func `a circle is looked for under the name taken, and one made by an edit is held`() throws {
        let keeper = try accepted(
            ("a.yaml", "priority: 0"), ("a.yaml", "after: a"), ("b.yaml", "after: a"))
        #expect(try spool.files(.queue) == ["a-2.yaml", "a.yaml", "b.yaml"])
        try spool.disk.replace(spool.layout.file("a.yaml", in: .queue), with: Array("after: b".utf8))
        try keeper.settle()
        #expect(try spool.state("a") == .held)
        #expect(try spool.client.why("a").contains("a waits for b waits for a"))
        try spool.client.release("a")
        try keeper.settle()
        #expect(try spool.state("a") == .held)
        try spool.disk.replace(spool.layout.file("a.yaml", in: .held), with: Array("priority: 0".utf8))
        try spool.client.release("a")
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "a")
    }

    @Test func `hold and release end the wait after a temporary failure`() throws {
        let keeper = try accepted(("a.yaml", "priority: 0"))
        _ = try keeper.claimNext()
        try keeper.workerEnded("a", .exited(75), wasStopped: false, lastWords: "busy")
        #expect(try keeper.claimNext() == nil)
        try spool.client.hold("a")
        try keeper.settle()
        try spool.client.release("a")
        try keeper.settle()
        #expect(try spool.status("a").temporaryFailures == nil)
        #expect(try keeper.claimNext()?.job == "a")
    }

    @Test func `a rejected job can be tried again`() throws {
        let keeper = try accepted(("a.yaml", "bad"))
        try spool.disk.replace(spool.layout.file("a.yaml", in: .rejected), with: Array("priority: 0".utf8))
        try spool.client.retry("a")
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "a")
    }

    @Test func `cleaning leaves jobs that are in use and models that are waited for`() throws {
        let keeper = try accepted(("kjv.yaml", "priority: 2"), ("used.yaml", "priority: 1"))
        for job in ["kjv", "used"] {
            _ = try keeper.claimNext()
            try spool.finish(job)
            try keeper.workerEnded(job, .exited(0), wasStopped: false, lastWords: "")
        }
        try spool.drop("text.yaml", "model: kjv")
        try keeper.settle()
        var lock = try spool.disk.lock(spool.layout.lock(of: "used"))
        #expect(try spool.client.clean(endedBefore: 4e9) == [])
        #expect(try spool.files(.done) == ["kjv.yaml", "used.yaml"])
        lock = nil
        _ = lock
        #expect(try spool.client.clean(endedBefore: 4e9) == ["used"])
        #expect(try keeper.claimNext()?.job == "text")
    }
}
