import CharnnSpool
import CharnnWords

extension MorningReport {
    /// The report for a terminal, in lines that hold no control characters of anybody.
    ///
    /// Reasons and names may be anybody's: whoever prints it makes it harmless for a terminal first.
    public var text: String {
        var lines = [summary, ""]
        let groups = RankedGroup.grouped(ran)
        for group in groups {
            // Where all were scored on one text there is nothing to tell apart.
            if groups.count > 1 || group.text == nil { lines.append(group.heading) }
            lines += Self.aligned(
                ["", "JOB", "BITS/CHAR", "WHAT", "STATE", "LOSS IS", "WORKED"],
                group.jobs.enumerated().map { index, job in
                    [
                        group.rank(of: index).map(String.init) ?? "", job.name,
                        group.figure(of: job).map { fixed($0.bits, 3) + ($0.isTraining ? " (training)" : "") } ?? "",
                        job.work ?? "", job.state.words, job.rows.isEmpty ? "" : job.verdict.short,
                        job.status?.elapsedSeconds.map(duration) ?? "",
                    ]
                })
            lines.append("")
        }
        for problem in problems {
            lines.append("\(problem.name) \(problem.state.words): \(problem.reason)")
            lines.append("  \(problem.remedy)")
        }
        if !problems.isEmpty { lines.append("") }
        if !waiting.isEmpty {
            lines += Self.aligned(
                ["NEXT", "STATE", "STARTS IN", "DONE IN", ""],
                waiting.map { job in
                    [
                        job.name, job.state.words, job.beginning, job.doneIn.map(about) ?? "", job.reason ?? "",
                    ]
                })
            lines.append("")
        }
        if !closed.isEmpty {
            lines += Self.aligned(
                ["THEIR OWNERS' ALONE", "OWNER", "STATE"], closed.map { [$0.name, $0.owner, $0.state.words] })
            lines.append("")
        }
        if let drops, drops > 0 {
            lines += ["\(drops) job file\(drops == 1 ? " lies" : "s lie") in incoming/ for a daemon.", ""]
        }
        if !earlier.isEmpty { lines += ["\(earlier.count) ended before; charnn list has them all.", ""] }
        return lines.dropLast().joined(separator: "\n")
    }

    private static func aligned(_ header: [String], _ rows: [[String]]) -> [String] {
        let all = ([header] + rows)
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            var line = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
                .joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}
