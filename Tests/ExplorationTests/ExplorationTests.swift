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
        guard let wanted else { return await explore(Scenario.all, .test) }
        let seed = variable("CHARNND_SEED").flatMap(UInt64.init) ?? 1
        return await explore(Scenario.all, .wide(wanted, seed: seed))
    }

    /// On threads of its own, which give way to others: those of Swift's tasks are few, and other tests wait for them.
    private static func explore(_ scenarios: [Scenario], _ extent: Extent) async -> Findings {
        let only = variable("CHARNND_SCENARIO")
        let threads = ProcessInfo.processInfo.activeProcessorCount
        let work = Mutex((left: scenarios.filter { only == nil || $0.name == only }, sum: Findings(), running: threads))
        return await withCheckedContinuation { continuation in
            for _ in 0..<threads {
                Thread.detachNewThread {
                    // On Linux a priority is a thread's own.
                    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
                    while let scenario = work.withLock({ $0.left.popLast() }) {
                        var explorer = Explorer(scenario, extent)
                        explorer.crashEverywhere()
                        explorer.failEverywhere()
                        let findings = explorer.findings
                        work.withLock { $0.sum.merge(findings) }
                    }
                    let all = work.withLock { work in
                        work.running -= 1
                        return work.running == 0 ? work.sum : nil
                    }
                    if let all { continuation.resume(returning: all) }
                }
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

    #if DEBUG
    // Optimised code is not where its lines are.
    @Test(.enabled("takes minutes: run with CHARNND_CALLS=1") { variable("CHARNND_CALLS") != nil })
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
    func `a bug planted in any sync is found`() async throws {
        let (bugs, sites) = try Hunt.bugs(Scenario.all)
        var uncaught = 0
        for bug in bugs {
            let problem = Hunt.find(bug, sites)
            if problem == nil { uncaught += 1 }
            print("\(problem == nil ? "NOT CAUGHT" : "caught") \(bug.kind) \(bug.site) \(problem ?? "")")
        }
        print("Planted: \(bugs.count), not caught: \(uncaught)")
    }
}
