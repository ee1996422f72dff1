import CharnnSpool
import CharnnTraining
import CharnnWords

/// `index.html`: the morning report of a spool.
///
/// In a shared spool all members see it, so that it shows nothing but what ``MorningReport`` has: jobs that are their
/// owners' alone come with name, owner and state.
///
/// Its links are relative: the spool can be copied, or served, as it is.
public struct MorningPage {
    private let report: MorningReport

    /// Beyond so many cards the rest is a table: more pictures than that nobody compares.
    private static let mostCards = 60

    /// Cards are made of the records' rows; their texts are not read.
    public init(_ report: MorningReport) { self.report = report }

    /// The page's bytes.
    public var bytes: [UInt8] {
        let body: HTML = """
            <header><p class="eyebrow">\(report.spool)</p><h1>The morning report</h1><p class="lead">\(report.summary)</p></header>
            \(problems)
            \(ran)
            \(waiting)
            \(closed)
            \(earlier)
            <footer>Written by charnnd at \(Page.day(report.time)). The same in a terminal: charnn report.</footer>
            """
        return Page.bytes(title: "charnnd – the morning report", body: body)
    }

    /// Where the page of a job lies, or of a run outside the queue, which is called `runs/NAME`.
    ///
    /// Names have no characters but letters, digits, space and `._+-`; those that mean something in an address are written
    /// as its rules want them.
    static func address(_ name: String) -> String {
        let isRun = name.hasPrefix(RunFolders.prefix)
        let plain = name.dropFirst(isRun ? RunFolders.prefix.count : 0).utf8.map { byte -> String in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                String(Unicode.Scalar(byte))
            default: "%" + [byte >> 4, byte & 15].map { String($0, radix: 16, uppercase: true) }.joined()
            }
        }
        return (isRun ? RunFolders.prefix : "jobs/") + plain.joined() + "/report.html"
    }

    private func link(_ name: String) -> HTML { "<a href=\"\(Self.address(name))\">\(name)</a>" }

    private var problems: HTML {
        guard !report.problems.isEmpty else { return .nothing }
        let items = report.problems.map { problem -> HTML in
            """
            <div class="problem"><p><b>\(problem.hasFolder ? link(problem.name) : HTML(problem.name))</b> <span class="state \(problem.state.rawValue)">\(problem.state.words)</span></p>
            <p>\(problem.reason)</p><p><small>\(problem.remedy)</small></p></div>
            """
        }
        return "<section><h2>What did not succeed</h2>\(items)</section>"
    }

    private var ran: HTML {
        let groups = RankedGroup.grouped(report.ran)
        guard !groups.isEmpty else { return .nothing }
        // Over all groups together, the first ones first.
        var room = Self.mostCards
        let parts = groups.map { group -> HTML in
            let shown = min(room, group.jobs.count)
            room -= shown
            // Where all were scored on one text there is nothing to tell apart.
            let heading: HTML =
                groups.count > 1 || group.text == nil ? "<h3 class=\"text-group\">\(group.heading)</h3>" : .nothing
            return "\(heading)\(cards(of: group, shown))"
        }
        return "<section><h2>What ran, ranked by validation</h2>\(parts)</section>"
    }

    /// A group's first jobs as cards, the others in a table.
    private func cards(of group: RankedGroup, _ shown: Int) -> HTML {
        // All curves on the same axes, so that one sees which lies lower.
        let charts = group.jobs.prefix(shown).map(\.lossChart)
        let low = charts.flatMap { $0.series.flatMap(\.points) }.map(\.y).min() ?? 0
        let high = Chart.commonTop(of: charts.compactMap(\.top), above: low)
        let cards = charts.enumerated().map { index, chart -> HTML in
            card(index, of: group, chart, low...max(high, low + 0.1))
        }
        let rest = group.jobs.dropFirst(shown).map { job -> HTML in
            row(job.name, job.state, job.bestBits, job.status?.endedAt)
        }
        let table: HTML =
            rest.isEmpty
            ? .nothing : "<details><summary>\(rest.count) more, ranked likewise</summary>\(Self.table(rest))</details>"
        return "<div class=\"cards\">\(cards)</div>\(table)"
    }

    /// One job in a small picture and a line of words.
    ///
    /// - Parameter heights: The vertical axis of all cards of the group.
    private func card(_ index: Int, of group: RankedGroup, _ chart: Chart, _ heights: ClosedRange<Double>) -> HTML {
        let job = group.jobs[index]
        let score: HTML =
            group.figure(of: job).map { figure -> HTML in
                let unit = figure.isTraining ? "bits/char in training" : "bits/char"
                return "<span class=\"score\">\(fixed(figure.bits, 3))<small>\(unit)</small></span>"
            } ?? .nothing
        let place: HTML = group.rank(of: index).map { "\($0). " } ?? .nothing
        let last = chart.series.flatMap(\.points).map(\.x).max() ?? 1
        let curve: HTML = chart.series.isEmpty ? .nothing : chart.miniature(0...max(1, last), heights)
        var words = [job.work, job.rows.isEmpty ? nil : job.verdict.short].compactMap(\.self)
        if job.state == .active, let left = job.status?.secondsLeft { words.append("\(about(left)) left") }
        if let elapsed = job.status?.elapsedSeconds { words.append("worked \(duration(elapsed))") }
        if let owner = job.status?.owner { words.append("of \(owner)") }
        let state: HTML =
            job.state == .done
            ? .nothing : "<span class=\"state \(job.state.rawValue)\">\(job.state.words)</span>"
        return """
            <article class="card">\(score)<h3>\(place)\(link(job.name))</h3>\(curve)<p>\(state)\(words.joined(separator: " · "))</p></article>
            """
    }

    private var waiting: HTML {
        guard !report.waiting.isEmpty || (report.drops ?? 0) > 0 else { return .nothing }
        let rows = report.waiting.map { job -> HTML in
            "<tr><td>\(job.state == .active ? link(job.name) : HTML(job.name))</td><td>\(job.state.words)</td><td class=\"n\">\(job.beginning)</td><td class=\"n\">\(job.doneIn.map(about) ?? "")</td><td>\(job.reason ?? "")</td></tr>"
        }
        let drops = report.drops ?? 0
        let note: HTML =
            drops > 0
            ? "<p class=\"note\">\(drops) job file\(drops == 1 ? " lies" : "s lie") in incoming/, not accepted yet.</p>"
            : .nothing
        let table: HTML =
            rows.isEmpty
            ? .nothing
            : """
            <div class="wide"><table><thead><tr><th>job</th><th></th><th class="n">starts in</th><th class="n">done in</th><th></th></tr></thead><tbody>\(rows)</tbody></table></div>
            <p class="note">Times are estimates from the speed that was measured here.</p>
            """
        return "<section><h2>What comes next</h2>\(table)\(note)</section>"
    }

    private var closed: HTML {
        guard !report.closed.isEmpty else { return .nothing }
        let rows = report.closed.map { job -> HTML in
            "<tr><td>\(job.name)</td><td>\(job.owner)</td><td><span class=\"state \(job.state.rawValue)\">\(job.state.words)</span></td></tr>"
        }
        return """
            <section><h2>Their owners’ alone</h2><table><thead><tr><th>Job</th><th>Owner</th><th>State</th></tr></thead>\(rows)</table></section>
            """
    }

    private var earlier: HTML {
        guard !report.earlier.isEmpty else { return .nothing }
        let rows = report.earlier.map { row($0.name, $0.state, $0.bits, $0.endedAt) }
        return
            "<section><h2>Before</h2><details\(rows.count <= 30 ? " open" : HTML.nothing)><summary>\(rows.count) jobs</summary>\(Self.table(rows))</details></section>"
    }

    private func row(_ name: String, _ state: JobState, _ bits: Double?, _ end: String?) -> HTML {
        "<tr><td>\(link(name))</td><td>\(state.words)</td><td class=\"n\">\(bits.map { fixed($0, 3) } ?? "")</td><td>\(end.map(Page.day) ?? "")</td></tr>"
    }

    private static func table(_ rows: [HTML]) -> HTML {
        "<div class=\"wide\"><table><thead><tr><th>job</th><th></th><th class=\"n\">bits/char</th><th>ended</th></tr></thead><tbody>\(rows)</tbody></table></div>"
    }
}
