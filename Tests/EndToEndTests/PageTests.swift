import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import CharnnTraining
import Foundation
import SystemPackage
import Testing

/// The pages of real runs, in a real browser, and the event files in the real TensorBoard.
@Suite struct PageTests {
    private static let folder = FilePath(#filePath).removingLastComponent().appending("Pages")

    static let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    /// What `browse.py` found.
    private struct Visit: Decodable {
        var contrast: Double
        var worst: String
        var smallest: Double
        var overflow: Double
        var wide: String
        var tip: String?
        var charts: Int
        var cards: Int
        var links: Int
        var hints: Int
        var loaded: Double
        var dark: Bool
        var complaints: [String]
        var requests: [String]
    }

    private func visit(_ page: FilePath, width: Int, scheme: String, in spool: TestSpool) throws -> Visit {
        var arguments = [
            Self.folder.appending("browse.py").string, try #require(Self.chromium), page.string, String(width), scheme,
        ]
        // For a person who wants to look, too.
        if let pictures = ProcessInfo.processInfo.environment["CHARNND_SCREENSHOTS"], !pictures.isEmpty {
            arguments.append(
                "\(pictures)/\(page.removingLastComponent().lastComponent?.string ?? "")-\(page.stem ?? "")-\(width)-\(scheme).png"
            )
        }
        let end = try RunningProgram("/usr/bin/python3", arguments, in: spool.folder.path, environment: [:]).end()
        #expect(end.status == 0, "\(end.error)")
        return try JSONDecoder().decode(Visit.self, from: Data(end.output.utf8))
    }

    private func expectReadable(_ page: FilePath, in spool: TestSpool) throws -> Visit {
        var last: Visit?
        for (width, scheme) in [(400, "light"), (400, "dark"), (1400, "light"), (1400, "dark")] {
            let found = try visit(page, width: width, scheme: scheme, in: spool)
            #expect(found.complaints == [])
            #expect(found.requests.allSatisfy { $0.hasPrefix("file://") || $0.hasPrefix("data:") }, "\(found.requests)")
            #expect(found.dark == (scheme == "dark"))
            // WCAG AA for text.
            #expect(found.contrast >= 4.5, "\(page) \(width) \(scheme): \(found.worst)")
            #expect(found.overflow <= 0 && found.wide == "", "\(page) \(width): \(found.wide)")
            #expect(found.smallest >= 10)
            last = found
        }
        return try #require(last)
    }

    private static let job = QueueTests.training
        .replacing("epochs: 2", with: "epochs: 6\n  eval_every: 60\n  sample_every: 120")
        .replacing("length: 50", with: "length: 600\n  count: 2")

    @Test(.enabled(if: chromium != nil, "there is no Chromium: apt-get install chromium"))
    func `both pages of a real run are readable in a browser, wide and narrow, light and dark`() throws {
        let spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(20_000))
        try spool.drop("tale.yaml", Self.job)
        try spool.drop("other.yaml", Self.job.replacing("cell: gru", with: "cell: rnn"))
        try spool.drop("missing.yaml", Self.job.replacing("tale.txt", with: "nowhere.txt"))
        try spool.drop("wrong.yaml", "trian:\n  corpus: tale.txt\n")
        #expect(try spool.once(textGrace: "1s").status == 1)
        let report = try expectReadable(spool.output("tale").appending("report.html"), in: spool)
        #expect(report.charts >= 5)
        #expect(report.tip?.contains("validation") == true && report.tip?.contains("step") == true)
        let index = try expectReadable(spool.layout.index, in: spool)
        #expect(index.cards == 2 && index.links >= 3)
        let page = try spool.text(spool.layout.index)
        for word in ["nowhere.txt", "trian", "missing", "wrong"] { #expect(page.contains(word), "\(word)") }
        #expect(page.contains("href=\"jobs/tale/report.html\""))
    }

    @Test(.enabled(if: chromium != nil, "there is no Chromium: apt-get install chromium"))
    func `a comparison that is wider than the window says so, and one that fits does not`() throws {
        let spool = try TestSpool()
        let names = ["a-job-with-a-long-name", "another-job-with-a-name", "the-third-of-these-jobs"]
        for (number, name) in names.enumerated() { try fabricate(name, number, in: spool) }
        let page = spool.folder.path.appending("compared.html")
        let end = try spool.start(.charnn, ["compare"] + names + ["--html", page.string]).end()
        #expect(end.status == 0, "\(end.error)")
        for (width, hints) in [(420, 1), (1400, 0)] {
            let found = try visit(page, width: width, scheme: "light", in: spool)
            #expect(found.hints == hints && found.overflow <= 0 && found.complaints == [], "\(width)")
        }
    }

    @Test(.enabled(if: chromium != nil, "there is no Chromium: apt-get install chromium"))
    func `a thousand jobs stand in the index, and it opens`() throws {
        let spool = try TestSpool()
        for number in 0..<1000 { try fabricate("job-\(number)", number, in: spool) }
        try SpoolPage.write(spool.layout, storage: spool.storage)
        let found = try visit(spool.layout.index, width: 1400, scheme: "light", in: spool)
        #expect(found.links == 1000 && found.cards == 60 && found.complaints == [])
        // No time is asserted; it is here for whoever looks.
        print("1,000 jobs: \(try spool.bytes(spool.layout.index).count) bytes, loaded in \(found.loaded) ms")
    }

    private func fabricate(_ name: String, _ number: Int, in spool: TestSpool) throws {
        let folder = spool.layout.folder(of: name)
        try spool.storage.createDirectories(folder, mode: 0o755)
        var csv = MetricsFile.header + "\n"
        for index in 1...200 {
            let loss = 1.2 + Double(number % 50) / 100 + 2 / Double(index)
            csv +=
                MetricsFile.line(
                    MetricsRow(
                        step: index * 10, epoch: 1, trainLoss: loss, validationLoss: index % 20 == 0 ? loss + 0.1 : nil,
                        learningRate: 0.001, gradientNorm: 1, charactersPerSecond: 1000, elapsedSeconds: Double(index)))
                + "\n"
        }
        var status = JobStatus(job: name, state: .done)
        status.sequence = UInt64(number)
        status.bestValidationLoss = 1.3 + Double(number % 50) / 100
        status.endedAt = JobStatus.time(Double(time(nil)))
        status.filed = true
        for (path, bytes) in [
            (folder.appending("metrics.csv"), Array(csv.utf8)), (folder.appending("status.json"), status.encoded),
            (spool.layout.file("\(name).yaml", in: .done), Array("train:\n  corpus: tale.txt\n".utf8)),
        ] {
            try Data(bytes).write(to: URL(fileURLWithPath: path.string))
        }
    }

    @Test(.enabled(if: Python.withTensorBoard != nil, "$CHARNND_PYTHON names no Python with tensorboard"))
    func `TensorBoard reads the events that metrics.csv has, each step once, after an interruption too`() throws {
        let spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(20_000))
        try spool.drop(
            "tale.yaml",
            Self.job.replacing("epochs: 6", with: "epochs: 6\n  checkpoint_every: 50\n  log_every: 7"))
        let daemon = try spool.start(.charnnd, ["--once"])
        let log = spool.layout.log(of: "tale")
        try eventually("a checkpoint is saved") {
            try spool.exists(log) && spool.text(log).contains("checkpoint")
        }
        if let worker = spool.worker { kill(worker, SIGKILL) }
        _ = try daemon.end()
        if try spool.state("tale") != .done { #expect(try spool.once().status == 0) }
        #expect(try spool.state("tale") == .done)

        let file = spool.output("tale").appending(EventFile.name)
        let end = try RunningProgram(
            try #require(Python.withTensorBoard), [Self.folder.appending("read_events.py").string, file.string],
            in: spool.folder.path, environment: [:]
        ).end()
        #expect(end.status == 0, "\(end.error)")
        let found = try #require(try JSONSerialization.jsonObject(with: Data(end.output.utf8)) as? [String: [[Any]]])
        let rows = try MetricsFile.rows(of: spool.output("tale").appending("metrics.csv"), in: spool.storage)
        func scalars(_ tag: String) throws -> [(Int, Double)] {
            try #require(found[tag]).map {
                (try #require($0[0] as? Int), try #require(($0[1] as? NSNumber)?.doubleValue))
            }
        }
        for (tag, expected) in [
            ("loss/train", rows.map { ($0.step, $0.trainLoss) }),
            ("loss/validation", rows.map { ($0.step, $0.validationLoss) }),
            ("learning_rate", rows.map { ($0.step, Optional($0.learningRate)) }),
            ("gradient_norm", rows.map { ($0.step, $0.gradientNorm) }),
            ("chars_per_second", rows.map { ($0.step, $0.charactersPerSecond) }),
        ] {
            let measured = expected.filter { $0.1 != nil }
            let read = try scalars(tag)
            #expect(read.map(\.0) == measured.map(\.0), "\(tag)")
            // metrics.csv has the speed in whole characters.
            let rounding = tag == "chars_per_second" ? 0.5 : 0
            let isEqual = zip(read, measured).allSatisfy { one, other in
                abs(one.1 - (other.1 ?? 0)) <= 1e-5 * max(1, abs(one.1)) + rounding
            }
            #expect(isEqual, "\(tag)")
        }
        let files = try spool.storage.list(spool.output("tale").appending("samples"))
        #expect(try #require(found["sample/text_summary"]).count == files.count)
    }
}
