import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import Glibc
import SystemPackage
import Testing

/// Runs outside the queue: `charnn run`, and what people see of it and do with it.
@Suite struct RunTests {
    private let spool: TestSpool

    init() throws {
        spool = try TestSpool()
        try write("tale.txt", Corpus.tale(6000))
    }

    private func write(_ name: String, _ text: String) throws {
        try spool.storage.replace(spool.folder.path.appending(name), with: Array(text.utf8))
    }

    /// A run that takes long enough to be met at work.
    private static let long = QueueTests.training.replacing("epochs: 2", with: "epochs: 200000\n  checkpoint_every: 5")

    /// Begins the run of a file and waits until it trains.
    private func begin(_ name: String, _ arguments: [String] = [], folder: FilePath? = nil) throws -> RunningProgram {
        let run = try spool.start(.charnn, ["run", "\(name).yaml"] + arguments)
        let status = (folder ?? spool.run(name)).appending(.status)
        try eventually("\(name) trains") {
            let found = try? JobStatus.read(status, on: spool.storage)
            #expect(!run.hasEnded, "\(run.errorSoFar)")
            return (found?.state == .active && found?.phase == "training" && found?.step ?? 0 > 5) || run.hasEnded
        }
        return run
    }

    private struct Row: Decodable {
        var name: String
        var state: String
        var phase: String?
        var secondsLeft: Double?
    }

