import CharnnModel

/// Texts of models as characters.
enum TextReading {
    /// A text that was written with a vocabulary, as its symbols; -1 for what that lacks.
    static func symbols(of bytes: [UInt8], _ encoding: TextEncoding, _ vocabulary: Vocabulary) -> [Int32] {
        encoding.text(of: bytes).unicodeScalars.map { vocabulary.index(of: $0.value) ?? -1 }
    }
}
