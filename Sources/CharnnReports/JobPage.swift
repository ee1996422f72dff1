public import CharnnSpool
import CharnnTexts
import CharnnTraining
import CharnnWords

/// `report.html`: one job on one page that needs nothing but itself.
///
/// Written by who runs the job while it runs (``PageWriter`` says how often) and once more at its end. A reader goes
/// from what matters to what explains it: how it stands, the figures, warnings, curves, a comparison with simpler
/// means, what the model writes, and at the end every setting. A section without anything to say is left out.
///
/// All texts, names and reasons in it are somebody's words; they get in as ``HTML`` escapes them, and in no other way.
public struct JobPage {
    private let record: JobRecord
    /// When the page is written, ISO 8601.
    private let time: String

    /// - Parameters:
    ///   - record: With its texts.
    ///   - time: ISO 8601, as ``JobStatus/time(_:)`` writes it.
    public init(_ record: JobRecord, time: String) {
        self.record = record
        self.time = time
    }

    /// The page's bytes.
    public var bytes: [UInt8] {
        let body: HTML = """
            <header>
            <p class="eyebrow">\(record.work ?? "Job") <span class="state \(record.state.rawValue)">\(stateWords)</span></p>
            <h1>\(record.name)</h1>
            \(lead)
            </header>
            \(figures)
            \(warnings)
            \(curves)
            \(comparison)
            \(generated)
            \(samples)
            \(evaluation)
            \(settings)
            <footer>Written by charnnd at \(time).\(whereabouts)</footer>
            """
        return Page.bytes(title: "\(record.name) – charnnd", body: body, refreshes: record.isRunning)
    }

    /// Where its numbers are, as far as there are any.
    private var whereabouts: String {
        let files = [
            record.hasMetrics ? "the numbers are in metrics.csv" : nil,
            record.hasModel ? "the weights in model.safetensors" : nil,
            record.evaluation == nil ? nil : "the score in evaluation.json",
            record.generatedCount > 0 ? "the texts in generated/" : nil,
        ].compactMap(\.self).joined(separator: ", ")
        return files.isEmpty ? "" : " Beside this page \(files)."
    }

    // MARK: - The head

    private var stateWords: String {
        if record.state != .active { return record.state.words }
        return record.isRunning ? record.status?.phase ?? "running" : "stopped, goes on from a checkpoint"
    }

    /// The first sentence: what went wrong, or how the loss develops. A job that was held or cancelled has a reason and
    /// a curve, and both are told.
    private var lead: HTML {
        if record.state == .failed, let reason = record.status?.reason {
            return "<p class=\"lead bad\">Failed: \(reason).</p>"
        }
        guard !record.rows.isEmpty else {
            return record.status?.reason.map { "<p class=\"lead\">\($0)</p>" } ?? .nothing
        }
        let words = record.verdict.sentences(isRunning: record.isRunning)
        let reason: HTML = record.status?.reason.map { "<p class=\"lead bad\">\($0)</p>" } ?? .nothing
        return "\(reason)<p class=\"lead\">\(words)</p>"
    }

