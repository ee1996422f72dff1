import Yams

extension JobFile {
    /// The paths of all texts that it names, as written.
    ///
    /// By them the queue waits for texts, and looks at whose they are.
    public var textPaths: [String] { (train?.corpus ?? []) + generate.flatMap(\.adaptTo) + (evaluate?.corpus ?? []) }

    /// The paths of all models that it names, as written; names of jobs are none.
    public var modelPaths: [String] {
        modelReferences.compactMap { if case .path(let path) = $0 { path } else { nil } }
    }

    /// The same job with other paths of texts and models.
    public func replacingPaths(
        text: (String) throws -> String, model: (String) throws -> String
    ) rethrows -> JobFile {
        func replaced(_ reference: ModelReference) throws -> ModelReference {
            guard case .path(let path) = reference else { return reference }
            return .path(try model(path))
        }
        var job = self
        if var section = train {
            section.corpus = try section.corpus.map(text)
            section.from = try section.from.map(replaced)
            job.train = section
        }
        job.generate = try generate.map { section in
            var section = section
            section.models = try section.models.map(replaced)
            section.adaptTo = try section.adaptTo.map(text)
            return section
        }
        if var section = evaluate {
            section.corpus = try section.corpus.map(text)
            section.models = try section.models.map(replaced)
            job.evaluate = section
        }
        return job
    }

    /// Writes other paths of texts and models into a job file, and leaves all else in it as it stands.
    ///
    /// - Parameters:
    ///   - texts: New paths by those that the file has.
    ///   - models: The same of models.
    /// - Returns: nil where that cannot be done for certain, as with a path that goes over several lines.
    ///
    /// A person's comments, order and style stay: the file is theirs. So it is not written anew from what was read; the
    /// scalars are found by the places that the parser tells of, and what comes out is read again and compared.
    ///
    /// Used by `charnn submit`, where a text was copied into the spool under another name.
    public static func replacingPaths(
        in bytes: [UInt8], fileName: String, texts: [String: String], models: [String: String]
    ) throws(JobFileError) -> [UInt8]? {
        let wanted = try parse(bytes, fileName: fileName)
            .replacingPaths(text: { texts[$0] ?? $0 }, model: { models[$0] ?? $0 })
        let root = try YAMLDocument.mapping(bytes, fileName: fileName)
        var scalars = ScalarPlaces(bytes)
        for (key, value) in root {
            let sections: [Node] = if case .sequence(let list) = value { Array(list) } else { [value] }
            for case .mapping(let section) in sections where ["train", "generate", "evaluate"].contains(key.string) {
                for (key, value) in section {
                    switch key.string {
                    case "corpus", "adapt_to": scalars.replace(value, by: texts)
                    case "model", "from": scalars.replace(value, by: models)
                    default: break
                    }
                }
            }
        }
        // Whatever a document can look like: what is handed on asks for that and for nothing else.
        guard let result = scalars.result, try parse(result, fileName: fileName) == wanted else { return nil }
        return result
    }
}

/// Scalars of a YAML file, to be replaced where they stand.
private struct ScalarPlaces {
    private var text: String.UnicodeScalarView
    /// From the last to the first, so that none moves another.
    private var changes: [(range: Range<String.UnicodeScalarView.Index>, new: String)] = []
    private var isCertain = true

    init(_ bytes: [UInt8]) {
        text = String(decoding: bytes, as: UTF8.self).unicodeScalars
        // Places are counted without it.
        // The parser is given the text without the mark, too.
        if text.first == "\u{FEFF}" { text.removeFirst() }
    }

    /// The file with all replacements; nil where one could not be made.
    var result: [UInt8]? {
        guard isCertain else { return nil }
        var text = text
        for change in changes.sorted(by: { $0.range.lowerBound > $1.range.lowerBound }) {
            text.replaceSubrange(change.range, with: change.new.unicodeScalars)
        }
        return Array(String(text).utf8)
    }

    /// Notes what is to stand in place of a scalar, or of those of a list; one that is not among the names stays.
    mutating func replace(_ node: Node, by names: [String: String]) {
        switch node {
        case .sequence(let list): for node in list { replace(node, by: names) }
        case .scalar(let scalar):
            guard let new = names[scalar.string] else { return }
            guard let mark = scalar.mark, let start = index(mark), let range = range(of: scalar.string, from: start)
            else {
                isCertain = false
                return
            }
            changes.append((range, Self.quoted(new)))
        default: return
        }
    }

    /// Where a scalar's own characters stand, with its quotes.
    ///
    /// Three forms only: plain, in double quotes as they are written here, in single quotes. nil for all others, such
    /// as a block, and then nothing is changed.
    private func range(
        of value: String, from start: String.UnicodeScalarView.Index
    ) -> Range<String.UnicodeScalarView.Index>? {
        let rest = text[start...]
        for form in [value, Self.quoted(value), "'\(value.replacing("'", with: "''"))'"]
        where rest.starts(with: form.unicodeScalars) {
            return start..<text.index(start, offsetBy: form.unicodeScalars.count)
        }
        return nil
    }

    /// Where a place of the parser's is, lines and columns from 1, in Unicode scalars.
    private func index(_ mark: Mark) -> String.UnicodeScalarView.Index? {
        var (line, column, index) = (1, 1, text.startIndex)
        while index < text.endIndex {
            if line == mark.line, column == mark.column { return index }
            let scalar = text[index]
            index = text.index(after: index)
            // Of CR LF the second ends the line.
            let isFirstOfTwo = scalar == "\r" && index < text.endIndex && text[index] == "\n"
            if !isFirstOfTwo, ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"].contains(scalar) {
                (line, column) = (line + 1, 1)
            } else {
                column += 1
            }
        }
        return nil
    }

    private static func quoted(_ text: String) -> String {
        "\"\(text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    }
}
