import CharnnCheckpoint
import CharnnEngine
import CharnnModel
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTraining
import CharnnWords
import SystemPackage

/// Puts what a trainer hands out into the job's folder: rows, better models, samples, checkpoints and the status.
///
/// 1. A checkpoint counts on the rows of `metrics.csv` and on the best model as they were when it was saved, and has
///    the checksums of both. So rows are synced, and the best model is written, before it.
/// 2. A better model that comes after a checkpoint replaces `model.safetensors`, and the former one is kept until the
///    next checkpoint (``BestModel``). Thus the bytes of a run that was killed are those of one that was not.
final class TrainingRecorder {
    private let context: JobContext
    private let section: TrainSection
    private let model: Model
    private let engine: any Engine
    private let identity: String
    private let choices: [String: String]?
    private let totalSteps: Int
    private let stepsPerEpoch: Int
    private let best: BestModel
    private let metrics: MetricsFile
    /// For looking at only: nil where it cannot be written.
    private let events: EventFile?

    private var folder: JobFolder { context.folder }
    private var keeper: StatusKeeper { context.keeper }

    /// In a checkpoint's list of files.
    static let metricsName = JobFolderFile.metrics.rawValue
    /// Characters of a sample.
    static let sampleLength = 500

    /// Cuts rows and events back to where the run goes on.
    init(_ context: JobContext, _ preparation: TrainingPreparation) throws {
        (section, model, engine) = (preparation.section, preparation.model, preparation.engine)
        (identity, choices) = (preparation.identity, preparation.choices)
        (totalSteps, stepsPerEpoch) = (preparation.plan.totalSteps, preparation.plan.stepsPerEpoch)
        best = preparation.best
        self.context = context
        let (folder, progress) = (context.folder, preparation.progress)
        metrics = try MetricsFile(folder.metrics, keepingRowsTo: progress.lastRow, in: context.storage)
        events = try? EventFile(
            folder.events, keepingEventsTo: progress.isUnfinished ? progress.step - 1 : progress.step,
            time: context.clock.wall(), in: context.storage)
        if let known = preparation.metricsSHA256, !known.isEmpty,
            try context.storage.sha256(ofFile: folder.metrics) != known
        {
            keeper.warn("metrics.csv was changed since the checkpoint; its rows are kept as they are.")
        }
    }

    /// Makes all rows durable.
    func synchronize() throws { try metrics.synchronize() }
}

extension TrainingRecorder: TrainerDelegate {
    func record(_ row: MetricsRow) throws {
        try metrics.append(row)
        // For looking at only: what fails is missing there.
        try? events?.append(row, time: context.clock.wall())
        context.page.mayWrite(keeper.status)
        guard keeper.mayLogProgress(), let loss = row.trainLoss else { return }
        var fields = ["STEP": String(row.step), "EPOCH": fixed(row.epoch, 2), "LOSS": fixed(loss, 4)]
        if let norm = row.gradientNorm { fields["GRADIENT_NORM"] = fixed(norm, 4) }
        let left = keeper.status.secondsLeft.map { ", \(duration($0)) left" } ?? ""
        keeper.event(
            .progress, .info,
            "Step \(row.step) of \(totalSteps): loss \(fixed(loss, 4)) nats (\(fixed(bits(loss), 3)) "
                + "bits per character)\(row.charactersPerSecond.map { ", \(grouped(Int($0))) characters/s" } ?? "")"
                + "\(left).", fields)
    }

    func improved(_ progress: TrainingProgress, parameters: [Float], score: EvaluationScore) throws {
        var better = model
        better.parameters = parameters
        better.weights = progress.isBestAverage.map { $0 ? .average : .raw }
        if progress.fitsTemperature == true {
            better.fittedTemperature = score.fit?.temperature ?? 1
            keeper.update { status in
                status.fittedTemperature = score.fit?.temperature
                status.fittedValidationLoss = score.fit.map { $0.nats / Double(score.count) }
            }
        }
        better.step = progress.step
        better.validationLoss = progress.bestValidationLoss
        try best.replace(with: better)
    }

