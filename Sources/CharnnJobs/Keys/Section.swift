/// A value that a section of a file is read into; a new one has the defaults.
protocol KeyedSection: Sendable {
    init()
    static var section: Section<Self> { get }
}

/// A section of a file: its keys, in the order in which they are read and written.
struct Section<Root: KeyedSection>: Sendable {
    /// The key that it stands at in a job file; empty: the file itself, or a section whose key is one of another
    /// section's.
    var name = ""
    /// Where its keys belong, for somebody who wrote one elsewhere: "under train".
    var place = ""
    /// A sentence or two on what it does.
    var about = ""
    /// The most sections of a list in its place; nil: it is one and no list.
    var mostInList: Int?
    let keys: [Key<Root>]

    /// Reads all keys; what is wrong is with the reader then.
    ///
    /// - Parameter besideTraining: Whether the file trains a model, so that keys that name one need not.
    func read(_ reader: SectionReader, into value: inout Root, besideTraining: Bool = true) {
        for key in keys {
            key.read(reader, &value)
            switch key.description.need {
            case .always(let words) where key.isNothing(value):
                reader.report(key: key.description.name, words)
            case .withoutTraining(let words) where !besideTraining && key.isNothing(value):
                reader.report(key: key.description.name, words)
            default: break
            }
        }
    }

    /// The same, into a new value.
    func value(_ reader: SectionReader, besideTraining: Bool) -> Root {
        var value = Root()
        read(reader, into: &value, besideTraining: besideTraining)
        return value
    }

    /// Each key with the value as YAML has it.
    ///
    /// - Parameter pinned: What was chosen for keys that left it open.
    func lines(of value: Root, pinned: [String: String] = [:]) -> [(key: String, text: String)] {
        keys.map { ($0.description.name, pinned[$0.description.name] ?? $0.text(value)) }
    }

    /// What makes a run of this section another run, each `key=value` with its place.
    func identity(of value: Root) -> [(place: Int, line: String)] {
        keys.compactMap { key in
            key.identity.map { ($0.place, "\(key.description.name)=\($0.text(value))") }
        }
    }

    /// Gives a key the value that stands there as YAML.
    func set(_ name: String, to text: String, in value: inout Root) throws(JobFileError) {
        let mapping = try YAMLDocument.mapping([UInt8]("\(name): \(text)\n".utf8), fileName: name)
        let reader = SectionReader(mapping, fileName: name)
        for key in keys where key.description.name == name { key.read(reader, &value) }
        guard reader.problems.isEmpty else { throw JobFileError(problems: reader.problems.map(\.text)) }
    }

    var description: SectionDescription {
        SectionDescription(
            name: name, place: place, about: about, mostInList: mostInList, keys: keys.map(\.description))
    }
}

/// What is told of a section, without the type that it is read into.
struct SectionDescription: Sendable {
    let name: String
    let place: String
    let about: String
    let mostInList: Int?
    let keys: [KeyDescription]
}
