import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

/// Texts that come late, or slowly.
@Suite struct TextGuardTests {
    private let spool: SharedSpoolFixture

    init() throws {
        spool = try SharedSpoolFixture()
        // As for a daemon that is not the owner of what it reads.
        spool.disk.change { $0.tellsWriters = false }
    }

    private var corpora: FilePath { spool.layout.corpora }
    private var now: Double { 1_700_000_000 + spool.time.now }

    private func put(_ text: String, _ contents: String = "a text\n") {
        let (now, path) = (now, corpora.appending(text))
        spool.disk.change { image in
            image.time = now
            image.put(path, Array(contents.utf8), owner: SharedSpoolFixture.alice)
        }
    }

    private func claim(_ keeper: SpoolKeeper) throws -> String? { try keeper.claimNext()?.job }

    @Test func `a job whose text is missing waits, says so, and lets others go first`() throws {
        let keeper = try spool.open()
        spool.drop("early.yaml", "text: late.txt")
        spool.drop("other.yaml", "priority: 0")
        try keeper.settle()
        #expect(try claim(keeper) == "other")
        let awaited = try #require(try spool.status("early").awaitedText)
        #expect(awaited == AwaitedText(text: "late.txt", missingSince: now, failsAt: now + 600))
        #expect(keeper.takeEvents().contains(.waits(job: "early", awaited)))
        #expect(keeper.blocker(of: "early") == .awaitsText(awaited))
        #expect(keeper.isExpecting)
        let client = SpoolClient(spool.layout, storage: spool.disk, clock: spool.clock)
        #expect(try client.why("early").contains("waits for the text late.txt, which is not there"))
        #expect(try client.turns(client.list()).map(\.name) == [])

        spool.time.pass(300)
        put("late.txt")
        spool.time.pass(40)
        #expect(try claim(keeper) == "early")
        #expect(try spool.status("early").awaitedText == nil)
    }

    @Test func `no single failure of the disk has a job start without its text`() throws {
        for offset in 0..<40 {
            let spool = try SharedSpoolFixture()
            let keeper = try spool.open()
            spool.drop("early.yaml", "text: late.txt")
            try keeper.settle()
            spool.disk.fail(.init(.inputOutputError, at: spool.disk.count + offset, isLasting: false))
            #expect((try? keeper.claimNext())?.job == nil, "a failure of operation \(offset)")
        }
    }

    @Test func `the grace counts from the first turn, also over a restart, and then the worker is started`() throws {
        do {
            let keeper = try spool.open()
            spool.drop("early.yaml", "text: late.txt")
            try keeper.settle()
            #expect(try claim(keeper) == nil)
        }
        spool.time.pass(590)
        let keeper = try spool.open()
        #expect(try claim(keeper) == nil)
        spool.time.pass(11)
        #expect(try claim(keeper) == "early")
    }

    @Test func `a hold and a release give a new grace`() throws {
        let keeper = try spool.open()
        spool.drop("early.yaml", "text: late.txt")
        try keeper.settle()
        #expect(try claim(keeper) == nil)
        spool.time.pass(590)
        try spool.ask(.hold, "early", by: SharedSpoolFixture.alice)
        try keeper.settle()
        try keeper.answerRequests()
        #expect(try spool.status("early").state == .held && spool.status("early").awaitedText == nil)
        try spool.ask(.release, "early", by: SharedSpoolFixture.alice, as: "2")
        try keeper.settle()
        try keeper.answerRequests()
        spool.time.pass(20)
        #expect(try claim(keeper) == nil)
    }

    @Test func `a text that is still written is waited for, as long as it changes`() throws {
        let keeper = try spool.open()
        spool.drop("slow.yaml", "text: slow.txt")
        try keeper.settle()
        for round in 1...10 {
            put("slow.txt", String(repeating: "more ", count: round))
            spool.time.pass(20)
            #expect(try claim(keeper) == nil, "\(round)")
        }
        #expect(try spool.status("slow").awaitedText == AwaitedText(text: "slow.txt"))
        spool.time.pass(15)
        #expect(try claim(keeper) == "slow")
    }

    @Test func `a text that was seen closed is complete at once, and not if it is changed then`() throws {
        let keeper = try spool.open()
        #expect(keeper.textFolders == [corpora])
        for name in ["a", "b"] { spool.drop("\(name).yaml", "text: \(name).txt") }
        try keeper.settle()
        for name in ["a", "b"] {
            put("\(name).txt")
            keeper.textArrived(corpora.appending("\(name).txt"))
        }
        spool.time.pass(1)
        put("b.txt", "written to again\n")
        #expect(try claim(keeper) == "a")
        #expect(try claim(keeper) == nil)
        keeper.textArrived(corpora.appending("b.txt"))
        #expect(try claim(keeper) == "b")
    }

