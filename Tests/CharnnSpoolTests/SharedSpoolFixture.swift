import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

/// A shared spool on a simulated disk, with people: the daemon is 900, alice 1001 and bob 1002 are members of the
/// submitters' group 900, carol 1003 administers (group 901), and 1004 is nobody that is known.
final class SharedSpoolFixture {
    static let (alice, bob, carol, stranger): (UInt32, UInt32, UInt32, UInt32) = (1001, 1002, 1003, 1004)
    static let people = People(administrators: 901) { user in
        switch user {
        case alice: People.Person(name: "alice", groups: [1001, 900])
        case bob: People.Person(name: "bob", groups: [1002, 900])
        case carol: People.Person(name: "carol", groups: [1003, 900, 901])
        default: nil
        }
    }

    let layout = SpoolLayout(root: "/spool")
    let time = TestTime()
    let disk: SimulatedDisk
    var rules = SpoolRules()

    /// - Parameter records: Whether the disk keeps what it was after each operation.
    init(records: Bool = false) throws {
        var image = DiskImage()
        image.user = 900
        disk = SimulatedDisk(image, records: records)
        try layout.create(.group, on: disk)
    }

    var clock: SpoolClock {
        SpoolClock(monotonic: { [time] in time.now }, wall: { [time] in 1_700_000_000 + time.now })
    }

    func open() throws -> SpoolKeeper {
        let keeper = try start(on: disk)
        try keeper.recover()
        return keeper
    }

    /// Begins what ``open()`` does, on a copy of the disk perhaps.
    func start(on disk: SimulatedDisk) throws -> SpoolKeeper {
        try #require(
            try SpoolKeeper.open(
                layout, sharing: .group, storage: disk, clock: clock, people: Self.people, rules: rules,
                check: Self.check))
    }

    /// Reads lines `priority: N`, `after: A`, `share: S`, `text: T`, `model-file: F`, `length: N`; anything else is refused.
    static let check: JobCheck = { bytes, file throws(JobRejection) in
        var requirements = JobRequirements()
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            switch words[0] {
            case "priority:": requirements.priority = Int(words[1])!
            case "after:": requirements.after += words.dropFirst()
            case "ended:":
                requirements.after += words.dropFirst()
                requirements.ended.formUnion(words.dropFirst())
            case "share:": requirements.share = Share(rawValue: words[1])!
            case "text:": requirements.texts.append(words[1])
            case "model-file:": requirements.modelPaths.append(words[1])
            case "length:": requirements.textLength = Int(words[1])!
            default: throw JobRejection("\(file): \(line) is not understood")
            }
        }
        return requirements
    }

    func drop(_ name: String, _ text: String = "priority: 0", by owner: UInt32 = alice) {
        let path = layout.incoming.appending(name)
        disk.change { $0.put(path, Array(text.utf8), owner: owner) }
        time.pass(40)
    }

    /// Somebody asks for something.
    func ask(_ request: SpoolRequest, by owner: UInt32, as name: String = "1") {
        let path = layout.requests.appending("\(name)\(SpoolRequest.ending)")
        disk.change { $0.put(path, request.bytes, owner: owner) }
    }

    func ask(_ verb: SpoolRequest.Verb, _ job: String, by owner: UInt32, as name: String = "1") throws {
        ask(SpoolRequest(verb, job: job, sequence: try #require(try status(job).sequence)), by: owner, as: name)
    }

    func status(_ job: String) throws -> JobStatus {
        try #require(try JobStatus.read(layout.status(of: job), on: disk))
    }

    func finish(_ job: String) throws {
        try ResultRecord.commit(
            try status(job), as: .done, results: [], at: 0, to: layout.status(of: job), on: disk)
    }

    func files(_ state: JobState) throws -> [String] { try disk.list(layout.directory(state)).sorted() }

    func requests() throws -> [String] { try disk.list(layout.requests).sorted() }

    func list(_ path: FilePath) throws -> AccessList? { try disk.accessList(of: path).flatMap { AccessList($0) } }
}