    private func runs() throws -> [String: String] {
        let end = try spool.charnn("list", "--runs", "--json")
        #expect(end.status == 0, "\(end.error)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let rows = try decoder.decode([Row].self, from: Data(end.output.utf8))
        for row in rows where row.state != "active" { #expect(row.phase == nil && row.secondsLeft == nil) }
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.name, $0.state) })
    }

    // MARK: - Beside the queue

    @Test func `jobs refer to jobs and never to a run of the same name`() throws {
        try write("tale.yaml", QueueTests.training)
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        try write("gen.yaml", "generate: {model: tale, length: 20}")
        try write("last.yaml", "after: [tale]\ngenerate: {model: tale, length: 20}")
        // Of the job there is nothing yet.
        let alone = try spool.charnn("submit", "gen.yaml")
        #expect(alone.status == 0 && alone.error.contains("runs/tale is a run outside it"), "\(alone.error)")
        #expect(try spool.once().status == 1)
        #expect(try spool.status("gen")?.reason?.contains("no model of a job tale") == true)

        try write("tale.yaml", "seed: 2\n" + QueueTests.training)
        let together = try spool.charnn("submit", "tale.yaml", "last.yaml")
        #expect(together.status == 0 && together.error == "", "\(together.error)")
        #expect(together.output.contains("tale.yaml: handed over as tale.yaml\n"))
        #expect(try spool.charnn("retry", "gen").status == 0)
        #expect(try spool.once().status == 0)
        #expect(try spool.state("tale") == .done && spool.state("last") == .done && spool.state("gen") == .done)
        let models = try [spool.output("tale"), spool.run("tale")].map { try spool.bytes($0.appending(.model)) }
        #expect(models[0] != models[1])

        // Both are there, each under its name.
        #expect(try spool.charnn("show", "tale").output.contains("job         tale\n"))
        #expect(try spool.charnn("show", "runs/tale").output.contains("run         runs/tale\n"))
        #expect(try spool.charnn("compare", "tale", "runs/tale").output.contains("runs/tale"))
        let words = ["--length", "20", "--seed", "3"]
        let texts = try ["tale", "runs/tale"].map { try spool.start(.charnn, ["generate", $0] + words).end().output }
        let files = try [spool.output("tale"), spool.run("tale")].map {
            try spool.start(.charnn, ["generate", $0.string] + words).end().output
        }
        #expect(texts == files && texts[0] != texts[1])
    }

    @Test func `a run takes the model of a job first, else that of a run`() throws {
        try write("base.yaml", QueueTests.training)
        try write("text.yaml", "generate: {model: base, length: 20}")
        let missing = try spool.charnn("run", "text.yaml")
        #expect(missing.status == 1 && missing.error.contains("no model of a job base"), "\(missing.error)")
        #expect(try spool.charnn("run", "base.yaml").status == 0)
        let ofRun = try spool.charnn("run", "text.yaml")
        #expect(ofRun.status == 0, "\(ofRun.error)")

        try write("base.yaml", "seed: 2\n" + QueueTests.training)
        #expect(try spool.charnn("submit", "base.yaml").status == 0)
        // A job of that name is meant, also where it has no model yet.
        let early = try spool.charnn("run", "text.yaml")
        #expect(try spool.once().status == 0)
        #expect(early.status == 0, "not accepted yet, it is no job: \(early.error)")
        let ofJob = try spool.charnn("run", "text.yaml")
        #expect(ofJob.status == 0 && ofJob.error.contains("base is taken for the job of the queue"), "\(ofJob.error)")
        #expect(ofJob.output != ofRun.output)
    }

    @Test func `runs of an older version stay, are read, and are no job's model`() throws {
        try write("tale.yaml", QueueTests.training)
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        try spool.storage.rename(spool.run("tale"), to: spool.output("tale"), replacing: false)
        #expect(try runs() == ["tale": "done"])
        #expect(try spool.charnn("show", "tale").output.contains("state       done"))
        #expect(try spool.charnn("generate", "tale", "--length", "5").status == 0)
        #expect(try spool.charnn("report").output.contains("1 done"))
        let fsck = try spool.charnn("fsck")
        #expect(fsck.status == 0, "\(fsck.output)")

        try write("gen.yaml", "generate: {model: tale, length: 20}")
        let submitted = try spool.charnn("submit", "gen.yaml", "tale.yaml")
        #expect(submitted.output.contains("is a run's, so the job gets a number"), "\(submitted.output)")
        #expect(try spool.once().status == 1)
        #expect(try spool.status("gen")?.reason?.contains("tale is a run outside the queue") == true)
        #expect(try spool.state("tale-2") == .done)
        // The next one begins anew, and says how to go on with the old one.
        let again = try spool.charnn("run", "tale.yaml")
        #expect(again.status == 0 && again.error.contains("--output \(spool.output("tale"))"), "\(again.error)")
        #expect(try runs() == ["tale": "done", "runs/tale": "done"])
    }

    // MARK: - Seeing and ending

    @Test(.endsWhatHangs, arguments: [SIGINT, SIGTERM, SIGHUP])
    func `a run that a signal ends has a checkpoint and is stopped`(number: Int32) throws {
        try write("tale.yaml", Self.long)
        let run = try begin("tale")
        #expect(try runs() == ["runs/tale": "active"])
        #expect(try spool.charnn("why", "tale").output.contains("charnn end runs/tale"))
        run.signal(number)
        let end = try run.end()
        #expect(end.status == 85 && end.output.contains("Stopped with a checkpoint"), "\(end.status) \(end.error)")
        #expect(try spool.runStatus("tale")?.state == .stopped)
        #expect(try runs() == ["runs/tale": "stopped"])
        #expect(try spool.charnn("show", "tale").output.contains("state       stopped\n"))
        #expect(try spool.charnn("list").output.contains("runs/tale"))
        #expect(try spool.charnn("report").output.contains("stopped"))
        let followed = try spool.charnn("follow", "tale")
        #expect(followed.status == 1 && followed.error.contains("runs/tale is a run outside the queue and is stopped"))
        for command in ["cancel", "hold", "retry", "edit"] {
            let end = try spool.charnn(command, "tale")
            #expect(end.status == 66 && end.error.contains("runs/tale is a run outside the queue"), "\(command)")
        }
        let resumed = try begin("tale")
        resumed.signal(SIGTERM)
        #expect(try resumed.end().output.contains("goes on from step"))
    }

    @Test(.endsWhatHangs) func `a run that was killed counts as stopped`() throws {
        try write("tale.yaml", Self.long)
        let run = try begin("tale")
        run.signal(SIGKILL)
        #expect(try run.end().status == 128 + SIGKILL)
        #expect(try runs() == ["runs/tale": "stopped"])
        #expect(try spool.charnn("end", "tale").status == 64)
    }

    @Test(.endsWhatHangs) func `nohup lets a run outlast its terminal`() throws {
        try write("tale.yaml", Self.long)
        let run = try RunningProgram(
            "/usr/bin/nohup", [Program.charnn.path, "run", "tale.yaml"], in: spool.folder.path,
            environment: ["CHARNND_SPOOL": spool.layout.root.string])
        try eventually("it trains") { try spool.runStatus("tale")?.step ?? 0 > 5 }
        run.signal(SIGHUP)
        let step = try spool.runStatus("tale")?.step ?? 0
        try eventually("it goes on") { try spool.runStatus("tale")?.step ?? 0 > step + 50 }
        #expect(!run.hasEnded)
        run.signal(SIGTERM)
        #expect(try run.end().status == 85)
    }

    @Test(.endsWhatHangs) func `end has a run write a checkpoint, and touches no other process`() throws {
        try write("tale.yaml", Self.long)
        let run = try begin("tale")
        let ended = try spool.charnn("end", "tale")
        #expect(
            ended.status == 0 && ended.output.contains("runs/tale is a run outside the queue and is stopped at step"))
        #expect(try run.end().status == 85)
        #expect(try spool.charnn("end", "nobody").status == 66)
        try spool.drop("queued.yaml", QueueTests.training)
        try spool.corpus("tale.txt", Corpus.tale(6000))
        #expect(try spool.once().status == 0)
        #expect(try spool.charnn("end", "queued").error.contains("charnn cancel queued"))

        // What is recorded is another process: one that got the number later.
        let stranger = try spool.start(.charnn, ["run", "tale.yaml", "--output", "other"])
        try eventually("it works") { spool.exists(spool.folder.path.pushing("other/.process.json")) }
        let again = try begin("tale")
        let record = spool.run("tale").appending(.process)
        let text = try spool.text(record)
        let changed = text.replacing("\"pid\":\(again.pid)", with: "\"pid\":\(stranger.pid)")
        #expect(changed != text)
        try spool.storage.replace(record, with: Array(changed.utf8))
        let refused = try spool.charnn("end", "tale")
        #expect(refused.status == 77 && refused.error.contains("is not known here"), "\(refused.error)")
        #expect(!again.hasEnded && !stranger.hasEnded)
        for run in [again, stranger] {
            run.signal(SIGTERM)
            #expect(try run.end().status == 85)
        }
    }

    @Test func `the report and its page tell of runs that failed`() throws {
        try write("bad.yaml", "evaluate: {model: nobody, corpus: tale.txt}")
        #expect(try spool.charnn("run", "bad.yaml").status == 1)
        try write("tale.yaml", QueueTests.training)
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        let report = try spool.charnn("report").output
        #expect(report.contains("1 done, 1 that did not succeed") && report.contains("runs/bad failed"), "\(report)")
        #expect(try spool.charnn("report", "--html", "page.html").status == 0)
        let page = try spool.text(spool.folder.path.appending("page.html"))
        #expect(page.contains("\"runs/bad/report.html\"") && page.contains("\"runs/tale/report.html\""))
        #expect(try spool.charnn("plot", "runs/tale").status == 0)
        #expect(spool.exists(spool.folder.path.appending("tale.svg")))
    }

    @Test func `fsck looks at runs too`() throws {
        try write("tale.yaml", QueueTests.training)
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        let sound = try spool.charnn("fsck")
        #expect(sound.status == 0 && sound.output.contains("1 run, "), "\(sound.output)")
        let model = spool.run("tale").appending(.lastModel)
        var bytes = try spool.bytes(model)
        bytes[bytes.count - 1] ^= 1
        try spool.storage.replace(model, with: bytes)
        let damaged = try spool.charnn("fsck")
        #expect(damaged.status == 2 && damaged.output.contains("\(model): the result is not what its checksum says"))
    }

    @Test func `clean removes runs that ended long ago, and nothing that works or cannot be read`() throws {
        try write("bad.yaml", "evaluate: {model: nobody, corpus: tale.txt}")
        #expect(try spool.charnn("run", "bad.yaml").status == 1)
        try write("tale.yaml", QueueTests.training)
        for name in ["damaged", "work"] { try write("\(name).yaml", QueueTests.training) }
        for name in ["tale", "damaged", "work"] { #expect(try spool.charnn("run", "\(name).yaml").status == 0) }
        let damaged = spool.run("damaged").appending(.status)
        try spool.storage.replace(damaged, with: Array("{".utf8))
        let lock = try spool.storage.lock(spool.run("work").appending(.lock))
        #expect(lock != nil)
        let kept = try spool.charnn("clean", "--older-than", "1d")
        #expect(kept.status == 0 && kept.output.contains("No job or run ended longer ago"), "\(kept.error)")
        let later = ["--older-than", "0s", "--runs"]
        // Ends are told to the second.
        try eventually("they would be removed") {
            try spool.start(.charnn, ["clean", "--dry-run"] + later).end().output.contains(
                "runs/tale: would be removed")
        }
        #expect(spool.exists(spool.run("tale")))
        let removed = try spool.start(.charnn, ["clean"] + later).end()
        #expect(removed.output == "runs/bad: removed\nruns/tale: removed\n", "\(removed.output)\(removed.error)")
        withExtendedLifetime(lock) {}
        #expect(try spool.storage.list(spool.layout.runs).sorted() == ["damaged", "work"])
        #expect(try spool.charnn("show", "damaged").error.contains("its status.json cannot be read"))
        #expect(try spool.charnn("clean", "--older-than", "-1d").error.contains("--older-than: found \"-1d\""))
    }

    // MARK: - Beginning anew

    @Test func `another network is refused with the remedy, and what was made stays`() throws {
        try write("tale.yaml", QueueTests.training)
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        let before = try spool.bytes(spool.run("tale").appending(.status))
        try write("tale.yaml", QueueTests.training.replacing("hidden_size: 16", with: "hidden_size: 24"))
        let refused = try spool.charnn("run", "tale.yaml")
        #expect(refused.status == 78, "\(refused.status)")
        for word in ["hidden_size=24 (was 16)", "run tale.yaml --fresh", spool.run("tale").string] {
            #expect(refused.error.contains(word), "\(word): \(refused.error)")
        }
        #expect(try spool.bytes(spool.run("tale").appending(.status)) == before)
        #expect(try spool.text(spool.run("tale").appending(.jobFile)) == QueueTests.training)

        try write("own.txt", "mine")
        let own = spool.run("tale").appending("own.txt")
        try spool.storage.replace(own, with: Array("mine".utf8))
        let fresh = try spool.charnn("run", "tale.yaml", "--fresh")
        #expect(fresh.status == 0 && !fresh.output.contains("goes on"), "\(fresh.error)")
        #expect(try spool.text(spool.run("tale").appending(.resolved)).contains("hidden_size: 24"))
        #expect(try spool.runStatus("tale")?.attempts == 1)
        #expect(try spool.text(own) == "mine")
    }

    @Test(.endsWhatHangs) func `another lr is told: what it changes, or that it changes nothing`() throws {
        try write("tale.yaml", QueueTests.training)
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        let model = try spool.bytes(spool.run("tale").appending(.model))
        let other = QueueTests.training.replacing("cell: gru", with: "cell: gru\n  lr: 0.01")
        try write("tale.yaml", other)
        // However often it is asked.
        for _ in 1...2 {
            let same = try spool.charnn("run", "tale.yaml")
            #expect(same.status == 0, "\(same.error)")
            let words = "changes nothing in the training: lr 0.01 (was 0.002)"
            #expect(same.output.contains(words) && same.output.contains("--fresh"), "\(same.output)")
            #expect(try spool.bytes(spool.run("tale").appending(.model)) == model)
            #expect(try spool.text(spool.run("tale").appending(.resolved)).contains("  lr: 0.002\n"))
        }
        try write("tale.yaml", other.replacing("epochs: 2", with: "epochs: 3"))
        let further = try spool.charnn("run", "tale.yaml")
        #expect(further.output.contains("are made with epochs 3 (was 2), lr 0.01 (was 0.002)"), "\(further.output)")
        #expect(
            try spool.text(spool.run("tale").appending(.metrics)).split(separator: "\n").last?.contains(",0.01,")
                == true)
    }

    @Test func `a text that was changed is told, and learned when the run begins anew`() throws {
        try write("tale.yaml", QueueTests.training)
        #expect(try !spool.charnn("run", "tale.yaml").output.contains("was written to"))
        #expect(try !spool.charnn("run", "tale.yaml").output.contains("was written to"))
        try write("tale.txt", Corpus.tale(7000))
        let same = try spool.charnn("run", "tale.yaml")
        #expect(
            same.status == 0 && same.output.contains("tale.txt was written to since the run began"), "\(same.output)")
        #expect(same.output.contains("--fresh"))
        #expect(try spool.charnn("run", "--fresh", "tale.yaml").output.contains("The text has 7,000 characters"))
    }

    // MARK: - What it prints

    @Test func `what generate asks for is printed in the end`() throws {
        try write("tale.yaml", QueueTests.training.replacing("length: 50", with: "length: 50\n  count: 5"))
        let end = try spool.charnn("run", "tale.yaml")
        let texts = try (1...5).map { try spool.text(spool.run("tale").appending(.generated).appending("\($0).txt")) }
        for text in texts.prefix(3) { #expect(text.count == 57 && end.output.contains(text), "\(end.output)") }
        #expect(!end.output.contains(texts[4]) && end.output.contains("2 more in \(spool.run("tale"))/generated"))
        #expect(end.output.hasSuffix("Everything lies in \(spool.run("tale"))\n"))
    }
}
