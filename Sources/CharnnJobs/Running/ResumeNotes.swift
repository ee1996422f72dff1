import CharnnCorpus
import CharnnEngine
import CharnnStorage
import CharnnTraining
import SystemPackage

/// What a person is told of a run that goes on, where job file or texts are not what it began with.
///
/// A run goes on with the text that it froze and with the settings that it began with, but for those that may be
/// changed on the way (``RunIdentity``). Both can surprise somebody who has edited a file, and so both are said.
struct ResumeNotes {
    private let context: JobContext
    private let section: TrainSection

    init(_ context: JobContext, _ section: TrainSection) {
        self.context = context
        self.section = section
    }

    /// Says of texts that have other contents than when the run froze them that they are not what it learns.
    ///
    /// A file that was touched since is read again, once, to see whether it says the same: a copy or a backup touches
    /// files.
    func tellOfChangedTexts(since frozen: EncodedCorpus) {
        let storage = context.storage
        // One that is gone, or not to be read any more, is not needed.
        guard let read = (try? storage.status(of: context.folder.corpus)) ?? nil,
            let files = try? context.environment.corpusFiles(frozen.origin.paths, in: storage)
        else { return }
        let touched = files.filter { file in
            ((try? storage.status(of: file.path)) ?? nil).map { $0.changed > read.modified } ?? false
        }
        guard !touched.isEmpty else { return }
        // Other rights or another owner make no other text.
        let encoder = CorpusEncoder(
            files, origin: frozen.origin, storage: storage, shouldStop: { [context] in context.shouldPause })
        guard let found = try? encoder.sha256(base: frozen.vocabulary), found != frozen.sha256 else { return }
        context.keeper.warn(
            "\(touched.map(\.path.string).joined(separator: ", ")) was written to since the run began, which goes on with the "
                + "text as it was. To learn the new one, \(context.environment.startingAnew).")
    }

    /// Tells in which settings the job file differs from what the run was made with so far.
    ///
    /// - Returns: The settings of the steps that were or will be made: where none is left, those of before.
    func tellOfChanges(_ trainer: Trainer, _ architecture: Architecture) -> TrainSection {
        // One that cannot be read is a loss for people only.
        guard
            let bytes = (try? context.storage.contents(of: context.folder.resolved, limit: YAMLDocument.largestFile))
                ?? nil,
            let former =
                (try? JobFile.parse(
                    bytes, fileName: context.folder.resolved.string, memory: MemoryBound(.max)))?.train
        else { return section }
        let changes = ResolvedFile.changes(from: former, to: section, architecture: architecture)
            .joined(separator: ", ")
        guard !changes.isEmpty else { return section }
        guard trainer.isAtEnd else {
            context.keeper.event(.resumed, .notice, "The steps that follow are made with \(changes).")
            return section
        }
        context.keeper.warn(
            "All steps are made, so this changes nothing in the training: \(changes). More epochs train further with it; "
                + "or \(context.environment.startingAnew).")
        return former
    }
}
