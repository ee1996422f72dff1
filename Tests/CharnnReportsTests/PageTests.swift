import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import CharnnTexts
import CharnnTraining
import SystemPackage
import Testing

@Suite struct PageTests {
    private let folder = TemporaryDirectory("page")
    private let storage = LocalStorage()

    private static let nasty = "<script>alert('x')</script> & \"quoted\" \u{1B}[31m \u{85}"

    private func record(_ name: String = "a job", rows: Int = 1000) throws -> JobRecord {
        let path = folder.path.appending(name)
        try storage.createDirectories(path.appending("samples"), mode: 0o755)
        try storage.createDirectories(path.appending("generated"), mode: 0o755)
        var csv = MetricsFile.header + "\n"
        for index in 1...rows {
            csv +=
                MetricsFile.line(
                    MetricsRow(
                        step: index * 10, epoch: Double(index) / 100, trainLoss: 1 + 2 / Double(index),
                        validationLoss: index % 50 == 0 ? 1.2 + 2 / Double(index) : nil, learningRate: 0.002,
                        gradientNorm: 0.5, charactersPerSecond: 40_000, elapsedSeconds: Double(index))) + "\n"
        }
        try storage.replace(path.appending("metrics.csv"), with: Array(csv.utf8))
        try storage.replace(path.appending("samples/step-00000500.txt"), with: Array("early \(Self.nasty)".utf8))
        try storage.replace(path.appending("samples/step-00001000.txt"), with: Array("later".utf8))
        try storage.replace(path.appending("generated/1.txt"), with: Array("prompt \(Self.nasty)".utf8))
        try storage.replace(
            path.appending("generated/2.txt"), with: [UInt8](repeating: UInt8(ascii: "x"), count: 50_000))
        try storage.replace(
            path.appending("resolved.yaml"),
            with: Array(
                """
                # What this job ran with. Computed on a <fast> machine with AVX.
                priority: 0
                train:
                  corpus: ["<b>.txt"]
                  encoding: utf-8
                  cell: lstm
                  num_layers: 2
                  hidden_size: 64
                """.utf8))
        var status = JobStatus(job: name, state: .done)
        status.bestValidationLoss = 1.202
        status.warnings = ["Beware of <i>"]
        return JobRecord(name, folder: path, state: .done, status: status, in: storage)
    }

    private func page(_ record: JobRecord) -> String {
        String(decoding: JobPage(record, time: "2026-01-31T06:00:00Z").bytes, as: UTF8.self)
    }

    @Test func `a page shows all of a job and nothing that a text wrote becomes markup`() throws {
        let page = page(try record())
        for word in [
            "early &lt;script&gt;", "later", "step 500", "Beware of &lt;i&gt;", "&lt;b&gt;.txt<",
            "a &lt;fast&gt; machine with AVX", "LSTM 2 × 64", "The validation loss has become flat", "1.734",
        ] {
            #expect(page.contains(word), "\(word)")
        }
        #expect(page.components(of: "<script>") == 1)
        #expect(!page.contains("\u{1B}") && !page.contains("\u{85}"))
        #expect(!page.contains("http://") && !page.contains("https://") && !page.contains(" src="))
    }

    @Test func `a long text is cut with a note`() throws {
        let page = page(try record())
        #expect(page.contains("Cut here: the whole text of 50.0 kB is in generated/2.txt"))
        #expect(page.utf8.count < 200_000)
    }

    @Test func `copied passages are marked where they stand`() throws {
        var record = try record()
        record.generated = [
            JobRecord.Text(
                file: "generated/1.txt", step: nil, text: "äöü < copied passage of some words > end", wholeSize: nil)
        ]
        var copies = CopiesRecord(corpus: ["t.txt"], charactersSearched: 1000)
        copies.texts = [
            CopiesRecord.Text(
                file: "generated/1.txt", characters: 40, recitedCharacters: 0,
                longest: [
                    CopiesRecord.Passage(
                        start: 4, length: 32, place: 77, line: 3, isTraining: true, occurrences: 2, text: "< copied")
                ])
        ]
        record.copies = copies
        let page = page(record)
        #expect(page.contains("äöü <mark>&lt; copied passage of some words &gt;</mark> end"))
        #expect(page.contains("line 3, 2 times"))
    }

