import CharnnModel
import CharnnSpool

/// What a model, or several together, can read and write.
struct Alphabet {
    var vocabulary: Vocabulary
    var encoding: TextEncoding

    init(_ vocabulary: Vocabulary, _ encoding: TextEncoding) {
        self.vocabulary = vocabulary
        self.encoding = encoding
    }

    init(_ model: Model) { self.init(model.vocabulary, model.encoding) }

    /// All symbols of some models, those of the first in its order.
    ///
    /// - Parameter models: At least one, with what each is called by.
    /// - Throws: ``JobError`` where they are of different encodings: what one calls a character the other does not.
    init(of models: [(name: String, alphabet: Alphabet)]) throws(JobError) {
        self = models[0].alphabet
        for (name, other) in models.dropFirst() {
            guard other.encoding == encoding else {
                throw JobError(
                    .badData,
                    "\(models[0].name) learned from \(encoding.rawValue) and \(name) from \(other.encoding.rawValue); models "
                        + "whose probabilities are averaged need one encoding")
            }
            vocabulary = vocabulary.growing(by: other.vocabulary.codePoints)
        }
    }
}
