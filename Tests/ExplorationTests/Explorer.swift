import CharnnSpool
import CharnnStorage
import CharnnTestSupport

/// How far an exploration goes.
struct Extent: Sendable {
    /// Power failures that are tried at each operation, and at each of a recovery.
    var outcomes: Int
    var deepOutcomes: Int
    /// Of so many crash states one has its recovery crashed, too.
    var deepEvery: Int
    /// Of so many one is followed to the end of its queue.
    var finishEvery: Int
    /// Of so many calls one meets a fault, of kinds that take turns.
    var faultEvery: Int
    /// No more is told of one scenario, and nothing more looked for.
    var mostProblems = 5
    var seed: UInt64 = 1

    /// What a run of all tests does.
    static let test = Extent(outcomes: 8, deepOutcomes: 1, deepEvery: 240, finishEvery: 100, faultEvery: 6)
    /// What counts the calls that were met: each has a fault, and more recoveries are crashed.
    static let calls = Extent(outcomes: 12, deepOutcomes: 1, deepEvery: 60, finishEvery: 200, faultEvery: 1)
    /// What looks for planted bugs.
    static let hunt = Extent(
        outcomes: 24, deepOutcomes: 2, deepEvery: 200, finishEvery: 10, faultEvery: 8, mostProblems: 1)
    /// What goes on in rounds until enough crash states were seen.
    static let wide = Extent(outcomes: 24, deepOutcomes: 2, deepEvery: 40, finishEvery: 60, faultEvery: 1)
}

/// What was explored and found.
struct Findings: Sendable {
    /// Fingerprints of the crash states.
    var states: Set<UInt64> = []
    /// Crash states that were recovered, with those that differ in what had been promised.
    var recoveries = 0
    /// Of these, those in which a recovery had been crashed.
    var deep = 0
    var finished = 0
    var faults = 0
    /// How often the power failed within a call from an address, and how often that call failed.
    var crashesAt: [UInt: Int] = [:]
    var faultsAt: [UInt: Int] = [:]
    var problems: [String] = []

    mutating func merge(_ other: Findings) {
        states.formUnion(other.states)
        recoveries += other.recoveries
        deep += other.deep
        finished += other.finished
        faults += other.faults
        crashesAt.merge(other.crashesAt, uniquingKeysWith: +)
        faultsAt.merge(other.faultsAt, uniquingKeysWith: +)
        problems += other.problems
    }
}

/// Lets the power fail, and operations, everywhere in one scenario.
struct Explorer {
    /// Says where a bug is planted, in the scenario and in recoveries.
    typealias Sabotage = @Sendable (SimulatedDisk.Target, CallStack) -> SimulatedDisk.Sabotage?

    let scenario: Scenario
    let extent: Extent
    let sabotage: Sabotage?
    private(set) var findings = Findings()
    /// How often all power failures have been tried.
    private var rounds: UInt64 = 0

    /// The disk before the scenario and what had been promised by then.
    private let start: (image: DiskImage, expectations: Expectations)
    private let undisturbed: [String: String]
    private var seen: Set<UInt64> = []

    init(_ scenario: Scenario, _ extent: Extent, sabotage: Sabotage? = nil) {
        self.scenario = scenario
        self.extent = extent
        self.sabotage = sabotage
        let before = Night(Night.emptyDisk, scenario)
        scenario.prepare(before)
        before.close()
        var image = before.disk.image
        image.synchronizeAll()
        start = (image, before.promises.after(.max, from: Expectations()))
        let whole = Night(SimulatedDisk(image), scenario, hour: 1)
        scenario.act(whole)
        whole.finish()
        // What was cancelled or held has whatever it had come to.
        let done = Set(whole.doneJobs)
        undisturbed = Inspection.results(whole.disk.image).filter {
            done.contains(String($0.key.split(separator: "/")[2]))
        }
        var inspection = Inspection(whole.promises.after(.max, from: start.expectations))
        inspection.inspectSpool(whole.disk.image)
        findings.problems += inspection.problems.map { "\(scenario), undisturbed: \($0)" }
    }

    private func night(_ disk: SimulatedDisk, hour: Double) -> Night {
        Night(disk, scenario, hour: hour)
    }

