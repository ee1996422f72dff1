import CharnnEngine
import CharnnTraining
import Foundation
import Testing

@Suite struct DivergenceTests {
    /// Of 80 symbols guessing loses 4.38 nats, so that the limit is 4.882.
    private func verdict(_ losses: [Double], from first: Int = 1) -> Double? {
        var rows = LossRows()
        for (index, loss) in losses.enumerated() { rows.add(loss, step: first + index) }
        return rows.lossOfDivergence(symbols: 80)
    }

    private func rows(_ means: Double...) -> [Double] {
        means.flatMap { mean in (0..<10).map { mean + (Double($0) - 4.5) / 100 } }
    }

    @Test func `a run has diverged if its last three rows lie above guessing`() throws {
        #expect(abs(try #require(verdict(rows(2, 2, 5, 6, 7))) - 6) < 1e-9)
        #expect(verdict(rows(9, 9, 9, 5, 4.8, 5)) == nil, "one of the three lies below")
        #expect(verdict(rows(4.9, 4.9, 4.9)) != nil && verdict(rows(4.87, 4.87, 4.87)) == nil)
        #expect(verdict(rows(9, 9, 9, 2, 2, 2)) == nil, "a bad beginning is none")
    }

    @Test func `a row that is not whole does not count, nor one that did not begin with it`() {
        #expect(verdict(rows(9, 9, 9) + [1, 1, 1]) != nil)
        #expect(verdict(rows(2, 2, 2) + [90, 90, 90]) == nil)
        // Steps 5 to 10 are no row, so that there are but two: the mean of all 26 steps is 4.85 or 4.92.
        #expect(verdict([Double](repeating: 10, count: 6) + rows(3.3, 3.3), from: 5) == nil)
        #expect(verdict([Double](repeating: 10, count: 6) + rows(3.4, 3.4), from: 5) != nil)
    }

    @Test func `where there are fewer rows the mean of all steps decides`() {
        #expect(verdict([]) == nil && verdict([4.9]) == 4.9 && verdict([4.88]) == nil)
        #expect(verdict(rows(9, 9)) != nil && verdict(rows(5.5, 4.2)) == nil)
    }

    @Test(arguments: [5.0, 50]) func `a run that ends far above guessing fails, with its best weights kept`(
        rate: Double
    ) throws {
        var run = Run()
        (run.settings.learningRate, run.settings.evaluateEvery) = (rate, 20)
        let recorder = Recorder()
        let error = #expect(throws: TrainingError.self) { try run.run(recorder: recorder) }
        #expect(error?.code == .diverged)
        #expect(error?.description.contains("smaller lr (now \(rate))") == true, "\(error?.description ?? "")")
        // 14 different characters: ln 14 is 2.639.
        #expect(Run.vocabularySize == 14)
        #expect(error?.description.contains("guessing among 14 characters loses 2.64;") == true)
        #expect(recorder.rows.allSatisfy { $0.trainLoss?.isFinite == true })
        let validation = recorder.rows.compactMap(\.betterValidationLoss)
        #expect(recorder.best.last?.step == recorder.rows.first { $0.betterValidationLoss == validation.min() }?.step)
        #expect(recorder.checkpoints.last?.progress.lossRows?.means.count == 3)
    }

    @Test(arguments: [1, 3, 10]) func `a run that was stopped decides as an undisturbed one`(logEvery: Int) throws {
        var run = Run()
        (run.settings.learningRate, run.settings.sampleEvery, run.settings.evaluateEvery) = (50, 0, 1000)
        let whole = #expect(throws: TrainingError.self) { try run.run() }
        run.settings.logEvery = logEvery
        var checkpoint: TrainingCheckpoint?
        var reasons: [String] = []
        for attempt in 0..<100 where reasons.isEmpty {
            var questions = 0
            let recorder = Recorder()
            do {
                _ = try run.run(
                    from: checkpoint, recorder: recorder,
                    stop: {
                        questions += 1
                        return questions > 3 + attempt
                    })
            } catch let error as TrainingError {
                reasons.append(error.description)
            }
            checkpoint = recorder.checkpoints.last
        }
        #expect(reasons == [whole?.description])
        // And again: a retry finds nothing left to do, and no success either.
        #expect(throws: TrainingError.self) { try run.run(from: checkpoint) }
    }

    @Test func `steps of the warm-up do not count`() throws {
        var run = Run()
        (run.settings.learningRate, run.settings.warmupSteps, run.settings.epochs) = (50, 1000, 1)
        let end = try run.run()
        #expect(end.end == .finished && end.recorder.checkpoints.last?.progress.lossRows == nil)
        run.settings.warmupSteps = 20
        #expect(throws: TrainingError.self) { try run.run() }
    }

    @Test func `a run that hardly began is no failure`() throws {
        var run = Run()
        (run.settings.learningRate, run.settings.epochs) = (1e-30, 1)
        #expect(try run.run().end == .finished)
        run.text = SymbolText(Array(Run.symbols.prefix(110)))
        #expect(try run.run().recorder.checkpoints.last?.progress.step == 1)
    }

    @Test func `a checkpoint of 0.1.0 knows of no rows, and the run that goes on begins them`() throws {
        var run = Run()
        var old = try #require(try run.run().recorder.checkpoints.last)
        let json = try JSONEncoder().encode(old.progress)
        var fields = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
        #expect(fields.removeValue(forKey: "lossRows") != nil)
        old.progress = try JSONDecoder().decode(
            TrainingProgress.self, from: try JSONSerialization.data(withJSONObject: fields))
        #expect(old.progress.lossRows == nil)
        #expect(try run.run(from: old).end == .finished)
        run.settings.epochs = 4
        let resumed = try run.run(from: old)
        #expect(resumed.end == .finished && resumed.recorder.checkpoints.last?.progress.lossRows?.means.count == 3)
    }
}
