import CharnnSpool
import Yams

/// Reads the keys of one section by their types and collects everything that is wrong with it.
///
/// A key that is missing or null takes its default. Every key that is asked for counts as known; ``finish()`` then
/// tells of the others, with the nearest known spelling.
///
/// Each reading function returns nil for a key that is missing, and also, after a report, for one that is wrong: so
/// reading goes on, all mistakes of a file are told at once, and nobody who reads has to handle errors. Whoever has
/// read a section must take its ``problems``, or they are lost.
///
/// Values are read from their text by the type that is wanted. YAML's own types are not asked: there `no` is false and
/// `1:30` is ninety.
final class SectionReader {
    private let fileName: String
    /// `train.` or nothing; stands before a key in messages.
    private let prefix: String
    private let pairs: [(key: String, line: Int?, value: Node)]
    /// The keys that were asked for, in that order.
    private(set) var known: [String] = []
    /// Whole lines for people, each with the number by which those of all sections are sorted.
    private(set) var problems: [(line: Int, text: String)] = []
    /// Where the section begins, from 1.
    let line: Int

    /// - Parameters:
    ///   - fileName: As it is told in messages.
    ///   - prefix: With its dot.
    init(_ mapping: Node.Mapping, fileName: String, prefix: String = "") {
        self.fileName = fileName
        self.prefix = prefix
        line = mapping.mark?.line ?? 1
        var pairs: [(key: String, line: Int?, value: Node)] = []
        var complexKey: Int?
        for (key, value) in mapping {
            if let name = key.scalar?.string {
                pairs.append((name, key.mark?.line, value))
            } else {
                complexKey = key.mark?.line ?? 1
            }
        }
        self.pairs = pairs
        if let complexKey { report(complexKey, "a key must be a word") }
    }

    /// The keys that were given a value.
    ///
    /// By it a default is told from a wish. A key that is null has none.
    var given: Set<String> { Set(pairs.filter { !Self.isNull($0.value) }.map(\.key)) }

    /// Whether a section's key stands there and nothing behind it.
    func isEmpty(_ key: String) -> Bool {
        guard let value = pairs.first(where: { $0.key == key })?.value else { return false }
        if case .sequence(let sequence) = value { return sequence.isEmpty }
        return Self.isNull(value)
    }

    /// - Parameter line: nil: that of the section.
    func report(_ line: Int?, _ text: String) {
        problems.append((line ?? self.line, "\(fileName):\(line ?? self.line): \(text)"))
    }

    /// Reports what is wrong with the value of a key.
    func report(key: String, _ text: String) {
        report(pairs.first { $0.key == key }?.line, "\(place(of: key)): \(text)")
    }

    /// A key with the sections that it stands in, such as `train.lr`.
    func place(of key: String) -> String { prefix + key }

    /// Adds those of a section within this one.
    func take(_ problems: [(line: Int, text: String)]) { self.problems += problems }

    /// The node of a key; nil where it is missing or null.
    func node(_ key: String) -> Node? {
        known.append(key)
        guard let value = pairs.first(where: { $0.key == key })?.value, !Self.isNull(value) else { return nil }
        // The document was refused if it has any; this guards the one place where nodes come out.
        if value.anchor != nil {
            report(key: key, "YAML anchors are not used here")
            return nil
        }
        return value
    }

    /// Only unquoted: "null" in quotes is a text.
    static func isNull(_ node: Node) -> Bool {
        guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    /// The text of a scalar; nil, and a report, for anything else.
    private func scalar(_ key: String, allowed: String) -> String? {
        guard let node = node(key) else { return nil }
        guard case .scalar(let scalar) = node else {
            report(key: key, "found \(YAMLDocument.kind(node)); allowed: \(allowed)")
            return nil
        }
        return scalar.string
    }

    /// Whether the word `auto` stands there, or nothing.
    func saysAuto(_ key: String) -> Bool {
        guard let value = pairs.first(where: { $0.key == key })?.value else { return false }
        guard case .scalar(let scalar) = value, scalar.string.lowercased() == "auto" else { return false }
        known.append(key)
        return true
    }

    /// A number or `yes` is a text, too, as it is written.
    func string(_ key: String, allowed: String = "text") -> String? { scalar(key, allowed: allowed) }

    /// Digits may be grouped by `_`, as in 1_000_000.
    func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
        let allowed = Self.words(range)
        guard let text = scalar(key, allowed: allowed) else { return nil }
        let digits = text.filter { $0 != "_" }
        guard let value = Int(digits), range.contains(value) else {
            report(key: key, "found \(YAMLDocument.quoted(text)); allowed: \(allowed)")
            return nil
        }
        return value
    }

