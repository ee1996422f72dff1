/// A key of a section, declared once.
///
/// From the declaration come the reading of files with its messages, `resolved.yaml` (``ResolvedFile``), what makes a
/// run another one (``RunIdentity``) and the JSON Schema (``FileSchema``); and from that the tables of README and of
/// the manual pages, and the words of the fuzzers (`man/make`).
struct Key<Root: KeyedSection>: Sendable {
    let description: KeyDescription
    /// Reads the key into a section, whose value stays at its default where the key is missing or wrong.
    let read: @Sendable (SectionReader, inout Root) -> Void
    /// The value of a section as YAML has it.
    let text: @Sendable (Root) -> String
    /// Whether a section says nothing here.
    let isNothing: @Sendable (Root) -> Bool
    /// nil: a run with another value is the same run, and the change is only noted.
    let identity: Identity?
    /// The value, in the words of `resolved.yaml`, that runs had for which there was no such key yet, or that had another
    /// default: a run of then goes on with it, unless its file says otherwise. nil: the key is as old as checkpoints are,
    /// and its default is what it was.
    let before: String?

    /// What makes a run with another value another run.
    struct Identity: Sendable {
        /// The line in a checkpoint's identity.
        let place: Int
        let text: @Sendable (Root) -> String
    }
}

/// What is told of a key, without the type that its value has.
struct KeyDescription: Sendable {
    let name: String
    /// Sentences; what is to be typed stands in backquotes.
    let about: String
    /// The default as people write it, a value in backquotes; of no meaning where the key is needed.
    let standard: String
    let need: KeyNeed
    let schema: ValueSchema

    /// Whether no file can do without.
    var isNeeded: Bool { if case .always = need { true } else { false } }
}

/// Whether a key may be missing; the words are those that a person is then told.
enum KeyNeed: Sendable, Equatable {
    case never
    case always(String)
    /// Not where the job trains a model, which is then the one that is meant.
    case withoutTraining(String)
}

/// How a default is told.
enum KeyDefault: Sendable {
    /// The value in the words of `resolved.yaml`.
    case value
    /// The value as people write it rather, such as `5m`.
    case written(String)
    /// What a missing key means, such as "all usable cores".
    case words(String)
}

/// Whether the value makes a run another one, and where a checkpoint keeps it.
enum KeyIdentity<Root>: Sendable {
    case sameRun
    /// - Parameter place: From 1; a new key takes the next one, and none is ever given again.
    case otherRun(place: Int)
    /// The same, where the text that checkpoints keep is not that of `resolved.yaml`.
    case otherRunAs(place: Int, @Sendable (Root) -> String)
}

extension Key {
    /// - Parameters:
    ///   - path: Where the value is stored.
    ///   - standard: How the default is told, which is the value that a new section has there.
    init<Value>(
        _ name: String, _ path: any WritableKeyPath<Root, Value> & Sendable, _ type: KeyType<Value>,
        default standard: KeyDefault = .value, need: KeyNeed = .never, identity: KeyIdentity<Root> = .sameRun,
        before: String? = nil, _ about: String
    ) {
        self.init(
            name, about, standard, need, type.schema, identity, before,
            read: { reader, root in
                if let value = type.read(reader, name) { root[keyPath: path] = value }
            },
            text: { type.text($0[keyPath: path]) }, isNothing: { type.isNothing($0[keyPath: path]) })
    }

    /// A key that may have no value: null in files.
    init<Value>(
        _ name: String, optional path: any WritableKeyPath<Root, Value?> & Sendable, _ type: KeyType<Value>,
        default standard: KeyDefault, need: KeyNeed = .never, identity: KeyIdentity<Root> = .sameRun,
        before: String? = nil, _ about: String
    ) {
        self.init(
            name, about, standard, need, type.schema, identity, before,
            read: { reader, root in
                if let value = type.read(reader, name) { root[keyPath: path] = value }
            },
            text: { $0[keyPath: path].map(type.text) ?? "null" }, isNothing: { $0[keyPath: path] == nil })
    }

    /// A key whose value is chosen where the file says `auto`, or nothing.
    init<Value>(
        _ name: String, chosen path: any WritableKeyPath<Root, Value?> & Sendable, _ type: KeyType<Value>,
        identity: KeyIdentity<Root> = .sameRun, before: String? = nil, _ about: String
    ) {
        let type = type.orAuto
        self.init(
            name, about, .value, .never, type.schema, identity, before,
            read: { reader, root in
                if let value = type.read(reader, name) { root[keyPath: path] = value }
            },
            text: { type.text($0[keyPath: path]) }, isNothing: { $0[keyPath: path] == nil })
    }

    private init(
        _ name: String, _ about: String, _ standard: KeyDefault, _ need: KeyNeed, _ schema: ValueSchema,
        _ identity: KeyIdentity<Root>, _ before: String?, read: @escaping @Sendable (SectionReader, inout Root) -> Void,
        text: @escaping @Sendable (Root) -> String, isNothing: @escaping @Sendable (Root) -> Bool
    ) {
        let told =
            switch standard {
            case .value: "`\(text(Root()))`"
            case .written(let text): "`\(text)`"
            case .words(let words): words
            }
        description = KeyDescription(name: name, about: about, standard: told, need: need, schema: schema)
        (self.read, self.text, self.isNothing, self.before) = (read, text, isNothing, before)
        switch identity {
        case .sameRun: self.identity = nil
        case .otherRun(let place): self.identity = Identity(place: place, text: text)
        case .otherRunAs(let place, let text): self.identity = Identity(place: place, text: text)
        }
    }
}
