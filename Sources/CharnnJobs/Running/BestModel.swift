import CharnnCheckpoint
import CharnnModel
import CharnnSpool
public import CharnnStorage
import CharnnTraining
public import SystemPackage

/// `model.safetensors` of a run that trains: what the run knows of it, and the copy that its newest checkpoint may need.
///
/// ```
///   better model ─▶ is the present one the checkpoint's? ─▶ copied aside ─▶ replaced ─▶ checkpoint ─▶ copy removed
///                                                              │ crash
///                                                              ▼
///                                              the run goes on from the checkpoint and takes the copy back
/// ```
///
/// A checkpoint has the checksum of the best model as it was then. So a model that somebody changed is never taken for
/// the run's own: it is written again from an earlier checkpoint, or the job fails and says so.
final class BestModel {
    private let context: JobContext
    /// As it was written; nil where there is none, or where it is still to be written again.
    private(set) var sha256: String?
    /// The same as of the newest checkpoint, and whether a copy of that model is kept until the next one.
    private var checkpointed: String?
    private var isFormerKept = false
    /// Whether it is not compared with its checksum: a checkpoint of version 0.1.0 has none.
    private(set) var isUnchecked = false

    private var folder: JobFolder { context.folder }
    private var keeper: StatusKeeper { context.keeper }

    /// Its name in a checkpoint's list of files.
    static let name = JobFolderFile.model.rawValue

    init(_ context: JobContext) { self.context = context }

    // MARK: - Where a run goes on

    /// The checkpoint to go on from, if the best model so far is what the run wrote; else an earlier one from which it is
    /// written again.
    func checkpoint(resuming checkpoint: Checkpoint) throws -> Checkpoint {
        guard let bestStep = checkpoint.state.progress.bestStep else { return checkpoint }
        let known = checkpoint.files[Self.name]
        isUnchecked = checkpoint.files.isEmpty
        // Saved on the way to where it is written again.
        if known == nil, !isUnchecked { return checkpoint }
        if let known, folder.exists(formerModel), try context.storage.sha256(ofFile: formerModel) == known {
            try context.storage.rename(formerModel, to: folder.model, replacing: true)
            try context.storage.synchronizeDirectory(folder.path)
        }
        guard folder.exists(folder.model) else {
            keeper.warn("The best model so far is missing; the next evaluation begins anew.")
            return withoutBest(checkpoint)
        }
        if let known, try context.storage.sha256(ofFile: folder.model) == known {
            (sha256, checkpointed) = (known, known)
            return checkpoint
        }
        // Steps of which the evaluations are behind the checkpoint.
        let evaluated = checkpoint.state.progress.step - (checkpoint.state.progress.isUnfinished ? 1 : 0)
        do throws(ModelError) {
            let found = try Model(reading: folder.model, in: context.storage)
            // It was written after the checkpoint: that evaluation is made again, and the file with it.
            if isUnchecked || found.step ?? 0 > evaluated { return checkpoint }
        } catch {
            if error.code == .readFailed { throw error }
            if isUnchecked {
                keeper.warn("The best model so far is damaged; the next evaluation begins anew.")
                return withoutBest(checkpoint)
            }
        }
        guard let earlier = try folder.checkpoints.newest(before: bestStep).checkpoint else {
            throw JobError(
                .badData,
                "\(folder.model) is not what this run wrote: it was changed or damaged, and no checkpoint from before step "
                    + "\(bestStep) is left to write it again. Put it back from a copy, or remove it, and "
                    + "\(context.environment.tryingAgain): without it the run goes on without the best model so far")
        }
        keeper.warn(
            "model.safetensors was changed or damaged since the run wrote it at step \(bestStep); the run goes back to "
                + "step \(earlier.state.progress.step) to write it again.")
        try folder.checkpoints.discard(from: earlier.state.progress.step + 1)
        return earlier
    }

    /// The next evaluation is then the best so far, and writes the file.
    private func withoutBest(_ checkpoint: Checkpoint) -> Checkpoint {
        var checkpoint = checkpoint
        checkpoint.state.progress.bestStep = nil
        checkpoint.state.progress.bestValidationLoss = nil
        checkpoint.state.progress.isBestAverage = nil
        return checkpoint
    }

    // MARK: - While it trains

    /// The best model as of the newest checkpoint, where a better one has come since: a run that goes on from there
    /// takes it back.
    private var formerModel: FilePath { folder.path.appending(.modelOfCheckpoint) }

    /// Takes a better one. Durable before the checkpoint that has its checksum.
    func replace(with best: Model) throws {
        try keepFormer()
        try best.write(to: folder.model, in: context.storage)
        sha256 = try context.storage.sha256(ofFile: folder.model)
        isUnchecked = false
    }

    /// Copies the best model before it is replaced, if it is the one that the newest checkpoint knows; once between two
    /// checkpoints.
    private func keepFormer() throws {
        guard !isFormerKept, let known = checkpointed, known == sha256 else { return }
        let reading = try context.storage.open(folder.model, beneath: nil)
        try context.storage.replacing(formerModel) { file throws(StorageError) in
            try file.append(contentsOf: reading)
        }
        isFormerKept = true
    }

    /// A checkpoint was saved that knows the present best model: nobody goes back to the former.
    func wasSaved(in checkpoint: Checkpoint) throws {
        checkpointed = checkpoint.files[Self.name]
        try discardFormer()
    }

    /// Removes what a run that goes on from an older checkpoint would need.
    func discardFormer() throws {
        try context.storage.discard(formerModel.partial)
        try context.storage.discard(formerModel)
        isFormerKept = false
    }

    // MARK: - In the end

    /// Refuses what somebody changed meanwhile: it must not pass for a result.
    func requireOwn() throws {
        guard !isUnchecked, try sha256 != context.storage.sha256(ofFile: folder.model) else { return }
        let what =
            sha256 == nil
            ? "is not of this run as it went on, and was not written again"
            : "is not what this run wrote: it was changed or damaged while it ran"
        throw JobError(
            .badData,
            "\(folder.model) \(what). Remove it and \(context.environment.tryingAgain): the run goes on from its newest "
                + "checkpoint, without the best model so far")
    }
}

extension Storage {
    /// The SHA-256 of a file, hexadecimal.
    public func sha256(ofFile path: FilePath) throws(StorageError) -> String {
        try sha256(of: try open(path, beneath: nil)).sha256
    }
}
