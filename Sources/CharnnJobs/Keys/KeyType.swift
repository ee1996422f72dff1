/// What the value of a key may be: how it is read, how it is written, and what other programs are told of it.
///
/// The types that there are stand in `KeyType+Values.swift` and `KeyType+Sections.swift`; a key names one of them
/// (``Key``).
struct KeyType<Value>: Sendable {
    /// Reads a key of a section; nil where it is missing, and after a report where it is wrong.
    let read: @Sendable (SectionReader, String) -> Value?
    /// A value as YAML has it: what is written so is read as the same.
    let text: @Sendable (Value) -> String
    let schema: ValueSchema
    /// Whether a value says no more than a missing key would, such as an empty list where a text is needed.
    var isNothing: @Sendable (Value) -> Bool = { _ in false }
}

/// What JSON Schema can say of a value.
///
/// It allows what is allowed here, but for words in capitals and rare forms of numbers, and as little else as it can:
/// an editor must not call a good file wrong. Numbers may be texts, since `1_000` is one to most readers of YAML.
struct ValueSchema: Sendable {
    /// Of JSON; empty: those of the words.
    var types: [JSON] = []
    /// The values that there are; empty: no such list.
    var values: [JSON] = []
    /// Further rules.
    var rules: [JSON.Member] = []

    /// The schema's members.
    ///
    /// - Parameter isOptional: null is a value, too: that of a key that is missing.
    func members(isOptional: Bool) -> [JSON.Member] {
        let none: [JSON] = isOptional ? [.literal("null")] : []
        var members: [JSON.Member] = []
        if !types.isEmpty {
            let types = types + (isOptional ? ["null"] : [])
            members.append(.init(name: "type", value: types.count == 1 ? types[0] : .array(types)))
        }
        if !values.isEmpty { members.append(.init(name: "enum", value: .array(values + none))) }
        return members + rules
    }
}

/// The numbers that a key takes, for people and for programs.
struct NumberRange: Sendable {
    /// For people: "a number from 0".
    let words: String
    /// In JSON Schema's words: `minimum`, `exclusiveMaximum` and so on.
    let bounds: [JSON.Member]
    let contains: @Sendable (Double) -> Bool

    private init(_ words: String, _ bounds: [JSON.Member], _ contains: @escaping @Sendable (Double) -> Bool) {
        (self.words, self.bounds, self.contains) = (words, bounds, contains)
    }

    /// - Parameter least: As it is written in messages.
    static func from(_ least: Double, written: String, note: String = "") -> NumberRange {
        NumberRange("a number from \(written)\(note)", [.init(name: "minimum", value: .literal(written))]) {
            $0 >= least
        }
    }

    /// Both ends are among them.
    static func between(_ least: Int, _ most: Int) -> NumberRange {
        NumberRange(
            "a number from \(least) to \(most)",
            [
                .init(name: "minimum", value: .literal(String(least))),
                .init(name: "maximum", value: .literal(String(most))),
            ]
        ) { (Double(least)...Double(most)).contains($0) }
    }

    static let notNegative = from(0, written: "0")
    static let positive = NumberRange("a number above 0", [.init(name: "exclusiveMinimum", value: 0)]) { $0 > 0 }
    /// 1 is none of them.
    static let fraction = NumberRange(
        "a number from 0 up to, not including, 1",
        [.init(name: "minimum", value: 0), .init(name: "exclusiveMaximum", value: 1)]
    ) { (0..<1).contains($0) }
    /// 0 is none of them.
    static let share = NumberRange(
        "a number above 0 and at most 1",
        [.init(name: "exclusiveMinimum", value: 0), .init(name: "maximum", value: 1)]
    ) { $0 > 0 && $0 <= 1 }
}

/// The words of a choice as a sentence lists them: "`rnn`, `gru` or `lstm`".
func alternatives<Choice: RawRepresentable & CaseIterable>(_: Choice.Type) -> String where Choice.RawValue == String {
    let words = Choice.allCases.map { "`\($0.rawValue)`" }
    return words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
}
