import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// Damage that is done to a sound spool, and what `charnn fsck` makes of it.
struct Damage: CustomTestStringConvertible, Sendable {
    var testDescription: String
    /// What is told, all of it.
    var says: [String]
    /// The exit status of `--repair`, after which a second look finds nothing wrong if it is 1.
    var mended: Int32
    var plant: @Sendable (TestSpool) throws -> Void
    /// What must hold after the repair.
    var then: @Sendable (TestSpool) throws -> Void

    private init(
        _ description: String, mended: Int32 = 1, says: String...,
        plant: @escaping @Sendable (TestSpool) throws -> Void,
        then: @escaping @Sendable (TestSpool) throws -> Void = { _ in }
    ) {
        (testDescription, self.says, self.mended, self.plant, self.then) = (description, says, mended, plant, then)
    }

    static let all = [
        Damage("a missing directory", says: "held: the directory is missing") { spool throws in
            try spool.storage.removeDirectory(spool.layout.directory(.held))
        },
        Damage("rights that let everybody write", says: "queue: its rights are 0777, not 0700") { spool throws in
            try spool.storage.setMode(0o777, of: spool.layout.directory(.queue))
        },
        Damage("the daemon's own directory open to others", says: "accepting: its rights are 0750, not 0700") {
            spool throws in
            try spool.storage.setMode(0o750, of: spool.layout.accepting)
        },
        Damage("a file in a directory's place", mended: 2, says: "held: this is no directory") { spool throws in
            try spool.storage.removeDirectory(spool.layout.directory(.held))
            try spool.put("held", "x")
        },
        Damage("a lost sequence number", says: ".sequence: the file of the next number is missing") { spool throws in
            try spool.storage.remove(spool.layout.accepting.appending(".sequence"))
        } then: { spool throws in
            #expect(try spool.text(spool.layout.accepting.appending(".sequence")) == "4\n")
        },
        Damage("a sequence number set back", says: ".sequence: the next number is 1, and 3 is in use") { spool throws in
            try spool.put("accepting/.sequence", "1\n")
        },
        Damage("no number", says: ".sequence: it holds no number") { spool throws in
            try spool.put("accepting/.sequence", "many\n")
        },
        Damage("one number twice", says: "status.json: it has the number 2, and so has done") { spool throws in
            try spool.change("waits") { $0.sequence = 2 }
        } then: { spool throws in
            #expect(try spool.status("waits")?.sequence == 3)
        },
        Damage("a stranger in accepting/", says: "accepting/notes: it is none of the queue's") {
            spool throws in
            try spool.put("accepting/notes", "x")
        },
        Damage("a broken status", says: "jobs/waits/status.json: the status cannot be read as one") { spool throws in
            try spool.put("jobs/waits/status.json", "{\"job\": \"wai")
        } then: { spool throws in
            #expect(try spool.text(spool.output("waits").appending("status.json.damaged")) == "{\"job\": \"wai")
            #expect(try spool.status("waits")?.state == .queue)
        },
        Damage("a missing status", says: "jobs/waits/status.json: the status is missing") { spool throws in
            try spool.storage.remove(spool.layout.status(of: "waits"))
        } then: { spool throws in
            #expect(try spool.status("waits")?.state == .queue)
        },
        Damage("a status of another job", mended: 2, says: "jobs/waits: its status is that of a job other") {
            spool throws in
            try spool.change("waits") { $0.job = "other" }
        },
        Damage("a status without ticket", says: "jobs/waits/status.json: the status has no ticket") { spool throws in
            try spool.change("waits") { $0.ticket = nil }
        } then: { spool throws in
            let ticket = try #require(try spool.status("waits")?.ticket)
            #expect(
                ticket.file == "waits.yaml" && ticket.priority == -5 && ticket.predecessors.map(\.job) == ["nobody"])
        },
        Damage("a waiting job's file in done/", says: "the status says queue, and its file lies in done/") {
            spool throws in
            try spool.move("waits.yaml", .queue, .done)
        } then: { spool throws in
            #expect(try spool.state("waits") == .queue)
        },
        Damage("a finished job's file in failed/", says: "the status says done, and its file lies in failed/") {
            spool in
            try spool.move("done.yaml", .done, .failed)
        } then: { spool throws in
            #expect(try spool.state("done") == .done)
        },
        Damage("a waiting job without its file", says: "the status says queue, and its file lies nowhere") {
            spool throws in
            try spool.storage.remove(spool.layout.file("waits.yaml", in: .queue))
        } then: { spool throws in
            #expect(try spool.state("waits") == .cancelled)
        },
        Damage("a job file in two states", mended: 2, says: "the job has a file in each of queue/, held/") {
            spool throws in
            try spool.put("held/waits.yaml", "priority: 1")
        },
        Damage("a lost copy of a job file", says: "jobs/waits/job.yaml: the copy of the job file is missing") {
            spool throws in
            try spool.storage.remove(spool.layout.jobFile(of: "waits"))
        } then: { spool throws in
            #expect(try spool.text(spool.layout.jobFile(of: "waits")).contains("nobody"))
        },
        Damage("a link as job file", mended: 2, says: "queue/link.yaml: it is not a regular file") { spool throws in
            #expect(symlink("/etc/passwd", spool.layout.file("link.yaml", in: .queue).string) == 0)
        },
        Damage("an ended job without a folder", mended: 2, says: "done/lone.yaml: no job of the queue has this file") {
            spool throws in
            try spool.put("done/lone.yaml", "priority: 1")
        },
        Damage("a rejected file without its reason", says: "rejected/bad.yaml: it has no reason beside it") {
            spool throws in
            try spool.storage.remove(spool.layout.directory(.rejected).appending("bad.yaml.reason.txt"))
        } then: { spool throws in
            #expect(spool.exists(spool.layout.directory(.rejected).appending("bad.yaml.reason.txt")))
        },
        Damage("a changed model", mended: 2, says: "model.safetensors: the result is not what its checksum says") {
            try $0.flip("jobs/done/model.safetensors")
        },
        Damage("a cut text", mended: 2, says: "generated/1.txt: the result has 3 bytes and had ") { spool throws in
            try spool.put("jobs/done/generated/1.txt", "abc")
        },
        Damage("a lost result", mended: 2, says: "last.safetensors: the result cannot be read") { spool throws in
            try spool.storage.remove(spool.output("done").appending("last.safetensors"))
        },
        Damage("a damaged checkpoint", says: "the checksum of ", "checkpoints/step-") { spool throws in
            try spool.flip("jobs/done/checkpoints/\(try spool.newestCheckpoint)")
        } then: { spool throws in
            let names = try spool.storage.list(spool.output("done").appending("checkpoints"))
            #expect(names.contains { $0.hasSuffix(".safetensors.damaged") })
        },
        Damage("a checkpoint under another's name", says: "step-99999999.safetensors: it is the checkpoint of step") {
            let folder = $0.output("done").appending("checkpoints")
            try $0.storage.rename(
                folder.appending(try $0.newestCheckpoint), to: folder.appending("step-99999999.safetensors"),
                replacing: false)
        },
        Damage("a damaged encoded text", says: "corpus.bin is damaged (its checksum does not match)") { spool throws in
            try spool.flip("jobs/done/corpus.bin")
        } then: { spool throws in
            #expect(spool.exists(spool.output("done").appending("corpus.bin.damaged")))
        },
        Damage("a model of a person's that is none", mended: 2, says: "corpora/x.safetensors is not a whole") {
            spool throws in
            try spool.put("corpora/x.safetensors", "hello, world")
        },
        Damage("the model of a job that goes on", says: "jobs/waits/model.safetensors is not a whole") { spool throws in
            try spool.put("jobs/waits/model.safetensors", "hello, world")
        } then: { spool throws in
            #expect(try spool.text(spool.output("waits").appending("model.safetensors.damaged")) == "hello, world")
        },
    ]
}

