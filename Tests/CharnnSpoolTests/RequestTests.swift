import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

@testable import CharnnSpool

/// What people ask for in `requests/`, and who may.
struct RequestTests {
    private let spool: SharedSpoolFixture
    private let keeper: SpoolKeeper
    private let alice = SharedSpoolFixture.alice
    private let bob = SharedSpoolFixture.bob
    private let carol = SharedSpoolFixture.carol
    private let stranger = SharedSpoolFixture.stranger

    init() throws {
        spool = try SharedSpoolFixture()
        keeper = try spool.open()
        spool.drop("hers.yaml")
        spool.drop("his.yaml", by: SharedSpoolFixture.bob)
        try keeper.settle()
        _ = keeper.takeEvents()
    }

    private func refusals() -> [String] {
        keeper.takeEvents().compactMap {
            if case .refused(_, let person, let reason) = $0 { "\(person): \(reason)" } else { nil }
        }
    }

    @Test func `a submitter holds, releases, cancels and retries a job of their own, and their name is told`() throws {
        let steps: [(SpoolRequest.Verb, JobState, SpoolEvent)] = [
            (.hold, .held, .held(job: "hers", reason: nil, by: "alice")),
            (.release, .queue, .released(job: "hers", by: "alice")),
            (.cancel, .cancelled, .cancelled(job: "hers", by: "alice")),
            (.retry, .queue, .again(job: "hers", by: "alice")),
        ]
        for (verb, state, event) in steps {
            try spool.ask(verb, "hers", by: alice)
            try keeper.settle()
            #expect(try spool.files(state).contains("hers.yaml"))
            #expect(keeper.takeEvents() == [event])
            #expect(try spool.status("hers").state == state)
            #expect(try spool.requests() == [])
        }
        try spool.ask(.cancel, "hers", by: alice)
        try keeper.settle()
        #expect(try spool.status("hers").reason == "Cancelled by alice.")
    }

    @Test func `another's job is changed by administrators only`() throws {
        for verb in [SpoolRequest.Verb.hold, .cancel] {
            for (person, name) in [(bob, "bob"), (stranger, "user 1004")] {
                try spool.ask(verb, "hers", by: person)
                try keeper.settle()
                #expect(refusals() == ["\(name): it is another's job"])
                #expect(try spool.files(.queue) == ["hers.yaml", "his.yaml"])
            }
        }
        try spool.ask(.hold, "hers", by: carol)
        try keeper.settle()
        #expect(keeper.takeEvents() == [.held(job: "hers", reason: nil, by: "carol")])
        try spool.ask(.release, "hers", by: 0)
        try keeper.settle()
        #expect(keeper.takeEvents() == [.released(job: "hers", by: "user 0")])
    }

    @Test func `a job whose submitter is not known is changed by administrators only`() throws {
        let spool = try SharedSpoolFixture()
        var keeper: SpoolKeeper? = try spool.open()
        spool.drop("a.yaml")
        try keeper?.settle()
        keeper = nil
        var status = try spool.status("a")
        status.submitter = nil
        let (path, bytes) = (spool.layout.status(of: "a"), status.encoded)
        spool.disk.change { $0.put(path, bytes) }
        keeper = try spool.open()
        try spool.ask(.cancel, "a", by: alice)
        try keeper?.settle()
        #expect(try spool.files(.queue) == ["a.yaml"])
        try spool.ask(.cancel, "a", by: carol)
        try keeper?.settle()
        #expect(try spool.files(.cancelled) == ["a.yaml"])
    }

    @Test func `a request with another number than the job's does nothing`() throws {
        spool.ask(SpoolRequest(.cancel, job: "hers", sequence: 77), by: alice)
        spool.ask(SpoolRequest(.cancel, job: "nobody", sequence: 1), by: alice, as: "2")
        try keeper.settle()
        #expect(try spool.files(.queue) == ["hers.yaml", "his.yaml"])
        #expect(refusals().count == 2)
        #expect(try spool.requests() == [])
    }

    @Test func `the same asked twice is done once`() throws {
        for name in ["1", "2"] { try spool.ask(.cancel, "hers", by: alice, as: name) }
        try keeper.settle()
        #expect(keeper.takeEvents() == [.cancelled(job: "hers", by: "alice")])
        for name in ["1", "2"] { try spool.ask(.retry, "hers", by: alice, as: name) }
        try keeper.settle()
        #expect(keeper.takeEvents() == [.again(job: "hers", by: "alice")])
    }

