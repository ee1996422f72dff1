/// The name of a job: letters and digits of any script, space, `.`, `_`, `+` and `-`; at most 128 bytes; no `.` or `-`
/// in front. It is kept composed (Unicode's normal form C), however it was written.
///
/// Such a name is safe as a file name, as a command's argument and in a line of the journal.
public struct JobName: Hashable, Sendable, CustomStringConvertible {
    /// Bytes of UTF-8 that a name may have at most.
    public static let maximumLength = 128

    public let text: String
    public var description: String { text }

    /// The name, if `text` is one.
    public init?(_ text: String) {
        let text = text.composed
        guard (1...Self.maximumLength).contains(text.utf8.count), text != ".", text != ".." else { return nil }
        guard let first = text.unicodeScalars.first, first != ".", first != "-", !Self.isMark(first) else { return nil }
        guard text.unicodeScalars.allSatisfy(Self.isAllowed) else { return nil }
        self.text = text
    }

    /// The name made fit: what is not allowed becomes `_`, what is too long is cut.
    ///
    /// Files under names that cannot be used are rejected under this one.
    public init(mending text: String) {
        var scalars = String.UnicodeScalarView()
        var length = 0
        for scalar in text.composed.unicodeScalars {
            let fits = scalars.isEmpty ? scalar != "." && scalar != "-" && !Self.isMark(scalar) : true
            let mended: Unicode.Scalar = Self.isAllowed(scalar) && fits ? scalar : "_"
            length += UTF8.width(mended)
            if length > Self.maximumLength { break }
            scalars.append(mended)
        }
        self.text = scalars.isEmpty ? "_" : String(scalars).composed
    }

    /// This name, or for later numbers `NAME-2`, `NAME-3` …, shortened where it would be too long.
    public func numbered(_ number: Int) -> JobName {
        guard number > 1 else { return self }
        let suffix = "-\(number)"
        var stem = text
        while stem.utf8.count + suffix.utf8.count > Self.maximumLength { stem.removeLast() }
        return JobName(mending: stem + suffix)
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", " ", ".", "_", "+", "-": true
        case _ where scalar.isASCII: false
        default:
            switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
            case .decimalNumber, .letterNumber, .otherNumber: true
            // Scripts such as Devanagari, and decomposed accents, write letters with marks.
            case .nonspacingMark, .spacingMark: true
            default: false
            }
        }
    }

    private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .spacingMark: true
        default: false
        }
    }
}

/// The name of a job's file in the state directories: the job's name and one of the endings that count.
public struct JobFileName: Hashable, Sendable, CustomStringConvertible {
    /// The endings of job files.
    public static let endings = ["yaml", "yml", "json"]

    public let name: JobName
    public let ending: String
    public var description: String { "\(name).\(ending)" }

    public init(name: JobName, ending: String) {
        self.name = name
        self.ending = ending
    }

    /// The parts of a file's name, if it is one of a job.
    public init?(_ fileName: String) {
        guard let (stem, ending) = Self.split(fileName), let name = JobName(stem) else { return nil }
        self.init(name: name, ending: ending)
    }

    /// What stands before and after the last dot, if a job file ends so.
    static func split(_ fileName: String) -> (stem: String, ending: String)? {
        guard let dot = fileName.lastIndex(of: ".") else { return nil }
        let ending = String(fileName[fileName.index(after: dot)...])
        return endings.contains(ending) ? (String(fileName[..<dot]), ending) : nil
    }
}
