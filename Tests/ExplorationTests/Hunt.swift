import CharnnTestSupport
import Foundation
import Synchronization

/// Plants a bug at each sync and rename of the sources, one after the other, and sees whether the exploration finds it.
struct Hunt {
    /// A call, by its line and those that lead there through the helpers.
    typealias Site = String

    private static let helpers = [
        "CharnnStorage/Storage.swift", "CharnnStorage/Storage+Durable.swift", "CharnnStorage/FileAside.swift",
        "CharnnJobs/Running/BeatingStorage.swift", "CharnnSpool/JobStatus+Storage.swift",
        "CharnnModel/SafeTensors.swift", "CharnnModel/Model+File.swift", "CharnnCheckpoint/Checkpoint.swift",
    ]

    enum Kind: String, Sendable, CaseIterable, CustomStringConvertible {
        case fileNotSynced = "file sync left out"
        case directoryNotSynced = "directory sync left out"
        case renamedBeforeSync = "file renamed before its sync"
        case publishedTooEarly = "published before what comes first"

        var description: String { rawValue }

        var sabotage: SimulatedDisk.Sabotage {
            switch self {
            case .fileNotSynced, .directoryNotSynced: .omitted
            case .renamedBeforeSync: .afterRename
            case .publishedTooEarly: .afterNext
            }
        }

        static func fitting(_ target: SimulatedDisk.Target) -> [Kind] {
            switch target {
            case .fileSync: [.fileNotSynced, .renamedBeforeSync]
            case .directorySync: [.directoryNotSynced]
            case .rename: [.publishedTooEarly]
            }
        }
    }

    struct Bug: Sendable {
        var site: Site
        /// The line in which it is planted.
        var code: String
        var kind: Kind
        var scenarios: [Scenario]
    }

    /// Sites by the calls that lead there from outside the helpers; what is around those differs from run to run.
    struct Sites: Sendable {
        fileprivate var known: [CallStack: Site] = [:]

        func site(of stack: CallStack) -> Site? {
            for count in 1...max(1, stack.addresses.count) {
                if let site = known[stack.prefix(count)] { return site }
            }
            return nil
        }
    }

    /// Every sync and rename that the scenarios reach, with each kind of bug.
    static func bugs(_ scenarios: [Scenario]) throws -> (bugs: [Bug], sites: Sites) {
        var stacks: [(scenario: Scenario, calls: [CallStack: SimulatedDisk.Target])] = []
        for scenario in scenarios {
            let seen = Seen()
            Explorer.run(scenario) { target, stack in
                seen.add(target, stack)
                return nil
            }
            stacks.append((scenario, seen.all))
        }
        let lines = try CallStack.lines(of: Set(stacks.flatMap { $0.calls.keys.flatMap(\.addresses) }))
        var sites = Sites()
        var found: [Site: (target: SimulatedDisk.Target, line: CallStack.Line, scenarios: [Scenario])] = [:]
        for (scenario, calls) in stacks {
            for (stack, target) in calls {
                var path: [CallStack.Line] = []
                var depth = 0
                while depth < stack.addresses.count, path.last.map({ helpers.contains($0.file) }) ?? true {
                    for line in lines[stack.addresses[depth]] ?? [] {
                        path.append(line)
                        if !helpers.contains(line.file) { break }
                    }
                    depth += 1
                }
                // What only helpers show is called by the test itself, such as a person's program or a worker.
                guard let last = path.last, !helpers.contains(last.file) else { continue }
                let site = "\(target) " + path.map(\.description).joined(separator: " < ")
                sites.known[stack.prefix(depth)] = site
                var entry = found[site] ?? (target, last, [])
                if entry.scenarios.last?.name != scenario.name { entry.scenarios.append(scenario) }
                found[site] = entry
            }
        }
        var bugs: [Bug] = []
        for (site, entry) in found.sorted(by: { $0.key < $1.key }) {
            for kind in Kind.fitting(entry.target) {
                bugs.append(
                    Bug(site: site, code: try CallSites.code(entry.line), kind: kind, scenarios: entry.scenarios))
            }
        }
        return (bugs, sites)
    }

    /// A bug is looked for in so many of the scenarios that reach it: of what all reach, one sees it as well as others.
    private static let mostScenarios = 6

