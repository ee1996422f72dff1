import Yams

/// A YAML file read without YAML's own ideas of types: scalars stay text, with the line they stand on.
///
/// Job files are dropped by anybody, so the document is kept from growing: no anchors and aliases, which could stand
/// for more nodes than there is memory or time; at most 1 MiB; nesting is bounded by the parser.
enum YAMLDocument {
    static let largestFile = 1 << 20

    /// The mapping at the top of a file, or what is wrong with it.
    ///
    /// Everything is checked in the order of cost: size, encoding, anchors, and only then the document.
    static func mapping(_ bytes: [UInt8], fileName: String) throws(JobFileError) -> Node.Mapping {
        func problem(_ line: Int?, _ what: String) -> JobFileError {
            JobFileError(problems: ["\(fileName)\(line.map { ":\($0)" } ?? ""): \(what)"])
        }
        guard bytes.count <= largestFile else {
            throw problem(nil, "the file has \(bytes.count) bytes; a job file has at most \(largestFile)")
        }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            throw problem(nil, "the file is UTF-16 and not UTF-8; save it as UTF-8")
        }
        // The parser takes a byte order mark for a part of the first key.
        let bytes = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
        guard !bytes.contains(0) else { throw problem(nil, "the file is binary; a job file is YAML text") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw problem(nil, "the file is not UTF-8; a job file is YAML text in UTF-8")
        }
        let root: Node?
        do {
            // What is an anchor only the parser knows for certain. So that it expands no alias before that is asked,
            // it is given the text with other characters in their place first.
            if bytes.contains(UInt8(ascii: "&")) {
                let masked = text.replacing("*", with: "\u{E000}")
                if let line = try compose(masked, { $0.flatMap(lineOfAnchor) }) { throw problem(line, noAliases) }
            }
            root = try compose(text) { $0 }
        } catch let error as JobFileError {
            throw error
        } catch let error as YamlError {
            let (line, what) = describe(error)
            if what == "found undefined alias" { throw problem(line, noAliases) }
            throw problem(line, "this is not YAML: \(what)")
        } catch {
            throw problem(nil, "this is not YAML: \(error)")
        }
        guard let root else { throw problem(nil, "the file is empty; say at least train, generate or evaluate") }
        guard case .mapping(let mapping) = root else {
            throw problem(root.mark?.line, "a job file is a list of 'key: value' lines; found \(kind(root))")
        }
        return mapping
    }

    private static let noAliases =
        "YAML anchors (&name) and aliases (*name) are not used here; put such text in quotes"

    /// Reads a text as one document.
    ///
    /// - Parameter use: Gets the document while the parser is there, which alone keeps the names of anchors.
    private static func compose<Result>(_ text: String, _ use: (Node?) -> Result) throws -> Result {
        // No scalar is resolved to a type, which would take ten times as long; and the default of the encoding is
        // looked up in the environment each time.
        let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
        let root = try parser.singleRoot()
        return withExtendedLifetime(parser) { use(root) }
    }

    /// The line of the first node with an anchor; nil if there is none.
    ///
    /// The parser bounds the depth, and so this one's.
    private static func lineOfAnchor(_ node: Node) -> Int? {
        if node.anchor != nil { return node.mark?.line ?? 1 }
        switch node {
        case .scalar, .alias: return nil
        case .sequence(let sequence): return sequence.lazy.compactMap(lineOfAnchor).first
        case .mapping(let mapping):
            return mapping.lazy.compactMap { lineOfAnchor($0.key) ?? lineOfAnchor($0.value) }.first
        }
    }

    /// What a node is, in a word or its own text.
    static func kind(_ node: Node) -> String {
        switch node {
        case .scalar(let scalar): quoted(scalar.string)
        case .mapping: "a section"
        case .sequence: "a list"
        case .alias: "an alias"
        }
    }

    /// A value as it is shown in a message.
    static func quoted(_ text: String) -> String {
        let shown = text.count > 40 ? text.prefix(40) + "…" : text[...]
        let escaped = shown.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "�" : String($0) }.joined()
        return "\"\(escaped)\""
    }

    private static func describe(_ error: YamlError) -> (line: Int?, what: String) {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            (mark.line, problem.hasPrefix("Maximum nesting") ? "it is nested too deeply" : problem)
        case .reader(let problem, _, _, _):
            (nil, problem)
        case .duplicatedKeysInMapping(let keys, let context):
            (context.mark.line, "the key \(keys.prefix(3).map(quoted).joined(separator: ", ")) stands there twice")
        default:
            (nil, "\(error)")
        }
    }
}
