import CharnnModel
import CharnnStorage
import SystemPackage

/// Texts of models as characters.
enum TextReading {
    /// Bytes as one character each, as Latin-1 and `bytes` have it.
    static func text(of bytes: [UInt8]) -> String {
        String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    }

    /// A text in a vocabulary; -1 for what that lacks.
    static func symbols(of bytes: [UInt8], _ encoding: TextEncoding, _ vocabulary: Vocabulary) -> [Int32] {
        let codePoints =
            switch encoding {
            case .utf8: String(decoding: bytes, as: UTF8.self).unicodeScalars.map(\.value)
            case .latin1, .bytes: bytes.map(UInt32.init)
            }
        return codePoints.map { vocabulary.index(of: $0) ?? -1 }
    }
}