    private mutating func tell(_ problems: [String], _ where: @autoclosure () -> String) {
        guard findings.problems.count < extent.mostProblems else { return }
        findings.problems += problems.prefix(3).map { "\(scenario), \(`where`()): \($0)" }
    }

    private var hasEnough: Bool { findings.problems.count >= extent.mostProblems }

    /// Lets a scenario happen without anything going wrong but what is planted.
    static func run(_ scenario: Scenario, sabotage: @escaping Sabotage) {
        let before = Night(Night.emptyDisk, scenario)
        scenario.prepare(before)
        before.close()
        var image = before.disk.image
        image.synchronizeAll()
        let disk = SimulatedDisk(image, sabotage: sabotage)
        scenario.act(Night(disk, scenario, hour: 1))
    }

    // MARK: - Power failures

    /// Cuts the power at each operation and recovers from what that may leave; other outcomes each time.
    mutating func crashEverywhere() {
        defer { rounds += 1 }
        let disk = SimulatedDisk(start.image, records: true, sabotage: sabotage)
        let act = night(disk, hour: 1)
        scenario.act(act)
        crash(disk.operations, act.promises, from: start.expectations, extent.outcomes, depth: 1, "")
    }

    private mutating func crash(
        _ operations: [SimulatedDisk.Operation], _ promises: Promises, from base: Expectations, _ limit: Int,
        depth: Int, _ path: String
    ) {
        var tried = 0
        for (index, operation) in operations.enumerated() where !hasEnough {
            if operation.kind != .look || index == 0, let image = operation.image {
                let expectations = promises.after(index + 1, from: base)
                let failures = image.powerFailures(
                    limit: limit, seed: (extent.seed &+ rounds &* 104_729) &* 7919 &+ UInt64(index),
                    isRepeated: depth == 1 && rounds > 0)
                tried = failures.count
                for (number, failure) in failures.enumerated() {
                    let state = image.outcome(failure)
                    let fingerprint = state.fingerprint
                    findings.states.insert(fingerprint)
                    var key = Fingerprinting(fingerprint)
                    key.add(expectations.size)
                    guard seen.insert(key.value).inserted else { continue }
                    recover(state, expectations, depth: depth, "\(path)power failure \(number) at operation \(index)")
                }
            }
            // A look changes nothing: a failure at it leaves what one at the operation before left.
            for address in operation.stack?.addresses ?? [] { findings.crashesAt[address, default: 0] += tried }
        }
    }

    private mutating func recover(_ state: DiskImage, _ expectations: Expectations, depth: Int, _ path: String) {
        findings.recoveries += 1
        if depth > 1 { findings.deep += 1 }
        let isDeep = depth == 1 && findings.recoveries % extent.deepEvery == 0
        let isFollowed = findings.recoveries % extent.finishEvery == 0
        var inspection = Inspection(expectations)
        inspection.inspectRemains(state)
        var state = state
        // By then somebody has made room.
        state.capacity = nil
        let disk = SimulatedDisk(state, records: isDeep, sabotage: isDeep ? sabotage : nil)
        let after = night(disk, hour: Double(depth + 1))
        after.settle()
        inspection.inspectSpool(disk.image)
        var problems = inspection.problems
        if isFollowed || isDeep {
            findings.finished += 1
            problems += follow(after, expectations)
        }
        tell(problems, path)
        if isDeep {
            crash(
                disk.operations, after.promises, from: expectations, extent.deepOutcomes, depth: depth + 1,
                path + ", then ")
        }
    }

    /// Runs the queue to its end: everything that was promised comes about, once, and numbers go on.
    private func follow(_ night: Night, _ expectations: Expectations) -> [String] {
        let before = Set(night.finishedJobs)
        let startedBefore = night.started.count
        let new = "new-after-\(expectations.marks.count)"
        night.drop(
            "\(new).yaml",
            night.work == .light ? "mark: \(new)\n" : "# mark: \(new)\ngenerate: {model: nobody}\n")
        night.finish()
        var promised = night.promises.after(.max, from: expectations)
        promised.finished = promised.finished.filter {
            !before.contains($0.key) || expectations.finished[$0.key] != nil
        }
        var inspection = Inspection(promised)
        inspection.inspectSpool(night.disk.image)
        inspection.compare(night.disk.image, with: undisturbed, of: Set(night.finishedJobs))
        var problems = inspection.problems
        let again = before.intersection(night.started.dropFirst(startedBefore))
        if !again.isEmpty { problems.append("\(again.sorted()) had a result and ran again") }
        if !night.unfinished.isEmpty { problems.append("\(night.unfinished) never ended") }
        if let number = night.sequence(of: new), number <= expectations.sequence {
            problems.append("the number \(number) was given twice")
        }
        return problems.map { "at the end of the queue: \($0)" }
    }

