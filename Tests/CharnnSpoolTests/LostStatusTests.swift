import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// What cannot be read never counts as empty: an empty status would know neither of crashes nor of who submitted the job.
@Suite(.endsWhatHangs)
struct LostStatusTests {
    let spool: SpoolFixture
    init() throws { spool = try SpoolFixture() }

    /// A shared spool with two jobs. Their files belong to who runs this, as they do to a daemon that has accepted them.
    private func accepted() throws -> SpoolKeeper {
        do {
            let keeper = try spool.open(sharing: .personal)
            try keeper.recover()
            try spool.drop("a.yaml")
            try spool.drop("b.yaml")
            try keeper.settle()
        }
        let keeper = try spool.open(sharing: .group)
        try keeper.recover()
        _ = keeper.takeEvents()
        return keeper
    }

    static let contents: [[UInt8]] = [
        [], [0, 0, 0], Array("{}".utf8), Array("{\"job\": \"a\"".utf8),
        Array("\"\(String(repeating: "x", count: 17 << 20))\"".utf8),
    ]

    @Test(arguments: contents.indices)
    func `a job is held when its worker ends and its status cannot be read`(_ kind: Int) throws {
        let keeper = try accepted()
        #expect(try keeper.claimNext()?.job == "a")
        try spool.disk.replace(spool.layout.status(of: "a"), with: Self.contents[kind])
        try keeper.workerEnded("a", .signalled(9), wasStopped: false, lastWords: "")
        try requireHeld(keeper)
        #expect(try keeper.claimNext()?.job == "b")
    }

    @Test(arguments: contents.indices)
    func `it is held when it is to be started, or goes on by a person's wish`(_ kind: Int) throws {
        let keeper = try accepted()
        try spool.disk.replace(spool.layout.status(of: "a"), with: Self.contents[kind])
        #expect(try keeper.claimNext()?.job == "b")
        try requireHeld(keeper)
        _ = try spool.client.cancel("a")
        try keeper.settle()
        try spool.disk.replace(spool.layout.status(of: "a"), with: Self.contents[kind])
        _ = try spool.client.retry("a")
        try keeper.settle()
        #expect(try spool.state("a") == .held)
        #expect(try spool.status("a").submitter == nil)
    }

    @Test(arguments: contents.indices)
    func `it is held after a start, running or waiting`(_ kind: Int) throws {
        for isRunning in [false, true] {
            var keeper: SpoolKeeper? = try accepted()
            if isRunning { _ = try keeper?.claimNext() }
            keeper = nil
            try spool.disk.replace(spool.layout.status(of: "a"), with: Self.contents[kind])
            let next = try spool.open(sharing: .group)
            try next.recover()
            try next.settle()
            try requireHeld(next)
            try spool.client.clean([.held], endedBefore: 4e9)
            keeper = nil
            for name in ["a", "b"] { try spool.disk.removeTree(spool.layout.folder(of: name)) }
            for state in JobState.allCases {
                for file in try spool.files(state) { try spool.disk.remove(spool.layout.file(file, in: state)) }
            }
        }
    }

    private func requireHeld(_ keeper: SpoolKeeper, at place: SourceLocation = #_sourceLocation) throws {
        try keeper.settle()
        let status = try spool.status("a")
        #expect(try spool.state("a") == .held, sourceLocation: place)
        #expect(status.state == .held && status.submitter == nil, sourceLocation: place)
        #expect(status.reason?.contains("could not be read") == true, sourceLocation: place)
        let folder = try spool.disk.list(spool.layout.folder(of: "a"))
        #expect(folder.contains { $0.hasPrefix("status.json.damaged") }, sourceLocation: place)
        #expect(!keeper.hasTrouble, sourceLocation: place)
    }

    @Test func `a status that is not there is made anew, in a shared spool without a submitter`() throws {
        for (sharing, submitter) in [(SpoolLayout.Sharing.personal, getuid() as UInt32?), (.group, nil)] {
            let spool = try SpoolFixture()
            do {
                let keeper = try spool.open(sharing: .personal)
                try keeper.recover()
                try spool.drop("a.yaml")
                try keeper.settle()
            }
            try spool.disk.remove(spool.layout.status(of: "a"))
            let keeper = try spool.open(sharing: sharing)
            try keeper.recover()
            #expect(try keeper.claimNext()?.job == "a")
            #expect(try spool.status("a").submitter == submitter)
        }
    }

    @Test func `a job of which the status cannot be read is not cleaned away as if it had ended long ago`() throws {
        let keeper = try accepted()
        _ = try keeper.claimNext()
        try spool.finish("a")
        try keeper.workerEnded("a", .exited(0), wasStopped: false, lastWords: "")
        try spool.disk.replace(spool.layout.status(of: "a"), with: [0])
        #expect(try spool.client.clean(endedBefore: 0) == [])
        #expect(try spool.state("a") == .done)
    }

    @Test func `the largest status that can be is written and read again`() throws {
        let path = spool.folder.path.appending("status.json")
        var status = JobStatus(job: String(repeating: "é", count: 64), state: .failed)
        // Control characters take six bytes each in JSON.
        let hostile = String(repeating: "\u{1B}\u{202E}\n\"", count: 1 << 20)
        status.reason = hostile
        status.phase = hostile
        status.warnings = [String](repeating: hostile, count: 1000)
        let name = String(repeating: "n", count: 255)
        status.results = (0..<JobStatus.mostResults).map { _ in
            JobStatus.Result(path: "generated/\(name)", sha256: String(repeating: "f", count: 64), bytes: .max)
        }
        var ticket = JobTicket(file: "\(status.job).yaml", priority: .min)
        ticket.predecessors = (0..<2002).map {
            Predecessor(job: "\(String(repeating: "é", count: 60))\($0)", sequence: .max, isModel: true)
        }
        status.ticket = ticket
        try status.save(path, on: spool.disk)
        let read = try #require(try JobStatus.read(path, on: spool.disk))
        #expect(read.results == status.results && read.ticket == ticket)
        #expect(read.warnings.count == 100)
        let size = try #require(try spool.disk.status(of: path)).size
        #expect(size <= 4 << 20)
        let news = try JSONEncoder().encode(status.news)
        #expect(news.count < 1 << 17)
        // What is written again is the same: nothing is cut twice.
        #expect(read.encoded == status.encoded)
    }
}

extension LocalStorage {
    fileprivate func removeTree(_ path: FilePath) throws {
        try FileManager.default.removeItem(atPath: path.string)
    }
}
