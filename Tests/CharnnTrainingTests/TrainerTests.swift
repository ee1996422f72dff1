import CharnnEngine
import CharnnTraining
import Testing

@Suite struct TrainerTests {
    @Test(arguments: [Batching.stream, .windows], [1, 2, 7, 20, 41])
    func `a run that is stopped anywhere and goes on ends in the same bytes`(batching: Batching, stops: Int) throws {
        var run = Run(batching)
        (run.settings.evaluateEvery, run.settings.sampleEvery) = (10, 15)
        let whole = try run.run()

        // Every so many questions whether to stop, some of them in the middle of evaluations, the run is stopped and
        // goes on with a new engine.
        var rows: [MetricsRow] = []
        var checkpoint: TrainingCheckpoint?
        var last: (end: TrainingEnd, parameters: [Float], recorder: Recorder)?
        var attempts = 0
        repeat {
            attempts += 1
            var questions = 0
            // A little longer each time, or an evaluation might never end.
            let patience = stops + attempts
            last = try run.run(
                from: checkpoint,
                stop: {
                    questions += 1
                    return questions > patience
                })
            checkpoint = last?.recorder.checkpoints.last
            let begin = last?.recorder.rows.first?.step ?? .max
            rows.removeAll { $0.step >= begin }
            rows += last?.recorder.rows ?? []
            rows.removeAll { $0.step > checkpoint?.progress.lastRow ?? 0 }
        } while last?.end == .paused(.requested)

        #expect(attempts > 2)
        #expect(last?.parameters == whole.parameters)
        #expect(rows.map(\.timeless) == whole.recorder.rows.map(\.timeless))
        #expect(checkpoint?.engine == whole.recorder.checkpoints.last?.engine)
    }

    @Test(arguments: [Batching.stream, .windows])
    func `how often one evaluates, samples, saves and with how many threads changes no weight`(batching: Batching)
        throws
    {
        let plain = try Run(batching).run().parameters
        var other = Run(batching)
        (other.settings.evaluateEvery, other.settings.sampleEvery, other.settings.logEvery) = (3, 2, 1)
        (other.settings.checkpointEvery, other.threads) = (.steps(4), 1)
        #expect(try other.run().parameters == plain)
        var third = Run(batching)
        third.threads = 3
        #expect(try third.run().parameters == plain)
    }

    @Test func `another seed gives other weights`() throws {
        var run = Run()
        let one = try run.run().parameters
        run.settings.seed = 2
        #expect(try run.run().parameters != one)
    }

    @Test func `the best weights by validation are handed out, and the last evaluation is at the last step`() throws {
        var run = Run()
        run.settings.evaluateEvery = 11
        let recorder = try run.run().recorder
        let evaluated = recorder.rows.filter { $0.validationLoss != nil }
        let lowest = evaluated.min { ($0.betterValidationLoss ?? 0) < ($1.betterValidationLoss ?? 0) }
        #expect(recorder.best.last?.step == lowest?.step)
        #expect(evaluated.last?.step == recorder.checkpoints.last?.progress.step)
    }

    @Test func `rows tell the mean loss since the row before`() throws {
        var run = Run()
        run.settings.logEvery = 1
        let every = try run.run().recorder.rows
        run.settings.logEvery = 10
        run.settings.evaluateEvery = 10
        let tenth = try run.run().recorder.rows
        let mean = every.prefix(10).compactMap(\.trainLoss).reduce(0, +) / 10
        #expect(abs((tenth.first?.trainLoss ?? 0) - mean) < 1e-12)
    }

    @Test func `training stops early after so many evaluations without a better loss`() throws {
        var run = Run()
        // A rate of nearly nothing: validation gets neither better nor worse but by rounding.
        (run.settings.earlyStop, run.settings.evaluateEvery, run.settings.learningRate) = (2, 2, 1e-30)
        let result = try run.run()
        #expect(result.end == .stoppedEarly)
        #expect(result.recorder.checkpoints.last?.progress.step == 6)
        #expect(try run.run(from: result.recorder.checkpoints.last).end == .stoppedEarly)
    }

