public import CharnnEngine

/// Which weights of a run a model has.
public enum WeightsKind: String, Sendable, CaseIterable {
    /// Those of a step.
    case raw
    /// Their average over the steps up to there.
    case average
}

/// A trained network with what is needed to read and write its text.
public struct Model: Sendable {
    /// Its vocabulary size is the number of symbols in ``vocabulary``.
    public var architecture: Architecture
    /// Its order is that of the rows of embedding and head.
    public var vocabulary: Vocabulary
    /// How its text is read and written; with `bytes` a symbol is a byte and not a character.
    public var encoding: TextEncoding
    /// In ``ParameterLayout``.
    public var parameters: [Float]
    /// The step at which these weights were taken, where it is known.
    public var step: Int?
    /// What they are, of a run that keeps an average; nil: of one that does not, or it is not known.
    public var weights: WeightsKind?
    /// Their validation loss, nats a character, where it was measured.
    public var validationLoss: Double?
    /// The temperature that fits their probabilities best to the validation text, 1 where that is too short to tell; nil:
    /// none was fitted. It is for scoring: texts are written at the temperature that is asked for.
    public var fittedTemperature: Double?
    /// The SHA-256 of the encoded text that it was trained on, hexadecimal.
    public var corpusSHA256: String?

    public init(
        architecture: Architecture, vocabulary: Vocabulary, encoding: TextEncoding, parameters: [Float],
        step: Int? = nil, weights: WeightsKind? = nil, validationLoss: Double? = nil, corpusSHA256: String? = nil
    ) {
        self.weights = weights
        self.architecture = architecture
        self.vocabulary = vocabulary
        self.encoding = encoding
        self.parameters = parameters
        self.step = step
        self.validationLoss = validationLoss
        self.corpusSHA256 = corpusSHA256
    }

    /// This model with a vocabulary that has further symbols behind its own.
    ///
    /// The rows of the embedding and of the head that belong to new symbols are initialised as a new network's.
    public func growing(to larger: Vocabulary, seed: UInt64) -> Model {
        precondition(larger.codePoints.starts(with: vocabulary.codePoints), "indices of known symbols never change")
        guard larger.count > vocabulary.count else { return self }
        var grown = self
        grown.vocabulary = larger
        grown.architecture.vocabularySize = larger.count
        grown.parameters = Initialisation.parameters(of: grown.architecture, seed: seed)
        let old = ParameterLayout(architecture)
        for (from, to) in zip(old.slots, ParameterLayout(grown.architecture).slots) {
            // Rows are contiguous, so the old rows are a prefix of the new tensor.
            grown.parameters.replaceSubrange(to.offset..<(to.offset + from.count), with: parameters[from.range])
        }
        return grown
    }
}
