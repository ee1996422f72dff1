/// How bytes are read as characters.
///
/// Texts that a model writes into files are in this encoding too if it is `latin-1` or `bytes`, and otherwise UTF-8.
public enum TextEncoding: String, Sendable, CaseIterable, Codable {
    /// A character is a Unicode scalar.
    case utf8 = "utf-8"
    /// A character is a byte, which is a Unicode scalar below 256.
    case latin1 = "latin-1"
    /// The same, but that most bytes from 0x80 to 0x9F are quotation marks, dashes and letters, as Windows had it in the
    /// West.
    case windows1252 = "windows-1252"
    /// A character is a Unicode scalar, in two bytes or four. A byte order mark says which comes first.
    case utf16 = "utf-16"
    /// A character is a byte and nothing is changed in the text; the vocabulary has all 256.
    case bytes

    /// All of them, for people: `utf-8, latin-1 or bytes`.
    public static let list: String = {
        let names = allCases.map(\.rawValue)
        return names.dropLast().joined(separator: ", ") + " or " + (names.last ?? "")
    }()

    /// Whether texts with this encoding are written as UTF-8.
    public var writesUTF8: Bool {
        switch self {
        case .utf8, .windows1252, .utf16: true
        case .latin1, .bytes: false
        }
    }

    /// The bytes that stand for a code point of a vocabulary with this encoding where a text is written.
    public func append(_ codePoint: UInt32, to bytes: inout [UInt8]) {
        if writesUTF8 {
            guard let scalar = Unicode.Scalar(codePoint) else { return }
            bytes.append(contentsOf: UTF8.encode(scalar) ?? Unicode.UTF8.encodedReplacementCharacter)
        } else {
            bytes.append(UInt8(truncatingIfNeeded: codePoint))
        }
    }

    /// The characters of a text that was written with this encoding; of `bytes` one each.
    public func text(of written: [UInt8]) -> String {
        writesUTF8
            ? String(decoding: written, as: UTF8.self)
            : String(String.UnicodeScalarView(written.map { Unicode.Scalar($0) }))
    }

    /// The code points of a string in this encoding; those that it lacks stay as they are and so are unknown to every
    /// vocabulary of it.
    public func codePoints(of string: String) -> [UInt32] {
        self == .bytes ? string.utf8.map(UInt32.init) : string.unicodeScalars.map(\.value)
    }

    /// Whether a text in this encoding can have a code point.
    public func has(_ codePoint: UInt32) -> Bool {
        switch self {
        case .utf8, .utf16: true
        case .latin1, .bytes: codePoint < 0x100
        case .windows1252:
            codePoint < 0x80 || (0xA0..<0x100).contains(codePoint) || Self.extended.contains(codePoint)
        }
    }

    /// What the bytes from 0x80 to 0x9F are in windows-1252; nil: nothing.
    public static let extended: [UInt32?] = [
        0x20AC, nil, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, nil,
        0x017D,
        nil, nil, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, nil,
        0x017E, 0x0178,
    ]
}
