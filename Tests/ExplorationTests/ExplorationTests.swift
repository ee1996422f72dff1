import CharnnTestSupport
import Foundation
import Synchronization
import Testing

/// Everything that a night does, with the power cut and the disk failing at every operation.
@Suite(.timeLimit(.minutes(600)))
struct ExplorationTests {
    private static func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }

    /// Crash states that are wanted; more by `million`.
    private static let wanted = variable("CHARNND_CRASH_STATES").flatMap(Int.init)

    /// Explored once for all tests of it.
    private static let findings = Task {
        if variable("CHARNND_CALLS") != nil { return await explore(.calls) }
        guard let wanted else { return await explore(.test) }
        var extent = Extent.wide
        extent.seed = variable("CHARNND_SEED").flatMap(UInt64.init) ?? 1
        return await explore(extent, until: wanted)
    }

    /// On threads of its own, which give way to others: those of Swift's tasks are few, and other tests wait for them.
    ///
    /// - Parameter wanted: So many crash states are looked for in as many rounds as it takes.
    private static func explore(_ extent: Extent, until wanted: Int = 0) async -> Findings {
        let only = variable("CHARNND_SCENARIO")
        var explorers = await Threads.map(Scenario.all.filter { only == nil || $0.name == only }) { scenario in
            var explorer = Explorer(scenario, extent)
            explorer.crashEverywhere()
            explorer.failEverywhere()
            return explorer
        }
        while true {
            let sum = explorers.reduce(into: Findings()) { $0.merge($1.findings) }
            if sum.states.count >= wanted || !sum.problems.isEmpty { return sum }
            print("\(sum.states.count) crash states, \(sum.recoveries) recoveries so far")
            explorers = await Threads.map(explorers) { explorer in
                var explorer = explorer
                explorer.crashEverywhere()
                return explorer
            }
        }
    }

    @Test func `nothing promised is broken by a power failure or a fault at any operation`() async {
        let findings = await Self.findings.value
        for problem in findings.problems { Issue.record("\(problem)") }
        print(
            "Explored: \(findings.states.count) distinct crash states, \(findings.recoveries) recoveries, of them "
                + "\(findings.deep) from a crash of a recovery; \(findings.finished) queues run to their end; "
                + "\(findings.faults) faults.")
        #expect(findings.states.count >= Self.wanted ?? 10_000 || Self.variable("CHARNND_SCENARIO") != nil)
    }

    @Test func `what is told of calls and bugs is told of code that is there`() {
        let told = CallSites.told.filter { !CallSites.isThere($0.code, in: $0.file) }
        #expect(told.map { "\($0.file): \($0.code)" } == [])
        #expect(Hunt.outdated == [])
    }

    #if CALL_SITES
    @Test(.enabled("run by calls") { variable("CHARNND_CALLS") != nil })
    func `every call of the storage meets a power failure and a fault`() async throws {
        let findings = await Self.findings.value
        let lines = try CallStack.lines(of: Set(findings.crashesAt.keys).union(findings.faultsAt.keys))
        var (crashes, faults): ([CallStack.Line: Int], [CallStack.Line: Int]) = ([:], [:])
        for (address, count) in findings.crashesAt {
            for line in lines[address] ?? [] { crashes[line, default: 0] += count }
        }
        for (address, count) in findings.faultsAt {
            for line in lines[address] ?? [] { faults[line, default: 0] += count }
        }
        var table = "Calls of the storage: crashes, faults\n"
        var missed: [String] = []
        for site in try CallSites.all() {
            let (cuts, errors) = (crashes[site.line] ?? 0, faults[site.line] ?? 0)
            table += "\(site.line): \(cuts), \(errors)  \(site.code)\n"
            let isTold = CallSites.told.contains {
                site.line.file == $0.file && ($0.code.isEmpty || site.code.contains($0.code))
            }
            if cuts == 0 || errors == 0, !isTold { missed.append("\(site.line)  \(site.code)") }
        }
        print(table)
        #expect(missed == [])
    }
    #endif

    @Test(.enabled("run by mutate") { variable("CHARNND_MUTATE") != nil })
    func `a bug planted in any sync or rename is found`() async throws {
        let (all, sites) = try Hunt.bugs(Scenario.all)
        let wanted = Self.variable("CHARNND_MUTATE") ?? ""
        let bugs = all.enumerated().filter { number, bug in
            Int(wanted).map { number + 1 >= $0 } ?? "\(bug.kind), \(bug.site)".contains(wanted)
        }.map(\.element)
        print("\(bugs.count) bugs to plant")
        let problems = await Threads.map(bugs) { bug in
            let problem = Hunt.find(bug, sites)
            let excuse = problem == nil ? Hunt.excuse(for: bug) : nil
            let told = problem ?? excuse.map { "(as it should be: \($0))" } ?? bug.code
            let outcome = problem != nil ? "caught" : excuse != nil ? "excused" : "NOT CAUGHT"
            print("\(outcome): \(bug.kind), \(bug.site): \(told)")
            fflush(nil)
            return problem
        }
        for kind in Hunt.Kind.allCases {
            let planted = zip(bugs, problems).filter { $0.0.kind == kind }
            let caught = planted.count { $0.1 != nil }
            let missed = planted.filter { $0.1 == nil && Hunt.excuse(for: $0.0) == nil }
            print(
                "\(kind): planted \(planted.count), caught \(caught), excused "
                    + "\(planted.count - caught - missed.count), not caught \(missed.count)")
            #expect(caught > 0 || bugs.count < all.count, "\(kind) is never caught")
            #expect(missed.map(\.0.site) == [])
        }
    }
}

/// Threads that give way to others, as many as there are processors.
private enum Threads {
    static func map<Value: Sendable, Result: Sendable>(
        _ values: [Value], _ body: @escaping @Sendable (Value) -> Result
    ) async -> [Result] {
        let count = max(1, min(values.count, ProcessInfo.processInfo.activeProcessorCount))
        let work = Mutex((next: 0, results: [Result?](repeating: nil, count: values.count), running: count))
        return await withCheckedContinuation { continuation in
            for _ in 0..<count {
                Thread.detachNewThread {
                    // On Linux a priority is a thread's own.
                    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
                    while true {
                        let next = work.withLock { work -> Int? in
                            guard work.next < values.count else { return nil }
                            work.next += 1
                            return work.next - 1
                        }
                        guard let next else { break }
                        let result = body(values[next])
                        work.withLock { $0.results[next] = result }
                    }
                    let all = work.withLock { work in
                        work.running -= 1
                        return work.running == 0 ? work.results.compactMap(\.self) : nil
                    }
                    if let all { continuation.resume(returning: all) }
                }
            }
        }
    }
}
