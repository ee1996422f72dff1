import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTexts
import CharnnTraining
import SystemPackage

/// The text that a model learned from, made ready to be searched: as much of it as memory allows.
///
/// A character takes 4 bytes of its own and, while its suffixes are sorted, about 20 more; the text is cut so that this
/// stays below an eighth of the memory there is. What is kept lies around the beginning of the validation text: all of
/// that, and the training text before it.
struct SearchedText {
    /// The most characters, whatever the memory: about half a minute's work.
    static let mostCharacters = 32 << 20
    private static let bytesPerCharacter: UInt64 = 24

    let corpus: EncodedCorpus
    let suffixes: SuffixArray
    /// Where the searched part begins in the whole text.
    let start: Int
    /// Within the searched part.
    let training: Range<Int>
    let validation: Range<Int>
    /// Whether all of the validation text is there.
    let hasWholeValidation: Bool

    /// - Parameter memory: What the job may use, bytes.
    init(_ corpus: EncodedCorpus, split: ValidationSplit, memory: UInt64) {
        self.corpus = corpus
        let room = max(1 << 16, min(Self.mostCharacters, Int(min(memory / 8 / Self.bytesPerCharacter, 1 << 40))))
        let count = corpus.text.count
        let border = split.training.upperBound
        // At least half of the room is for the text learned from, which is what copies are looked for in.
        hasWholeValidation = split.validation.count <= room / 2
        let end = min(count, hasWholeValidation ? split.validation.upperBound : border + room / 2)
        start = max(0, end - room)
        training = 0..<max(0, border - start)
        validation = training.upperBound..<(end - start)
        var symbols = [Int32](repeating: 0, count: end - start)
        for position in symbols.indices { symbols[position] = corpus.text[start + position] }
        suffixes = SuffixArray(symbols, alphabet: corpus.vocabulary.count)
    }

    /// The bytes of a part of the searched text in the corpus's encoding.
    func bytes(_ range: Range<Int>) -> [UInt8] {
        corpus.bytes(start + range.lowerBound..<start + range.upperBound)
    }

    /// The beginning of a passage, for people.
    func excerpt(_ place: Int, _ length: Int) -> String {
        let bytes = bytes(place..<min(suffixes.text.count, place + min(length, 160)))
        let text = corpus.encoding.text(of: bytes)
        return length > 160 ? text + " …" : text
    }

    /// Where lines end, in the whole text up to the end of the searched part; to tell places by lines.
    func lineEnds() -> [Int] {
        guard let newline = corpus.vocabulary.index(of: 10) else { return [] }
        return (0..<(start + suffixes.text.count)).filter { corpus.text[$0] == newline }
    }
}