    private static func words(_ range: ClosedRange<Int>) -> String {
        range.upperBound == .max
            ? "a whole number from \(range.lowerBound)"
            : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    }

    /// Over all of 64 bits, which ``integer(_:in:)`` has not.
    func seed(_ key: String) -> UInt64? {
        let allowed = "a whole number from 0 to \(UInt64.max)"
        guard let text = scalar(key, allowed: allowed) else { return nil }
        guard let value = UInt64(text.filter { $0 != "_" }) else {
            report(key: key, "found \(YAMLDocument.quoted(text)); allowed: \(allowed)")
            return nil
        }
        return value
    }

    /// A finite number.
    func number(_ key: String, in range: NumberRange) -> Double? {
        guard let text = scalar(key, allowed: range.words) else { return nil }
        guard let value = Double(text.filter { $0 != "_" }), value.isFinite, range.contains(value) else {
            report(key: key, "found \(YAMLDocument.quoted(text)); allowed: \(range.words)")
            return nil
        }
        return value
    }

    /// YAML 1.1's words count too, where a truth value is what is wanted.
    func boolean(_ key: String) -> Bool? {
        guard let text = scalar(key, allowed: "true or false") else { return nil }
        switch text.lowercased() {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default:
            report(key: key, "found \(YAMLDocument.quoted(text)); allowed: true or false")
            return nil
        }
    }

