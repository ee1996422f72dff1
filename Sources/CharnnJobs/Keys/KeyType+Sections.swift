import CharnnSpool

extension KeyType where Value: KeyedSection {
    /// A section within a section.
    static var section: Self {
        KeyType(
            read: { reader, key in reader.section(key, of: Value.self, problemsTo: reader) },
            text: { flowMapping(Value.section.lines(of: $0)) },
            schema: ValueSchema(types: ["object"], rules: FileSchema.members(of: Value.section.description)))
    }
}

extension SectionReader {
    fileprivate func section<Value: KeyedSection>(
        _ key: String, of _: Value.Type, problemsTo parent: SectionReader
    ) -> Value? {
        guard let section = section(key) else { return nil }
        var value = Value()
        Value.section.read(section, into: &value)
        section.finish()
        parent.take(section.problems)
        return value
    }
}

extension KeyType<[PredecessorKey]> {
    /// Names of jobs, or sections that say what of them is waited for; one or a list.
    ///
    /// - Parameter most: How many there may be.
    static func predecessors(atMost most: Int) -> Self {
        var one = ValueSchema(types: scalars + ["object"])
        one.rules = FileSchema.members(of: PredecessorKey.section.description)
        return KeyType(
            read: { reader, key in
                let found = reader.namesOrSections(
                    key, allowed: "a job's name, {job: NAME, when: ended}, or a list of them"
                ) { element -> PredecessorKey in
                    switch element {
                    case .name(let name): return PredecessorKey(job: name)
                    case .section(let section):
                        var value = PredecessorKey()
                        PredecessorKey.section.read(section, into: &value)
                        section.finish()
                        reader.take(section.problems)
                        return value
                    }
                }
                if let found, found.count > most {
                    reader.report(key: key, "found \(found.count) names; allowed: at most \(most)")
                }
                return found
            },
            text: { predecessors in
                let texts = predecessors.map { predecessor in
                    predecessor.when == .done
                        ? doubleQuoted(predecessor.job) : flowMapping(PredecessorKey.section.lines(of: predecessor))
                }
                return "[\(texts.joined(separator: ", "))]"
            },
            schema: list(one, atMost: most))
    }
}

extension KeyType {
    /// Sections by names that the file chooses.
    static func sections<Element: KeyedSection>(named _: Element.Type) -> Self where Value == [String: Element] {
        let element = KeyType<Element>.section
        return KeyType(
            read: { reader, key in
                guard let section = reader.section(key) else { return nil }
                var value: Value = [:]
                for name in section.given.sorted() {
                    value[name] = section.section(name, of: Element.self, problemsTo: reader)
                }
                section.finish()
                reader.take(section.problems)
                return value
            },
            text: { sections in
                flowMapping(sections.sorted { $0.key < $1.key }.map { (doubleQuoted($0.key), element.text($0.value)) })
            },
            schema: ValueSchema(
                types: ["object"],
                rules: [
                    .init(name: "additionalProperties", value: .object(element.schema.members(isOptional: false)))
                ]))
    }

    /// A limit, which knows the key that sets it.
    static func cap<Limit>(_ limit: KeyType<Limit>) -> Self where Value == Caps.Cap<Limit> {
        KeyType(
            read: { reader, key in limit.read(reader, key).map { Caps.Cap($0, reader.place(of: key)) } },
            text: { limit.text($0.value) }, schema: limit.schema)
    }
}

private func flowMapping(_ pairs: [(key: String, text: String)]) -> String {
    "{\(pairs.map { "\($0.key): \($0.text)" }.joined(separator: ", "))}"
}
