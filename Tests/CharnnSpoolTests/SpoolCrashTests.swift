import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

/// A process that dies between any two changes that it makes to the disk.
@Suite(.timeLimit(.minutes(5)))
struct SpoolCrashTests {
    /// Accepts three drops, one of them bad and two of one name in different endings, and brings one job to its end.
    private func night(_ spool: SpoolFixture, _ storage: any Storage) throws {
        let keeper = try spool.open(storage)
        try keeper.recover()
        try keeper.settle()
        while let claim = try keeper.claimNext() {
            guard claim.job == "a" else { break }
            try ResultRecord.commit(
                try spool.status("a"), as: .done, results: [], at: 0, to: spool.layout.status(of: "a"), on: storage)
            try keeper.workerEnded("a", .exited(0), wasStopped: false, lastWords: "")
        }
    }

    private func check(_ spool: SpoolFixture, _ changes: Int) throws {
        let keeper = try spool.open()
        try keeper.recover()
        spool.time.pass(3)
        try keeper.settle()
        let jobs = try spool.client.list().filter { $0.state != .rejected }
        #expect(Set(jobs.map(\.name)) == ["a", "a-2"], "after \(changes) changes")
        #expect(jobs.count == 2, "after \(changes) changes: \(jobs)")
        #expect(Set(jobs.compactMap { $0.status?.sequence }).count == 2)
        #expect(jobs.allSatisfy { [.queue, .done].contains($0.state) && $0.status?.state == $0.state })
        #expect(try spool.files(.rejected) == ["bad.yaml", "bad.yaml.reason.txt"], "after \(changes) changes")
        #expect(try spool.disk.list(spool.layout.incoming) == [])
        let left = try spool.disk.list(spool.layout.accepting).filter { !$0.hasPrefix(".") }
        #expect(left == [], "after \(changes) changes")
        #expect(try JobState.allCases.allSatisfy { try spool.files($0).allSatisfy { !$0.hasPrefix(".") } })
        #expect(Set(try spool.disk.list(spool.layout.jobs)) == ["a", "a-2"])
    }

    @Test func `no job is lost or doubled, whatever change is the last`() throws {
        var changes = 0
        var hasCrashed = true
        while hasCrashed {
            let spool = try SpoolFixture()
            try spool.drop("a.yaml", "priority: 1")
            try spool.drop("a.yml")
            try spool.drop("bad.yaml", "bad")
            let storage = CrashingStorage(changes: changes)
            do { try night(spool, storage) } catch is StorageError {}
            hasCrashed = storage.hasCrashed
            // The recovery dies too, once at each of its first changes.
            if changes % 3 == 0 {
                do { try night(spool, CrashingStorage(changes: changes % 17)) } catch is StorageError {}
            }
            try check(spool, changes)
            changes += 1
        }
        #expect(changes > 60)
    }
}
