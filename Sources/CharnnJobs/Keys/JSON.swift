/// JSON whose members keep their order: a schema is read by people too.
enum JSON: Sendable, Equatable {
    /// A number, `true`, `false` or `null` as it stands there: numbers of any size keep their digits.
    case literal(String)
    case string(String)
    case array([JSON])
    case object([Member])

    /// A name with its value.
    struct Member: Sendable, Equatable {
        var name: String
        var value: JSON
    }

    /// Indented by two spaces a level; what holds no object stands on one line.
    func text(indent: String = "") -> String {
        let inner = indent + "  "
        switch self {
        case .literal(let text): return text
        case .string(let text): return Self.quoted(text)
        case .array(let elements) where !elements.contains(where: \.isObject):
            return "[\(elements.map { $0.text() }.joined(separator: ", "))]"
        case .array(let elements):
            return "[\n\(elements.map { inner + $0.text(indent: inner) }.joined(separator: ",\n"))\n\(indent)]"
        case .object(let members):
            let lines = members.map { "\(inner)\(Self.quoted($0.name)): \($0.value.text(indent: inner))" }
            return lines.isEmpty ? "{}" : "{\n\(lines.joined(separator: ",\n"))\n\(indent)}"
        }
    }

    private var isObject: Bool { if case .object = self { true } else { false } }

    private static func quoted(_ text: String) -> String { doubleQuoted(text, escape: "\\u00") }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    init(stringLiteral value: String) { self = .string(value) }
    init(integerLiteral value: Int) { self = .literal(String(value)) }
    init(booleanLiteral value: Bool) { self = .literal(String(value)) }
}

extension JSON: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    init(arrayLiteral elements: JSON...) { self = .array(elements) }
    init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(elements.map { Member(name: $0.0, value: $0.1) })
    }
}
