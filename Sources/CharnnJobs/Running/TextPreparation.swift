import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnWords
import SystemPackage

/// The text that a run learns: made when the run begins, and then kept as it was.
struct TextPreparation {
    let context: JobContext
    let section: TrainSection

    private var folder: JobFolder { context.folder }
    private var keeper: StatusKeeper { context.keeper }

    /// The text of this job: frozen as soon as there is a checkpoint, encoded anew before.
    ///
    /// - Parameters:
    ///   - base: Whose vocabulary and encoding hold, where the run has no checkpoint.
    ///   - model: That of the checkpoint: its vocabulary's indices must stay, and it has the text's checksum.
    func encodedCorpus(_ base: Model?, resuming model: Model?) throws -> EncodedCorpus {
        var damage: CorpusError?
        if let model, folder.exists(folder.corpus) {
            do {
                let frozen = try EncodedCorpus(
                    reading: folder.corpus, in: context.storage, expecting: model.corpusSHA256,
                    shouldStop: { [context] in context.shouldPause })
                ResumeNotes(context, section).tellOfChangedTexts(since: frozen)
                return frozen
            } catch {
                guard error.code == .damaged else { throw error.code == .interrupted ? context.paused() : error }
                keeper.warn("\(error); it is made anew from the text.")
                damage = error
            }
        }
        do {
            return try encodeCorpus(base, resuming: model)
        } catch {
            // A pause and what may be better later are no end.
            let reason = JobError(error)
            guard let damage, reason.exit != .checkpointed, reason.exit != .temporary else { throw error }
            throw JobError(.badData, "\(damage), and it cannot be made anew: \(reason)")
        }
    }

    /// Reads the text's files and writes `corpus.bin`. Where a checkpoint is there the result must be the very text of
    /// before.
    private func encodeCorpus(_ base: Model?, resuming model: Model?) throws -> EncodedCorpus {
        let origin = section.origin(base)
        keeper.enter("encoding")
        let files = try context.environment.corpusFiles(section.corpus, in: context.storage)
        let encoder = CorpusEncoder(
            files, origin: origin, storage: context.storage, shouldStop: { [context] in context.shouldPause },
            progress: { [keeper] part in keeper.update { $0.phase = "encoding \(Int(part * 100)) %" } },
            note: { [keeper] in keeper.warn("\($0).") })
        do {
            try encoder.encode(to: folder.corpus, base: (model ?? base)?.vocabulary)
        } catch {
            throw error.code == .interrupted ? context.paused() : error
        }
        let corpus = try EncodedCorpus(reading: folder.corpus, in: context.storage, expecting: model?.corpusSHA256)
        keeper.event(
            .encoded, .info,
            "The text has \(grouped(corpus.text.count)) characters, \(corpus.vocabulary.count) different ones.",
            ["CHARACTERS": String(corpus.text.count), "VOCABULARY": String(corpus.vocabulary.count)])
        return corpus
    }
}
