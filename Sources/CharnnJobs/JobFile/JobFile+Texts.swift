import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnReports
import CharnnSpool
import CharnnTraining
import CharnnWords
import SystemPackage

/// What the sections of a job file come to beside a model or a text.
extension TrainSection {
    /// The text to train on.
    ///
    /// - Parameter base: The model that the run goes on from.
    ///
    /// The encoding is the model's unless the file says one: its vocabulary was made of that.
    func origin(_ base: Model?) -> CorpusOrigin {
        CorpusOrigin(
            paths: corpus, encoding: given.contains("encoding") ? encoding : base?.encoding ?? encoding,
            stripsGutenberg: stripGutenberg, maximumCharacters: maxChars)
    }

    /// The network, with the sizes of the model that the run goes on from.
    ///
    /// Dropout is no part of the weights, and may be another.
    func architecture(_ base: Model?, vocabularySize: Int) -> Architecture {
        guard var architecture = base?.architecture else { return architecture(vocabularySize: vocabularySize) }
        architecture.vocabularySize = vocabularySize
        if given.contains("dropout") { architecture.dropout = dropout }
        if given.contains("dropout_input") { architecture.dropoutInput = dropoutInput }
        if given.contains("dropout_output") { architecture.dropoutOutput = dropoutOutput }
        if given.contains("dropout_mask") { architecture.dropoutMask = dropoutMask }
        return architecture
    }

    /// The same with the values of a network in place of those that the file has.
    func with(_ architecture: Architecture) -> TrainSection {
        var section = self
        section.cell = architecture.cell
        section.nonlinearity = architecture.nonlinearity
        section.hiddenSize = architecture.hiddenSize
        section.numLayers = architecture.layerCount
        section.embeddingSize = architecture.embeddingSize
        section.dropout = architecture.dropout
        section.dropoutInput = architecture.dropoutInput
        section.dropoutOutput = architecture.dropoutOutput
        section.dropoutMask = architecture.dropoutMask
        return section
    }

    /// What the job file asks for and the model does not have that the run goes on from.
    ///
    /// Only keys that the file gives: a default is no wish.
    ///
    /// - Returns: Each a sentence without its full stop; empty: all fits.
    func conflicts(with model: Model, _ reference: ModelReference) -> [String] {
        let architecture = model.architecture
        let wishes: [(key: String, wanted: String, found: String)] = [
            ("cell", cell.rawValue, architecture.cell.rawValue),
            ("nonlinearity", nonlinearity.rawValue, architecture.nonlinearity.rawValue),
            ("hidden_size", String(hiddenSize), String(architecture.hiddenSize)),
            ("num_layers", String(numLayers), String(architecture.layerCount)),
            ("embedding_size", embeddingSize.map(String.init) ?? "", String(architecture.embeddingSize)),
            ("encoding", encoding.rawValue, model.encoding.rawValue),
        ]
        return wishes.filter { given.contains($0.key) && $0.wanted != $0.found }.map { wish in
            "train.\(wish.key) is \(wish.wanted), but the model \(reference) that it goes on from has \(wish.found); "
                + "leave the key out"
        }
    }

    /// Refuses settings that need validation where the text is too short to have any.
    ///
    /// That a text is too short is seen only when it has been read; `val_fraction: 0` is refused with the file.
    func requireValidation(_ split: ValidationSplit, of characters: Int) throws(JobError) {
        guard valFraction > 0, split.validation.count < 2,
            settings.earlyStop != nil && given.contains("early_stop") || settings.schedule == .plateau
        else { return }
        throw JobError(
            .badData,
            "early_stop and lr_schedule: plateau need validation, but val_fraction \(valFraction) of "
                + "\(grouped(characters)) characters is less than two; raise val_fraction")
    }
}

extension EvaluateSection {
    /// Said where a text has fewer than two characters that the model knows.
    static func nothingToScore(in paths: [String]) -> JobError {
        JobError(
            .badData,
            "there is nothing to score in \(paths.joined(separator: ", ")); name a text of two characters or more that the "
                + "model's vocabulary has")
    }
}

extension CorpusOrigin {
    /// A text that is scored.
    init(scoring files: [CorpusFile], _ encoding: TextEncoding) {
        self.init(
            paths: files.map(\.path.string), encoding: encoding, stripsGutenberg: false, maximumCharacters: nil)
    }
}
