import ArgumentParser
import CharnnReports
import CharnnSpool
import FoundationEssentials

/// `charnn doctor`: what is found is put into words by ``MachineFindings`` and ``ServiceFindings``; here it is only
/// shown. It changes nothing, and needs no rights: what may not be seen is said to be so.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at this machine: what is right, and how to mend the rest.",
        discussion: """
            Each line begins with ok, note (works, but you may want to know) or mend; the last says how. The exit status \
            is 1 if there is anything to mend.

            Example:
              charnn doctor
            """)

    @Flag(name: .long, help: "Print a JSON array.")
    var json = false

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let findings = try MachineFindings.all() + ServiceFindings(layout: spool.layout).all()
            if json {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
                Terminal.line(String(decoding: try encoder.encode(findings), as: UTF8.self))
            } else {
                findings.forEach(show)
            }
            // So that a script can ask, before a night, whether all is well.
            if findings.contains(where: { $0.verdict == .mend }) { throw ExitCode(1) }
        }
    }

    /// Two lines at most: what is, and below it what to do.
    private func show(_ finding: Finding) {
        let mark = Terminal.coloured(DisplayWidth.padded(finding.verdict.rawValue, to: 4), finding.verdict.colour)
        Terminal.line("\(mark)  \(DisplayWidth.padded(finding.what, to: 9))\(Terminal.oneLine(finding.found))")
        if let remedy = finding.remedy {
            Terminal.line(String(repeating: " ", count: 15) + Terminal.bold(Terminal.oneLine(remedy)))
        }
    }
}

/// One thing that was looked at.
///
/// Encoded with its properties' names, for `--json`.
struct Finding: Encodable {
    /// `mend` alone makes the exit status 1; `note` is for what works.
    enum Verdict: String, Encodable {
        case ok, note, mend

        var colour: Terminal.Colour {
            switch self {
            case .ok: .green
            case .note: .yellow
            case .mend: .red
            }
        }
    }

    /// A word or two, the line's first column.
    var what: String
    var verdict: Verdict
    /// What is there, for people; names in it may be anybody's.
    var found: String
    /// What to do; nil where there is nothing to.
    var remedy: String?

    static func ok(_ what: String, _ found: String) -> Finding { Finding(what: what, verdict: .ok, found: found) }

    /// Something that works, with what would make it better.
    static func note(_ what: String, _ found: String, _ remedy: String? = nil) -> Finding {
        Finding(what: what, verdict: .note, found: found, remedy: remedy)
    }

    /// Something that keeps jobs from running; without a remedy it would be of no use.
    static func mend(_ what: String, _ found: String, _ remedy: String) -> Finding {
        Finding(what: what, verdict: .mend, found: found, remedy: remedy)
    }
}
