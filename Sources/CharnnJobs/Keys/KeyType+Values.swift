import CharnnTraining
import SystemPackage

/// Texts of numbers, which YAML's readers do not all take for numbers.
private enum NumberPattern {
    static let integer = "^[+-]?[0-9_]+$"
    static let number = "^[+-]?([0-9_]+[.]?[0-9_]*|[.][0-9_]+)([eE][+-]?[0-9]+)?$"
    static let duration = "^( *[0-9.][0-9. ]*[smhd])+ *$"
    static let size = "^[0-9]+[KMGT]?$"
}

/// A scalar of any type is text, as it is written.
let scalars: [JSON] = ["string", "number", "boolean"]

private func pattern(_ text: String) -> [JSON.Member] { [.init(name: "pattern", value: .string(text))] }

private func integers(_ least: String, _ most: String?) -> ValueSchema {
    let upper: [JSON.Member] = most.map { [.init(name: "maximum", value: .literal($0))] } ?? []
    return ValueSchema(
        types: ["integer", "string"],
        rules: [.init(name: "minimum", value: .literal(least))] + upper + pattern(NumberPattern.integer))
}

extension KeyType<Int> {
    static func integer(in range: ClosedRange<Int>) -> Self {
        KeyType(
            read: { $0.integer($1, in: range) }, text: { String($0) },
            schema: integers(
                String(range.lowerBound), range.upperBound == .max ? nil : String(range.upperBound)))
    }
}

extension KeyType {
    /// A value, or `auto`: nil.
    var orAuto: KeyType<Value?> {
        var schema = schema
        if schema.values.isEmpty {
            // Of a text the pattern asks for digits.
            schema = ValueSchema(rules: [
                .init(name: "anyOf", value: [.object(schema.members(isOptional: true)), ["const": "auto"]])
            ])
        } else {
            schema.values.insert("auto", at: 0)
        }
        return KeyType<Value?>(
            read: { reader, key in reader.saysAuto(key) ? .some(nil) : read(reader, key) },
            text: { $0.map(text) ?? "auto" }, schema: schema)
    }
}

extension KeyType<UInt64> {
    static var seed: Self {
        KeyType(
            read: { $0.seed($1) }, text: { String($0) }, schema: integers("0", String(UInt64.max)))
    }

    /// Bytes, such as `8G`.
    static var size: Self {
        KeyType(
            read: { $0.size($1) }, text: { String($0) },
            schema: ValueSchema(
                types: ["integer", "string"],
                rules: [.init(name: "minimum", value: 1)] + pattern(NumberPattern.size)))
    }
}

extension KeyType<Double> {
    static func number(_ range: NumberRange) -> Self {
        KeyType(
            read: { $0.number($1, in: range) }, text: { String($0) },
            schema: ValueSchema(types: ["number", "string"], rules: range.bounds + pattern(NumberPattern.number)))
    }

    /// Seconds.
    static var duration: Self {
        KeyType(
            read: { $0.duration($1) }, text: { "\($0)s" },
            schema: ValueSchema(types: ["string"], rules: pattern(NumberPattern.duration)))
    }
}

extension KeyType<Bool> {
    static var boolean: Self {
        KeyType(
            read: { $0.boolean($1) }, text: { String($0) },
            schema: ValueSchema(values: [true, false, "yes", "no", "on", "off"]))
    }
}

extension KeyType where Value: RawRepresentable & CaseIterable & SendableMetatype, Value.RawValue == String {
    /// One of an enumeration's words.
    static var choice: Self {
        KeyType(
            read: { $0.choice($1, Value.self) }, text: { $0.rawValue },
            schema: ValueSchema(values: Value.allCases.map { .string($0.rawValue) }))
    }
}

extension KeyType<String> {
    static var jobName: Self {
        KeyType(
            read: { $0.string($1) }, text: { doubleQuoted($0) },
            schema: ValueSchema(types: scalars, rules: [.init(name: "minLength", value: 1)]),
            isNothing: { $0.isEmpty })
    }

    /// Any scalar, as it is written.
    static var string: Self {
        KeyType(
            read: { $0.string($1) }, text: { doubleQuoted($0) }, schema: ValueSchema(types: scalars))
    }

    static var command: Self {
        KeyType(
            read: { reader, key in
                let allowed = "a command line for /bin/sh"
                let command = reader.string(key, allowed: allowed)
                if let command, command.allSatisfy(\.isWhitespace) || command.contains("\0") {
                    reader.report(key: key, "found nothing that can be run; allowed: \(allowed)")
                }
                return command
            },
            text: { doubleQuoted($0) },
            schema: ValueSchema(types: scalars, rules: pattern("[^ \\t\\n]")))
    }
}

extension KeyType<ModelReference> {
    static var model: Self {
        KeyType(
            read: { reader, key in reader.path(key).map(ModelReference.init) },
            text: { doubleQuoted($0.description) }, schema: ValueSchema(types: scalars))
    }
}

extension KeyType<[ModelReference]> {
    /// The most models that are one: each takes the time and memory of its own.
    private static var most: Int { 100 }