    @Test func `a job with nothing yet has a page too`() throws {
        let record = JobRecord("new", folder: folder.path.appending("new"), state: .active, in: storage)
        #expect(page(record).contains("<h1>new</h1>"))
    }

    @Test func `the page of a job that only scored has its score and names no file that is not there`() throws {
        let path = folder.path.appending("scores")
        try storage.createDirectories(path, mode: 0o755)
        let found = EvaluationRecord(
            model: "kjv", corpus: ["other.txt"], characters: 35_149, unknownCharacters: 12,
            natsPerCharacter: 1.234_567_890_123, bitsPerCharacter: 1.781_105_632_1, perplexity: 3.436_891_23,
            warning: nil)
        try storage.replace(path.appending(.evaluation), with: found.bytes)
        let record = JobRecord(
            "scores", folder: path, state: .done, status: JobStatus(job: "scores", state: .done), in: storage)
        #expect(record.evaluation == found)
        let page = page(record)
        for word in [
            "scores other.txt with kjv", "<b>1.781</b> <small>bits per character of other.txt</small>", "1.7811",
            "1.2346",
            "3.437", "35,149", "the score in evaluation.json",
        ] { #expect(page.contains(word), "\(word)") }
        for word in ["metrics.csv", "model.safetensors", "1.781105"] { #expect(!page.contains(word), "\(word)") }
        var report = MorningReport(spool: "/spool", time: "2026-01-31T06:00:00Z", since: "2026-01-30T06:00:00Z")
        report.ran = [record]
        #expect(report.text.contains("1.781") && report.text.contains("scores other.txt with kjv"))
        #expect(String(decoding: MorningPage(report).bytes, as: UTF8.self).contains("1.781<small>bits/char</small>"))
    }

    @Test func `steps are told by how the job stands`() {
        #expect(stepsOf(400, 100, .active) == "of 400, 25 %")
        #expect(stepsOf(400, 400, .done) == "of 400")
        #expect(stepsOf(2340, 117, .done) == "of 2,340, stopped early")
        #expect(stepsOf(39, 117, .done) == "though its file asks for 39 now")
        #expect(stepsOf(2340, 117, .failed) == "of 2,340, 5 %")
    }

    @Test func `a page has one training loss, and a mark at the best step`() throws {
        var record = try record()
        record.status?.trainLoss = 0.5
        var simpler = Comparison(characters: 10, trainingCharacters: 90)
        (simpler.ngramBitsPerCharacter, simpler.ngramOrder) = (1.6, 6)
        record.comparison = simpler
        let page = page(record)
        // 1.002 nats in the last row, not what the status was told in between.
        #expect(page.contains("<b>1.446</b> <small>bits per character</small>") && !page.contains("0.721"))
        #expect(page.components(of: "<i class=\"best ") == 1)
        #expect(page.contains("title=\"best, step 10,000: 1.734\"") && page.contains("best <b>1.734</b>"))
        // What is drawn later lies above: no curve goes through the words at a level.
        let chart = try #require(page.split(separator: "<figure").first { $0.contains("class=\"level\"") })
        let svg = try #require(chart.firstRange(of: "role=\"img\""))
        let level = try #require(chart.firstRange(of: "class=\"level\""))
        #expect(svg.lowerBound < level.lowerBound)
    }

    @Test func `a comparison tells the same figures beside its curves as in its table`() throws {
        let (one, other) = (try record("one"), try record("other"))
        let page = String(decoding: JobComparison([one, other]).page(time: "2026-01-31T06:00:00Z"), as: UTF8.self)
        #expect(page.components(of: "best <b>1.734</b>") == 4)
    }

    @Test func `a million rows make a page of bounded size`() throws {
        var record = try record(rows: 10)
        record.rows = (1...1_000_000).map {
            MetricsRow(
                step: $0, epoch: 1, trainLoss: 2, validationLoss: $0 % 100 == 0 ? 2.5 : nil, learningRate: 1,
                gradientNorm: 1, charactersPerSecond: 1, elapsedSeconds: 1)
        }
        #expect(page(record).utf8.count < 250_000)
    }

    @Test func `rows that cannot be read are left out`() throws {
        let path = folder.path.appending("odd.csv")
        let csv = "\(MetricsFile.header)\n10,0.1,2.5,,0.001,1,100,5.0\nrubbish\n20,0.2,nan,2.4,0.001,,,6.0\n30,0.3"
        try storage.replace(path, with: Array(csv.utf8))
        let rows = try MetricsFile.rows(of: path, in: storage)
        #expect(rows.map(\.step) == [10, 20])
        #expect(rows[1].trainLoss == nil && rows[1].validationLoss == 2.4)
    }

    @Test func `what nothing can have measured is left out`() throws {
        let path = folder.path.appending("odd.csv")
        let rows = [
            "-1,1,2,2,1,1,1,1", "-9223372036854775808,1,2,2,1,1,1,1", "9223372036854775807,1,2,2,1,1,1,1",
            "7,1,1.7e308,-1.7e308,1,1e101,1,1",
        ]
        try storage.replace(path, with: Array((rows.joined(separator: "\n") + "\n").utf8))
        let read = try MetricsFile.rows(of: path, in: storage)
        #expect(read.map(\.step) == [7])
        #expect(read[0].trainLoss == nil && read[0].validationLoss == nil && read[0].gradientNorm == nil)
        #expect(Sparkline.losses(of: path, in: storage) == [2, 2, 2])
    }

    @Test func `numbers of any size make a page`() throws {
        let largest = Double.greatestFiniteMagnitude
        var record = try record()
        for sign in [1.0, -1] {
            record.status?.charactersPerSecond = sign * largest
            record.status?.elapsedSeconds = sign * largest
            record.status?.bestValidationLoss = sign * largest
            record.status?.step = sign > 0 ? .max : .min
            record.status?.totalSteps = .max
            record.comparison?.ngramBitsPerCharacter = sign * largest
            #expect(page(record).contains("</html>"))
            #expect(record.lossChart.svg().contains("</svg>"))
        }
    }

    @Test func `the morning report ranks, tells what failed and what comes`() throws {
        var report = MorningReport(spool: "/spool", time: "2026-01-31T06:00:00Z", since: "2026-01-30T06:00:00Z")
        var (worse, better) = (try record("worse"), try record("better & co"))
        worse.status?.bestValidationLoss = 2
        better.status?.bestValidationLoss = 1
        report.ran = RankedGroup.ranked([worse, better])
        report.problems = [
            MorningReport.Problem(
                name: "bad", state: .failed, reason: "no <text>", remedy: "charnn retry bad", endedAt: nil,
                hasFolder: true)
        ]
        report.waiting = [MorningReport.Waiting(name: "next", state: .queue, reason: nil, startsIn: 60, doneIn: 7200)]
        let page = String(decoding: MorningPage(report).bytes, as: UTF8.self)
        let first = try #require(
            page.firstRange(of: "1. <a href=\"jobs/better%20%26%20co/report.html\">better &amp; co</a>"))
        let second = try #require(page.firstRange(of: "2. <a href=\"jobs/worse/report.html\">"))
        #expect(first.lowerBound < second.lowerBound)
        for word in ["no &lt;text&gt;", "charnn retry bad", "about 2 h 00 min"] {
            #expect(page.contains(word), "\(word)")
        }
        for word in ["better & co", "1.443", "bad failed: no <text>", "next", "about 2 h 00 min"] {
            #expect(report.text.contains(word), "\(word)")
        }
    }

    @Test func `jobs are ranked within a text, and figures of training are marked and rank nothing`() throws {
        func job(_ name: String, on text: String?, _ loss: Double, _ corpus: String) throws -> JobRecord {
            var job = try record(name, rows: 20)
            job.status?.validationText = text
            job.status?.bestValidationLoss = text == nil ? nil : loss
            job.status?.trainLoss = loss
            if text == nil { job.rows = [] }
            job.settings.removeAll { $0.key == "train.corpus" }
            job.settings.append(("train.corpus", corpus))
            return job
        }
        var report = MorningReport(spool: "/spool", time: "2026-01-31T06:00:00Z", since: "2026-01-30T06:00:00Z")
        report.ran = RankedGroup.ranked([
            try job("unscored", on: nil, 0.1, "gpl.txt"), try job("other", on: "b", 0.5, "poems/bible.txt"),
            try job("second", on: "a", 3, "gpl.txt"), try job("first", on: "a", 2, "gpl.txt"),
            try job("tail", on: "c", 1, "gpl.txt"),
        ])
        #expect(report.ran.map(\.name) == ["first", "second", "other", "tail", "unscored"])
        let lines = report.text.split(separator: "\n").map(String.init)
        let order = [
            "Scored on gpl.txt", "1  first", "2  second", "Scored on bible.txt", "1  other",
            "Scored on gpl.txt, another text or part", "1  tail", "Without validation", "  unscored",
        ]
        #expect(
            lines.compactMap { line in order.first { line == $0 || line.hasPrefix("\($0) ") } } == order, "\(lines)")
        #expect(lines.contains { $0.contains("unscored") && $0.contains("0.144 (training)") })
        let page = String(decoding: MorningPage(report).bytes, as: UTF8.self)
        #expect(page.components(of: ">1. <a") == 3 && page.components(of: ">2. <a") == 1)
        #expect(page.contains("0.144<small>bits/char in training</small>"))
        #expect(page.contains("Scored on bible.txt"))
        let table = JobComparison(report.ran).table
        #expect(table[0] == ["", "first", "second", "other", "tail", "unscored"])
        #expect(
            table[1] == [
                "scored on", "gpl.txt", "gpl.txt", "bible.txt", "gpl.txt, another text or part", "",
            ])
        // Where there is one text only nothing is said of it.
        report.ran.removeLast(3)
        #expect(!report.text.contains("Scored on"))
        #expect(!JobComparison(report.ran).table.contains { $0[0] == "scored on" })
    }

    @Test func `jobs of before, whose status does not tell their text, are told apart by their settings`() throws {
        var (one, other) = (try record("one"), try record("other"))
        #expect(RankedGroup.grouped([one, other]).count == 1)
        other.settings.append(("train.val_fraction", "0.2"))
        #expect(RankedGroup.grouped([one, other]).map(\.text) == ["<b>.txt", "<b>.txt, val_fraction 0.2"])
        one.status?.validationText = "a"
        #expect(RankedGroup.grouped([one, try record("third")]).count == 2)
    }

    @Test func `jobs that score one text stand together, by their scores`() throws {
        func job(_ name: String, _ corpus: String, _ nats: Double) -> JobRecord {
            var record = JobRecord(name, folder: folder.path.appending(name), state: .done, in: storage)
            record.evaluation = EvaluationRecord(
                model: "m", corpus: [corpus], characters: 9, unknownCharacters: 0, natsPerCharacter: nats,
                bitsPerCharacter: nats * 1.4427, perplexity: 1, warning: nil)
            return record
        }
        let groups = RankedGroup.grouped([job("a", "x.txt", 2), job("b", "y.txt", 1), job("c", "x.txt", 1.5)])
        #expect(groups.map(\.text) == ["x.txt", "y.txt"])
        #expect(groups[0].jobs.map(\.name) == ["c", "a"])
        #expect(JobComparison(groups.flatMap(\.jobs)).table.contains(["scored on", "x.txt", "x.txt", "y.txt"]))
    }

    private func heights(_ svg: String) -> [Double] {
        svg.matches(of: /[0-9.]+,([0-9.]+)[ "]/).compactMap { Double($0.output.1) }
    }

    @Test(arguments: [20, 1000]) func `one wild value flattens no curve of a job and is marked`(rows: Int) throws {
        var record = try record(rows: rows)
        for index in record.rows.indices { record.rows[index].trainLoss = 2 - Double(index) / Double(rows) }
        (record.rows[rows / 2].trainLoss, record.rows[rows / 2].gradientNorm) = (450, 1e9)
        let svg = record.lossChart.svg()
        // From 2 to 1 nats over most of the height, not of a five hundredth of it.
        let line = heights(
            try #require(svg.split(separator: "\n").first { $0.contains("class=\"s0\" points") }.map(String.init)))
        #expect((line.max() ?? 0) - (line.sorted().dropFirst(5).first ?? 0) > 200)
        #expect(svg.contains("▲"))
        let page = page(record)
        #expect(page.components(of: "▲ cut off, up to ") == 2 && page.components(of: "class=\"cut\"") == 2)
        // 450 nats are 649.2 bits; where points are taken together they tell their mean.
        if rows == 20 { #expect(svg.contains("▲ 649.213") && page.contains("up to 649.213")) }
    }

    @Test func `a validation far above the training is shown`() throws {
        var record = try record()
        for index in record.rows.indices {
            record.rows[index].trainLoss = 0.3 / (1 + Double(index) / 100)
            if record.rows[index].validationLoss != nil { record.rows[index].validationLoss = 4 }
        }
        #expect(!record.lossChart.svg().contains("▲"))
    }

    @Test func `a run that went wild flattens none of the others`() throws {
        var report = MorningReport(spool: "/spool", time: "2026-01-31T06:00:00Z", since: "2026-01-30T06:00:00Z")
        var wild = try record("wild", rows: 20)
        for index in wild.rows.indices { (wild.rows[index].trainLoss, wild.rows[index].validationLoss) = (450, 300) }
        report.ran = [try record("one"), try record("other"), wild]
        let page = String(decoding: MorningPage(report).bytes, as: UTF8.self)
        let lines = page.matches(of: /<svg class="mini".*?<\/svg>/).map { String($0.output) }
        #expect(lines.count == 3)
        for line in lines.prefix(2) { #expect((heights(line).max() ?? 0) - (heights(line).min() ?? 0) > 500) }
        #expect(lines[2].contains("<path class=\"dots s0\""))
        let svg = JobComparison(report.ran).chart.svg()
        let curves = svg.split(separator: "\n").filter { $0.contains("points=") }.map { heights(String($0)) }
        #expect(curves.count == 3)
        #expect(curves.prefix(2).allSatisfy { ($0.max() ?? 0) - ($0.min() ?? 0) > 150 }, "\(curves)")
        #expect(svg.contains("▲ 432.8"))
    }

    @Test func `a comparison shows what differs and not what is equal`() throws {
        var (one, other) = (try record("one"), try record("other"))
        one.settings.append(("train.lr", "0.002"))
        other.settings.append(("train.lr", "0.004"))
        let table = JobComparison([one, other]).table
        #expect(table.contains { $0 == ["lr", "0.002", "0.004"] })
        #expect(!table.contains { $0[0] == "encoding" })
        let svg = JobComparison([one, other]).chart.svg()
        #expect(svg.components(of: "<polyline") == 2 && svg.contains("bits per character"))
    }
}

extension String {
    fileprivate func components(of part: String) -> Int { ranges(of: part).count }
}
