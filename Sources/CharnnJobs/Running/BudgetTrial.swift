import CharnnEngine
import CharnnSpool
import CharnnTraining
import CharnnWords

/// How many steps fit into a time, found by trying some.
///
/// It is measured once, before the first step, and pinned: from then on the run is one of so many steps, and its bytes
/// depend on no clock. What the trial learned is thrown away.
struct BudgetTrial {
    /// Fewer are no training.
    static let leastSteps = 100
    /// Steps that only warm caches and clocks up, and steps of which the median counts.
    private static let steps = (warmup: 10, measured: 30)
    /// Characters of which the time of a sample is told.
    private static let characters = 50

    let context: JobContext
    let engine: any Engine
    let text: SymbolText
    let split: ValidationSplit
    let settings: TrainingSettings
    let plan: BatchPlan

    /// Seconds of each.
    struct Costs: Equatable {
        var step: Double
        var evaluation = 0.0
        var sample = 0.0

        /// The most steps that fit into a time with all that comes with them.
        func steps(in seconds: Double, atMost limit: Int, _ settings: TrainingSettings, perEpoch: Int) -> Int {
            func total(_ steps: Int) -> Double {
                let every = settings.evaluateEvery ?? perEpoch
                let sampled = settings.sampleEvery ?? perEpoch
                // An evaluation is due at the last step, too.
                return Double(steps) * step + Double((steps + every - 1) / every) * evaluation
                    + (sampled > 0 ? Double(steps / sampled) * sample : 0)
            }
            var (fits, exceeds) = (0, limit + 1)
            while exceeds - fits > 1 {
                let middle = (fits + exceeds) / 2
                if total(middle) <= seconds { fits = middle } else { exceeds = middle }
            }
            return fits
        }
    }

    /// How many steps of the run fit into its budget; the engine is as it was then.
    ///
    /// - Throws: ``JobError`` for fewer than ``leastSteps``; also that the work has to pause.
    func steps(in seconds: Double) throws -> Int {
        let first = EngineState(parameters: try engine.parameters())
        let costs = try measured()
        try engine.install(first)
        let steps = costs.steps(in: seconds, atMost: plan.totalSteps, settings, perEpoch: plan.stepsPerEpoch)
        let least = min(Self.leastSteps, plan.totalSteps)
        guard steps >= least else {
            throw JobError(
                .badJob,
                "train.budget: \(duration(seconds)) is enough for \(steps) steps of \(fixed(costs.step, 3)) s each with their "
                    + "evaluations and samples, and \(least) is the least; raise it, or make the network or batch_size "
                    + "smaller")
        }
        return steps
    }

    private func measured() throws -> Costs {
        let clock = context.clock
        var times: [Double] = []
        for number in 1...(Self.steps.warmup + Self.steps.measured) {
            guard !context.shouldPause else { throw context.paused() }
            let began = clock.monotonic()
            try engine.submit(plan.step(number, learningRate: settings.learningRate), of: text)
            _ = try engine.drain()
            if number > Self.steps.warmup { times.append(clock.monotonic() - began) }
        }
        var costs = Costs(step: times.sorted()[times.count / 2])
        if split.validation.count > 1 {
            let began = clock.monotonic()
            let score = try Evaluator(text, range: split.validation).score(
                with: engine, temperatures: TemperatureFit.nodes, shouldStop: { context.shouldPause })
            guard score != nil else { throw context.paused() }
            costs.evaluation = (clock.monotonic() - began) * (settings.weightAverage > 0 ? 2 : 1)
        }
        let predictor = try engine.makePredictor(streams: 1)
        var logits = [Float](repeating: 0, count: engine.architecture.vocabularySize)
        let began = clock.monotonic()
        for _ in 0..<Self.characters { try predictor.advance([0], logits: &logits) }
        costs.sample =
            (clock.monotonic() - began) * Double(TrainingRecorder.sampleLength) / Double(Self.characters)
        return costs
    }
}
