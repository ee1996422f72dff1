import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

/// Sets of jobs that wait for each other: what one person drops must not keep the others' from being taken.
///
/// Nothing here is timed. The measure of the work is how many predecessors are followed, and how often signs of life are
/// given.
@Suite(.endsWhatHangs)
struct JobGraphTests {
    let spool: SpoolFixture
    init() throws { spool = try SpoolFixture() }

    /// Takes all that was dropped, turn by turn.
    private func settle(_ keeper: SpoolKeeper) throws {
        try keeper.scan()
        while keeper.hasDrops || keeper.hasBacklog {
            try keeper.acceptDrops()
            try keeper.continueScan()
        }
    }

    private func names(_ numbers: some Sequence<Int>) -> String {
        numbers.map { "j\($0)" }.joined(separator: " ")
    }

    @Test func `jobs that each name all before them are taken without following them`() throws {
        let count = 300
        for number in 0..<count { try spool.drop("j\(number).yaml", "after: x \(names(0..<number))") }
        let keeper = try spool.open()
        try keeper.recover()
        try settle(keeper)
        #expect(keeper.count(.queue) == count)
        // Their own and no others: nobody waited for a job that came.
        #expect(keeper.predecessorsFollowed <= count * count)
        #expect(try keeper.claimNext() == nil)
        try spool.drop("x.yaml")
        try settle(keeper)
        for number in 0..<count {
            let claim = try keeper.claimNext()
            #expect(claim?.job == (number == 0 ? "x" : "j\(number - 1)"))
            guard let job = claim?.job else { return }
            try spool.finish(job)
            try keeper.workerEnded(job, .exited(0), wasStopped: false, lastWords: "")
        }
    }

    @Test func `jobs that come before those that they name are followed once for each`() throws {
        let count = 120
        // The last first, so that each that comes is waited for by all that are there.
        for number in (0..<count).reversed() { try spool.drop("j\(number).yaml", "after: \(names(0..<number)) x") }
        let keeper = try spool.open()
        try keeper.recover()
        try settle(keeper)
        #expect(keeper.count(.queue) == count)
        #expect(keeper.predecessorsFollowed <= count * count * count)
        #expect(keeper.mostFollowedInOneTurn <= SpoolKeeper.batchEdges + count * count)
    }

    @Test func `a long search for circles is spread over turns, and signs of life are given meanwhile`() throws {
        // Two crowds, and jobs that join them: each that comes is waited for by the one and waits for the other.
        let (crowd, joints) = (250, 20)
        for number in 0..<crowd {
            try spool.drop("low\(number).yaml", "after: nobody \(number == 0 ? "" : names(below: number, "low"))")
        }
        let keeper = try spool.open()
        try keeper.recover()
        try settle(keeper)
        for number in 0..<crowd {
            let all = (0..<joints).map { "joint\($0)" }.joined(separator: " ")
            try spool.drop("high\(number).yaml", "after: \(all)")
        }
        try settle(keeper)
        for number in 0..<joints { try spool.drop("joint\(number).yaml", "after: low\(crowd - 1)") }
        var signs = 0
        keeper.signOfLife = { signs += 1 }
        try settle(keeper)
        #expect(keeper.count(.queue) == 2 * crowd + joints)
        #expect(keeper.mostFollowedInOneTurn <= SpoolKeeper.batchEdges + crowd * crowd)
        #expect(keeper.predecessorsFollowed > SpoolKeeper.batchEdges, "otherwise nothing is spread")
        #expect(signs > 0)
    }

    private func names(below number: Int, _ prefix: String) -> String {
        (0..<number).map { "\(prefix)\($0)" }.joined(separator: " ")
    }