    @Test func `a plateau reduces the rate of the steps that follow`() throws {
        var run = Run()
        (run.settings.schedule, run.settings.learningRatePatience) = (.plateau, 1)
        (run.settings.evaluateEvery, run.settings.logEvery, run.settings.learningRate) = (2, 1, 1e-30)
        let rates = try run.run().recorder.rows.prefix(6).map { $0.learningRate / 1e-30 }
        #expect(rates == [1, 1, 1, 1, 0.5, 0.5])
    }

    @Test func `a loss that is no number stops the run with its step and what to try`() throws {
        var run = Run()
        (run.settings.optimizer.kind, run.settings.learningRate, run.settings.clipNorm) = (.sgd, 1e30, 0)
        let recorder = Recorder()
        let error = #expect(throws: TrainingError.self) { try run.run(recorder: recorder) }
        #expect(error?.code == .diverged && error?.description.contains("smaller lr") == true)
        #expect(error?.description.contains("at step") == true)
    }

    @Test func `more epochs go on from a finished run as if they had been asked for at once`() throws {
        var run = Run()
        let short = try run.run()
        run.settings.epochs = 5
        let long = try run.run()
        let resumed = try run.run(from: short.recorder.checkpoints.last)
        #expect(resumed.parameters == long.parameters)
    }

    @Test func `a sample that is interrupted is written again at the resume`() throws {
        var run = Run()
        run.settings.sampleEvery = 10
        let recorder = Recorder()
        recorder.stopsSamples = true
        let paused = try run.run(recorder: recorder)
        #expect(paused.end == .paused(.requested) && recorder.samples == [10])
        let resumed = try run.run(from: recorder.checkpoints.last)
        #expect(resumed.recorder.samples.first == 10)
    }
}

@Suite struct EvaluatorTests {
    @Test(arguments: [2, 3, 50, 1500, 3300, 9000])
    func `pieces side by side score as one serial reading does`(count: Int) throws {
        var run = Run()
        run.settings.epochs = 10
        let engine = try run.engine()
        let trainer = try Trainer(
            engine: engine, text: run.text, split: ValidationSplit(count: run.text.count, validationFraction: 0),
            settings: run.settings, delegate: Recorder(), now: { 0 })
        _ = try trainer.run(while: { nil })
        let text = SymbolText((0..<9100).map { Run.symbols[$0 % Run.symbols.count] })
        let score = try #require(try Evaluator(text, range: 50..<(50 + count)).score(with: engine))
        let serial = try engine.makeScorer(streams: 1)
        serial.reset()
        let nats = try serial.score(text, starts: [50], length: count - 1)[0]
        #expect(score.count == count - 1)
        #expect(abs(score.nats - nats) / nats < 1e-3)
    }

    @Test(arguments: [7, 3300]) func `characters that are left out are read and do not count`(count: Int) throws {
        let run = Run()
        let engine = try run.engine()
        // Some alone, some side by side, the first and the last among them.
        let places = (0..<count).filter {
            [0, 3, 4, count - 1].contains($0) || $0 % 7 == 5 || (900..<1100).contains($0)
        }
        var leftOut = PositionSet()
        for place in places { leftOut.insert(place) }
        #expect((0..<count).filter(leftOut.contains) == places)
        let score = try #require(
            try Evaluator(run.text, range: 0..<count, leavingOut: leftOut).score(with: engine))
        let serial = try engine.makeScorer(streams: 1)
        serial.reset()
        var nats = 0.0
        for place in 1..<count {
            let one = try serial.score(run.text, starts: [place - 1], length: 1)[0]
            if !places.contains(place) { nats += one }
        }
        #expect(score.count == count - places.count, "the first is never predicted")
        #expect(abs(score.nats - nats) / nats < (count < 256 ? 1e-6 : 1e-3))
    }

    @Test func `an untrained model is about as sure as chance`() throws {
        let run = Run()
        let score = try #require(try Evaluator(run.text, range: 0..<2000).score(with: try run.engine()))
        #expect(abs(score.bitsPerCharacter - score.loss / 0.6931471805599453) < 1e-12)
        #expect(score.loss > 2 && score.loss < 3.5)
    }

    @Test func `there is nothing to score in one character`() throws {
        #expect(try Evaluator(Run.sentence, range: 3..<4).score(with: try Run().engine()) == nil)
    }
}
