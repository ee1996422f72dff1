/// A piece of a page. Text that is put into it is escaped, so that nothing that a corpus or a model wrote can become
/// markup; only what is HTML already goes in as it is.
///
///     let cell: HTML = "<td class=\"\(kind)\">\(text)</td>"
///
/// It is the only way in which pages are made. A `String` that is put in is text, whatever it holds; `HTML` that is put
/// in is markup. In a literal the compiler decides by the type, so a piece that is to stay markup must be of type
/// `HTML`: `as HTML`, or a declared type.
public struct HTML: ExpressibleByStringInterpolation, Sendable {
    /// What goes into the file. To put it into a literal as a `String` would escape it once more.
    public private(set) var markup: String

    /// A literal of the source is markup: nobody but a programmer wrote it.
    public init(stringLiteral value: String) { markup = value }
    /// Each part was escaped, or not, when it was put in.
    public init(stringInterpolation: StringInterpolation) { markup = stringInterpolation.markup }

    /// Text, escaped.
    public init(_ text: String) { markup = Self.escaped(text) }

    /// Pieces one after the other.
    public init(_ pieces: [HTML], separator: String = "\n") {
        markup = pieces.map(\.markup).joined(separator: separator)
    }

    /// What is markup already.
    ///
    /// For the style and the script of this module only: never for anything that was read.
    init(markup: String) { self.markup = markup }

    /// Stands for a section that has nothing to say.
    public static let nothing: HTML = ""

    public var isEmpty: Bool { markup.isEmpty }

    /// Sorts what a literal is given by its type: text is escaped, HTML is not. There is no overload for anything else
    /// on purpose, so that nothing gets in unsorted.
    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var markup = ""

        public init(literalCapacity: Int, interpolationCount: Int) { markup.reserveCapacity(literalCapacity * 2) }
        public mutating func appendLiteral(_ literal: String) { markup += literal }
        public mutating func appendInterpolation(_ text: String) { markup += HTML.escaped(text) }
        public mutating func appendInterpolation(_ number: Int) { markup += String(number) }
        public mutating func appendInterpolation(_ piece: HTML) { markup += piece.markup }
        /// A line each.
        public mutating func appendInterpolation(_ pieces: [HTML]) { markup += HTML(pieces).markup }
    }

    /// The text with what means something in HTML written otherwise, and characters that no page may have replaced.
    ///
    /// Quotes too, so that the same escaping serves within an attribute, which must stand in quotes itself.
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
