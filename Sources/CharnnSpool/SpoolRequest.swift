/// What a person asks for in a file of `requests/`. Who asks is the owner of that file and nobody else.
///
/// ```
/// charnnd-request 1
/// verb: edit
/// job: kjv
/// sequence: 17
/// bytes: 31
///
/// train: {corpus: kjv.txt ...}
/// ```
/// The empty line ends what is asked; after it come, for `edit` only, so many bytes of the new job file.
public struct SpoolRequest: Sendable, Equatable {
    public enum Verb: String, Sendable, CaseIterable {
        case hold, release, cancel, retry, edit
        /// Nothing more is started, and what runs writes a checkpoint, until a time or ``resume``.
        case pause
        case resume

        /// Whether it concerns the queue as a whole and not one job.
        public var isForAll: Bool { self == .pause || self == .resume }
    }

    public var verb: Verb
    /// The job; empty for what concerns the queue.
    public var job: String
    /// Which job of that name.
    public var sequence: UInt64
    /// For `pause`: seconds since 1970 at which it ends by itself; nil: never.
    public var until: Double?
    /// For `edit`: the new job file.
    public var file: [UInt8]

    public init(
        _ verb: Verb, job: String = "", sequence: UInt64 = 0, until: Double? = nil, file: [UInt8] = []
    ) {
        self.verb = verb
        self.job = job
        self.sequence = sequence
        self.until = until
        self.file = file
    }

    /// How names in `requests/` end; everything else there is nobody's.
    public static let ending = ".request"
    /// Bytes before the job file at most.
    static let longestHead = 1 << 10
    private static let title = "charnnd-request 1"

    /// What a request cannot be taken for.
    enum Problem: Error {
        /// More of it is to come.
        case incomplete
        case wrong(String)
    }

    /// The file's contents.
    public var bytes: [UInt8] {
        var lines = [Self.title, "verb: \(verb.rawValue)"]
        if !verb.isForAll { lines += ["job: \(job)", "sequence: \(sequence)"] }
        if let until { lines.append("until: \(Int64(until.rounded(.up)))") }
        if verb == .edit { lines.append("bytes: \(file.count)") }
        return Array((lines.joined(separator: "\n") + "\n\n").utf8) + file
    }

    init(_ bytes: [UInt8]) throws(Problem) {
        let end = Array("\n\n".utf8)
        guard let blank = bytes.prefix(Self.longestHead).firstRange(of: end) else {
            throw bytes.count < Self.longestHead ? .incomplete : .wrong("its first lines have no end")
        }
        let lines = String(decoding: bytes[..<blank.lowerBound], as: UTF8.self).split(separator: "\n")
        guard lines.first.map(String.init) == Self.title else { throw .wrong("it does not begin with \(Self.title)") }
        var values: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, parts[1].hasPrefix(" "), values[parts[0]] == nil else {
                throw .wrong("a line is no pair of a name and a value, or there twice")
            }
            values[parts[0]] = String(parts[1].dropFirst())
        }
        guard let verb = values["verb"].flatMap(Verb.init) else { throw .wrong("it names nothing that can be asked") }
        self.verb = verb
        job = values["job"] ?? ""
        sequence = values["sequence"].flatMap(UInt64.init) ?? 0
        until = values["until"].flatMap(Int64.init).map(Double.init)
        guard verb.isForAll || (!job.isEmpty && values["sequence"].flatMap(UInt64.init) != nil) else {
            throw .wrong("it names no job and its number")
        }
        file = Array(bytes[blank.upperBound...])
        guard verb == .edit else {
            guard file.isEmpty else { throw .wrong("something follows that nobody asked for") }
            return
        }
        guard let count = values["bytes"].flatMap(Int.init), (1...SpoolKeeper.largestFile).contains(count) else {
            throw .wrong("it does not say how many bytes the job file has, or more than \(SpoolKeeper.largestFile)")
        }
        guard file.count >= count else { throw .incomplete }
        guard file.count == count else { throw .wrong("the job file has more bytes than it says") }
    }
}