    /// The seed is the job's at every step, so that samples differ by what was learned alone.
    func sample(step: Int, engine: any Engine) throws -> Bool {
        // A prompt of the job's own shows the text that people wait for; characters that the vocabulary lacks must
        // not stop the training.
        var request = context.job.generate.first { $0.models.isEmpty }?.request ?? GenerationRequest()
        request.length = Self.sampleLength
        request.count = 1
        request.unknown = .skip
        request.seed = section.settings.seed
        let writer = try Generator(request, vocabulary: model.vocabulary, encoding: model.encoding)
        var text: [UInt8] = []
        let finished = try writer.write(
            0..<1, with: try engine.makePredictor(streams: 1), emit: { text += $1 },
            shouldStop: { [context] in context.shouldPause })
        guard finished else { return false }
        try context.storage.createDirectories(folder.samples, mode: 0o750)
        let file = folder.samples.appending("\(CheckpointFolder.name(step: step)).txt")
        try context.storage.replace(file, with: text + [10])
        try? events?.append(sample: model.encoding.text(of: text), step: step, time: context.clock.wall())
        context.page.mayWrite(keeper.status)
        keeper.event(.sampled, .debug, "Wrote a sample at step \(step).", ["STEP": String(step)])
        return true
    }

    /// In this order: rows synced, the daemon told that a stop has to wait, the model of a run without validation, the
    /// checkpoint, and only then what the one before needed is removed.
    func save(_ checkpoint: TrainingCheckpoint) throws {
        // Rows first: a checkpoint counts on the rows up to it.
        try metrics.synchronize()
        // Where the step is not finished the file has a row that will be cut off.
        let rows = checkpoint.progress.isUnfinished ? "" : try context.storage.sha256(ofFile: folder.metrics)
        var files = [Self.metricsName: rows]
        if checkpoint.progress.bestStep != nil { files[BestModel.name] = best.sha256 }
        let checkpoint = Checkpoint(
            model: model, state: checkpoint, identity: identity, configuration: engine.configuration,
            files: best.isUnchecked ? [:] : files, choices: choices)
        keeper.savingCheckpoint(bytes: checkpoint.size)
        // Before the first step there is nothing that anybody would want to use.
        if checkpoint.state.progress.bestStep == nil, checkpoint.state.progress.step > 0 {
            var last = model
            let average = checkpoint.state.engine[.average]
            last.parameters = average.isEmpty ? checkpoint.state.engine.parameters : average
            if !average.isEmpty { last.weights = .average }
            last.step = checkpoint.state.progress.step
            try last.write(to: folder.model, in: context.storage)
        }
        try folder.checkpoints.save(checkpoint, keeping: section.keepCheckpoints)
        try best.wasSaved(in: checkpoint)
        let step = checkpoint.state.progress.step
        keeper.event(.checkpointSaved, .info, "Saved a checkpoint at step \(step).", ["STEP": String(step)])
    }

    /// The status alone, which is written once a second at most.
    func advanced(_ progress: TrainingProgress, charactersPerSecond: Double?) throws {
        let stepSize = Double(section.settings.batchSize * section.settings.sequenceLength)
        keeper.update { status in
            status.phase = "training"
            status.step = progress.step
            status.epoch = progress.step / stepsPerEpoch
            status.trainLoss = progress.lastTrainLoss
            status.charactersPerSecond = charactersPerSecond
            status.secondsLeft = charactersPerSecond.map { Double(totalSteps - progress.step) * stepSize / $0 }
        }
    }

    func evaluating(step: Int, score: ValidationScore?) throws {
        guard let score else { return keeper.enter("evaluating") }
        keeper.update(force: true) { status in
            status.phase = "training"
            status.validationLoss = score.weights.loss
            status.bestValidationLoss = min(score.better.loss, status.bestValidationLoss ?? .infinity)
        }
        var fields = ["STEP": String(step), "VAL_LOSS": fixed(score.weights.loss, 6)]
        var words = Self.words(score.weights)
        if let average = score.average {
            fields["VAL_LOSS_AVERAGE"] = fixed(average.loss, 6)
            words += "; the average of the weights: \(Self.words(average))"
        }
        keeper.event(.evaluated, .info, "Validation at step \(step): \(words).", fields)
    }

    private static func words(_ score: EvaluationScore) -> String {
        "\(fixed(score.loss, 4)) nats, \(fixed(score.bitsPerCharacter, 3)) bits per character"
    }
}
