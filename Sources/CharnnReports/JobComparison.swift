import CharnnSpool
import CharnnTexts
import CharnnTraining
import CharnnWords

/// Several jobs side by side: one chart, one table.
///
/// What `charnn compare` and `charnn plot` of several jobs show, in a terminal and as a page. Losses of different texts
/// are never ranked against each other: jobs stand in the groups of ``RankedGroup``, and a row says what each was
/// scored on.
///
/// - Note: A fact that no job has is no row; one that some have is empty for the others.
public struct JobComparison {
    private let jobs: [JobRecord]

    /// Of each job the text that it was scored on, where that is not the same for all.
    private let texts: [String?]

    /// Jobs of one text together, the best by validation first.
    public init(_ jobs: [JobRecord]) {
        let groups = RankedGroup.grouped(jobs)
        self.jobs = groups.flatMap(\.jobs)
        texts = groups.flatMap { group in group.jobs.map { _ in groups.count > 1 ? group.text : nil } }
    }

    /// What is told of each job, by name.
    private static let told: [(name: String, value: @Sendable (JobRecord) -> String?)] = [
        ("state", { $0.state.words }),
        ("validation, bits/char", { $0.bestBits.map { fixed($0, 4) } }),
        ("score, bits/char", { $0.scoredBits.map { fixed($0, 4) } }),
        ("training, bits/char", { $0.lastTrainLoss.map { fixed(bits($0), 4) } }),
        ("loss is", { $0.rows.isEmpty ? nil : $0.verdict.short }),
        ("n-grams, bits/char", { $0.comparison?.ngramBitsPerCharacter.map { fixed($0, 4) } }),
        ("xz -9, bits/char", { $0.comparison?.xzBitsPerCharacter.map { fixed($0, 4) } }),
        ("network", { $0.network }),
        ("steps", { $0.status?.step.map(grouped) }),
        ("characters/s", { $0.status?.charactersPerSecond.map { grouped($0) } }),
        ("worked", { $0.status?.elapsedSeconds.map(duration) }),
    ]

    /// The facts that are compared: a name and a value for each job, those that nobody has left out.
    private var facts: [(name: String, values: [String])] {
        var facts = [(name: "scored on", values: texts.map { $0 ?? "" })]
        for (name, value) in Self.told { facts.append((name, jobs.map { value($0) ?? "" })) }
        return facts.filter { !$0.values.allSatisfy(\.isEmpty) } + differences
    }

    /// The settings in which they differ, beside those that the network's name tells.
    private var differences: [(name: String, values: [String])] {
        // Keys in the order in which the first job that has them has them.
        let told: Set = ["train.cell", "train.num_layers", "train.hidden_size"]
        var seen: Set<String> = []
        let keys = jobs.flatMap { $0.settings.map(\.key) }.filter {
            $0.hasPrefix("train.") && !told.contains($0) && seen.insert($0).inserted
        }
        return keys.compactMap { key in
            let values = jobs.map { $0.setting(key) ?? "" }
            return Set(values).count > 1 ? (String(key.dropFirst(6)), values) : nil
        }
    }

    /// Rows for a terminal: the header, then a line for each fact.
    public var table: [[String]] { [[""] + jobs.map(\.name)] + facts.map { [$0.name] + $0.values } }

    /// The validation curves of all (the training curve where there is none), over the steps.
    public var chart: Chart {
        var chart = Chart(
            jobs.count == 1 ? "Loss" : "Validation loss", x: "step", y: "bits per character",
            series: jobs.enumerated().map { index, job in
                let validation = job.validationPoints
                let points =
                    validation.isEmpty
                    ? job.rows.compactMap { row in row.trainLoss.map { (x: Double(row.step), y: bits($0)) } }
                    : validation
                let name = validation.isEmpty ? "\(job.name) (training)" : job.name
                return Chart.Series(
                    name, style: index % 6, points: points, isMarked: !validation.isEmpty,
                    isByBest: !validation.isEmpty)
            })
        chart.comparesRuns = true
        return chart
    }

    /// The same over the time worked.
    ///
    /// Evaluations only, and only of jobs that validate. What one machine does in an hour another does in a minute: it
    /// compares jobs of one machine.
    private var chartOverTime: Chart {
        var chart = Chart(
            "Over the time worked", x: "minutes", y: "bits per character",
            series: jobs.enumerated().map { index, job in
                Chart.Series(
                    job.name, style: index % 6,
                    points: job.rows.compactMap { row in
                        row.betterValidationLoss.map { (row.elapsedSeconds / 60, bits($0)) }
                    }, isMarked: true, isByBest: true)
            })
        chart.comparesRuns = true
        return chart
    }

    /// The page's bytes.
    ///
    /// - Parameter time: When it is made, ISO 8601.
    public func page(time: String) -> [UInt8] {
        let head = jobs.map { job -> HTML in "<th class=\"n\">\(job.name)</th>" }
        let rows = facts.map { fact -> HTML in
            "<tr><th scope=\"row\">\(fact.name)</th>\(fact.values.map { "<td class=\"n\">\($0)</td>" as HTML })</tr>"
        }
        let samples = jobs.compactMap { job -> HTML? in
            guard let text = job.generated.first ?? job.samples.last else { return nil }
            let beginning = String(String.UnicodeScalarView(text.text.unicodeScalars.prefix(600)))
            return "<article><h3>\(job.name), \(text.file)</h3><div class=\"text\">\(beginning)</div></article>"
        }
        let texts: HTML = samples.isEmpty ? .nothing : "<section><h2>What they write</h2>\(samples)</section>"
        let body: HTML = """
            <header><p class="eyebrow">Compared</p><h1>\(jobs.map(\.name).joined(separator: ", "))</h1></header>
            <section><h2>How they learned</h2>\(chart.figure(height: 19))\(chartOverTime.figure(height: 15))</section>
            <section><h2>Side by side</h2><div class="wide"><table><thead><tr><th></th>\(head)</tr></thead><tbody>\(rows)</tbody></table></div></section>
            \(texts)
            <footer>Written by charnn compare at \(Page.day(time)).</footer>
            """
        return Page.bytes(title: "\(jobs.map(\.name).joined(separator: ", ")) – charnnd", body: body)
    }
}