    @Test func `what is asked while no daemon works is done by the next`() throws {
        let spool = try SharedSpoolFixture()
        var keeper: SpoolKeeper? = try spool.open()
        spool.drop("a.yaml")
        try keeper?.settle()
        keeper = nil
        try spool.ask(.hold, "a", by: alice)
        keeper = try spool.open()
        #expect(try spool.files(.held) == ["a.yaml"])
        #expect(keeper?.takeEvents() == [.held(job: "a", reason: nil, by: "alice")])
    }

    @Test func `a move that a crash kept from being recorded is recorded in the name of who asked for it`() throws {
        let spool = try SharedSpoolFixture()
        var keeper: SpoolKeeper? = try spool.open()
        spool.drop("a.yaml")
        try keeper?.settle()
        keeper = nil
        try spool.ask(.cancel, "a", by: alice)
        try spool.disk.rename(
            spool.layout.file("a.yaml", in: .queue), to: spool.layout.file("a.yaml", in: .cancelled), replacing: false)
        keeper = try spool.open()
        #expect(keeper?.takeEvents() == [.cancelled(job: "a", by: "alice")])
        #expect(try spool.requests() == [])
    }

    @Test func `a job that ended meanwhile is not cancelled`() throws {
        _ = try keeper.claimNext()
        try spool.finish("hers")
        try spool.ask(.cancel, "hers", by: alice)
        try keeper.workerEnded("hers", .exited(0), wasStopped: false, lastWords: "")
        try keeper.settle()
        #expect(try spool.files(.done) == ["hers.yaml"])
        #expect(refusals() == ["alice: it is in done/"])
    }

    @Test func `a running job that is cancelled ends first, and is cancelled in the name of who asked`() throws {
        _ = try keeper.claimNext()
        try spool.ask(.cancel, "hers", by: alice)
        try keeper.settle()
        #expect(keeper.takeEvents() == [.stop(job: "hers")])
        try keeper.workerEnded("hers", .exited(85), wasStopped: true, lastWords: "")
        #expect(keeper.takeEvents().contains(.cancelled(job: "hers", by: "alice")))
    }

    @Test func `an edit takes the old file's place, keeps the submitter, and counts at once`() throws {
        let sequence = try #require(try spool.status("his").sequence)
        spool.ask(
            SpoolRequest(.edit, job: "his", sequence: sequence, file: Array("priority: 9".utf8)), by: carol)
        try keeper.settle()
        #expect(keeper.takeEvents() == [.edited(job: "his", by: "carol")])
        #expect(try keeper.claimNext()?.job == "his")
        #expect(try spool.status("his").submitter == bob)
        #expect(try spool.disk.contents(of: spool.layout.jobFile(of: "his")) == Array("priority: 9".utf8))
    }

    @Test func `an administrator's edit does not have another's job read more, nor show what was closed`() throws {
        spool.drop("closed.yaml", "share: owner\ntext: diary.txt")
        try keeper.settle()
        let sequence = try #require(try spool.status("closed").sequence)
        for text in ["share: group\ntext: diary.txt", "share: owner\ntext: diary.txt\ntext: more.txt"] {
            spool.ask(SpoolRequest(.edit, job: "closed", sequence: sequence, file: Array(text.utf8)), by: carol)
            try keeper.settle()
            #expect(refusals().first?.contains("only the submitter") == true)
        }
        // Its number is not hers to see, and she may hold it without.
        spool.ask(SpoolRequest(.hold, job: "closed", sequence: 0), by: bob)
        try keeper.settle()
        #expect(try spool.files(.queue).contains("closed.yaml"))
        spool.ask(SpoolRequest(.hold, job: "closed", sequence: 0), by: carol)
        try keeper.settle()
        #expect(try spool.files(.held) == ["closed.yaml"])
    }

    @Test func `no single failure of the disk at a start loses what was asked for`() throws {
        try spool.ask(.hold, "hers", by: alice)
        let image = spool.disk.image
        for offset in 0..<150 {
            let disk = SimulatedDisk(image)
            disk.fail(.init(.inputOutputError, at: offset, isLasting: false))
            guard let keeper = try? spool.start(on: disk) else { continue }
            let isRecovered = (try? keeper.recover()) != nil
            disk.heal()
            if !isRecovered { try keeper.recover() }
            try keeper.settle()
            #expect(try disk.list(spool.layout.directory(.held)) == ["hers.yaml"], "a failure of operation \(offset)")
        }
    }

