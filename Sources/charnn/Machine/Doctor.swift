import ArgumentParser
import CharnnReports
import CharnnSpool
import FoundationEssentials

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
            if findings.contains(where: { $0.verdict == .mend }) { throw ExitCode(1) }
        }
    }

    private func show(_ finding: Finding) {
        let mark = Terminal.coloured(DisplayWidth.padded(finding.verdict.rawValue, to: 4), finding.verdict.colour)
        Terminal.line("\(mark)  \(DisplayWidth.padded(finding.what, to: 9))\(Terminal.oneLine(finding.found))")
        if let remedy = finding.remedy {
            Terminal.line(String(repeating: " ", count: 15) + Terminal.bold(Terminal.oneLine(remedy)))
        }
    }
}

/// One thing that was looked at.
struct Finding: Encodable {
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

    var what: String
    var verdict: Verdict
    var found: String
    /// What to do; nil where there is nothing to.
    var remedy: String?

    static func ok(_ what: String, _ found: String) -> Finding { Finding(what: what, verdict: .ok, found: found) }

    static func note(_ what: String, _ found: String, _ remedy: String? = nil) -> Finding {
        Finding(what: what, verdict: .note, found: found, remedy: remedy)
    }

    static func mend(_ what: String, _ found: String, _ remedy: String) -> Finding {
        Finding(what: what, verdict: .mend, found: found, remedy: remedy)
    }
}
