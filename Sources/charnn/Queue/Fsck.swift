import ArgumentParser
import CharnnJobs
import CharnnSpool
import CharnnStorage
import FoundationEssentials
import Glibc
import SystemPackage

/// `charnn fsck`: findings come from ``SpoolCheck`` (directories, statuses, what crashes left) and ``ResultCheck``
/// (checksums), repairs from the findings and from the queue's own recovery. Looking changes nothing and needs no lock;
/// mending takes the spool as a daemon does.
struct Fsck: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a spool, and every model and checkpoint in it.",
        discussion: """
            Looks at the directories and their rights, at each job's status and where its file lies, at what crashes \
            left behind, and reads every result, model, checkpoint and encoded text and compares it with its checksum. \
            Without --repair nothing is changed, and a daemon may be at work meanwhile.

            --repair mends what can be mended and tells each repair. Results are never removed: what is damaged is set \
            aside as NAME.damaged. It must be run by the daemon's user while no daemon works in the spool.

            Exit status: 0 nothing is wrong; 1 something was wrong and all of it was mended; 2 something is wrong and \
            was left. 66, 74, 75 or 77: the spool could not be looked at, and the message says why.

            Examples:
              charnn fsck
              charnn fsck --repair
            """)

    @Flag(name: .long, help: "Mend what can be mended.")
    var repair = false

    @Flag(name: .long, help: "Print a JSON object.")
    var json = false

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let layout = try spool.layout
            guard try storage.status(of: layout.root)?.kind == .directory else {
                throw Failure("there is no spool at \(layout.root); name one with --spool", status: 66)
            }
            let report = try repair ? mend(layout, storage) : look(layout, storage)
            if json {
                Terminal.line(try report.json)
            } else {
                report.print()
            }
            if report.status != 0 { throw ExitCode(report.status) }
        }
    }

    // MARK: - Looking

    /// Looks once, or beside a daemon twice.
    private func look(_ layout: SpoolLayout, _ storage: LocalStorage) throws -> FsckReport {
        var report = FsckReport(layout, try SpoolSurvey(layout, storage))
        if !report.findings.isEmpty, SpoolClient(layout).hasDaemon() == true {
            // A daemon changes one thing after the other: only what is found twice is so.
            sleep(1)
            let again = Set(try SpoolSurvey(layout, storage).findings)
            report.findings = report.findings.filter(again.contains)
        }
        return report
    }

    // MARK: - Mending

    /// In this order: look, take the spool, make each repair, have the queue recover, look again. A repair that fails
    /// is told and keeps no other from being made; what is found again after all of it was left.
    ///
    /// By the daemon's user only: a file that another user makes could not be used by the daemon afterwards.
    private func mend(_ layout: SpoolLayout, _ storage: LocalStorage) throws -> FsckReport {
        // `accepting/` is the daemon's alone, whoever shares the rest.
        if let owner = try storage.status(of: layout.accepting)?.owner, owner != geteuid() {
            let name = getpwuid(owner).map { String(cString: $0.pointee.pw_name) } ?? "#\(owner)"
            throw Failure(
                "--repair must be run by the daemon's user, to whom the files belong: "
                    + "sudo -u \(name) charnn fsck --repair --spool \(layout.root)",
                status: 77)
        }
        let first = try SpoolSurvey(layout, storage)
        guard let keeper = try SpoolKeeper.open(layout, storage: storage, check: JobFile.requirements) else {
            throw Failure(
                "a daemon works in \(layout.root); stop it before --repair (systemctl stop charnnd)", status: 75)
        }
        var report = FsckReport(layout, first)
        for finding in first.findings {
            // Those the recovery below makes, as at any start of a daemon.
            guard let repair = finding.repair, repair != .recover else { continue }
            do throws(StorageError) {
                try repair.perform(layout, on: storage)
                report.repairs.append("\(finding.path): \(repair.description)")
            } catch {
                report.repairs.append("\(finding.path): could not be mended (\(error))")
            }
        }
        do throws(StorageError) {
            try keeper.recover()
            if keeper.isExpecting {
                // A file that lies nowhere counts as removed only after a while.
                usleep(2_200_000)
                try keeper.tick()
            }
        } catch {
            report.repairs.append("the queue's recovery could not be done (\(error))")
        }
        report.repairs += keeper.takeEvents().compactMap(\.repair)
        let left = Set(try SpoolSurvey(layout, storage).findings.map(\.place))
        report.left = report.findings.filter { left.contains($0.place) }
        return report
    }
}

/// All that was found in a spool, and how much was looked at.
///
/// - Note: A spool that was never used has nothing in which to look for results.
private struct SpoolSurvey {
    var findings: [SpoolFinding]
    var jobs = 0
    var runs = 0
    var results: ResultCheck?

    init(_ layout: SpoolLayout, _ storage: LocalStorage) throws {
        findings = try SpoolCheck.findings(layout, storage: storage, check: JobFile.requirements)
        guard try storage.status(of: layout.jobs)?.kind == .directory else { return }
        let results = try ResultCheck(layout, storage: storage)
        findings += results.findings
        func count(_ directory: FilePath) throws -> Int {
            guard try storage.status(of: directory)?.kind == .directory else { return 0 }
            return try storage.list(directory).filter { !$0.hasPrefix(".") }.count
        }
        (jobs, runs) = (try count(layout.jobs), try count(layout.runs))
        self.results = results
    }
}

