import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import CharnnTexts
import CharnnTraining
import CharnnWords
import FoundationEssentials
import SystemPackage
import Testing

/// What a job leaves beside its results: page, event file, comparison, copies.
@Suite struct JudgementTests {
    private let fixture: JobFixture
    private static let job = JobFixture.training + "generate:\n  prompt: \"the owl\"\n  length: 200\n  count: 2\n"

    init() throws { fixture = try JobFixture() }

    private func record(_ name: String) -> JobRecord {
        JobRecord(name, folder: fixture.output(name).path, in: fixture.storage)
    }

    @Test func `a job tells how it stands beside n-grams and xz, and what it copied`() throws {
        #expect(try fixture.run("a", Self.job) == .done)
        let record = record("a")
        let found = try #require(record.comparison)
        #expect(found.modelBitsPerCharacter == record.status?.bestValidationLoss.map(bits))
        let ngrams = try #require(found.ngramBitsPerCharacter)
        #expect(found.ngramBitsByOrder.min() == ngrams && ngrams < found.ngramBitsByOrder[0])
        let (given, alone) = (try #require(found.xzBitsPerCharacter), try #require(found.xzAloneBitsPerCharacter))
        #expect(given < alone && given > 0)
        let copies = try #require(record.copies)
        #expect(copies.texts.map(\.file) == ["generated/1.txt", "generated/2.txt"])
        let corpus = Array(try fixture.text(fixture.corpora.appending("text.txt")).unicodeScalars)
        for text in copies.texts {
            let written = Array(try fixture.text(fixture.output("a").path.pushing(FilePath(text.file))).unicodeScalars)
            #expect(text.characters == written.count - "the owl".count)
            for passage in text.longest {
                let range = passage.start..<(passage.start + passage.length)
                #expect(written[range].elementsEqual(corpus[passage.place..<(passage.place + passage.length)]))
                #expect(passage.line == 1 + corpus[..<passage.place].filter { $0 == "\n" }.count)
                #expect(passage.start >= "the owl".count)
            }
        }
        #expect(fixture.events.contains { $0.kind == .scored && $0.message.contains("n-grams with") })
        let page = try fixture.text(fixture.output("a").page)
        #expect(page.contains("Is it any good?") && page.contains("What it writes"))
    }

    @Test func `a model that learned its text by heart is warned of`() throws {
        let line = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age.\n"
        try fixture.storage.replace(
            fixture.corpora.appending("text.txt"), with: Array(String(repeating: line, count: 150).utf8))
        #expect(try fixture.run("a", Self.job.replacing("the owl", with: "It was")) == .done)
        #expect(fixture.output("a").status()?.warnings.contains { $0.contains("is recited") } == true)
    }

    @Test func `judge: false leaves it out, and nothing of before stays`() throws {
        #expect(try fixture.run("a", Self.job) == .done)
        #expect(try fixture.run("a", "judge: false\n" + Self.job) == .done)
        #expect(record("a").comparison != nil)
        #expect(try fixture.run("b", "judge: false\n" + Self.job) == .done)
        #expect(record("b").comparison == nil && record("b").copies == nil)
    }

    @Test func `texts of another job's model are looked for in its text`() throws {
        #expect(try fixture.run("a", JobFixture.training) == .done)
        #expect(try fixture.run("g", "generate:\n  model: a\n  length: 100\n") == .done)
        #expect(record("g").copies?.texts.count == 1)
        #expect(record("g").comparison == nil)
        // Without that text the job is done all the same.
        try fixture.storage.remove(fixture.output("a").corpus)
        #expect(try fixture.run("h", "generate:\n  model: a\n  length: 100\n") == .done)
        #expect(record("h").copies == nil)
    }

    @Test func `what hinders page, events or judgement never fails a job`() throws {
        for path in [
            fixture.output("a").page, fixture.output("a").comparison, fixture.output("a").copies,
            fixture.output("a").events,
        ] {
            try fixture.storage.createDirectories(path.appending("in the way"), mode: 0o755)
        }
        #expect(try fixture.run("a", Self.job) == .done)
    }

    @Test func `a failed job has a page that says why`() throws {
        #expect(try fixture.run("a", Self.job.replacing("text.txt", with: "missing.txt")) == .noInput)
        let page = try fixture.text(fixture.output("a").page)
        #expect(page.contains("Failed: ") && page.contains("missing.txt"))
    }

    @Test func `a job that was stopped has its rows and events once each`() throws {
        var checkpoints = 0
        fixture.onEvent = { [unowned fixture] event in
            guard event.kind == .checkpointSaved else { return }
            checkpoints += 1
            if checkpoints % 3 == 1 { fixture.stop.set() }
        }
        var exits: [WorkerExit] = []
        repeat { exits.append(try fixture.run("a", Self.job)) } while exits.last == .checkpointed && exits.count < 50
        #expect(exits.count > 2 && exits.last == .done)
        #expect(record("a").comparison != nil)
        let page = try fixture.text(fixture.output("a").page)
        #expect(page.contains(">done<"))
    }
}

@Suite struct MorningReportTests {
    private let fixture: JobFixture

