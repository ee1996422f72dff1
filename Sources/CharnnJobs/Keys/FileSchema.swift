/// JSON Schemas of the files that people write, for editors and other programs: made of the keys' declarations.
///
/// They tell what one file can tell. What several keys say together, such as a `lr_min` above `lr`, and what the
/// machine has, is told by `charnn check`.
public enum FileSchema: String, Sendable, CaseIterable {
    /// Of job files.
    case job
    /// Of `charnnd.yaml`.
    case service

    /// The schema as JSON, with its last line's end.
    public var text: String {
        switch self {
        case .job: Self.jobFile.text() + "\n"
        case .service: Self.configuration.text() + "\n"
        }
    }

    private static func document(_ title: String, members: [JSON.Member]) -> JSON {
        .object(
            [
                .init(name: "$schema", value: "https://json-schema.org/draft/2020-12/schema"),
                .init(name: "title", value: .string(title)),
            ] + members)
    }

    private static var configuration: JSON {
        document("charnnd.yaml", members: members(of: ServiceConfiguration.section.description))
    }

    private static var jobFile: JSON {
        let sections = JobFile.sections
        let references = sections.map { JSON.Member(name: $0.name, value: reference(to: $0)) }
        var members = Self.members(of: JobFile.section.description, and: references)
        // At least one section does something.
        members.append(.init(name: "anyOf", value: .array(sections.map { isThere($0.name) })))
        members += modelsAreNamed(in: sections)
        members.append(
            .init(
                name: "$defs",
                value: .object(
                    sections.map { section in
                        JSON.Member(
                            name: section.name,
                            value: .object([.init(name: "type", value: "object")] + Self.members(of: section)))
                    })))
        return document("a job file of charnnd", members: members)
    }

    /// A section, or a list of them, where there may be several; null: none.
    private static func reference(to section: SectionDescription) -> JSON {
        let one: JSON = ["$ref": .string("#/$defs/\(section.name)")]
        let list: [JSON] =
            section.mostInList.map {
                [["type": "array", "items": one, "maxItems": .literal(String($0))]]
            } ?? []
        return ["description": .string(section.about), "anyOf": .array([one] + list + [["type": "null"]])]
    }

    private static func isThere(_ name: String) -> JSON {
        ["required": [.string(name)], "properties": .object([.init(name: name, value: ["not": ["type": "null"]])])]
    }

    /// Where nothing is trained, sections name their model.
    private static func modelsAreNamed(in sections: [SectionDescription]) -> [JSON.Member] {
        let rules = sections.compactMap { section -> JSON.Member? in
            let needed = section.keys.filter { if case .withoutTraining = $0.need { true } else { false } }
            guard !needed.isEmpty else { return nil }
            let one = JSON.object(required(needed))
            let list: [JSON.Member] = section.mostInList == nil ? [] : [.init(name: "items", value: one)]
            return .init(name: section.name, value: .object(required(needed) + list))
        }
        return [
            .init(name: "if", value: ["not": isThere(TrainSection.section.name)]),
            .init(name: "then", value: ["properties": .object(rules)]),
        ]
    }

    /// Keys that must be there and not be null.
    private static func required(_ keys: [KeyDescription]) -> [JSON.Member] {
        [
            .init(name: "required", value: .array(keys.map { .string($0.name) })),
            .init(
                name: "properties",
                value: .object(keys.map { .init(name: $0.name, value: ["not": ["type": "null"]]) })),
        ]
    }

    /// The members that say which keys a section has.
    ///
    /// - Parameter sections: Further members that are sections.
    static func members(of section: SectionDescription, and sections: [JSON.Member] = []) -> [JSON.Member] {
        let needed = section.keys.filter(\.isNeeded)
        let properties = section.keys.map { JSON.Member(name: $0.name, value: .object(Self.members(of: $0))) }
        var members: [JSON.Member] = []
        if !section.about.isEmpty { members.append(.init(name: "description", value: .string(section.about))) }
        members.append(.init(name: "properties", value: .object(properties + sections)))
        if !needed.isEmpty {
            members.append(.init(name: "required", value: .array(needed.map { .string($0.name) })))
        }
        members.append(.init(name: "additionalProperties", value: false))
        return members
    }

    /// `man/make` takes text and default apart again, at the last "Default: ".
    private static func members(of key: KeyDescription) -> [JSON.Member] {
        let told = key.isNeeded ? key.about : "\(key.about) Default: \(key.standard)."
        var members = [JSON.Member(name: "description", value: .string(told))]
        members += key.schema.members(isOptional: !key.isNeeded)
        if let value = key.defaultValue { members.append(.init(name: "default", value: value)) }
        return members
    }
}

extension KeyDescription {
    /// The default as JSON; nil: it is told in words only.
    fileprivate var defaultValue: JSON? {
        guard !isNeeded, standard.hasPrefix("`"), standard.hasSuffix("`") else { return nil }
        let text = String(standard.dropFirst().dropLast())
        let isLiteral = Double(text) != nil || text == "true" || text == "false" || text.hasPrefix("[")
        return isLiteral ? .literal(text) : .string(text)
    }
}
