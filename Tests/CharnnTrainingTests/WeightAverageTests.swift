import CharnnEngine
import CharnnTraining
import Testing

@Suite struct WeightAverageTests {
    @Test func `the average begins as a copy, follows quickly while it is young and every eighth step only`() {
        var settings = TrainingSettings()
        settings.weightAverage = 0.9
        let rates = (1...400).map { settings.averageRate(step: $0) ?? -1 }
        #expect(rates.enumerated().allSatisfy { ($0.element > 0) == (($0.offset + 1) % 8 == 0) })
        #expect(rates[7] == 1)
        // min(0.9, 17 / 26), and from step 80 on 0.9.
        #expect(abs(rates[15] - 0.966596) < 1e-6 && rates[71] > rates[79] && rates[79] == rates[399])
        #expect(abs(rates[399] - 0.569533) < 1e-6)
        settings.weightAverage = 0
        #expect(settings.averageRate(step: 8) == nil && !settings.hasAverage(after: 100))
    }

    @Test func `an average changes no bit of the weights`() throws {
        var run = Run()
        let with = try run.run()
        run.settings.weightAverage = 0
        let without = try run.run()
        #expect(with.parameters == without.parameters)
        let (kept, none) = (with.recorder.checkpoints.last?.engine, without.recorder.checkpoints.last?.engine)
        #expect(kept?[.average].isEmpty == false && none?[.average].isEmpty == true)
        #expect(without.recorder.rows.allSatisfy { $0.averageValidationLoss == nil })
    }

    @Test func `it is what its definition says, from the weights of each eighth step`() throws {
        var run = Run()
        (run.settings.epochs, run.settings.weightAverage) = (2, 0.7)
        run.settings.checkpointEvery = .steps(1)
        var average: [Double] = []
        let recorder = try run.run().recorder
        for checkpoint in recorder.checkpoints {
            let (step, weights) = (checkpoint.progress.step, checkpoint.engine.parameters.map { Double($0) })
            if step == 8 { average = weights }
            if step % 8 == 0, step > 8 {
                let young = Double(1 + step) / Double(10 + step)
                let decay = (0..<8).reduce(1.0) { product, _ in product * min(0.7, young) }
                average = zip(average, weights).map { $0 + (1 - decay) * ($1 - $0) }
            }
            let found = checkpoint.engine[.average]
            #expect(found.count == average.count)
            #expect(zip(found, average).allSatisfy { abs(Double($0) - $1) < 1e-5 })
        }
        #expect(recorder.checkpoints.count > 30)
    }

    /// Where the rate is high the average is the better of the two.
    @Test func `whichever scores better is the best model, and counts for early stopping`() throws {
        var run = Run()
        (run.settings.learningRate, run.settings.epochs, run.settings.evaluateEvery) = (0.05, 6, 5)
        let recorder = Recorder()
        run.settings.checkpointEvery = .steps(5)
        _ = try run.run(recorder: recorder)
        let rows = recorder.rows.filter { $0.validationLoss != nil }
        #expect(rows.allSatisfy { ($0.averageValidationLoss != nil) == ($0.step >= 8) })
        let lowest = try #require(rows.min { ($0.betterValidationLoss ?? 9) < ($1.betterValidationLoss ?? 9) })
        let best = try #require(recorder.best.last)
        #expect(best.step == lowest.step)
        var kinds: Set<Bool> = []
        for (step, parameters) in recorder.best {
            let row = try #require(rows.first { $0.step == step })
            let isAverage = row.averageValidationLoss.map { $0 < row.validationLoss ?? 0 } ?? false
            let state = try #require(recorder.checkpoints.first { $0.progress.step == step })
            #expect(parameters == (isAverage ? state.engine[.average] : state.engine.parameters))
            #expect(state.progress.isBestAverage == row.averageValidationLoss.map { _ in isAverage })
            kinds.insert(isAverage)
        }
        #expect(kinds == [true, false], "\(rows)")
    }
}
