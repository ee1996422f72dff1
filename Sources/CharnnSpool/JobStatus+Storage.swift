public import CharnnStorage
internal import FoundationEssentials
public import SystemPackage

extension JobStatus {
    /// The status at `path`; nil only where nothing stands there.
    ///
    /// - Throws: ``StorageError/Code/damaged`` for what is there and is no status: that is never an empty one, which
    ///   would know neither of crashes nor of who submitted the job.
    public static func read(_ path: FilePath, on storage: some Storage) throws(StorageError) -> JobStatus? {
        // One byte more than there may be: a longer one is cut, and so no status.
        guard let bytes = try storage.contents(of: path, limit: largestRead + 1) else { return nil }
        guard bytes.count <= largestRead, let status = decode(bytes) else {
            throw StorageError(.damaged, call: "read", path: path, errno: .invalidArgument)
        }
        return status
    }

    static func decode(_ bytes: [UInt8]) -> JobStatus? {
        try? JSONDecoder().decode(JobStatus.self, from: Data(bytes))
    }

    /// The most bytes that a status of this version has; see ``bounded``.
    static let largest = 4 << 20
    /// The most that are read: version 0.1.0 wrote longer ones.
    static let largestRead = 16 << 20

    /// Results that a record lists itself; of more it lists a manifest.
    public static let mostResults = 256
    private static let mostWarnings = 100
    /// Bytes of a reason or a warning.
    private static let longestText = 8 << 10

    /// The same with texts of a bounded length that are fit to be read. So a status that is written can be read again.
    var bounded: JobStatus {
        var status = self
        status.phase = phase.map { PlainText.line($0, atMost: 256) }
        status.reason = reason.map { PlainText.lines($0, atMost: Self.longestText) }
        // The first and the last: what came between is in the log.
        if warnings.count > Self.mostWarnings {
            status.warnings = [warnings[0]] + warnings.suffix(Self.mostWarnings - 1)
        }
        status.warnings = status.warnings.map { PlainText.lines($0, atMost: Self.longestText) }
        return status
    }

    /// What a worker's daemon is told of how the job stands: neither results nor what it knows itself. It fits into a
    /// line of ``WorkerMessage``.
    public var news: JobStatus {
        var status = bounded
        status.results = nil
        status.ticket = nil
        status.warnings = []
        return status
    }

    /// The file's contents.
    public var encoded: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        // Every member is a number, a string or a list of such, none of which can fail to be encoded.
        guard let data = try? encoder.encode(bounded) else { preconditionFailure("a status is always encodable") }
        return Array(data) + [0x0A]
    }

    /// Writes the status so that it survives a power failure.
    public func save(_ path: FilePath, on storage: some Storage) throws(StorageError) {
        try storage.replace(path, with: encoded)
    }

    /// A point in time as the status has it: ISO 8601, UTC.
    public static func time(_ secondsSince1970: Double) -> String {
        Date(timeIntervalSince1970: secondsSince1970).formatted(.iso8601)
    }

    /// Seconds since 1970 of a point in time as the status has it; nil for what is none.
    public static func seconds(of time: String) -> Double? {
        (try? Date(time, strategy: .iso8601))?.timeIntervalSince1970
    }

    /// The most times that are kept.
    private static let mostWork = 256

    /// Takes note of what a worker did, and forgets what is older than a day.
    mutating func note(_ work: Work, at wall: Double) {
        let kept = (worked ?? []).filter { $0.ends > wall - OwnerLedger.window }.suffix(Self.mostWork - 1)
        worked = kept + [work]
    }

    /// What a status read from disk says of its job, while no worker is at it.
    public var recorded: RecordedState { RecordedState(state, isFiled: filed == true) }
}

/// Of a status only what the queue has to know; a start reads one for every job.
struct QueuedStatus: Decodable {
    var job: String
    var state: JobState
    var filed: Bool?
    var sequence: UInt64?
    var notBefore: Double?
    var awaitedText: AwaitedText?
    var ticket: JobTicket?
    var submitter: UInt32?
    var hasBegun: Bool?
    var isPrivate: Bool?
    var worked: [JobStatus.Work]?

    var recorded: RecordedState { RecordedState(state, isFiled: filed == true) }

    init?(_ bytes: [UInt8]) {
        guard let status = try? JSONDecoder().decode(Self.self, from: Data(bytes)) else { return nil }
        self = status
    }
}

extension RecordedState {
    /// What a status on disk says, while no worker is at the job.
    fileprivate init(_ state: JobState, isFiled: Bool) {
        self =
            switch state {
            case .queue: .queued
            case .active, .stopped: .interrupted
            case .held: .held
            case .done: isFiled ? .done : .succeeded
            case .failed: isFiled ? .failed : .broken
            case .cancelled: .cancelled
            case .rejected: .rejected
            }
    }
}

/// The instant at which a job ends.
public enum ResultRecord {
    /// Writes the result record: `status`, as done or failed, with the checksums of its results, durably.
    ///
    /// All results must be whole, under their names and synced before; after this call the job has ended, whatever
    /// happens to the process or the machine. The daemon then moves the file from `active/`, or its recovery does.
    /// - Parameters:
    ///   - time: Seconds since 1970.
    ///   - path: The job's `status.json`.
    /// - Returns: The record as written.
    @discardableResult
    public static func commit(
        _ status: JobStatus, as state: JobState, results: [JobStatus.Result], at time: Double, to path: FilePath,
        on storage: some Storage
    ) throws(StorageError) -> JobStatus {
        precondition(state == .done || state == .failed, "a result is done or failed")
        var record = status
        record.state = state
        record.phase = nil
        record.results = results
        record.filed = nil
        record.secondsLeft = nil
        record.endedAt = JobStatus.time(time)
        record.updatedAt = record.endedAt
        try record.save(path, on: storage)
        return record
    }
}
