import CharnnCPU
import CharnnEngine
import CharnnModel
import CharnnTraining

/// Keeps what a trainer hands out.
final class Recorder: TrainerDelegate {
    var rows: [MetricsRow] = []
    var checkpoints: [TrainingCheckpoint] = []
    var best: [(step: Int, parameters: [Float])] = []
    var samples: [Int] = []
    var stopsSamples = false

    func record(_ row: MetricsRow) { rows.append(row) }
    func improved(_ progress: TrainingProgress, parameters: [Float], score: EvaluationScore) {
        best.append((progress.step, parameters))
    }
    func sample(step: Int, engine: any Engine) -> Bool {
        samples.append(step)
        return !stopsSamples
    }
    func save(_ checkpoint: TrainingCheckpoint) { checkpoints.append(checkpoint) }
    func advanced(_ progress: TrainingProgress, charactersPerSecond: Double?) {}
    func evaluating(step: Int, score: ValidationScore?) {}
}

/// A run on a small text, on an engine of its own.
struct Run {
    var settings = TrainingSettings()
    var cell = Cell.lstm
    var dropout = 0.3
    var threads: Int?
    var text: SymbolText = Run.sentence

    /// A text with something to learn: a sentence again and again, with its words in changing order.
    static let symbols: [Int32] = {
        let words = ["the cat ", "sat on ", "a mat ", "and saw ", "his hat. "]
        var characters: [UInt8] = []
        for index in 0..<700 { characters += Array(words[(index * index + index / 3) % 5].utf8) }
        let distinct = Set(characters).sorted()
        return characters.map { Int32(distinct.firstIndex(of: $0) ?? 0) }
    }()
    static let sentence = SymbolText(symbols)
    static let vocabularySize = Int(symbols.max() ?? 0) + 1

    init(_ batching: Batching = .stream) {
        settings.batching = batching
        (settings.batchSize, settings.sequenceLength, settings.stride) = (6, 13, 9)
        (settings.epochs, settings.learningRate, settings.logEvery) = (3, 0.01, 5)
        settings.checkpointEvery = .steps(1_000_000)
    }

    func engine() throws -> any Engine {
        let architecture = Architecture(
            cell: cell, vocabularySize: Run.vocabularySize, embeddingSize: 10, hiddenSize: 17, layerCount: 2,
            dropout: dropout)
        return try CPUEngine(
            architecture: architecture, parameters: Initialisation.parameters(of: architecture, seed: 7),
            threads: threads)
    }

    /// Runs to the end, or until `stop` says so at a question of the trainer.
    func run(
        from checkpoint: TrainingCheckpoint? = nil, recorder: Recorder = Recorder(), stop: () -> Bool = { false }
    ) throws -> (end: TrainingEnd, parameters: [Float], recorder: Recorder) {
        let engine = try engine()
        if let checkpoint { try engine.install(checkpoint.engine) }
        let trainer = try Trainer(
            engine: engine, text: text, split: ValidationSplit(count: text.count, validationFraction: 0.1),
            settings: settings, progress: checkpoint?.progress ?? TrainingProgress(), delegate: recorder, now: { 0 })
        let end = try trainer.run(while: { stop() ? .requested : nil })
        return (end, try engine.parameters(), recorder)
    }
}

extension MetricsRow {
    /// The row without what depends on the clock.
    var timeless: MetricsRow {
        var row = self
        (row.charactersPerSecond, row.elapsedSeconds) = (nil, 0)
        return row
    }
}
