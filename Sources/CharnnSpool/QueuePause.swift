internal import CharnnStorage
internal import FoundationEssentials
internal import SystemPackage

/// That nothing is started, as long as its file is there.
public struct QueuePause: Codable, Sendable, Equatable {
    /// Seconds since 1970 at which the queue goes on by itself; nil: when somebody resumes it.
    public var until: Double?
    /// Who asked for it.
    public var by: String
    /// ISO 8601, UTC.
    public var since: String

    public init(until: Double? = nil, by: String, since: String) {
        self.until = until
        self.by = by
        self.since = since
    }

    /// Until when, as people read it, such as ` until 2026-01-31T22:00:00Z`; empty where nobody said.
    public var end: String { until.map { " until \(JobStatus.time($0))" } ?? "" }

    /// The pause of a spool; nil: there is none.
    ///
    /// - Throws: ``StorageError/Code/damaged`` for what is there and is none: then nothing is started either.
    static func read(_ layout: SpoolLayout, on storage: some Storage) throws(StorageError) -> QueuePause? {
        guard let bytes = try storage.contents(of: layout.pause, limit: 1 << 16) else { return nil }
        guard let pause = try? JSONDecoder().decode(Self.self, from: Data(bytes)) else {
            throw StorageError(.damaged, call: "read", path: layout.pause, errno: .invalidArgument)
        }
        return pause
    }

    func save(_ layout: SpoolLayout, on storage: some Storage) throws(StorageError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Numbers and strings can always be encoded.
        guard let data = try? encoder.encode(self) else { preconditionFailure("a pause is always encodable") }
        try storage.replace(layout.pause, with: Array(data) + [0x0A])
    }
}
