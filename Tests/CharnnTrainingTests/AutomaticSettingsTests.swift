import CharnnEngine
import CharnnTraining
import Testing

@Suite struct AutomaticSettingsTests {
    @Test func `longer texts get larger batches and more steps, each within its bounds`() {
        let counts = [1, 50, 900, 5000, 45_000, 90_000, 270_000, 1_000_000, 30_000_000, 1_000_000_000]
        let batches = counts.map { AutomaticSettings.batchSize(characters: $0, sequenceLength: 100) }
        let steps = counts.map { AutomaticSettings.steps(characters: $0) }
        #expect(batches == batches.sorted() && steps == steps.sorted())
        #expect(batches.last == 64 && batches[4] >= AutomaticSettings.leastBatchSize)
        // A text of few sequences has them all in a batch, and at least one.
        #expect(batches[0] == 1 && batches[2] == 8)
        #expect(AutomaticSettings.batchSize(characters: 501, sequenceLength: 100) == 5)
    }

    @Test func `epochs come as near to the steps as whole ones can`() {
        for perEpoch in [1, 7, 56, 156, 100_000] {
            let epochs = AutomaticSettings.epochs(characters: 90_000, stepsPerEpoch: perEpoch)
            let (wanted, found) = (AutomaticSettings.steps(characters: 90_000), epochs * perEpoch)
            #expect(epochs >= 1 && (epochs == 1 || abs(found - wanted) * 2 <= perEpoch))
        }
    }

    @Test func `evaluations are an epoch apart, or so far that there are forty`() {
        #expect(AutomaticSettings.evaluateEvery(stepsPerEpoch: 156, steps: 3120) == 156)
        #expect(AutomaticSettings.evaluateEvery(stepsPerEpoch: 10, steps: 1001) == 26)
    }

    @Test func `early evaluations do not count for stopping early where they are not to`() throws {
        var run = Run()
        // A rate of nearly nothing: validation gets neither better nor worse but by rounding.
        (run.settings.earlyStop, run.settings.evaluateEvery, run.settings.learningRate) = (2, 2, 1e-30)
        (run.settings.earlyStopAfter, run.settings.weightAverage) = (0.5, 0)
        let result = try run.run()
        let planned = try #require(result.recorder.checkpoints.last?.progress.plannedSteps)
        let first = (planned / 2 / 2 + 1) * 2
        #expect(result.end == .stoppedEarly)
        #expect(result.recorder.checkpoints.last?.progress.step == first + 2)
    }

    @Test func `a cosine of a run that was done begins anew over the steps that were added`() throws {
        var run = Run()
        (run.settings.schedule, run.settings.logEvery, run.settings.warmupSteps) = (.cosine, 1, 3)
        let first = try run.run()
        let done = try #require(first.recorder.checkpoints.last)
        run.settings.epochs = 5
        let more = try run.run(from: done)
        let rates = more.recorder.rows.map(\.learningRate)
        #expect(rates.first == run.settings.learningRate && rates == rates.sorted(by: >))
        #expect(try #require(rates.last) < 0.01 * run.settings.learningRate)
        // As if it were interrupted on the way, too.
        var asked = 0
        let part = try run.run(
            from: done,
            stop: {
                asked += 1
                return asked > 20
            })
        #expect(part.end == .paused(.requested))
        let rest = try run.run(from: part.recorder.checkpoints.last)
        #expect(rest.parameters == more.parameters)
        // One that is not done yet goes on with the cosine of all its epochs.
        var half = run
        half.settings.epochs = 3
        asked = 0
        let early = try half.run(stop: {
            asked += 1
            return asked > 20
        })
        let on = try run.run(from: early.recorder.checkpoints.last)
        #expect(on.recorder.checkpoints.last?.progress.restartStep == nil)
        #expect(try #require(on.recorder.rows.first).learningRate < run.settings.learningRate)
    }

    @Test func `what was chosen is saved before the first step`() throws {
        var run = Run()
        run.settings.savesBeforeFirstStep = true
        let first = try run.run()
        #expect(first.recorder.checkpoints.first?.progress.step == 0)
        let again = try run.run(from: first.recorder.checkpoints.first)
        #expect(again.parameters == first.parameters)
    }
}