    init() throws { fixture = try JobFixture() }

    private var layout: SpoolLayout { SpoolLayout(root: fixture.folder.path) }

    private func put(_ name: String, _ state: JobState, _ text: String, _ change: (inout JobStatus) -> Void = { _ in })
        throws
    {
        try layout.create(.personal, on: fixture.storage)
        try fixture.storage.createDirectories(layout.folder(of: name), mode: 0o755)
        var status = fixture.output(name).status() ?? JobStatus(job: name, state: state)
        status.state = state
        change(&status)
        try status.save(layout.status(of: name), on: fixture.storage)
        try fixture.storage.replace(layout.file("\(name).yaml", in: state), with: Array(text.utf8))
    }

    private func collect(now: Double = 2_000_000_000) throws -> MorningReport {
        try MorningReport.collect(layout, storage: fixture.storage, now: now, since: now - MorningReport.day)
    }

    @Test func `new and old, failed and waiting are told apart`() throws {
        let job = JobFixture.training
        try put("new", .done, job) {
            $0.endedAt = JobStatus.time(1_999_990_000)
            $0.bestValidationLoss = 1
        }
        try put("old", .done, job) { $0.endedAt = JobStatus.time(1_900_000_000) }
        try put("broken", .failed, job) {
            $0.endedAt = JobStatus.time(1_999_990_000)
            $0.reason = "the text is gone"
        }
        try put("stuck", .held, job) { $0.reason = "three crashes in a row" }
        let report = try collect()
        #expect(report.ran.map(\.name) == ["new"])
        #expect(report.earlier.map(\.name) == ["old"])
        #expect(Set(report.problems.map(\.name)) == ["broken", "stuck"])
        #expect(report.text.contains("the text is gone") && report.text.contains("charnn retry broken"))
        #expect(report.text.contains("charnn release stuck"))
    }

    @Test func `waiting jobs are expected by the speed of those that ran, one after the other`() throws {
        let job = JobFixture.training
        try put("ran", .done, job) {
            $0.endedAt = JobStatus.time(1_999_990_000)
            $0.charactersPerSecond = 1000
        }
        try put("first", .queue, job) { $0.sequence = 1 }
        try put("second", .queue, job.replacing("epochs: 3", with: "epochs: 6")) { $0.sequence = 2 }
        let waiting = try collect().waiting
        #expect(waiting.map(\.name) == ["first", "second"])
        let characters = Double(try fixture.bytes(fixture.corpora.appending("text.txt")).count)
        let first = try #require(waiting[0].doneIn)
        #expect(abs(first - 3 * 0.9 * characters / 1000) < 1)
        #expect(waiting[1].startsIn == first)
        #expect(abs(try #require(waiting[1].doneIn) - 3 * first) < 1)
    }

    @Test func `nothing is promised to a job whose turn does not come by itself, and the reason is told`() throws {
        let job = JobFixture.training
        try put("ran", .done, job) {
            $0.endedAt = JobStatus.time(1_999_990_000)
            $0.charactersPerSecond = 1000
        }
        try put("parent", .failed, job) {
            $0.sequence = 1
            $0.endedAt = JobStatus.time(1_999_990_000)
        }
        for (number, name, after) in [(2, "child", "parent"), (3, "typo", "parent.yaml"), (4, "free", "")] {
            try put(name, .queue, job) {
                $0.sequence = UInt64(number)
                $0.ticket = JobTicket(
                    file: "\(name).yaml",
                    predecessors: after.isEmpty ? [] : [Predecessor(job: after, sequence: after == "parent" ? 1 : nil)])
            }
        }
        let report = try collect()
        let waiting = Dictionary(uniqueKeysWithValues: report.waiting.map { ($0.name, $0) })
        #expect(waiting["child"]?.startsIn == nil && waiting["child"]?.doneIn == nil)
        #expect(waiting["child"]?.reason?.contains("waits for parent, which failed") == true)
        #expect(waiting["typo"]?.startsIn == nil)
        #expect(waiting["typo"]?.reason?.contains("did you mean parent?") == true)
        #expect(waiting["free"]?.startsIn == 0 && waiting["free"]?.doneIn != nil)
        #expect(!report.summary.contains("All will be done"))
    }

    @Test func `without any measured speed nothing is promised`() throws {
        try put("first", .queue, JobFixture.training) { $0.sequence = 1 }
        let waiting = try collect().waiting
        #expect(waiting.first?.doneIn == nil && waiting.first?.startsIn == 0)
    }

    @Test func `the page belongs to those who may read the jobs`() throws {
        try layout.create(.personal, on: fixture.storage)
        try SpoolPage.write(layout, storage: fixture.storage)
        let status = try #require(try fixture.storage.status(of: layout.index))
        #expect(status.mode.bits & 0o007 == 0)
        #expect(status.group == (try fixture.storage.status(of: layout.jobs))?.group)
        #expect(try fixture.storage.list(layout.jobs).allSatisfy { !$0.hasSuffix(".partial") })
    }
}
