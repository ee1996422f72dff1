import CharnnCorpus
import CharnnEngine
public import CharnnModel
import CharnnSpool
public import CharnnStorage
public import CharnnTraining
public import SystemPackage

/// `adapt.safetensors`: what dynamic evaluation needs beside a model, under the names of the model's tensors.
extension GradientStatistics {
    private static let format = "charnnd.adapt.v1"

    /// Writes them durably.
    ///
    /// - Parameters:
    ///   - model: That they are of.
    ///   - sha256: Of its file, hexadecimal.
    public func write(
        to path: FilePath, of model: Model, sha256: String, in storage: any Storage
    ) throws(StorageError) {
        try SafeTensors.write(
            Model.sources(of: meanSquares, architecture: model.architecture),
            metadata: ["format": Self.format, "model_sha256": sha256], to: path, in: storage)
    }

    /// Reads those of a model.
    ///
    /// - Parameters:
    ///   - root: When given, the file must lie below it with no link on the way.
    ///   - name: What the model is called by.
    /// - Throws: ``JobError`` with the exit 66 where there are none of this model, and how to make them.
    public init(
        reading path: FilePath, beneath root: FilePath? = nil, of model: Model, sha256: String, name: String,
        in storage: any Storage
    ) throws(JobError) {
        let remedy = "`charnn adapt-statistics \(name) TEXT` makes them from the text that it was trained on"
        do throws(ModelError) {
            let file = try SafeTensors(path, beneath: root, in: storage)
            guard file.metadata["format"] == Self.format, file.metadata["model_sha256"] == sha256 else {
                throw ModelError(.notAModel, "\(path) is not of this model")
            }
            var meanSquares: [Float] = []
            for slot in ParameterLayout(model.architecture).slots {
                guard file.tensors[slot.name]?.shape == slot.shape else {
                    throw ModelError(.notAModel, "\(path) has no \(slot.name) of the model's shape")
                }
                meanSquares += try file.floats(slot.name)
            }
            guard meanSquares.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
                throw ModelError(.damaged, "\(path) has numbers that are no mean squares")
            }
            self.init(meanSquares: meanSquares)
        } catch {
            // A disk that fails does not say that there are none.
            if error.code == .readFailed { throw JobError(error) }
            throw JobError(
                .noInput, "there are no gradient statistics of \(name), which adapting needs: \(error); \(remedy)")
        }
    }
}

/// Leaves the statistics of a model that was trained beside it.
struct StatisticsJob {
    let context: JobContext
    let section: TrainSection

    /// Measures them with the text that was frozen; those that an earlier attempt has left of this model do.
    ///
    /// - Throws: Also that the work has to pause.
    func run(_ trained: LoadedModel) throws {
        let (folder, storage) = (context.folder, context.storage)
        let sha256 = try storage.sha256(ofFile: folder.model)
        let known = try? GradientStatistics(
            reading: folder.statistics, of: trained.model, sha256: sha256, name: trained.name, in: storage)
        guard known == nil else { return }
        let text = try EncodedCorpus(reading: folder.corpus, in: storage, shouldStop: { context.shouldPause }).text
        let split = ValidationSplit(
            count: text.count, validationFraction: section.valFraction, validationLimit: section.valMaxChars)
        let statistics = try GradientStatistics(
            of: try context.engine(for: trained.model), text, range: split.training, seed: section.settings.seed,
            shouldStop: { context.shouldPause })
        guard let statistics else { throw context.paused() }
        try statistics.write(to: folder.statistics, of: trained.model, sha256: sha256, in: storage)
    }
}