    /// A model or a list of them.
    static var models: Self {
        KeyType(
            read: { reader, key in
                let paths = reader.paths(key)
                if let paths, paths.isEmpty || paths.count > most {
                    reader.report(
                        key: key, "found \(paths.count) models; allowed: a model or a list of 1 to \(most)")
                    return nil
                }
                return paths.map { $0.map(ModelReference.init) }
            },
            text: { models in
                switch models.count {
                case 0: "null"
                case 1: doubleQuoted(models[0].description)
                default: flowList(models.map(\.description))
                }
            },
            schema: list(ValueSchema(types: scalars), atLeast: 1),
            isNothing: { $0.isEmpty })
    }
}

extension KeyType<FilePath> {
    static var absolutePath: Self {
        KeyType(
            read: { reader, key in
                let path = reader.string(key).map { FilePath($0) }
                if let path { reader.requireAbsolute([path]) }
                return path
            },
            text: { doubleQuoted($0.string) },
            schema: ValueSchema(types: ["string"], rules: pattern("^/")))
    }
}

extension KeyType<[FilePath]> {
    static var absolutePaths: Self {
        KeyType(
            read: { reader, key in
                let paths = reader.strings(key, allowed: "a path or a list of paths")?.map { FilePath($0) }
                if let paths { reader.requireAbsolute(paths) }
                return paths
            },
            text: { flowList($0.map(\.string)) },
            schema: list(ValueSchema(types: ["string"], rules: pattern("^/"))))
    }
}

extension SectionReader {
    fileprivate func requireAbsolute(_ paths: [FilePath]) {
        for path in paths where !path.isAbsolute { report(line, "\(path): allowed: an absolute path") }
    }
}

extension KeyType<[String]> {
    /// A path or a list of them, of texts.
    static var paths: Self {
        KeyType(
            read: { $0.paths($1) }, text: { flowList($0) },
            schema: list(ValueSchema(types: scalars, rules: [.init(name: "minLength", value: 1)]), atLeast: 1),
            isNothing: { $0.isEmpty || $0.contains("") })
    }

    /// The same where there need be none.
    static var pathsOrNone: Self {
        KeyType(
            read: { $0.paths($1) }, text: { $0.isEmpty ? "null" : flowList($0) },
            schema: list(ValueSchema(types: scalars, rules: [.init(name: "minLength", value: 1)]), atLeast: 1),
            isNothing: { $0.isEmpty })
    }

}

/// One value or a list of them.
func list(_ element: ValueSchema, atLeast least: Int? = nil, atMost most: Int? = nil) -> ValueSchema {
    var schema = element
    schema.types.append("array")
    schema.rules.append(.init(name: "items", value: .object(element.members(isOptional: false))))
    if let least { schema.rules.append(.init(name: "minItems", value: .literal(String(least)))) }
    if let most { schema.rules.append(.init(name: "maxItems", value: .literal(String(most)))) }
    return schema
}

private func pair(_ element: JSON.Member...) -> ValueSchema {
    ValueSchema(
        types: ["array"],
        rules: [
            .init(name: "items", value: .object(element)), .init(name: "minItems", value: 2),
            .init(name: "maxItems", value: 2),
        ])
}

extension KeyType<Betas> {
    static var betas: Self {
        KeyType(
            read: { reader, key in
                guard let betas = reader.strings(key, allowed: "two numbers such as [0.9, 0.999]") else { return nil }
                let numbers = betas.compactMap(Double.init).filter(NumberRange.fraction.contains)
                guard betas.count == 2, numbers.count == 2 else {
                    reader.report(key: key, "found \(betas); allowed: two numbers from 0 up to, not including, 1")
                    return nil
                }
                return Betas(first: numbers[0], second: numbers[1])
            },
            text: { "[\($0.first), \($0.second)]" },
            schema: pair(
                .init(name: "type", value: ["number", "string"]),
                NumberRange.fraction.bounds[0], NumberRange.fraction.bounds[1],
                .init(name: "pattern", value: .string(NumberPattern.number))))
    }
}

extension KeyType<ClosedRange<Int>> {
    /// The lowest and the highest number that are allowed.
    static var bounds: Self {
        KeyType(
            read: { reader, key in
                let allowed = "the lowest and the highest, such as [-100, 0]"
                guard let words = reader.strings(key, allowed: allowed) else { return nil }
                let numbers = words.compactMap(Int.init)
                guard words.count == 2, numbers.count == 2, numbers[0] <= numbers[1] else {
                    reader.report(key: key, "allowed: \(allowed)")
                    return nil
                }
                return numbers[0]...numbers[1]
            },
            text: { "[\($0.lowerBound), \($0.upperBound)]" },
            schema: pair(
                .init(name: "type", value: ["integer", "string"]),
                .init(name: "pattern", value: .string(NumberPattern.integer))))
    }
}

extension KeyType<CheckpointInterval> {
    /// A number alone is of steps; with a unit it is of time.
    static var checkpointInterval: Self {
        KeyType(
            read: { reader, key in
                guard let text = reader.string(key) else { return nil }
                if let steps = Int(text), steps >= 1 { return .steps(steps) }
                if let seconds = Duration.seconds(of: text), seconds > 0 { return .seconds(seconds) }
                reader.report(
                    key: key, "found \(YAMLDocument.quoted(text)); allowed: a number of steps, or a duration such as 5m"
                )
                return nil
            },
            text: { interval in
                switch interval {
                case .steps(let steps): String(steps)
                case .seconds(let seconds): "\(seconds)s"
                }
            },
            schema: ValueSchema(
                types: ["integer", "string"],
                rules: [.init(name: "minimum", value: 1)] + pattern("^[0-9]+$|\(NumberPattern.duration)")))
    }
}