    /// One of an enumeration's words, in letters of either case.
    func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, _: Choice.Type) -> Choice?
    where Choice.RawValue == String {
        let words = Choice.allCases.map(\.rawValue)
        let allowed = words.joined(separator: " | ")
        guard let text = scalar(key, allowed: allowed) else { return nil }
        guard let value = Choice(rawValue: text.lowercased()) else {
            let nearest = Spelling.nearest(to: text.lowercased(), in: words).map { "; did you mean \($0)?" } ?? ""
            report(key: key, "found \(YAMLDocument.quoted(text)); allowed: \(allowed)\(nearest)")
            return nil
        }
        return value
    }

    /// One text or a list of them.
    func strings(_ key: String, allowed: String) -> [String]? {
        guard let node = node(key) else { return nil }
        switch node {
        case .scalar(let scalar):
            return [scalar.string]
        case .sequence(let sequence):
            var result: [String] = []
            for element in sequence {
                guard case .scalar(let scalar) = element else {
                    let found = YAMLDocument.kind(element)
                    report(element.mark?.line, "\(place(of: key)): found \(found); allowed: \(allowed)")
                    return nil
                }
                result.append(scalar.string)
            }
            return result
        case .mapping, .alias:
            report(key: key, "found \(YAMLDocument.kind(node)); allowed: \(allowed)")
            return nil
        }
    }

    /// One of a list of names and sections.
    enum NameOrSection {
        case name(String)
        case section(SectionReader)
    }

    /// A name or a section, or a list of such.
    func namesOrSections<Value>(
        _ key: String, allowed: String, _ value: (NameOrSection) -> Value
    ) -> [Value]? {
        guard let node = node(key) else { return nil }
        let (nodes, isList): ([Node], Bool) =
            if case .sequence(let sequence) = node { (Array(sequence), true) } else { ([node], false) }
        var result: [Value] = []
        for (index, element) in nodes.enumerated() {
            switch element {
            case .scalar(let scalar): result.append(value(.name(scalar.string)))
            case .mapping(let mapping) where element.anchor == nil:
                let place = "\(prefix)\(key)\(isList ? "[\(index + 1)]" : "")."
                result.append(value(.section(SectionReader(mapping, fileName: fileName, prefix: place))))
            default:
                report(
                    element.mark?.line, "\(place(of: key)): found \(YAMLDocument.kind(element)); allowed: \(allowed)")
                return nil
            }
        }
        return result
    }

    /// Seconds, above 0.
    func duration(_ key: String) -> Double? {
        let allowed = "a duration such as 90s, 5m, 8h or 1h30m"
        guard let text = scalar(key, allowed: allowed) else { return nil }
        guard let seconds = Duration.seconds(of: text), seconds > 0 else {
            report(key: key, "found \(YAMLDocument.quoted(text)); allowed: \(allowed)")
            return nil
        }
        return seconds
    }

    /// A number of bytes such as `8G` or `512M`, in powers of 1024 as systemd counts them.
    ///
    /// More than 64 bits hold is as much as there can be, and no mistake.
    func size(_ key: String) -> UInt64? {
        let allowed = "a size such as 512M or 8G"
        guard let text = string(key, allowed: allowed) else { return nil }
        let units: [Character: UInt64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard let number = UInt64(digits), number > 0 else {
            report(key: key, "found \(YAMLDocument.quoted(text)); allowed: \(allowed)")
            return nil
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
        return overflow ? .max : bytes
    }

    /// A section within this one.
    ///
    /// nil also where the key is there and empty; see ``isEmpty(_:)``.
    func section(_ key: String) -> SectionReader? {
        guard let node = node(key) else { return nil }
        guard case .mapping(let mapping) = node else {
            report(key: key, "found \(YAMLDocument.kind(node)); allowed: a section of 'key: value' lines")
            return nil
        }
        return SectionReader(mapping, fileName: fileName, prefix: "\(prefix)\(key).")
    }

    /// A path, or the name of a job.
    func path(_ key: String) -> String? {
        let text = string(key)
        if let text { requirePaths([text], key) }
        return text
    }

    /// A path or a list of them.
    func paths(_ key: String) -> [String]? {
        let list = strings(key, allowed: "a path or a list of paths")
        if let list { requirePaths(list, key) }
        return list
    }

    private func requirePaths(_ list: [String], _ key: String) {
        // The system would take it as the end.
        if list.contains(where: { $0.utf8.contains(0) }) { report(key: key, "no path contains the character NUL") }
    }

    /// One section or a list of them.
    ///
    /// In messages each of a list has its number, from 1.
    func sections(_ key: String, atMost limit: Int) -> [SectionReader] {
        guard let node = node(key) else { return [] }
        guard case .sequence(let sequence) = node else { return section(key).map { [$0] } ?? [] }
        guard sequence.count <= limit else {
            report(key: key, "found \(sequence.count) sections; allowed: at most \(limit)")
            return []
        }
        return sequence.enumerated().compactMap { index, element in
            guard case .mapping(let mapping) = element, element.anchor == nil else {
                report(element.mark?.line, "\(place(of: key)): found \(YAMLDocument.kind(element)); allowed: a section")
                return nil
            }
            return SectionReader(mapping, fileName: fileName, prefix: "\(prefix)\(key)[\(index + 1)].")
        }
    }

    /// For so many unknown keys the nearest known one is looked for.
    // Comparing words takes time, and a file can be made to have a hundred thousand.
    private static let mostSpellings = 100

    /// Tells of keys that nobody asked for. Call it when all keys have been read.
    ///
    /// - Parameter places: Where else there are keys of some names, in words such as `under train`.
    func finish(elsewhere places: [(place: String, keys: Set<String>)] = []) {
        let (asked, order) = (Set(known), known)
        for (number, (key, line, _)) in pairs.filter({ !asked.contains($0.key) }).enumerated() {
            var text = "\(prefix)\(YAMLDocument.quoted(key).dropFirst().dropLast()): there is no such key"
            let owners = places.filter { $0.keys.contains(key) }.map(\.place)
            if !owners.isEmpty {
                text += " here; it belongs \(owners.joined(separator: " or "))"
            } else if number < Self.mostSpellings {
                let nearest = Spelling.nearest(to: key, in: order)
                text +=
                    nearest.map { "; did you mean \($0)?" } ?? "; allowed: \(order.sorted().joined(separator: ", "))"
            }
            report(line, text)
        }
    }
}

extension Duration {
    /// Seconds of a duration such as `1h30m`; nil if it is none.
    ///
    /// Parts add up, in any order; a number without a unit is none, so that nobody takes minutes for seconds. At most
    /// some three hundred years.
    public static func seconds(of text: String) -> Double? {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
        var total = 0.0
        var digits = ""
        for character in text where character != " " {
            if let unit = units[character] {
                guard let value = Double(digits), value.isFinite, value >= 0 else { return nil }
                total += value * unit
                digits = ""
            } else {
                digits.append(character)
            }
        }
        return digits.isEmpty && !text.isEmpty && total < 1e10 ? total : nil
    }
}