    // MARK: - Faults

    /// Fails each call, once or until the scenario is over; then everything must go on.
    mutating func failEverywhere() {
        let whole = SimulatedDisk(start.image, records: true)
        scenario.act(night(whole, hour: 1))
        let troubles = SimulatedDisk.Trouble.allCases
        var turn = 0
        var calls: Set<CallStack> = []
        for (index, operation) in whole.operations.enumerated() where !hasEnough {
            let fitting = troubles.filter { $0.strikes(operation) }
            let faults = fitting.flatMap { trouble in
                [false, true].map { SimulatedDisk.Fault(trouble, at: index, isLasting: $0) }
            }
            guard !faults.isEmpty, let stack = operation.stack, calls.insert(stack).inserted else { continue }
            turn += 1
            // Others in each scenario.
            guard (turn + scenario.name.utf8.count) % extent.faultEvery == 0 else { continue }
            let fault = faults[turn % faults.count]
            fail(fault, "\(fault.trouble)\(fault.isLasting ? " from" : " at") operation \(index), \(operation.call)")
            for address in stack.addresses { findings.faultsAt[address, default: 0] += 1 }
        }
    }

    private mutating func fail(_ fault: SimulatedDisk.Fault, _ path: String) {
        findings.faults += 1
        let disk = SimulatedDisk(start.image)
        disk.fail(fault)
        let disturbed = night(disk, hour: 1)
        scenario.act(disturbed)
        disk.heal()
        disturbed.settle()
        let expectations = disturbed.promises.after(.max, from: start.expectations)
        var inspection = Inspection(expectations)
        inspection.inspectRemains(disk.image)
        inspection.inspectSpool(disk.image)
        let problems = inspection.problems + follow(disturbed, expectations)
        // A leftover that could not be removed at the start is removed at the next.
        tell(
            problems.filter { problem in
                ![".copy", ".partial", ".new/job.yaml"].contains { problem.hasSuffix("\($0) has been left") }
            }, path)
    }
}

/// A number for what has been seen.
private struct Fingerprinting {
    private(set) var value: UInt64
    init(_ value: UInt64) { self.value = value }
    mutating func add(_ word: Int) { value = (value ^ UInt64(word)) &* 0x100_0000_01B3 }
}

extension Expectations {
    /// Differs where more has been promised.
    var size: Int {
        let pause = isPaused.map { $0 ? 2 : 1 } ?? 0
        return texts.count + marks.count * 64 + checkpoints.values.reduce(0, +) * 4096 + finished.count << 20
            + (places.count + contents.count) << 24 + (missingTexts.count + secrets.count) << 26 + pause << 27
            + removing.count << 28 + removed.count << 32 + Int(sequence) << 36
    }
}

extension Night {
    /// Goes on until nothing is left to be run.
    func finish() {
        stopsAfter = nil
        for _ in 0..<4 {
            settle()
            runAll()
            turn()
            if unfinished.isEmpty { break }
            time.pass(4000)
        }
    }

    private var jobs: [SpoolClient.Job] { (try? client.list()) ?? [] }

    /// Jobs with a result record.
    var finishedJobs: [String] { jobs.filter { $0.status?.results != nil }.map(\.name) }

    var doneJobs: [String] { jobs.filter { $0.state == .done }.map(\.name) }

    /// Jobs that wait or run though nothing is in their way.
    var unfinished: [String] {
        jobs.filter { $0.state == .active || ($0.state == .queue && keeper?.blocker(of: $0.name) == nil) }.map(\.name)
    }

    func sequence(of job: String) -> UInt64? { jobs.first { $0.name == job }?.status?.sequence }
}
