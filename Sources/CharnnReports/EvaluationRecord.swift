import CharnnWords
import FoundationEssentials

/// `evaluation.json`: how well a model predicts a text that a job was asked to score.
///
/// The same figure in three units, as papers and programs use each of them. Keys are the properties' names in snake
/// case; others read the file, so that a key never changes its meaning.
public struct EvaluationRecord: Codable, Sendable, Equatable {
    /// What the model was called by; of several, whose probabilities are averaged, all their names.
    public var model: String
    /// The texts as they were named, read as one text.
    public var corpus: [String]
    /// Characters that the score is of.
    public var characters: Int
    /// Characters outside the vocabulary, which are left out.
    public var unknownCharacters: Int
    /// The mean negative log-likelihood, as PyTorch's `CrossEntropyLoss` gives it; of several models that of the mean of
    /// their probabilities, each at its own fitted temperature.
    public var natsPerCharacter: Double
    /// The same at the temperature that was fitted to the model's validation text; nil: to none.
    public var natsPerCharacterFitted: Double?
    /// Where the model learned from the text as it went, the same as it was then: every character scored before the
    /// weights saw it. Of `tune` it is of the second half of the text.
    public var natsPerCharacterAdapted: Double?
    /// How it learned, and at which rate.
    public var adapt: String?
    public var adaptRate: Double?
    /// With n-grams mixed in that count the training text and go on counting: of the model as it adapts where it does, else
    /// as it is.
    public var natsPerCharacterWithNgrams: Double?
    /// What those n-grams need alone, and what `xz -9` does that has the training text before this one.
    public var ngramBitsPerCharacter: Double?
    public var xzBitsPerCharacter: Double?
    /// The nats divided by ln 2.
    public var bitsPerCharacter: Double
    /// `exp` of the nats.
    public var perplexity: Double
    /// What to beware of.
    public var warning: String?

    /// The figures are taken as they are, and must belong to each other.
    public init(
        model: String, corpus: [String], characters: Int, unknownCharacters: Int, natsPerCharacter: Double,
        natsPerCharacterFitted: Double? = nil, natsPerCharacterAdapted: Double? = nil, adapt: String? = nil,
        adaptRate: Double? = nil, natsPerCharacterWithNgrams: Double? = nil, ngramBitsPerCharacter: Double? = nil,
        xzBitsPerCharacter: Double? = nil, bitsPerCharacter: Double, perplexity: Double, warning: String?
    ) {
        self.model = model
        self.corpus = corpus
        self.characters = characters
        self.unknownCharacters = unknownCharacters
        self.natsPerCharacter = natsPerCharacter
        self.natsPerCharacterFitted = natsPerCharacterFitted
        (self.natsPerCharacterAdapted, self.adapt, self.adaptRate) = (natsPerCharacterAdapted, adapt, adaptRate)
        self.natsPerCharacterWithNgrams = natsPerCharacterWithNgrams
        (self.ngramBitsPerCharacter, self.xzBitsPerCharacter) = (ngramBitsPerCharacter, xzBitsPerCharacter)
        self.bitsPerCharacter = bitsPerCharacter
        self.perplexity = perplexity
        self.warning = warning
    }

    /// The file's contents.
    public var bytes: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return ((try? encoder.encode(self)).map([UInt8].init) ?? []) + [10]
    }

    /// For people: each figure with as many digits as it has meaning.
    var facts: [(key: String, value: String)] {
        var facts = [
            ("model", model), ("text", corpus.joined(separator: ", ")),
            ("bits per character", fixed(bitsPerCharacter, 4)),
            ("nats per character", fixed(natsPerCharacter, 4)), ("perplexity", fixed(perplexity, 3)),
            ("characters", grouped(characters)),
        ]
        if let fitted = natsPerCharacterFitted { facts.insert(("at the fitted temperature", fixed(fitted, 4)), at: 4) }
        if let adapted = natsPerCharacterAdapted {
            facts.append(("learning as it goes, bits per character", fixed(bits(adapted), 4)))
        }
        if let mixed = natsPerCharacterWithNgrams {
            facts.append(("with n-grams mixed in, bits per character", fixed(bits(mixed), 4)))
        }
        if let alone = ngramBitsPerCharacter { facts.append(("n-grams alone", fixed(alone, 4))) }
        if let compressed = xzBitsPerCharacter { facts.append(("xz -9", fixed(compressed, 4))) }
        if unknownCharacters > 0 { facts.append(("outside the vocabulary, left out", grouped(unknownCharacters))) }
        if let warning { facts.append(("beware", warning)) }
        return facts
    }
}