    @Test func `a text that arrives is not waited for until the next look`() throws {
        let keeper = try spool.open()
        spool.drop("a.yaml", "text: m/a.txt")
        try keeper.settle()
        #expect(try claim(keeper) == nil)
        #expect(keeper.textFolders.contains(corpora.appending("m")))
        try spool.disk.createDirectory(corpora.appending("m"), mode: 0o755)
        put("m/a.txt")
        #expect(try claim(keeper) == nil)
        keeper.textArrived(corpora.appending("m/a.txt"))
        #expect(try claim(keeper) == "a")
    }

    @Test func `what the submitter may not read is told as missing`() throws {
        put("shut.txt")
        try spool.disk.setMode(0o600, of: corpora.appending("shut.txt"))
        spool.time.pass(60)
        let keeper = try spool.open()
        spool.drop("shut.yaml", "text: shut.txt", by: SharedSpoolFixture.bob)
        spool.drop("none.yaml", "text: none.txt", by: SharedSpoolFixture.bob)
        try keeper.settle()
        #expect(try claim(keeper) == nil)
        let (shut, none) = (try spool.status("shut").awaitedText, try spool.status("none").awaitedText)
        #expect(shut?.reason.replacing("shut.txt", with: "none.txt") == none?.reason && none != nil)
    }

    @Test func `a job that was interrupted does not wait again for a text that it had`() throws {
        do {
            let keeper = try spool.open()
            put("text.txt")
            keeper.textArrived(corpora.appending("text.txt"))
            spool.drop("a.yaml", "text: text.txt")
            try keeper.settle()
            spool.disk.change { [now] in $0.time = now }
            put("text.txt")
            keeper.textArrived(corpora.appending("text.txt"))
            spool.time.pass(1)
            #expect(try claim(keeper) == "a")
            spool.time.pass(2)
        }
        let keeper = try spool.open()
        try keeper.settle()
        #expect(try spool.status("a").state == .queue)
        #expect(try claim(keeper) == "a")
        // One that has changed since is another matter.
        put("text.txt")
        try keeper.workerEnded("a", .exited(85), wasStopped: true, lastWords: "")
        #expect(try claim(keeper) == nil)
    }

    @Test func `a job with a checkpoint waits for no text`() throws {
        let keeper = try spool.open()
        spool.drop("a.yaml", "text: gone.txt")
        try keeper.settle()
        let folder = spool.layout.folder(of: "a").appending(.checkpoints)
        try spool.disk.createDirectory(folder, mode: 0o750)
        spool.disk.change { $0.put(folder.appending("step-00000010.safetensors"), [1]) }
        #expect(try claim(keeper) == "a")
    }

    @Test func `something odd in a job's folder delays that job and no other`() throws {
        let keeper = try spool.open()
        spool.drop("odd.yaml", "text: late.txt")
        spool.drop("other.yaml", "priority: 0")
        try keeper.settle()
        // No folder, so that it cannot be told whether there is a checkpoint.
        let checkpoints = spool.layout.folder(of: "odd").appending(.checkpoints)
        spool.disk.change { $0.put(checkpoints, [1]) }
        #expect(try claim(keeper) == "other")
    }

    @Test func `a ticket from before texts were asked for is completed from the job file`() throws {
        do {
            let keeper = try spool.open()
            spool.drop("old.yaml", "text: late.txt")
            try keeper.settle()
        }
        var status = try spool.status("old")
        status.ticket?.texts = nil
        try status.save(spool.layout.status(of: "old"), on: spool.disk)
        #expect(try claim(try spool.open()) == nil)
        #expect(try spool.status("old").awaitedText?.text == "late.txt")
    }

    @Test func `an edit that names another text is heeded`() throws {
        put("there.txt")
        let keeper = try spool.open()
        spool.drop("a.yaml", "text: late.txt")
        try keeper.settle()
        #expect(try claim(keeper) == nil)
        let sequence = try #require(try spool.status("a").sequence)
        spool.ask(
            SpoolRequest(.edit, job: "a", sequence: sequence, file: Array("text: there.txt".utf8)),
            by: SharedSpoolFixture.alice)
        try keeper.settle()
        try keeper.answerRequests()
        #expect(try claim(keeper) == "a")
    }

    @Test func `hundreds that wait for a text hold up nobody`() throws {
        let keeper = try spool.open()
        for number in 0..<300 {
            let path = spool.layout.incoming.appending("j\(number).yaml")
            spool.disk.change { $0.put(path, Array("text: late.txt".utf8), owner: SharedSpoolFixture.alice) }
        }
        spool.time.pass(40)
        try keeper.settle()
        #expect(try claim(keeper) == nil)
        spool.drop("b.yaml", "priority: 0", by: SharedSpoolFixture.bob)
        try keeper.settle()
        #expect(try claim(keeper) == "b")
    }

