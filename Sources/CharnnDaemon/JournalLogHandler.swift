internal import CSystemd
internal import Glibc
public import Logging

/// A log handler that writes to the journal with structured fields, or the same lines to standard error.
///
/// The key of a metadata entry becomes a field: `step` is `CHARNND_STEP`; `message.id` is `MESSAGE_ID`. The message
/// itself is a sentence that tells the story without the fields.
///
/// A journal that cannot be reached is no reason for silence: the line then goes to standard error.
public struct JournalLogHandler: LogHandler {
    /// Where lines go.
    public enum Target: Sendable {
        case journal
        /// Plain lines; with `<N>` in front where the journal reads them, which takes that as the priority.
        case standardError(hasPriorities: Bool)
        /// For tests: the fields of each entry.
        case capture(@Sendable ([(name: String, value: String)]) -> Void)
    }

    /// Lines below it are not made at all. The journal itself can be asked for less, so that this is for debugging.
    public var logLevel: Logger.Level = .info
    /// Fields of every line; those of a single line go before.
    public var metadata: Logger.Metadata = [:]
    /// For the protocol, and not asked: what concerns a line is given with it.
    public var metadataProvider: Logger.MetadataProvider?
    private let target: Target

    /// - Parameter target: By default where this process's standard error leads.
    public init(_ target: Target = Self.target()) { self.target = target }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// The journal if this process's standard error is connected to it, as systemd.exec(5) says how to tell; else
    /// standard error.
    public static func target() -> Target {
        guard let stream = getenv("JOURNAL_STREAM").map({ String(cString: $0) }) else {
            return .standardError(hasPriorities: false)
        }
        var status = stat()
        let isConnected = fstat(2, &status) == 0 && stream == "\(status.st_dev):\(status.st_ino)"
        guard isConnected else { return .standardError(hasPriorities: false) }
        return charnn_systemd_is_available() != 0 ? .journal : .standardError(hasPriorities: true)
    }

    /// It blocks as long as the journal does, and may be called from any thread.
    public func log(event: LogEvent) {
        let merged = metadata.merging(event.metadata ?? [:]) { $1 }
        let priority = Self.priority(event.level)
        switch target {
        case .journal:
            let fields = Self.fields(event, merged, priority)
            if !Self.send(fields) { Self.write("<\(priority)>\(event.message)") }
        case .standardError(let hasPriorities):
            Self.write((hasPriorities ? "<\(priority)>" : "\(event.level): ") + "\(event.message)")
        case .capture(let receive):
            receive(Self.fields(event, merged, priority))
        }
    }

    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    private static func fields(
        _ event: LogEvent, _ metadata: Logger.Metadata, _ priority: Int
    ) -> [(name: String, value: String)] {
        var fields = [
            ("MESSAGE", "\(event.message)"), ("PRIORITY", "\(priority)"), ("SYSLOG_IDENTIFIER", "charnnd"),
            ("CODE_FILE", event.file), ("CODE_LINE", "\(event.line)"), ("CODE_FUNC", event.function),
        ]
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            fields.append((key == "message.id" ? "MESSAGE_ID" : fieldName(key), "\(value)"))
        }
        return fields.map { (name: $0.0, value: $0.1) }
    }

    /// A name the journal accepts: upper-case letters, digits and `_`, at most 64.
    static func fieldName(_ key: String) -> String {
        let mended = key.uppercased().unicodeScalars.map { scalar -> Character in
            switch scalar {
            case "A"..."Z", "0"..."9": Character(scalar)
            default: "_"
            }
        }
        return String(("CHARNND_" + String(mended)).prefix(64))
    }

    /// Hands all fields to the journal in one entry.
    ///
    /// - Returns: False where it could not be reached.
    private static func send(_ fields: [(name: String, value: String)]) -> Bool {
        var bytes: [UInt8] = []
        var lengths: [Int] = []
        for (name, value) in fields {
            let entry = Array("\(name)=\(value)".utf8)
            bytes += entry
            lengths.append(entry.count)
        }
        return bytes.withUnsafeMutableBytes { buffer in
            var offset = 0
            // The buffer is not touched any more once addresses within it were taken.
            let vectors = lengths.map { length in
                defer { offset += length }
                return iovec(iov_base: buffer.baseAddress.map { $0 + offset }, iov_len: length)
            }
            return charnn_journal_send(vectors, Int32(vectors.count)) == 0
        }
    }

    private static func write(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        // One call, so that lines of several threads do not mix; nobody can be told if it fails.
        _ = Glibc.write(2, bytes, bytes.count)
    }
}