    /// The numbers that one looks for first, those that are known, each with its unit.
    private var figures: HTML {
        let status = record.status
        var facts: [(String, String, String)] = []
        if let best = record.bestBits {
            let step =
                record.best.map { ", step \(grouped($0.step))\($0.isAverage ? ", average of the weights" : "")" } ?? ""
            facts.append(("best validation", fixed(best, 3), "bits per character\(step)"))
        }
        if let status, let loss = status.fittedValidationLoss, let temperature = status.fittedTemperature {
            facts.append(("fitted", fixed(bits(loss), 3), "bits per character at temperature \(fixed(temperature, 2))"))
        }
        if let score = record.scoredBits {
            let text = record.evaluation?.corpus.joined(separator: ", ") ?? ""
            facts.append(("score", fixed(score, 3), "bits per character of \(text)"))
        }
        if let loss = record.lastTrainLoss { facts.append(("training", fixed(bits(loss), 3), "bits per character")) }
        if let step = status?.step, let total = status?.totalSteps, total > 0 {
            facts.append(("steps", grouped(step), stepsOf(total, step, record.state)))
        }
        if let epoch = status?.epoch, let total = status?.totalEpochs {
            facts.append(("epochs", "\(epoch)", "of \(total)"))
        }
        if let speed = status?.charactersPerSecond {
            facts.append(("speed", grouped(speed), "characters a second"))
        }
        if let seconds = status?.elapsedSeconds {
            let attempts = status?.attempts ?? 1
            facts.append(("worked", duration(seconds), attempts > 1 ? "in \(attempts) attempts" : ""))
        }
        if record.isRunning, let left = status?.secondsLeft { facts.append(("left", duration(left), "as estimated")) }
        if let device = record.computedOn { facts.append(("computed on", device, "")) }
        if let owner = status?.owner { facts.append(("owner", owner, "")) }
        for (name, value) in [
            ("accepted", status?.acceptedAt), ("started", status?.startedAt), ("ended", status?.endedAt),
        ] {
            if let value { facts.append((name, Page.day(value), "")) }
        }
        guard !facts.isEmpty else { return .nothing }
        // Long values, such as a processor's name, get two columns and smaller letters.
        let cells = facts.map { name, value, unit -> HTML in
            "<div\(value.count > 24 ? " class=\"broad\"" : HTML.nothing)><dt>\(name)</dt><dd><b\(value.count > 12 ? " class=\"long\"" : HTML.nothing)>\(value)</b> <small>\(unit)</small></dd></div>"
        }
        return "<dl class=\"facts\">\(cells)</dl>"
    }

    private var warnings: HTML {
        let warnings = record.status?.warnings ?? []
        guard !warnings.isEmpty else { return .nothing }
        return "<section class=\"warnings\"><h2>Warnings</h2><ul>\(warnings.map { "<li>\($0)</li>" })</ul></section>"
    }

    // MARK: - Curves

    private var curves: HTML {
        guard !record.rows.isEmpty else { return .nothing }
        return """
            <section><h2>How it learned</h2>
            \(record.lossChart.figure(height: 19))
            <div class="pair">\(record.rateChart.figure(height: 8))\(record.normChart.figure(height: 8))\(record.speedChart.figure(height: 8))</div>
            \(evaluations)
            </section>
            """
    }

    /// Every evaluation in numbers, for those who cannot or do not want to hover.
    private var evaluations: HTML {
        let rows = JobRecord.spread(record.rows.filter { $0.validationLoss != nil }, 40)
        guard !rows.isEmpty else { return .nothing }
        let cells = rows.map { row -> HTML in
            "<tr><td>\(grouped(row.step))</td><td>\(fixed(row.epoch, 2))</td><td>\(row.trainLoss.map { fixed(bits($0), 3) } ?? "")</td><td>\(row.validationLoss.map { fixed(bits($0), 3) } ?? "")</td><td>\(row.validationLoss.map { fixed($0, 4) } ?? "")</td><td>\(row.averageValidationLoss.map { fixed($0, 4) } ?? "")</td><td>\(duration(row.elapsedSeconds))</td></tr>"
        }
        return """
            <details><summary>The evaluations in numbers</summary>
            <div class="wide"><table class="numbers"><thead><tr><th>step</th><th>epoch</th><th>training, bits</th><th>validation, bits</th><th>validation, nats</th><th>of the average</th><th>worked</th></tr></thead>
            <tbody>\(cells)</tbody></table></div></details>
            """
    }

    // MARK: - Is it any good?

    /// The model's bar is of the validation text, as the others are; a score of another text is told elsewhere.
    private var comparison: HTML {
        guard let found = record.comparison else { return .nothing }
        var bars: [(name: String, note: String, value: Double, isModel: Bool)] = []
        if let value = found.modelBitsPerCharacter ?? record.bestBits {
            bars.append(("this model", record.network ?? "", value, true))
        }
        if let value = found.ngramBitsPerCharacter, let order = found.ngramOrder {
            bars.append(("n-gram model", "with backoff, \(order) characters of context", value, false))
        }
        if let value = found.xzBitsPerCharacter { bars.append(("xz -9", "after the training text", value, false)) }
        if let value = found.xzAloneBitsPerCharacter { bars.append(("xz -9", "on the text alone", value, false)) }
        guard let most = bars.map(\.value).max(), most > 0 else { return .nothing }
        let rows = bars.map { bar -> HTML in
            "<div class=\"bar\(bar.isModel ? " own" : HTML.nothing)\"><span>\(bar.name) <small>\(bar.note)</small></span><i><em style=\"width:\(fixed(bar.value / most * 100, 1))%\"></em></i><b>\(fixed(bar.value, 3))</b></div>"
        }
        return """
            <section><h2>Is it any good?</h2>
            <p>\(comparisonWords(found))</p>
            <div class="bars">\(rows)</div>
            <p class="note">Bits per character on the same \(grouped(found.characters)) characters kept for validation, given \(grouped(found.trainingCharacters)) characters to learn from; less is better. Measured in \(found.seconds < 1 ? "less than a second" : duration(found.seconds)).</p>
            </section>
            """
    }

    /// Within one percent the two count as equal: another seed makes as much of a difference.
    private func comparisonWords(_ found: Comparison) -> String {
        guard let own = found.modelBitsPerCharacter ?? record.bestBits, let other = found.ngramBitsPerCharacter else {
            return "What simpler means reach on the same text:"
        }
        let part = (1 - own / other) * 100
        if part > 1 {
            return
                "It needs \(fixed(part, 0)) % fewer bits for a character it has never seen than counting n-grams does, "
                + "which takes seconds."
        }
        if part > -1 { return "It predicts unseen text about as well as counting n-grams does, which takes seconds." }
        return "Counting n-grams, which takes seconds, predicts unseen text better than this model: it needs more "
            + "training, or the text is too small for it."
    }

    // MARK: - Texts

    private var generated: HTML {
        guard !record.generated.isEmpty else { return .nothing }
        let texts = record.generated.map { text -> HTML in
            let found = record.copies?.texts.first { $0.file == text.file }
            return """
                <article><h3>\(text.file)</h3>
                <div class="text">\(marked(text, found))</div>\(cut(text))
                \(copies(found))
                </article>
                """
        }
        let more = record.generatedCount - record.generated.count
        let note: HTML = more > 0 ? "<p class=\"note\">\(more) more are in generated/.</p>" : .nothing
        let earlier: HTML =
            record.earlierAttempts > 0
            ? "<p class=\"note\">What was written before, when the job was run with other settings, is in generated/attempt-1/ and so on.</p>"
            : .nothing
        return "<section><h2>What it writes</h2>\(texts)\(note)\(earlier)</section>"
    }

    /// From this length on a copied passage is underlined; shorter ones are words and phrases that anybody may use.
    private static let leastMarked = 30

    /// The text with its copied passages underlined.
    private func marked(_ text: JobRecord.Text, _ found: CopiesRecord.Text?) -> HTML {
        let passages = (found?.longest ?? []).filter { $0.length >= Self.leastMarked }.sorted { $0.start < $1.start }
        guard !passages.isEmpty else { return HTML(text.text) }
        let scalars = Array(text.text.unicodeScalars)
        func piece(_ range: Range<Int>) -> HTML {
            HTML(String(String.UnicodeScalarView(scalars[range.clamped(to: 0..<scalars.count)])))
        }
        var pieces: [HTML] = []
        var position = 0
        // Passages may overlap, and then the first one is marked; the text may be cut, and passages behind the cut are
        // not.
        for passage in passages where passage.start >= position && passage.start < scalars.count {
            let end = passage.start + passage.length
            pieces.append(piece(position..<passage.start))
            pieces.append("<mark>\(piece(passage.start..<end))</mark>")
            position = min(end, scalars.count)
        }
        pieces.append(piece(position..<scalars.count))
        return HTML(pieces, separator: "")
    }

    /// What of a text is copied, in a sentence, and where its longest passages stand in the text learned from.
    private func copies(_ found: CopiesRecord.Text?) -> HTML {
        guard let found, let longest = found.longest.first else { return .nothing }
        let part = found.characters > 0 ? Double(found.recitedCharacters) * 100 / Double(found.characters) : 0
        let words: HTML =
            found.recitedCharacters > 0
            ? "<b>\(fixed(part, 0)) %</b> of it is recited: stands word for word in the text learned from, in passages of \(VerbatimCopies.recited) characters or more."
            : "Nothing of it is recited: its longest passage that also stands in the text learned from has \(longest.length) characters."
        let rows = found.longest.map { passage -> HTML in
            let line = passage.line.map { "line \(grouped($0))" } ?? "character \(grouped(passage.place))"
            let times = passage.occurrences > 1 ? ", \(grouped(passage.occurrences)) times" : ""
            let part = passage.isTraining ? "" : ", in the part kept for validation"
            return
                "<tr><td>\(grouped(passage.length))</td><td class=\"quote\">\(passage.text)</td><td>\(line)\(times)\(part)</td></tr>"
        }
        return """
            <p class="note">\(words)</p>
            <details><summary>Its longest copies and where they stand</summary><div class="wide"><table><thead><tr><th>characters</th><th>passage</th><th>first at</th></tr></thead><tbody>\(rows)</tbody></table></div></details>
            """
    }

    private func cut(_ text: JobRecord.Text) -> HTML {
        guard let size = text.wholeSize else { return .nothing }
        return "<p class=\"note\">Cut here: the whole text of \(byteCount(UInt64(size))) is in \(text.file).</p>"
    }

    /// Samples in the order in which they were written, each beside how well the model did then.
    private var samples: HTML {
        guard !record.samples.isEmpty else { return .nothing }
        let measured = record.rows.filter { $0.validationLoss != nil }
        let rows = record.samples.map { sample -> HTML in
            let step = sample.step ?? 0
            let loss = measured.last { $0.step <= step }?.validationLoss.map { "\(fixed(bits($0), 2)) bits" } ?? ""
            return """
                <li><p class="when"><b>step \(grouped(step))</b> <span>\(loss)</span></p><div class="text">\(Self.beginning(sample.text))</div></li>
                """
        }
        let note: HTML =
            record.sampleCount > record.samples.count
            ? "<p class=\"note\">\(record.samples.count) of \(record.sampleCount), evenly apart; all are in samples/.</p>"
            : .nothing
        return "<section><h2>While it learned</h2><ol class=\"samples\">\(rows)</ol>\(note)</section>"
    }

    private static let longestSample = 360

    private static func beginning(_ text: String) -> String {
        let trimmed = text.drop { $0 == "\n" }
        guard trimmed.unicodeScalars.count > longestSample else { return String(trimmed) }
        return String(String.UnicodeScalarView(trimmed.unicodeScalars.prefix(longestSample))) + " …"
    }

    // MARK: - The rest

    private var evaluation: HTML {
        guard let found = record.evaluation else { return .nothing }
        return "<section><h2>The text it was asked to score</h2>\(Page.table(found.facts))</section>"
    }

    private var settings: HTML {
        guard !record.settings.isEmpty else { return .nothing }
        return """
            <section><h2>Every setting</h2><details><summary>\(record.settings.count) values, as used</summary>
            \(Page.table(record.settings))</details></section>
            """
    }
}

extension JobState {
    /// The state as a person says it.
    public var words: String {
        switch self {
        case .queue: "waiting"
        case .active: "running"
        case .held: "held"
        case .done: "done"
        case .failed: "failed"
        case .cancelled: "cancelled"
        case .rejected: "rejected"
        case .stopped: "stopped"
        }
    }
}