extension TestSpool {
    fileprivate func put(_ path: String, _ text: String) throws {
        try storage.replace(layout.root.pushing(FilePath(path)), with: Array(text.utf8))
    }

    fileprivate func change(_ job: String, _ change: (inout JobStatus) -> Void) throws {
        var status = try #require(try status(job))
        change(&status)
        try status.save(layout.status(of: job), on: storage)
    }

    fileprivate func move(_ file: String, _ from: JobState, _ to: JobState) throws {
        try storage.rename(layout.file(file, in: from), to: layout.file(file, in: to), replacing: false)
    }

    /// Changes one bit in the last quarter of a file.
    fileprivate func flip(_ path: String) throws {
        let path = layout.root.pushing(FilePath(path))
        var bytes = try bytes(path)
        bytes[bytes.count * 7 / 8] ^= 0x10
        try storage.replace(path, with: bytes)
    }

    fileprivate var newestCheckpoint: String {
        get throws {
            try #require(
                try storage.list(output("done").appending("checkpoints")).filter { $0.hasPrefix("step-") }.max())
        }
    }

    fileprivate func fsck(_ arguments: String...) throws -> Outcome { try start(.charnn, ["fsck"] + arguments).end() }
}

/// A spool with a job that is done, one that waits for ever and one that was rejected, made once.
private final class SoundSpool: Sendable {
    static let shared = Result { try SoundSpool() }
    private let spool: TestSpool