    /// What the exploration says of a bug; nil: it did not find it.
    static func find(_ bug: Bug, _ sites: Sites) -> String? {
        for scenario in bug.scenarios.prefix(mostScenarios) {
            let (site, sabotage) = (bug.site, bug.kind.sabotage)
            var explorer = Explorer(scenario, .hunt) { sites.site(of: $1) == site ? sabotage : nil }
            explorer.crashEverywhere()
            if let problem = explorer.findings.problems.first { return problem }
        }
        return nil
    }

    /// Bugs that break no promise on the simulated disk, by a place on the way to them and what stands in their line, and
    /// why that is right.
    private static let excused: [(place: String, code: String, kinds: [Kind], why: String)] = [
        // Two syncs for one thing: the other is enough where changes of one file keep their order, and is planted, too.
        (
            "CharnnSpool/SpoolClient+Asking.swift", "synchronizeDirectory(layout.directory(state))",
            [.directoryNotSynced], leftFolder
        ),
        (
            "CharnnSpool/Keeper/Rejections.swift", "synchronizeDirectory(layout.directory(.rejected))",
            [.directoryNotSynced], leftFolder
        ),
        (
            "CharnnSpool/Keeper/Acceptance.swift", "synchronizeDirectory(layout.accepting)", [.directoryNotSynced],
            leftFolder
        ),
        (
            "CharnnSpool/Keeper/JobFiles.swift", "synchronizeDirectory(layout.directory(state))",
            [.directoryNotSynced], leftFolder
        ),
        (
            "CharnnSpool/Keeper/Reconciler.swift", "synchronizeDirectory(layout.directory(state))",
            [.directoryNotSynced], leftFolder
        ),
        (
            "CharnnJobs/Running/TrainingRecorder.swift", "last.write(to: folder.model",
            [.directoryNotSynced, .publishedTooEarly],
            "nobody was promised it before the end, when it is written again, or the status goes into the same folder"
        ),
        (
            "CharnnCorpus/CorpusEncoder.swift", "synchronizeDirectory(", [.directoryNotSynced],
            "resolved.yaml goes into the same folder after it and before any checkpoint; until then it is encoded again"
        ),
        (
            "CharnnReports/MetricsFile.swift", "storage.replace(path", [.directoryNotSynced, .publishedTooEarly],
            "resolved.yaml goes into the same folder after it and before any checkpoint"
        ),
        (
            "CharnnJobs/JobFile/ResolvedFile.swift", "storage.replace(path", [.directoryNotSynced, .publishedTooEarly],
            "the next attempt writes it again, and the status of a job that is done goes into the same folder later"
        ),
        (
            "CharnnSpool/Keeper/Attempts.swift", "storage.replace(layout.jobFile",
            [.directoryNotSynced, .publishedTooEarly],
            "the status goes into the same folder right after it, and the next attempt writes it again"
        ),
        (
            "CharnnSpool/SpoolLayout.swift", "createDirectories(path", [.directoryNotSynced],
            "the spool's own sync comes after it"
        ),
        // What recovery finds and does again.
        (
            "CharnnSpool/Keeper/Acceptance.swift", "for directory in left", [.directoryNotSynced],
            "what is back in incoming/ has its name in accepting/ too, by which recovery knows it"
        ),
        (
            "CharnnSpool/Keeper/Rejections.swift", "synchronizeDirectory(path.removingLastComponent())",
            [.directoryNotSynced], "what is back has its name in rejected/ too, by which recovery knows it"
        ),
        (
            "CharnnSpool/Keeper/Acceptance.swift", "synchronizeDirectory(layout.directory(state))",
            [.directoryNotSynced], "a job's file is written anew from its folder"
        ),
        (
            "CharnnSpool/Keeper/JobRecords.swift", "status.save(layout.status(of: job)",
            [.directoryNotSynced, .publishedTooEarly],
            "a status that was lost is made again, and an edit that was not noted is seen again"
        ),
        (
            "CharnnSpool/Keeper/Reconciler.swift", "status.save(layout.status(of: job)",
            [.directoryNotSynced, .publishedTooEarly],
            "a status that was lost is made again, and an edit that was not noted is seen again"
        ),
        (
            "CharnnSpool/Keeper/Reconciler+Holding.swift", "status.save(layout.status(of: job)",
            [.directoryNotSynced, .publishedTooEarly],
            "a status that was lost is made again, and an edit that was not noted is seen again"
        ),
        (
            "CharnnSpool/Keeper/SequenceNumbers.swift", "storage.replace(path",
            [.directoryNotSynced, .publishedTooEarly],
            "numbers in use are found at the start"
        ),
        (
            "CharnnSpool/SpoolFinding.swift", "", [.directoryNotSynced, .publishedTooEarly],
            "a repair that was lost is found missing, and made, again"
        ),
        (
            "CharnnJobs/Running/JobFolder.swift", "storage.swap(statusFile", [.publishedTooEarly],
            "how far a job is promises nothing, and is told again with the next step"
        ),
        (
            "CharnnJobs/Running/JudgementJob.swift", "storage.swap(path", [.publishedTooEarly],
            "what was measured promises nothing, and is measured again"
        ),
        (
            "CharnnJobs/Spool/PageWriter.swift", "swap(", [.fileNotSynced, .renamedBeforeSync, .publishedTooEarly],
            "a page promises nothing, and is made again of what lies beside it"
        ),
        (
            "CharnnJobs/Spool/SpoolPage.swift", "aside.publish(as: layout.index", [.publishedTooEarly],
            "the morning report promises nothing, and is made again of what lies in the spool"
        ),
        (
            "CharnnSpool/QueueWaits.swift", "storage.swap(", [.fileNotSynced, .renamedBeforeSync, .publishedTooEarly],
            "what the queue waits for is only said, and said anew by the next daemon"
        ),
        (
            "CharnnSpool/Keeper/Acceptance.swift", "try storage.synchronizeDirectory(directory)", [.directoryNotSynced],
            "the drop's name in accepting/ is lost after its other one, where changes of one file keep their order"
        ),
        (
            "CharnnReports/EventFile.swift", "swap(", [.fileNotSynced, .renamedBeforeSync, .publishedTooEarly],
            "what is left of TensorBoard's file is cut to whole events when the job goes on, and nothing counts on it"
        ),
        (
            "CharnnSpool/Keeper/Acceptance.swift", "storage.rename(drop.path, to: path", [.publishedTooEarly],
            "what was not moved still lies in incoming/, and is taken again"
        ),
        (
            "CharnnSpool/Keeper/Rejections.swift", "storage.rename(path, to: destination", [.publishedTooEarly],
            "what was not moved is rejected again"
        ),
        (
            "CharnnSpool/Keeper/JobFiles.swift", "storage.rename(layout.file(file, in: place)", [.publishedTooEarly],
            "the status says where the file belongs, and recovery moves it there"
        ),
        // What has its name before its contents are on disk, and is not believed before both are.
        (
            "CharnnCorpus/CorpusEncoder.swift", "aside.publish(as: path)", [.renamedBeforeSync],
            "a torn text is known by its checksum, and encoded again"
        ),
        (
            "CharnnJobs/Running/GenerationJob.swift", "aside.publish(as: path)", [.renamedBeforeSync],
            "texts are written anew until the status names them"
        ),
        (
            "CharnnJobs/Running/TrainingRecorder.swift", "storage.replace(file, with: text", [.renamedBeforeSync],
            "a sample is written again by the run that comes to its step again"
        ),
    ]

    private static let leftFolder = "the sync of the folder that the file left makes its new name durable, too"

    /// Helpers and excuses that name what is not there any more.
    static var outdated: [String] {
        helpers.filter { !CallSites.isThere("", in: $0) }
            + excused.filter { !CallSites.isThere($0.code, in: $0.place) }.map { "\($0.place): \($0.code)" }
    }

    static func excuse(for bug: Bug) -> String? {
        excused.first {
            bug.site.contains($0.place) && ($0.code.isEmpty || bug.code.contains($0.code))
                && $0.kinds.contains(bug.kind)
        }?.why
    }
}

/// Calls as they come, from whatever thread.
private final class Seen: Sendable {
    private let calls = Mutex<[CallStack: SimulatedDisk.Target]>([:])
    func add(_ target: SimulatedDisk.Target, _ stack: CallStack) { calls.withLock { $0[stack] = target } }
    var all: [CallStack: SimulatedDisk.Target] { calls.withLock { $0 } }
}
