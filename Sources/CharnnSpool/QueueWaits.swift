public import CharnnStorage
internal import FoundationEssentials
internal import Glibc

/// What the queue as a whole waits for. The daemon leaves it in the spool for people's tools; nothing is decided by it.
public struct QueueWaits: Codable, Equatable, Sendable {
    /// Until when jobs that may use the GPU wait, seconds since 1970, and how it failed the last time.
    public var gpuUntil: Double?
    public var gpuReason: String?
    /// What the disk lacks.
    public var disk: String?
    /// Seconds of work that each owner's jobs had in the last day, by numeric user id; whose turn it is follows from it.
    public var ownerSeconds: [String: Double]?
    /// Jobs that have the priority of one that waits for them.
    public var inherited: [String: Int]?
    /// The daemon's process.
    private var daemon = getpid()

    public init() {}

    /// What of it still says something: nothing if the daemon that said it has ended.
    private var current: QueueWaits { kill(daemon, 0) == 0 || errno == EPERM ? self : QueueWaits() }

    /// What a spool's daemon left; nothing where there is none or it cannot be read.
    static func read(_ layout: SpoolLayout, on storage: some Storage) -> QueueWaits {
        let bytes = (try? storage.contents(of: layout.waits, limit: 1 << 20)) ?? nil
        return bytes.flatMap { try? JSONDecoder().decode(Self.self, from: Data($0)) }?.current ?? QueueWaits()
    }

    /// Leaves it in a spool; where the queue waits for nothing, nothing is left.
    public func save(_ layout: SpoolLayout, on storage: some Storage) throws(StorageError) {
        guard self != QueueWaits() else { return try storage.discard(layout.waits) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else { return }
        try storage.swap(layout.waits, with: Array(data) + [0x0A])
    }
}