    private init() throws {
        spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(3000))
        try spool.drop("bad.yaml", "trian: {}\n")
        try spool.drop("done.yaml", QueueTests.training)
        try spool.drop("waits.yaml", "priority: -5\nafter: nobody\n" + QueueTests.training)
        _ = try spool.once()
        #expect(try spool.state("done") == .done)
    }

    func copy() throws -> TestSpool {
        let copy = try TestSpool()
        try FileManager.default.removeItem(atPath: copy.layout.root.string)
        try FileManager.default.copyItem(atPath: spool.layout.root.string, toPath: copy.layout.root.string)
        return copy
    }
}

@Suite struct FsckTests {
    @Test(arguments: Damage.all) func `damage is told, and mended where it can be`(_ damage: Damage) throws {
        let spool = try SoundSpool.shared.get().copy()
        let sound = try spool.fsck()
        #expect(sound.status == 0 && !sound.output.contains("damage"), "\(sound.output)\(sound.error)")
        try damage.plant(spool)
        let found = try spool.fsck()
        #expect(found.status == 2, "\(found.output)\(found.error)")
        for words in damage.says { #expect(found.output.contains(words), "\(words) is not in: \(found.output)") }
        #expect(try spool.fsck().output == found.output, "a look alone changes nothing")

        let results = try spool.storage.list(spool.output("done")).count
        let mended = try spool.fsck("--repair")
        #expect(mended.status == damage.mended, "\(mended.output)\(mended.error)")
        for words in damage.says { #expect(mended.output.contains(words), "\(words) is not in: \(mended.output)") }
        #expect(try spool.storage.list(spool.output("done")).count == results, "nothing of a result is removed")
        let after = try spool.fsck()
        #expect(after.status == (damage.mended == 1 ? 0 : 2), "\(after.output)\(after.error)")
        try damage.then(spool)
    }

    @Test func `what a crash leaves behind is told and removed`() throws {
        let spool = try SoundSpool.shared.get().copy()
        let left = [
            "accepting/.x.partial", "queue/.7.copy", "jobs/.9.new/job.yaml", "jobs/done/.status.json.partial",
            "jobs/done/checkpoints/.step-00000003.safetensors.partial",
        ]
        try spool.storage.createDirectory(spool.layout.folder(of: ".9.new"), mode: 0o700)
        for path in left {
            try Data("x".utf8).write(to: URL(fileURLWithPath: spool.layout.root.pushing(FilePath(path)).string))
        }
        let found = try spool.fsck()
        #expect(found.status == 0, "\(found.output)")
        #expect(found.output.split(separator: "\n").filter { $0.contains("a crash left it half") }.count == 5)
        let mended = try spool.fsck("--repair")
        #expect(mended.status == 0 && mended.output.contains("removed"))
        for path in left { #expect(!spool.exists(spool.layout.root.pushing(FilePath(path))), "\(path)") }
    }

    @Test func `a repair is refused while a daemon works in the spool, a look is not`() throws {
        let spool = try SoundSpool.shared.get().copy()
        let daemon = try spool.start(.charnnd, [])
        try eventually("ready") { daemon.errorSoFar.contains("Ready") }
        let refused = try spool.fsck("--repair")
        #expect(refused.status == 75 && refused.output == "")
        #expect(refused.error.contains("a daemon works in \(spool.layout.root); stop it before --repair"))
        #expect(try spool.fsck().status == 0)
        daemon.signal(SIGTERM)
        #expect(try daemon.end().status == 0)
    }

    @Test func `a spool that is not there is no sound one`() throws {
        let spool = try TestSpool()
        let end = try spool.fsck("--spool", spool.folder.path.appending("nowhere").string)
        #expect(end.status == 66 && end.error.contains("there is no spool at"))
    }

    @Test func `all of it as JSON`() throws {
        let spool = try SoundSpool.shared.get().copy()
        try spool.storage.remove(spool.layout.accepting.appending(".sequence"))
        let end = try spool.fsck("--json")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(end.output.utf8)) as? [String: Any])
        let findings = try #require(object["findings"] as? [[String: String]])
        #expect(end.status == 2 && findings.contains { $0["weight"] == "damage" && $0["repair"] != nil })
    }
}
