/// YAML's flow style, which is that of JSON too but for escapes.
func flowList(_ values: [String]) -> String { "[\(values.map { doubleQuoted($0) }.joined(separator: ", "))]" }

/// A double-quoted scalar.
///
/// Always quoted, so that no name or prompt can be taken for something else by any YAML parser.
///
/// - Parameter escape: What stands before the two digits of a control character: YAML's, or JSON's `\\u00`.
func doubleQuoted(_ text: String, escape: String = "\\x") -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": result += "\\\(scalar)"
        case "\n": result += "\\n"
        case "\t": result += "\\t"
        case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
            result += escape + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
