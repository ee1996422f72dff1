import CharnnCheckpoint
import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTraining
import SystemPackage

/// Inputs to begin with, made by the writers themselves: a model and a checkpoint of each cell, tiny, and an encoded text,
/// statuses and metrics.
enum Seeds {
    static func write(to folder: String) throws {
        let storage = LocalStorage()
        let root = FilePath(folder)
        for cell in Cell.allCases {
            for layers in 1...2 {
                let model = model(cell, layers)
                let name = "\(cell.rawValue)-\(layers)"
                for target in ["safetensors", "checkpoint"] {
                    try storage.createDirectories(root.appending(target), mode: 0o755)
                }
                try model.write(to: root.appending("safetensors").appending(name), in: storage)
                try checkpoint(of: model).write(to: root.appending("checkpoint").appending(name), in: storage)
            }
        }
        for target in ["corpus", "status", "metrics"] {
            try storage.createDirectories(root.appending(target), mode: 0o755)
        }
        try writeTexts(to: root.appending("corpus"), storage)
        for (name, status) in statuses {
            try storage.replace(root.appending("status").appending(name), with: status.encoded)
        }
        let lines = [MetricsFile.header] + (1...45).map { MetricsFile.line(row($0)) }
        for count in [1, 2, 5, 46] {
            let text = lines.prefix(count).joined(separator: "\n") + "\n"
            try storage.replace(root.appending("metrics").appending("\(count)-lines"), with: [UInt8](text.utf8))
        }
    }

    private static func row(_ number: Int) -> MetricsRow {
        let value = Double(number)
        return MetricsRow(
            step: number * 10, epoch: value / 10, trainLoss: 4 / value,
            validationLoss: number % 3 == 0 ? 5 / value : nil, learningRate: 0.002 / value,
            gradientNorm: number == 2 ? nil : value, charactersPerSecond: 1000, elapsedSeconds: value)
    }

    /// In the short form of ``CorpusShape``.
    private static func writeTexts(to folder: FilePath, _ storage: LocalStorage) throws {
        for (name, encoding) in [("utf-8", TextEncoding.utf8), ("bytes", .bytes)] {
            let (text, encoded) = (folder.appending("text"), folder.appending("encoded"))
            try storage.replace(text, with: [UInt8]("Wie schön, \u{1F600}!\n".utf8))
            let origin = CorpusOrigin(
                paths: ["a.txt"], encoding: encoding, stripsGutenberg: false, maximumCharacters: 12)
            try CorpusEncoder([CorpusFile(path: text)], origin: origin, storage: storage).encode(to: encoded)
            let file = try storage.contents(of: encoded) ?? []
            try storage.replace(folder.appending(name), with: CorpusShape.input(of: file))
            try storage.remove(text)
            try storage.remove(encoded)
        }
    }

    private static var statuses: [(String, JobStatus)] {
        var running = JobStatus(job: "a", state: .active)
        (running.phase, running.sequence, running.submitter) = ("training", 7, 1000)
        (running.step, running.totalSteps, running.epoch, running.totalEpochs) = (10, 100, 1, 9)
        (running.trainLoss, running.validationLoss, running.bestValidationLoss) = (2.5, 2.75, 2.5)
        (running.charactersPerSecond, running.secondsLeft, running.elapsedSeconds) = (1e4, 90, 10)
        (running.acceptedAt, running.startedAt, running.updatedAt) = (
            JobStatus.time(0), JobStatus.time(1), JobStatus.time(2)
        )
        running.warnings = ["a warning"]
        var done = running
        (done.state, done.phase, done.filed, done.endedAt) = (.done, nil, true, JobStatus.time(3))
        done.results = [JobStatus.Result(path: "model.safetensors", sha256: "ab", bytes: 3)]
        var queued = JobStatus(job: "b", state: .queue)
        (queued.reason, queued.notBefore, queued.outages, queued.temporaryFailures) = ("no room", 1e9, 1, 2)
        (queued.checkpointStep, queued.sequence) = (10, .max)
        queued.ticket = JobTicket(
            file: "b.yaml", priority: -3, predecessors: [Predecessor(job: "a", sequence: 7, isModel: true)],
            mayUseGPU: false)
        return [("active", running), ("done", done), ("queue", queued)]
    }

    private static func model(_ cell: Cell, _ layers: Int) -> Model {
        let architecture = Architecture(
            cell: cell, vocabularySize: 3, embeddingSize: 2, hiddenSize: 2, layerCount: layers, dropout: 0.25)
        return Model(
            architecture: architecture, vocabulary: Vocabulary(codePoints: [10, 97, 0x1F600])!, encoding: .utf8,
            parameters: Initialisation.parameters(of: architecture, seed: 3), step: 12, validationLoss: 1.25,
            corpusSHA256: "ab")
    }

    private static func checkpoint(of model: Model) -> Checkpoint {
        var progress = TrainingProgress()
        (progress.step, progress.bestValidationLoss, progress.bestStep) = (12, 1.25, 12)
        return Checkpoint(
            model: model,
            state: TrainingCheckpoint(
                progress: progress,
                engine: EngineState(
                    parameters: model.parameters,
                    [
                        .firstMoment: model.parameters, .secondMoment: model.parameters, .hidden: [1, 2],
                        .cell: [3, 4],
                    ])),
            identity: "cell=\(model.architecture.cell.rawValue)",
            configuration: EngineConfiguration(
                device: "cpu", deviceName: "x", precision: "fp32", kernels: "plain", threads: 1))
    }
}
