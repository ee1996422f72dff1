import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnStorage
import CharnnTestSupport
import CharnnTraining
import Testing

/// What is foreseen of a training beside its steps.
@Suite struct TrainingCostsTests {
    private func outline(
        epochs: Int = 100, validation: Int = 500, vocabulary: Vocabulary = .bytes
    ) -> TrainingOutline {
        let split = ValidationSplit(
            count: 2000, validationFraction: validation > 0 ? 0.25 : 0, validationLimit: max(2, validation))
        return TrainingOutline(
            characters: 2000, vocabulary: vocabulary, encoding: .utf8, split: split, stepsPerEpoch: 4,
            steps: 4 * epochs,
            architecture: Architecture(
                cell: .gru, vocabularySize: vocabulary.count, hiddenSize: 8, layerCount: 1),
            settings: TrainingSettings())
    }

    private let costs: TrainingCosts = {
        var costs = TrainingCosts()
        (costs.evaluation, costs.improvement, costs.sample, costs.checkpoint) = (8, 4, 1, 1000)
        return costs
    }()

    @Test func `each epoch is counted with its evaluation and its sample`() {
        var settings = TrainingSettings()
        settings.weightAverage = 0
        // 400 steps, 100 evaluations of which half find a better model, 100 samples; five minutes are over 4 times in 1,500 seconds, and one is the last.
        let total = costs.total(of: outline(), settings, secondsPerStep: 1)
        #expect(total == 400 + 1000 + 100 + 1000 * (1 + 5))
        // None of them is made without validation.
        let unscored = costs.total(of: outline(validation: 0), settings, secondsPerStep: 1)
        #expect(unscored == 400 + 100 + 1000 * (1 + 1))
        // An average is scored beside the weights: 800 seconds more, in which two more checkpoints are due.
        settings.weightAverage = 0.9
        #expect(costs.total(of: outline(), settings, secondsPerStep: 1) == 400 + 1800 + 100 + 1000 * (1 + 7))
    }

    @Test func `what the job file says of evaluations, samples and checkpoints is counted`() {
        var settings = TrainingSettings()
        (settings.evaluateEvery, settings.weightAverage) = (150, 0)
        settings.sampleEvery = 0
        settings.checkpointEvery = .steps(100)
        // After steps 150 and 300 and the last; checkpoints after 100, 200 and 300 and at the end.
        #expect(costs.total(of: outline(), settings, secondsPerStep: 1) == 400 + 30 + 4000)
        settings.sampleEvery = 200
        #expect(costs.total(of: outline(), settings, secondsPerStep: 1) == 400 + 30 + 2 + 4000)
    }

    @Test func `all of them are measured, the scoring of a long text by its beginning`() throws {
        let folder = TemporaryDirectory("costs")
        var time = 0.0
        func measured(_ validation: Int) throws -> TrainingCosts {
            let outline = TrainingOutline(
                characters: 4 * validation, vocabulary: .bytes, encoding: .utf8,
                split: ValidationSplit(count: 4 * validation, validationFraction: 0.25), stepsPerEpoch: 1, steps: 1,
                architecture: Architecture(cell: .gru, vocabularySize: 256, hiddenSize: 8, layerCount: 1),
                settings: TrainingSettings())
            let engine = try Engines().makeEngine(
                EngineChoice(device: .cpu, threads: 1), architecture: outline.architecture,
                parameters: Initialisation.parameters(of: outline.architecture, seed: 1))
            // A clock that goes on by a second whenever it is asked.
            return try TrainingCosts.measured(outline, with: engine, in: folder.path, LocalStorage()) {
                time += 1
                return time
            }
        }
        let short = try measured(1000)
        #expect(short.evaluation > 0 && short.sample > 0 && short.checkpoint > 0)
        // Beyond what is cut into the most pieces, twice the text takes twice the time.
        let (long, longer) = (try measured(4 << 20), try measured(8 << 20))
        #expect(long.evaluation > short.evaluation)
        #expect(longer.evaluation / long.evaluation > 1.9)
    }
}
