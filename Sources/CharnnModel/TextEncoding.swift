/// How bytes are read as characters.
public enum TextEncoding: String, Sendable, CaseIterable, Codable {
    /// A character is a Unicode scalar.
    case utf8 = "utf-8"
    /// A character is a byte, which is a Unicode scalar below 256.
    case latin1 = "latin-1"
    /// A character is a byte and nothing is changed in the text; the vocabulary has all 256.
    case bytes

    /// The bytes that stand for a code point of a vocabulary with this encoding.
    public func append(_ codePoint: UInt32, to bytes: inout [UInt8]) {
        switch self {
        case .utf8:
            guard let scalar = Unicode.Scalar(codePoint) else { return }
            bytes.append(contentsOf: UTF8.encode(scalar) ?? Unicode.UTF8.encodedReplacementCharacter)
        case .latin1, .bytes:
            bytes.append(UInt8(truncatingIfNeeded: codePoint))
        }
    }

    /// The code points of a string in this encoding; those that Latin-1 lacks stay as they are and so are unknown to
    /// every vocabulary of it.
    public func codePoints(of string: String) -> [UInt32] {
        switch self {
        case .utf8, .latin1: string.unicodeScalars.map(\.value)
        case .bytes: string.utf8.map(UInt32.init)
        }
    }
}
