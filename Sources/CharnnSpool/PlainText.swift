/// Words that others chose, such as names of files, texts of errors about them, and lines of a worker, on their way into
/// something that people read: a line of a log, the journal, a reason, a terminal.
///
/// What would end the line, move the cursor, colour it, or turn the order of its letters round is written as what it
/// is, such as `\n` or `\u{1B}`. So nobody can write a line in another's name.
public enum PlainText {
    /// One line.
    ///
    /// - Parameter bytes: The most that are kept; a text that is longer ends in `…`.
    public static func line(_ text: String, atMost bytes: Int = .max) -> String {
        // Spelling makes it longer only: what is beyond need not be looked at.
        cut(spelled(cut(text, bytes).unicodeScalars) { $0 != " " && needsSpelling($0) }, bytes)
    }

    /// Several lines, each below another as the text has them.
    ///
    /// - Parameter indent: Stands before all lines but the first, so that none looks like one of its own.
    public static func lines(_ text: String, indent: String = "", atMost bytes: Int = .max) -> String {
        let whole = spelled(cut(text, bytes).unicodeScalars) { $0 != "\n" && $0 != "\t" && needsSpelling($0) }
        return cut(indent.isEmpty ? whole : whole.split(separator: "\n").joined(separator: "\n\(indent)"), bytes)
    }

    /// The beginning of a text, of at most so many bytes of UTF-8.
    public static func cut(_ text: String, _ bytes: Int) -> String {
        guard text.utf8.count > bytes else { return text }
        let mark = "…"
        var end = text.utf8.index(text.utf8.startIndex, offsetBy: max(0, bytes - mark.utf8.count))
        // Not in the middle of a scalar.
        while end > text.startIndex, UTF8.isContinuation(text.utf8[end]) { end = text.utf8.index(before: end) }
        return String(text[..<end]) + mark
    }

    private static func spelled(
        _ scalars: String.UnicodeScalarView, _ isSpelled: (Unicode.Scalar) -> Bool
    ) -> String {
        guard scalars.contains(where: isSpelled) else { return String(scalars) }
        var text = ""
        for scalar in scalars {
            if isSpelled(scalar) { text += spelling(scalar) } else { text.unicodeScalars.append(scalar) }
        }
        return text
    }

    private static func spelling(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default: "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
        }
    }

    private static func needsSpelling(_ scalar: Unicode.Scalar) -> Bool {
        if (0x20...0x7E).contains(scalar.value) { return false }
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .surrogate: return true
        // Two of them shape letters and are written in several languages.
        case .format: return scalar != "\u{200C}" && scalar != "\u{200D}"
        default: return false
        }
    }
}
