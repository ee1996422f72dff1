import Yams

/// A YAML file read without YAML's own ideas of types: scalars stay text, with the line they stand on.
///
/// Job files are dropped by anybody, so the document is kept from growing: no anchors and aliases, which could stand
/// for more nodes than there is memory; at most 1 MiB; nesting is bounded by the parser.
enum YAMLDocument {
    static let largestFile = 1 << 20

    /// The mapping at the top of a file, or what is wrong with it.
    static func mapping(_ bytes: [UInt8], fileName: String) throws(JobFileError) -> Node.Mapping {
        func problem(_ line: Int?, _ what: String) -> JobFileError {
            JobFileError(problems: ["\(fileName)\(line.map { ":\($0)" } ?? ""): \(what)"])
        }
        guard bytes.count <= largestFile else {
            throw problem(nil, "the file has \(bytes.count) bytes; a job file has at most \(largestFile)")
        }
        guard !bytes.contains(0) else { throw problem(nil, "the file is binary; a job file is YAML text") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw problem(nil, "the file is not UTF-8; a job file is YAML text in UTF-8")
        }
        if let line = lineOfAlias(text) {
            throw problem(line, "YAML anchors (&name) and aliases (*name) are not used here; put such text in quotes")
        }
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            let (line, what) = describe(error)
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

    /// The line of the first anchor or alias outside quotes, comments and block text; nil if there is none.
    static func lineOfAlias(_ text: String) -> Int? {
        var scanner = AliasScanner()
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
        where scanner.findsAlias(in: Array(line.utf8)) {
            return index + 1
        }
        return nil
    }
}

/// Follows quotes and block texts through a YAML file, line by line, just enough to see where a node may begin.
private struct AliasScanner {
    private var quote: UInt8?
    /// The indentation of the line that began a block text; deeper lines belong to it.
    private var blockIndentation: Int?

    mutating func findsAlias(in line: [UInt8]) -> Bool {
        let indentation = line.prefix { $0 == 0x20 }.count
        if let block = blockIndentation, quote == nil {
            let isBlank = line.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
            if isBlank || indentation > block { return false }
            blockIndentation = nil
        }
        var mayBegin = true
        var i = indentation
        while i < line.count {
            let byte = line[i]
            if let open = quote {
                if byte == UInt8(ascii: "\\"), open == UInt8(ascii: "\"") {
                    i += 1
                } else if byte == open {
                    quote = nil
                }
                i += 1
                continue
            }
            let next = i + 1 < line.count ? line[i + 1] : 0x20
            let before = i > 0 ? line[i - 1] : 0x20
            switch byte {
            case 0x20, 0x09:
                break
            case UInt8(ascii: "#") where before == 0x20 || before == 0x09:
                return false
            case UInt8(ascii: "\"") where mayBegin, UInt8(ascii: "'") where mayBegin:
                quote = byte
                mayBegin = false
            case UInt8(ascii: "&") where mayBegin && next > 0x20, UInt8(ascii: "*") where mayBegin && next > 0x20:
                return true
            case UInt8(ascii: "|") where mayBegin, UInt8(ascii: ">") where mayBegin:
                blockIndentation = indentation
                return false
            case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: ","):
                mayBegin = true
            case UInt8(ascii: ":") where next <= 0x20, UInt8(ascii: "-") where mayBegin && next <= 0x20,
                UInt8(ascii: "?") where mayBegin && next <= 0x20:
                mayBegin = true
            default:
                // In flow collections a quoted key may be followed by its colon at once.
                mayBegin = byte == UInt8(ascii: ":") && before == UInt8(ascii: "\"")
            }
            i += 1
        }
        return false
    }
}