    @Test func `a circle is found however long it is, and its reason stays short`() throws {
        let count = 500
        for number in 0..<count { try spool.drop("j\(number).yaml", "after: j\((number + 1) % count)") }
        let keeper = try spool.open()
        try keeper.recover()
        try settle(keeper)
        // The one that closes it is the one that is refused; the one that waits for that is held.
        #expect(keeper.count(.queue) == count - 2 && keeper.count(.held) == 1)
        let rejected = try spool.files(.rejected)
        let reason = try #require(rejected.first { $0.hasSuffix(".reason.txt") })
        let bytes = try #require(try spool.disk.contents(of: spool.layout.directory(.rejected).appending(reason)))
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.contains("wait for each other") && text.contains("more") && bytes.count < 2000)
    }

    @Test func `random graphs end as they would have to, whatever came in which order`() throws {
        var random = SplitMix(7)
        for round in 0..<12 {
            let spool = try SpoolFixture()
            let count = Int.random(in: 2...60, using: &random)
            var waits: [[Int]] = []
            for _ in 0..<count {
                let most = Int.random(in: 0...4, using: &random)
                waits.append((0..<most).map { _ in Int.random(in: 0..<count, using: &random) })
            }
            let keeper = try spool.open()
            try keeper.recover()
            var (accepted, refused): (Set<Int>, Set<Int>) = ([], [])
            for number in (0..<count).shuffled(using: &random) {
                try spool.drop(
                    "j\(number).yaml", waits[number].isEmpty ? "priority: 0" : "after: \(names(waits[number]))")
                try keeper.settle()
                // It is refused if and only if it can be reached from itself through those that are there.
                var (reached, next): (Set<Int>, [Int]) = ([], waits[number])
                while let one = next.popLast() {
                    guard reached.insert(one).inserted, accepted.contains(one) else { continue }
                    next += waits[one]
                }
                let isCircle = reached.contains(number)
                let isVain = !refused.isDisjoint(with: waits[number])
                let expected: JobState = isCircle ? .rejected : isVain ? .held : .queue
                #expect(try spool.state("j\(number)") == expected, "round \(round), j\(number)")
                if isCircle { refused.insert(number) } else { accepted.insert(number) }
            }
            // Those that wait for a refused one are held.
            let vain = accepted.filter { !refused.isDisjoint(with: waits[$0]) }
            for number in vain { #expect(try spool.state("j\(number)") == .held, "round \(round), j\(number)") }
            // Everything runs whose predecessors all can; nothing before them.
            var done: Set<Int> = []
            while let claim = try keeper.claimNext(), let number = Int(claim.job.dropFirst()) {
                #expect(Set(waits[number]).isSubset(of: done), "round \(round), \(claim.job)")
                let fails = Int.random(in: 0..<8, using: &random) == 0
                try spool.finish(claim.job, as: fails ? .failed : .done)
                try keeper.workerEnded(claim.job, .exited(fails ? 65 : 0), wasStopped: false, lastWords: "")
                if !fails { done.insert(number) }
            }
            let left = accepted.subtracting(done).subtracting(vain).filter { Set(waits[$0]).isSubset(of: done) }
            for number in left { #expect(try spool.state("j\(number)") == .failed, "round \(round), j\(number)") }
        }
    }

    @Test func `a change of a job costs each that waits for it the same, however much else they wait for`() throws {
        let (jobs, others) = (60, 200)
        for number in 0..<jobs {
            let unknown = (0..<others).map { "u\($0)" }.joined(separator: " ")
            try spool.drop("j\(number).yaml", "after: x \(unknown)")
        }
        let keeper = try spool.open()
        try keeper.recover()
        try settle(keeper)
        // One after the other: what comes in one moment is taken by name.
        try spool.drop("x.yaml")
        try settle(keeper)
        for number in 0..<others { try spool.drop("u\(number).yaml") }
        try settle(keeper)
        let before = keeper.standingsJudged
        #expect(try keeper.claimNext()?.job == "x")
        try spool.finish("x")
        try keeper.workerEnded("x", .exited(0), wasStopped: false, lastWords: "")
        // To active, to a result, and filed.
        #expect(keeper.standingsJudged - before <= 4 * jobs)
    }

    @Test func `jobs whose predecessor was cancelled are held a few at a time`() throws {
        let count = 3 * SpoolKeeper.batchHeld
        try spool.drop("x.yaml")
        for number in 0..<count { try spool.drop("j\(number).yaml", "after: x") }
        let keeper = try spool.open()
        try keeper.recover()
        try settle(keeper)
        _ = try spool.client.cancel("x")
        try keeper.scan()
        #expect(keeper.count(.held) == SpoolKeeper.batchHeld)
        #expect(keeper.hasBacklog)
        try settle(keeper)
        #expect(keeper.count(.held) == count)
        #expect(!keeper.hasBacklog)
    }

    @Test func `a scan that has much to do leaves the rest for later turns`() throws {
        let count = 40
        for number in 0..<count { try spool.drop("j\(number).yaml") }
        let time = spool.time
        let keeper = try spool.open(MeddlingStorage { call, _ in if call == "rename" { time.pass(0.1) } })
        try keeper.recover()
        try keeper.settle()
        for number in 0..<count { try spool.move("j\(number).yaml", .queue, .held) }
        try keeper.scan(within: SpoolKeeper.turn)
        #expect(keeper.hasBacklog)
        #expect(keeper.count(.held) > 0 && keeper.count(.held) < count)
        while keeper.hasBacklog { try keeper.continueScan(within: SpoolKeeper.turn) }
        #expect(keeper.count(.held) == count)
    }
}