    @Test func `a job that an edit makes private is closed at once`() throws {
        let sequence = try #require(try spool.status("hers").sequence)
        spool.ask(SpoolRequest(.edit, job: "hers", sequence: sequence, file: Array("share: owner".utf8)), by: alice)
        try keeper.settle()
        #expect(try spool.list(spool.layout.file("hers.yaml", in: .queue))?.rights(of: .owningGroup) == 0)
        #expect(try spool.list(spool.layout.folder(of: "hers"))?.rights(of: .owningGroup) == 0)
        #expect(try spool.status("hers").isPrivate == true)
    }

    @Test func `requests of which hints tell are done in turns, too`() throws {
        let (layout, alice) = (spool.layout, SharedSpoolFixture.alice)
        let bytes = SpoolRequest(.cancel, job: "his", sequence: 2).bytes
        spool.disk.change { image in
            for number in 0..<500 { image.put(layout.requests.appending("\(number).request"), bytes, owner: alice) }
        }
        try spool.ask(.hold, "his", by: bob, as: "zzz")
        for name in (0..<500).map({ "\($0).request" }) + ["zzz.request"] {
            try keeper.handle(.arrived(directory: layout.requests, name: name))
        }
        _ = keeper.takeEvents()
        try keeper.answerRequests()
        let events = keeper.takeEvents()
        let place = try #require(events.firstIndex(of: .held(job: "his", reason: nil, by: "bob")))
        #expect(place <= 1)
    }

