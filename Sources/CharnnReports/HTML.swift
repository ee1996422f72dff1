/// A piece of a page. Text that is put into it is escaped, so that nothing that a corpus or a model wrote can become
/// markup; only what is HTML already goes in as it is.
///
///     let cell: HTML = "<td class=\"\(kind)\">\(text)</td>"
public struct HTML: ExpressibleByStringInterpolation, Sendable {
    public private(set) var markup: String

    public init(stringLiteral value: String) { markup = value }
    public init(stringInterpolation: StringInterpolation) { markup = stringInterpolation.markup }

    /// Text, escaped.
    public init(_ text: String) { markup = Self.escaped(text) }

    /// Pieces one after the other.
    public init(_ pieces: [HTML], separator: String = "\n") {
        markup = pieces.map(\.markup).joined(separator: separator)
    }

    /// What is markup already.
    init(markup: String) { self.markup = markup }

    public static let nothing: HTML = ""

    public var isEmpty: Bool { markup.isEmpty }

    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var markup = ""

        public init(literalCapacity: Int, interpolationCount: Int) { markup.reserveCapacity(literalCapacity * 2) }
        public mutating func appendLiteral(_ literal: String) { markup += literal }
        public mutating func appendInterpolation(_ text: String) { markup += HTML.escaped(text) }
        public mutating func appendInterpolation(_ number: Int) { markup += String(number) }
        public mutating func appendInterpolation(_ piece: HTML) { markup += piece.markup }
        public mutating func appendInterpolation(_ pieces: [HTML]) { markup += HTML(pieces).markup }
    }

    /// The text with what means something in HTML written otherwise, and characters that no page may have replaced.
    static func escaped(_ text: String) -> String {
        var result: [UInt8] = []
        result.reserveCapacity(text.utf8.count)
        var isClean = true
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "&"): result += Array("&amp;".utf8)
            case UInt8(ascii: "<"): result += Array("&lt;".utf8)
            case UInt8(ascii: ">"): result += Array("&gt;".utf8)
            case UInt8(ascii: "\""): result += Array("&quot;".utf8)
            case UInt8(ascii: "'"): result += Array("&#39;".utf8)
            case 9, 10: result.append(byte)
            case 0..<32, 127: result += Array("\u{FFFD}".utf8)
            case 0xC2:
                // May begin one of the control characters U+0080 … U+009F, and then is looked at again below.
                isClean = false
                result.append(byte)
            default: result.append(byte)
            }
        }
        let escaped = String(decoding: result, as: UTF8.self)
        guard !isClean else { return escaped }
        return String(
            String.UnicodeScalarView(
                escaped.unicodeScalars.map { (0x80...0x9F).contains($0.value) ? "\u{FFFD}" : $0 }))
    }
}
