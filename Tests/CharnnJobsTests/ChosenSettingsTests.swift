import CharnnCheckpoint
import CharnnEngine
import CharnnSpool
import CharnnStorage
import CharnnTraining
import Synchronization
import SystemPackage
import Testing

@testable import CharnnJobs

/// What is chosen where a job file leaves it open.
@Suite struct ChosenSettingsTests {
    private let fixture: JobFixture

    init() throws { fixture = try JobFixture() }

    /// A job that leaves the length of its training open.
    private static let open = """
        train:
          corpus: text.txt
          hidden_size: 12
          num_layers: 1
          seq_length: 20

        """

    private func checkpoint(_ name: String) throws -> Checkpoint {
        try #require(try fixture.output(name).checkpoints.newest().checkpoint)
    }

    private func resolved(_ name: String) throws -> TrainSection {
        try #require(
            try JobFile.parse(fixture.bytes(fixture.output(name).resolved), fileName: "resolved.yaml").train)
    }

    @Test func `a job that names only its text trains as long as a text of that length wants`() throws {
        #expect(try fixture.run("a", Self.open) == .done)
        let (used, status) = (try resolved("a"), try #require(fixture.output("a").status()))
        // 400 lines, nine tenths of them.
        let count = 400 * 41 * 9 / 10
        #expect(used.batchSize == AutomaticSettings.batchSize(characters: count, sequenceLength: 20))
        let total = try #require(status.totalSteps)
        #expect(abs(total - AutomaticSettings.steps(characters: count)) < 100 && status.totalEpochs == used.epochs)
        #expect(used.schedule == .cosine && used.earlyStop == 8 && used.earlyStopAfter == 0.6)
        #expect(used.settings.evaluateEvery != nil && (1...41).contains(total / (used.settings.evaluateEvery ?? 1)))
        let choices = try #require(try checkpoint("a").choices)
        #expect(
            choices.keys.sorted() == [
                "batch_size", "early_stop", "early_stop_after", "epochs", "eval_every", "lr_schedule",
            ])
        #expect(fixture.events.contains { $0.message.contains("were chosen") })
        #expect(!fixture.events.contains { $0.message.contains("only") && $0.message.contains("steps") })
    }

    @Test func `resolved.yaml with what was chosen is the same run`() throws {
        #expect(try fixture.run("a", Self.open) == .done)
        let job = try fixture.text(fixture.output("a").resolved)
        #expect(try fixture.run("b", job) == .done)
        #expect(try fixture.bytes(fixture.output("a").model) == fixture.bytes(fixture.output("b").model))
        #expect(try fixture.bytes(fixture.output("b").resolved) == fixture.bytes(fixture.output("a").resolved))
    }

    @Test func `what a run has chosen is read when it goes on, and never chosen again`() throws {
        fixture.onEvent = { [fixture] in if $0.kind == .checkpointSaved { fixture.stop.set() } }
        #expect(try fixture.run("a", Self.open) == .checkpointed)
        fixture.onEvent = nil
        var saved = try checkpoint("a")
        // Before the first step, and without a model that anybody would take for one.
        #expect(saved.state.progress.step == 0)
        #expect(try fixture.storage.status(of: fixture.output("a").model) == nil)
        saved.choices?["epochs"] = "3"
        try fixture.output("a").checkpoints.save(saved, keeping: 2)
        #expect(try fixture.run("a", Self.open) == .done)
        #expect(try resolved("a").epochs == 3)
        // `auto` that is written leaves it as open as nothing does.
        #expect(try fixture.run("a", Self.open + "  epochs: auto\n") == .done)
        #expect(try resolved("a").epochs == 3)
        // A key that is given always wins.
        #expect(try fixture.run("a", Self.open + "  epochs: 4\n") == .done)
        #expect(try resolved("a").epochs == 4 && resolved("a").schedule == .cosine)
        #expect(try checkpoint("a").state.progress.restartStep != nil)
    }

    @Test func `keys that are given are not chosen, and choose nothing else`() throws {
        let given = Self.open + "  epochs: 2\n  batch_size: 8\n"
        #expect(try fixture.run("a", given) == .done)
        let used = try resolved("a")
        #expect(used.epochs == 2 && used.batchSize == 8 && used.schedule == .constant)
        #expect(used.earlyStop == nil && used.earlyStopAfter == nil && used.settings.evaluateEvery == nil)
        #expect(try checkpoint("a").choices == ["lr_schedule": "constant"])
        let some = Self.open + "  lr_schedule: constant\n  early_stop: 0\n  eval_every: 100\n"
        #expect(try fixture.run("b", some) == .done)
        let other = try resolved("b")
        #expect(other.schedule == .constant && other.earlyStop == 0 && other.settings.earlyStop == nil)
        #expect(other.settings.evaluateEvery == 100)
    }

    @Test func `without validation nothing is chosen that needs it`() throws {
        #expect(try fixture.run("a", Self.open + "  val_fraction: 0\n") == .done)
        let used = try resolved("a")
        #expect(used.epochs != nil && used.earlyStop == nil && used.settings.evaluateEvery == nil)
        try fixture.storage.replace(fixture.corpora.appending("text.txt"), with: Array("to be or not".utf8))
        #expect(try fixture.run("b", Self.open.replacing("seq_length: 20", with: "seq_length: 4")) == .done)
        #expect(try resolved("b").batchSize == 2)
    }

    // MARK: - Budget

    @Test func `as many steps fit into a time as cost with their evaluations and samples no more`() {
        var settings = TrainingSettings()
        (settings.evaluateEvery, settings.sampleEvery) = (100, 50)
        let costs = BudgetTrial.Costs(step: 0.5, evaluation: 10, sample: 1)
        func steps(_ seconds: Double, atMost limit: Int = 10_000) -> Int {
            costs.steps(in: seconds, atMost: limit, settings, perEpoch: 70)
        }
        // 50 s of steps, an evaluation and two samples for each hundred.
        #expect(steps(620) == 1000 && steps(619.9) == 999 && steps(620, atMost: 300) == 300)
        // The last step has an evaluation, too.
        #expect(steps(635.4) == 1010 && steps(5) == 0)
        (settings.evaluateEvery, settings.sampleEvery) = (nil, 0)
        #expect(costs.steps(in: 45, atMost: 10_000, settings, perEpoch: 70) == 70)
    }

    /// The time is that of a clock that goes on by the same at every question.
    private func run(_ name: String, _ job: String) throws -> WorkerExit {
        let time = Mutex(0.0)
        let clock = SpoolClock(
            monotonic: {
                time.withLock {
                    $0 += 0.01
                    return $0
                }
            }, wall: SpoolClock.system.wall)
        return try fixture.run(name, job, clock: clock)
    }

    @Test func `a budget is measured once, and the run is one of so many steps`() throws {
        let job = JobFixture.training.replacing("epochs: 3", with: "epochs: 900") + "  budget: 20s\n"
        fixture.onEvent = { [fixture] in if $0.kind == .checkpointSaved { fixture.stop.set() } }
        #expect(try run("a", job) == .checkpointed)
        fixture.onEvent = nil
        let saved = try checkpoint("a")
        let steps = try #require(saved.choices?["max_steps"].flatMap { Int($0) })
        #expect(saved.state.progress.step == 0 && steps >= 100 && steps < 900 * 90)
        #expect(try run("a", job) == .done)
        let status = try #require(fixture.output("a").status())
        #expect(status.step == steps && status.totalSteps == steps)
        let used = try resolved("a")
        #expect(used.budget == nil && used.maxSteps == steps)
        // What the trial learned is gone: the run is that of its steps.
        let asked = JobFixture.training.replacing("epochs: 3", with: "epochs: 900\n  max_steps: \(steps)")
        #expect(try fixture.run("b", asked) == .done)
        #expect(try fixture.bytes(fixture.output("a").model) == fixture.bytes(fixture.output("b").model))
    }

    @Test func `a budget that is no training is refused with what it is enough for`() throws {
        let job = JobFixture.training.replacing("epochs: 3", with: "epochs: 900") + "  budget: 1s\n"
        #expect(try run("a", job) == .badJob)
        let reason = try #require(fixture.output("a").status()?.reason)
        #expect(reason.contains("train.budget: 1 s is enough for") && reason.contains("100 is the least"))
    }

    @Test func `a budget that comes later is told to do nothing`() throws {
        #expect(try fixture.run("a", JobFixture.training) == .done)
        #expect(try fixture.run("a", JobFixture.training + "  budget: 1h\n") == .done)
        #expect(fixture.events.contains { $0.message.hasPrefix("budget: counts from the first step") })
    }

    @Test func `a guess is told`() throws {
        let section = try #require(try JobFile.parse(Array(Self.open.utf8), fileName: "a.yaml").train)
        func notes(_ characters: Int) -> [String] { section.notes(steps: 9, layers: 1, characters: characters) }
        #expect(notes(AutomaticSettings.measured.lowerBound).isEmpty)
        #expect(notes(AutomaticSettings.measured.upperBound + 1).first?.hasPrefix("epochs: auto is a guess") == true)
        #expect(notes(900).first?.contains("900 characters") == true)
    }
}