    @Test func `an edit that is not valid changes nothing`() throws {
        let sequence = try #require(try spool.status("hers").sequence)
        spool.ask(SpoolRequest(.edit, job: "hers", sequence: sequence, file: Array("nonsense".utf8)), by: alice)
        try keeper.settle()
        #expect(refusals().first?.contains("not valid") == true)
        #expect(
            try spool.disk.contents(of: spool.layout.file("hers.yaml", in: .queue)) == Array("priority: 0".utf8))
    }

    @Test func `the queue is paused and resumed by administrators, over restarts, until its time`() throws {
        let spool = try SharedSpoolFixture()
        var keeper: SpoolKeeper? = try spool.open()
        spool.ask(SpoolRequest(.pause), by: alice)
        try keeper?.settle()
        #expect(keeper?.pause == nil)
        spool.ask(SpoolRequest(.pause, until: 1_700_000_000 + spool.time.now + 3600), by: carol)
        try keeper?.settle()
        #expect(keeper?.pause?.by == "carol")
        keeper = nil
        keeper = try spool.open()
        #expect(keeper?.pause?.by == "carol")
        spool.time.pass(3601)
        try keeper?.settle()
        #expect(keeper?.pause == nil)
        spool.ask(SpoolRequest(.pause), by: carol)
        try keeper?.settle()
        spool.ask(SpoolRequest(.resume), by: alice)
        try keeper?.settle()
        #expect(keeper?.pause != nil)
        spool.ask(SpoolRequest(.resume), by: carol)
        try keeper?.settle()
        #expect(keeper?.pause == nil)
    }

    @Test func `a pause that cannot be read is one`() throws {
        let spool = try SharedSpoolFixture()
        let path = spool.layout.pause
        spool.disk.change { $0.put(path, Array("nothing".utf8)) }
        let keeper = try spool.open()
        #expect(keeper.pause != nil)
        spool.ask(SpoolRequest(.resume), by: carol)
        try keeper.settle()
        #expect(keeper.pause == nil)
    }

    @Test(arguments: [
        "", "\n\n", "charnnd-request 1\n\n", "charnnd-request 1\nverb: hold\n\n", "charnnd-request 2\nverb: hold\n\n",
        "charnnd-request 1\nverb: hold\njob: a\nsequence: 1\nsequence: 2\n\n",
        "charnnd-request 1\nverb: destroy\njob: a\nsequence: 1\n\n",
        "charnnd-request 1\nverb: hold\njob: a\nsequence: -1\n\n",
        "charnnd-request 1\nverb: edit\njob: a\nsequence: 1\nbytes: 999999999\n\nx",
        "charnnd-request 1\nverb: edit\njob: a\nsequence: 1\nbytes: 1\n\nxyz",
        "charnnd-request 1\nverb: hold\njob: a\nsequence: 1\n\nmore",
    ])
    func `what is no request is removed and told, at the latest when no more of it comes`(text: String) throws {
        let path = spool.layout.requests.appending("1.request")
        spool.disk.change { $0.put(path, Array(text.utf8), owner: SharedSpoolFixture.alice) }
        try keeper.settle()
        spool.time.pass(RequestDesk.patience + 1_000_000_000)
        try keeper.settle()
        #expect(try spool.requests() == [])
        #expect(refusals().count == 1)
    }

    @Test func `a request that is still being written is waited for`() throws {
        let request = SpoolRequest(.cancel, job: "hers", sequence: try #require(try spool.status("hers").sequence))
        let path = spool.layout.requests.appending("1.request")
        let half = Array(request.bytes.prefix(30))
        let now = 1_700_000_000 + spool.time.now
        spool.disk.change { image in
            image.time = now
            image.put(path, half, owner: SharedSpoolFixture.alice)
        }
        try keeper.settle()
        #expect(try spool.requests() == ["1.request"])
        spool.ask(request, by: alice)
        try keeper.settle()
        #expect(try spool.files(.cancelled) == ["hers.yaml"])
    }

    @Test func `one with several names is nobody's`() throws {
        try spool.ask(.cancel, "hers", by: alice)
        let (path, other) = (spool.layout.requests.appending("1.request"), FilePath("/spool/elsewhere"))
        spool.disk.change { $0.link(path, as: other) }
        try keeper.settle()
        #expect(try spool.files(.cancelled) == [])
        #expect(!refusals().isEmpty)
    }

    @Test func `ten thousand of one person's hold up nobody else's`() throws {
        let (layout, alice) = (spool.layout, SharedSpoolFixture.alice)
        spool.disk.change { image in
            let bytes = SpoolRequest(.cancel, job: "his", sequence: 2).bytes
            for number in 0..<10_000 {
                image.put(layout.requests.appending("\(number).request"), bytes, owner: alice)
            }
        }
        try spool.ask(.hold, "his", by: bob, as: "zzz")
        try keeper.scan()
        // The second of all, whatever else waits.
        #expect(try spool.files(.held) == ["his.yaml"])
        while keeper.hasRequests { try keeper.answerRequests() }
        #expect(try spool.requests() == [])
    }

    @Test func `bytes of a request are read as they were meant`() throws {
        let requests = [
            SpoolRequest(.hold, job: "kjv 2", sequence: 12), SpoolRequest(.pause, until: 1_800_000_000),
            SpoolRequest(.resume), SpoolRequest(.edit, job: "größe", sequence: 3, file: Array("a\n\nb: c\n\n".utf8)),
        ]
        for request in requests { #expect(try SpoolRequest(request.bytes) == request) }
    }
}

/// Who may move files in a shared spool.
struct SpoolRightsTests {
    @Test func `state directories are the daemon's and the administrators'`() throws {
        let spool = try SharedSpoolFixture()
        _ = try spool.open()
        for path in JobState.allCases.map(spool.layout.directory) + [spool.layout.jobs] {
            let list = try #require(try spool.list(path))
            #expect(list.rights(of: .owningGroup) == 5)
            #expect(list.rights(of: .group(901)) == 7)
            #expect(list.rights(of: .other) == 0)
        }
    }

    @Test func `a spool in which every member moved everyone's jobs is shut at the next start`() throws {
        let spool = try SharedSpoolFixture()
        for state in JobState.allCases { try spool.disk.setMode(0o2770, of: spool.layout.directory(state)) }
        _ = try spool.open()
        for state in JobState.allCases {
            #expect(try spool.list(spool.layout.directory(state))?.rights(of: .owningGroup) == 5)
        }
    }

    @Test func `an access list that lets others write is told by fsck and mended`() throws {
        let spool = try SharedSpoolFixture()
        _ = try spool.open()
        let path = spool.layout.directory(.queue)
        try spool.disk.setAccessList(AccessList(0o750, named: [(.user(1002), 7)]), of: path)
        let found = try spool.layout.secure(901, on: spool.disk)
        #expect(found == nil)
        #expect(try spool.list(path)?.rights(of: .user(1002)) == nil)
    }
}
