import CharnnTestSupport
import Foundation
import Synchronization

/// Plants a bug at each sync of the sources, one after the other, and sees whether the exploration finds it.
struct Hunt {
    /// A sync, by the line that asks for it and those that lead there through the helpers.
    typealias Site = String

    private static let helpers = [
        "CharnnStorage/Storage+Durable.swift", "CharnnSpool/JobStatus+Storage.swift",
        "CharnnModel/SafeTensors.swift", "CharnnModel/Model+File.swift", "CharnnCheckpoint/Checkpoint.swift",
    ]

    struct Bug: Sendable {
        var site: Site
        var kind: SimulatedDisk.Sabotage
        var scenarios: [Scenario]
    }

    /// Every sync that the scenarios reach, each to be left out, and those of files also to come after the rename.
    static func bugs(_ scenarios: [Scenario]) throws -> (bugs: [Bug], sites: [CallStack: Site]) {
        var stacks: [(scenario: Scenario, stacks: Set<CallStack>)] = []
        for scenario in scenarios {
            let seen = Seen()
            Explorer.run(scenario) { stack in
                seen.add(stack)
                return nil
            }
            stacks.append((scenario, seen.all))
        }
        let lines = try CallStack.lines(of: Set(stacks.flatMap { $0.stacks.flatMap(\.addresses) }))
        var sites: [CallStack: Site] = [:]
        for stack in stacks.flatMap(\.stacks) {
            var path: [CallStack.Line] = []
            for line in stack.addresses.flatMap({ lines[$0] ?? [] }) {
                path.append(line)
                if !helpers.contains(line.file) { break }
            }
            sites[stack] = path.map(\.description).joined(separator: " < ")
        }
        var bugs: [Bug] = []
        for site in Set(sites.values).sorted() {
            let reached = stacks.filter { $0.stacks.contains { sites[$0] == site } }.map(\.scenario)
            bugs.append(Bug(site: site, kind: .omitted, scenarios: reached))
            bugs.append(Bug(site: site, kind: .afterRename, scenarios: reached))
        }
        return (bugs, sites)
    }

    /// What the exploration says of a bug; nil: it did not find it.
    static func find(_ bug: Bug, _ sites: [CallStack: Site]) -> String? {
        for scenario in bug.scenarios {
            let (site, kind) = (bug.site, bug.kind)
            var explorer = Explorer(scenario, .hunt) { sites[$0] == site ? kind : nil }
            explorer.crashEverywhere()
            if let problem = explorer.findings.problems.first { return problem }
        }
        return nil
    }
}

/// Stacks as they come, from whatever thread.
private final class Seen: Sendable {
    private let stacks = Mutex<Set<CallStack>>([])
    func add(_ stack: CallStack) { stacks.withLock { _ = $0.insert(stack) } }
    var all: Set<CallStack> { stacks.withLock { $0 } }
}