    @Test func `a text that somebody has open is waited for, whatever its age, and one that nobody has is complete`()
        throws
    {
        let spool = try SpoolFixture()
        let keeper = try spool.open()
        let path = spool.layout.corpora.appending("open.txt")
        // Another process: a daemon's own descriptors say nothing of others'.
        let writer = try FileDescriptor.open(path, .writeOnly, options: [.create], permissions: [.ownerReadWrite])
        _ = try writer.writeAll(Array("half a te".utf8))
        try spool.drop("a.yaml", "text: open.txt")
        try keeper.settle()
        #expect(try keeper.claimNext() == nil)
        #expect(try spool.status("a").awaitedText == AwaitedText(text: "open.txt"))
        spool.time.pass(100)
        #expect(try keeper.claimNext() == nil)
        try writer.close()
        spool.time.pass(6)
        #expect(try keeper.claimNext()?.job == "a")
    }
}

extension TextGuardTests {
    @Test func `a text that was closed and is open again is waited for`() throws {
        let spool = try SpoolFixture()
        let keeper = try spool.open()
        let path = spool.layout.corpora.appending("again.txt")
        try spool.disk.replace(path, with: Array("half a te".utf8))
        keeper.textArrived(path)
        let writer = try FileDescriptor.open(path, .writeOnly)
        try spool.drop("a.yaml", "text: again.txt")
        try keeper.settle()
        #expect(try keeper.claimNext() == nil)
        _ = try writer.writeAll(Array("xt".utf8))
        try writer.close()
        spool.time.pass(6)
        #expect(try keeper.claimNext()?.job == "a")
    }

    @Test func `why promises no start to a job whose text is missing, also before its turn`() throws {
        let spool = try SpoolFixture()
        let keeper = try spool.open()
        try spool.drop("a.yaml", "priority: 0")
        try spool.drop("b.yaml", "text: late.txt")
        try keeper.settle()
        #expect(try keeper.claimNext()?.job == "a")
        let client = spool.client
        #expect(try client.why("b").contains("then for its text late.txt, which is not there yet"))
        #expect(try client.place(of: "b") == nil)
        try spool.disk.replace(spool.layout.corpora.appending("late.txt"), with: [65])
        #expect(try client.place(of: "b") != nil)
    }
}

/// How files are found by name.
@Suite struct ReadableFoldersTests {
    private let folder = TemporaryDirectory("names")
    private let disk = LocalStorage()
    // A letter with its accent, in one and in two code points.
    private let composed = "caf\u{E9}"
    private let decomposed = "cafe\u{301}"

    private func place(_ name: String, roots: Bool = true) throws -> ReadableFolders.Location {
        try ReadableFolders(roots: roots ? [folder.path] : nil)
            .place(of: FilePath(name), relativeTo: folder.path, in: disk)
    }

    @Test(arguments: [true, false])
    func `a name is found in whatever form it lies on the disk`(hasRoots: Bool) throws {
        for (written, asked) in [(composed, decomposed), (decomposed, composed)] {
            let inside = folder.path.appending("\(written)-folder")
            try disk.createDirectories(inside, mode: 0o755)
            try disk.replace(inside.appending("\(written).txt"), with: [65])
            let expected = ReadableFolders.Location.file(
                inside.appending("\(written).txt"), root: hasRoots ? folder.path : nil)
            #expect(try place("\(asked)-folder/\(asked).txt", roots: hasRoots) == expected)
            #expect(try place("\(folder.path)/\(asked)-folder/\(asked).txt", roots: hasRoots) == expected)
            try disk.discard(inside.appending("\(written).txt"))
            try disk.removeDirectory(inside)
        }
    }

    @Test func `the exact name comes first`() throws {
        for name in [composed, decomposed] { try disk.replace(folder.path.appending(name), with: [65]) }
        for name in [composed, decomposed] {
            guard case .file(let path, _) = try place(name) else {
                Issue.record("\(name) is not found")
                continue
            }
            #expect(path.string.utf8.elementsEqual(folder.path.appending(name).string.utf8))
        }
    }

    @Test func `several of equal letters, none of them exact, are told`() throws {
        // Three accents in two orders and composed: equal letters, other bytes.
        for name in ["a\u{323}\u{302}", "a\u{302}\u{323}"] { try disk.replace(folder.path.appending(name), with: [65]) }
        #expect(try place("\u{1EAD}") == .ambiguous(folder.path.appending("\u{1EAD}")))
    }

    @Test func `what is not there has the path that it would have, and what lies outside none`() throws {
        #expect(try place("none.txt") == .file(folder.path.appending("none.txt"), root: folder.path))
        #expect(try place("../none.txt") == .outside)
        #expect(try place("/etc/passwd") == .outside)
        #expect(try place(String(repeating: "a/", count: 100) + "b") == .tooDeep)
    }
}
