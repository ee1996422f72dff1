import CharnnCorpus
import CharnnEngine
public import CharnnModel
import CharnnSpool
public import CharnnStorage
import CharnnTraining
public import SystemPackage

/// What a model learned from, for n-grams to count.
public struct TrainingText: Sendable {
    let corpus: EncodedCorpus
    /// What was trained on, without what was kept for validation.
    let range: Range<Int>

    /// Finds that of a model in the model's own folder, where its training has frozen it.
    ///
    /// - Parameters:
    ///   - folder: Where the model lies.
    ///   - name: What the model is called by.
    ///   - shouldStop: Asked while the text's checksum is computed.
    /// - Throws: ``JobError`` with the exit 66 where it is not there, or is not this model's.
    public init(
        in folder: FilePath, of model: Model, name: String, on storage: any Storage,
        shouldStop: () -> Bool = { false }
    ) throws(JobError) {
        let remedy = "counting n-grams needs the text in the folder of the job that trained it"
        let path = folder.appending(.corpus)
        do {
            guard let sha256 = model.corpusSHA256 else {
                throw JobError(.noInput, "the model \(name) does not tell which text it learned from; \(remedy)")
            }
            guard try storage.status(of: path) != nil else {
                throw JobError(.noInput, "the text that \(name) learned from is not there (\(path)); \(remedy)")
            }
            corpus = try EncodedCorpus(reading: path, in: storage, shouldStop: shouldStop)
            guard corpus.sha256 == sha256 else {
                throw JobError(.noInput, "\(path) is not the text that \(name) learned from; \(remedy)")
            }
            // How much of it was kept for validation, and so was not learned from.
            let resolved = folder.appending(.resolved)
            guard let bytes = try storage.contents(of: resolved, limit: YAMLDocument.largestFile),
                let train = try JobFile.parse(bytes, fileName: resolved.string).train
            else {
                throw JobError(
                    .noInput, "\(resolved) does not tell what \(name) learned from; \(remedy)")
            }
            range =
                ValidationSplit(
                    count: corpus.text.count, validationFraction: train.valFraction, validationLimit: train.valMaxChars
                ).training
        } catch {
            throw JobError(error)
        }
    }
}
