import CharnnCheckpoint
public import CharnnEngine
import CharnnModel
import CharnnSpool
public import CharnnStorage
public import CharnnTraining
public import SystemPackage

/// What a training takes beside its steps, seconds of each: in a run of short epochs that is most of it.
///
/// They are measured by doing each of these things once or a few times with the very code of a run, for `charnn check`.
public struct TrainingCosts: Sendable {
    /// Scoring the validation text once and telling the status; the average of the weights is scored as well.
    public var evaluation = 0.0
    /// Writing the best model.
    public var improvement = 0.0
    /// Writing a sample.
    public var sample = 0.0
    /// Writing a checkpoint.
    public var checkpoint = 0.0

    /// Nothing costs anything: the steps alone count.
    public init() {}

    /// Seconds of a whole training.
    ///
    /// Encoding the text, and what follows the training, are not in it.
    public func total(of outline: TrainingOutline, _ settings: TrainingSettings, secondsPerStep: Double) -> Double {
        let (steps, perEpoch) = (outline.steps, outline.stepsPerEpoch)
        var seconds = Double(steps) * secondsPerStep
        if outline.split.validation.count > 1 {
            let every = settings.evaluateEvery ?? perEpoch
            // One is due at the last step, too.
            let readings = settings.weightAverage > 0 ? 2.0 : 1
            seconds += (evaluation * readings + improvement * Self.improving) * Double((steps + every - 1) / every)
        }
        let sampled = settings.sampleEvery ?? perEpoch
        if sampled > 0 { seconds += sample * Double(steps / sampled) }
        // The last one is written when all is done.
        switch settings.checkpointEvery {
        case .steps(let every): return seconds + checkpoint * Double(1 + (steps - 1) / every)
        case .seconds(let interval): return seconds + checkpoint * (1 + (seconds / interval).rounded(.down))
        }
    }

    /// The part of the evaluations that are taken to find a better model: nearly all do at first, few at the end.
    private static let improving = 0.5

    /// Measures them with an engine of that very network, in a folder that is there for it.
    ///
    /// - Parameters:
    ///   - folder: On a disk such as jobs lie on: most of it is writing. What was written stays there.
    ///   - now: Seconds that never go back.
    public static func measured(
        _ outline: TrainingOutline, with engine: any Engine, in folder: FilePath, _ storage: any Storage,
        now: () -> Double
    ) throws -> TrainingCosts {
        func seconds(_ work: () throws -> Void) rethrows -> Double {
            var times: [Double] = []
            for _ in 0..<repetitions {
                let began = now()
                try work()
                times.append(now() - began)
            }
            return times.sorted()[repetitions / 2]
        }
        let files = JobFolder(folder, in: storage)
        let model = Model(
            architecture: outline.architecture, vocabulary: outline.vocabulary, encoding: outline.encoding,
            parameters: try engine.parameters())
        let status = try seconds { try files.write(JobStatus(job: "check", state: .active)) }
        var costs = TrainingCosts()
        costs.evaluation = try scoring(outline, with: engine, now: now) + 2 * status
        costs.improvement = try seconds {
            try model.write(to: files.model, in: storage)
            _ = try storage.sha256(of: try storage.open(files.model, beneath: nil))
        }
        // A tenth of a sample, for a slow engine writes a whole one in seconds.
        let part = 50
        let writer = try Generator(
            GenerationRequest(length: part), vocabulary: outline.vocabulary, encoding: outline.encoding)
        let writing = try seconds {
            _ = try writer.write(0..<1, with: try engine.makePredictor(streams: 1), emit: { _, _ in })
        }
        costs.sample = writing * Double(TrainingRecorder.sampleLength) / Double(part)
        costs.sample += try seconds { try storage.replace(folder.appending("sample.txt"), with: [10]) }
        costs.checkpoint = try seconds {
            let state = TrainingCheckpoint(progress: TrainingProgress(), engine: try engine.snapshot())
            try files.checkpoints.save(
                Checkpoint(model: model, state: state, identity: "", configuration: engine.configuration), keeping: 1)
        }
        return costs
    }

    private static let repetitions = 3

    /// Seconds that scoring the validation text takes, told from its first few pieces.
    ///
    /// - Returns: The mean of the chunks measured, times those that the whole text has.
    private static func scoring(
        _ outline: TrainingOutline, with engine: any Engine, now: () -> Double
    ) throws -> Double {
        let whole = outline.split.validation.count
        // From here on a longer text takes longer in proportion.
        let count = min(whole, 1 << 20)
        guard count > 1 else { return 0 }
        let symbols = Int32(outline.vocabulary.count)
        let text = SymbolText((0..<count).map { Int32(truncatingIfNeeded: $0) % symbols })
        let evaluator = Evaluator(text, range: 0..<count)
        var times = [now()]
        _ = try evaluator.score(with: engine) {
            times.append(now())
            return times.count > 10 && now() - times[0] > 1
        }
        times.append(now())
        let perChunk = (times[times.count - 1] - times[0]) / Double(times.count - 2)
        return perChunk * Double(evaluator.chunkCount) * Double(whole) / Double(count)
    }
}
