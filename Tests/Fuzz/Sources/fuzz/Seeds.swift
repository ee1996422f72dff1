import CharnnCheckpoint
import CharnnEngine
import CharnnModel
import CharnnStorage
import CharnnTraining
import SystemPackage

/// Inputs to begin with, made by the writers themselves: a model and a checkpoint of each cell, tiny.
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
                    parameters: model.parameters, firstMoment: model.parameters, secondMoment: model.parameters,
                    hidden: [1, 2], cell: [3, 4])),
            identity: "cell=\(model.architecture.cell.rawValue)",
            configuration: EngineConfiguration(
                device: "cpu", deviceName: "x", precision: "fp32", kernels: "plain", threads: 1))
    }
}
