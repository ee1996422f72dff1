public import CharnnStorage
internal import FoundationEssentials
public import SystemPackage

extension JobStatus {
    /// The status at `path`; nil where there is none or it cannot be read as one.
    public static func read(_ path: FilePath, on storage: some Storage) throws(StorageError) -> JobStatus? {
        try storage.contents(of: path, limit: largest).flatMap(decode)
    }

    static func decode(_ bytes: [UInt8]) -> JobStatus? {
        try? JSONDecoder().decode(JobStatus.self, from: Data(bytes))
    }

    /// The most bytes that a status has.
    static let largest = 16 << 20

    /// The file's contents.
    public var encoded: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        // Every member is a number, a string or a list of such, none of which can fail to be encoded.
        guard let data = try? encoder.encode(self) else { preconditionFailure("a status is always encodable") }
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
    var ticket: JobTicket?

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
            case .active: .interrupted
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