/// What is told in the end.
private struct FsckReport: Encodable {
    let spool: String
    let looked: String
    var findings: [SpoolFinding]
    var repairs: [String] = []
    /// Findings that are still so after a repair; nil: none was tried.
    var left: [SpoolFinding]?

    init(_ layout: SpoolLayout, _ survey: SpoolSurvey) {
        spool = layout.root.string
        findings = survey.findings
        let counts: [(Int, String)] = [
            (survey.jobs, "job folder"), (survey.runs, "run"), (survey.results?.results ?? 0, "result"),
            (survey.results?.models ?? 0, "other model"), (survey.results?.checkpoints ?? 0, "checkpoint"),
            (survey.results?.texts ?? 0, "encoded text"),
        ]
        looked = counts.map { "\($0) \($1)\($0 == 1 ? "" : "s")" }.joined(separator: ", ")
    }

    /// 0, 1 or 2, as the help says; notes alone are 0.
    var status: Int32 {
        guard findings.contains(where: { $0.weight == .damage }) else { return 0 }
        guard let left else { return 2 }
        return left.contains { $0.weight == .damage } ? 2 : 1
    }

    func print() {
        for finding in findings {
            let mark = finding.weight == .damage ? Terminal.bold("damage") : "note  "
            Terminal.line("\(mark)  \(Self.oneLine("\(finding.path): \(finding.what)")).")
        }
        for repair in repairs { Terminal.line("repair  \(Self.oneLine(repair)).") }
        Terminal.line("\(spool): \(looked) looked at; \(verdict).")
    }

    /// Names that nobody checked, and reasons with their own full stops, as one line.
    ///
    /// The caller adds a full stop.
    private static func oneLine(_ text: String) -> String {
        let line = Terminal.harmless(text).split(separator: "\n").joined(separator: " ")
        return line.hasSuffix(".") ? String(line.dropLast()) : line
    }

    /// How many things are wrong, and what became of them: the end of the last line.
    private var verdict: String {
        let damage = findings.filter { $0.weight == .damage }.count
        guard damage > 0 else { return "nothing is wrong" }
        let found = damage == 1 ? "one thing is wrong" : "\(damage) things are wrong"
        guard let left else {
            let canMend = findings.contains { $0.weight == .damage && $0.repair != nil }
            return found + (canMend ? "; `charnn fsck --repair` mends what can be mended" : "")
        }
        let still = left.filter { $0.weight == .damage }.count
        return still == 0 ? "\(found), and all of it was mended" : "\(found), of which \(still) could not be mended"
    }

    var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }

    private enum Key: String, CodingKey { case spool, looked, findings, repairs, left }

    /// A finding in JSON: its repair in words, for that is a value with paths in it.
    private struct Row: Encodable {
        var weight: String
        var path: String
        var what: String
        var repair: String?

        init(_ finding: SpoolFinding) {
            weight = finding.weight.rawValue
            path = finding.path.string
            what = finding.what
            repair = finding.repair?.description
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(spool, forKey: .spool)
        try container.encode(looked, forKey: .looked)
        try container.encode(findings.map(Row.init), forKey: .findings)
        try container.encode(repairs, forKey: .repairs)
        try container.encodeIfPresent(left.map { $0.map(Row.init) }, forKey: .left)
    }
}

extension SpoolFinding {
    /// What tells whether it is the same finding, whatever a repair would do.
    fileprivate var place: String { "\(weight.rawValue) \(path)" }
}

extension SpoolEvent {
    /// What the queue's recovery has done, for a person who asked for a repair.
    ///
    /// nil: nothing that was mended. Each is a sentence without its full stop.
    fileprivate var repair: String? {
        switch self {
        case .accepted(let job, let sequence, _, _): "\(job): accepted as number \(sequence)"
        case .rejected(let file, let reason): "\(file): rejected: \(reason)"
        case .held(let job, let reason, _): "\(job): held\(reason.map { ": \($0)" } ?? "")"
        case .released(let job, _): "\(job): released"
        case .cancelled(let job, _): "\(job): cancelled"
        case .again(let job, _): "\(job): goes on"
        case .requeued(let job, _, _, _): "\(job): back in the queue"
        case .movedBack(let job, let from, let to): "\(job): moved from \(from.rawValue)/ to \(to.rawValue)/"
        case .restored(let job, let to): "\(job): its file is written anew into \(to.rawValue)/"
        case .finished(let job, let state, _): "\(job): filed as \(state.rawValue)"
        case .edited(let job, let person): "\(job): its file is changed, as \(person) asked"
        case .refused(_, let person, let reason): "a request of \(person) is not done: \(reason)"
        case .paused(let pause): "the queue is paused, as \(pause.by) asked"
        case .resumed: "the queue goes on"
        case .trouble(let text): text
        // Drops are the daemon's to take, and there is neither worker nor turn.
        case .ignored, .waits, .stop, .gpuRests, .gpuWorks: nil
        }
    }
}
