public import CharnnSpool
import FoundationEssentials
import SystemPackage

/// What a daemon has decided for a worker: the first line of the worker's standard input, as JSON.
///
/// A worker reads no configuration file: what its daemon has in force may be another than what stands there now.
public struct WorkerOrders: Codable, Sendable, Equatable {
    /// Bytes of the line at most.
    static let longest = 8 << 20

    var corpusRoots: [String]
    var device: String
    var threads: Int?
    var memoryLimit: UInt64?
    /// What the job's owner may ask for, and what says so.
    var time: Limit<Double>?
    var memory: Limit<UInt64>?
    var disk: Limit<UInt64>?

    /// A cap on its way to a worker.
    ///
    /// It comes with the key that sets it, so that a refusal can say whom to ask.
    struct Limit<Value: Codable & Sendable & Equatable>: Codable, Sendable, Equatable {
        var value: Value
        var key: String

        init?(_ cap: Caps.Cap<Value>?) {
            guard let cap else { return nil }
            value = cap.value
            key = cap.key
        }

        var cap: Caps.Cap<Value> { Caps.Cap(value, key) }
    }

    /// - Parameter caps: Those of the job's owner.
    public init(_ configuration: ServiceConfiguration, caps: Caps = .none) {
        time = Limit(caps.time)
        memory = Limit(caps.memory)
        disk = Limit(caps.disk)
        corpusRoots = configuration.corpusRoots.map(\.string)
        device = configuration.device.rawValue
        threads = configuration.threads
        memoryLimit = configuration.memoryLimit
    }

    /// The line, with its end.
    public var line: [UInt8] {
        // Strings and numbers can always be encoded.
        guard let data = try? JSONEncoder().encode(self) else { preconditionFailure("orders are always encodable") }
        return Array(data) + [0x0A]
    }

    /// Of a configuration what concerns a worker; nil where a device is named that this program does not know.
    var configuration: ServiceConfiguration? {
        guard let device = DeviceChoice(rawValue: device) else { return nil }
        var configuration = ServiceConfiguration()
        configuration.corpusRoots = corpusRoots.map { FilePath($0) }
        configuration.device = device
        configuration.threads = threads
        configuration.memoryLimit = memoryLimit
        configuration.caps.all.time = time?.cap
        configuration.caps.all.memory = memory?.cap
        configuration.caps.all.disk = disk?.cap
        return configuration
    }
}

/// What a worker tells its daemon: one JSON object a line on its standard output.
///
/// A worker ends its work with a checkpoint when it gets SIGTERM or when its standard input ends, which is how it
/// learns that its daemon is gone.
///
/// A line that is none of these is passed on as what the worker has written.
public enum WorkerMessage: Codable, Sendable, Equatable {
    /// Bytes of a line at most; what is longer is no message. All that is told is bounded, so that none is.
    public static let longestLine = 1 << 20

    /// Something worth a line in the journal and in `log.txt`.
    case event(WorkerEvent)
    /// Something was done. Silence means a hang.
    case alive
    /// How the job stands.
    /// Without what the daemon knows itself: see ``JobStatus/news``.
    case progress(JobStatus)
    /// It is about to end with ``WorkerExit/temporary``, and what for.
    case waits(WorkerWait)
    /// A checkpoint of so many bytes is being written now; a stop has to wait for it.
    case savingCheckpoint(bytes: Int)
}

/// One event in the life of a job.
///
/// Made in the worker, told by the daemon, which adds job and MESSAGE_ID.
public struct WorkerEvent: Codable, Sendable, Equatable {
    /// The kinds of event; each has a MESSAGE_ID in the journal and an entry in the catalog.
    public enum Kind: String, Codable, Sendable, CaseIterable {
        case encoded
        case trainingStarted
        case resumed
        case progress
        case evaluated
        case sampled
        case checkpointSaved
        case checkpointDamaged
        case stoppedEarly
        case diverged
        case generated
        case scored
        case warning
        case finished
        case failed
        case interrupted
    }

    /// As in syslog. The journal has no `debug` by default, while `log.txt` has all.
    public enum Level: String, Codable, Sendable { case debug, info, notice, warning, error }

    /// By it the journal finds the explanation.
    public var kind: Kind
    /// `notice` and above pass every limit on floods.
    public var level: Level
    /// A sentence for people.
    public var message: String
    /// Structured fields, such as `STEP`, `EPOCH`, `LOSS`, `VAL_LOSS`; the journal prefixes each with `CHARNND_`.
    public var fields: [String: String]

    /// - Parameters:
    ///   - message: Kept in one line, and cut where it is longer than ``longestText``.
    public init(_ kind: Kind, _ level: Level = .info, _ message: String, fields: [String: String] = [:]) {
        self.kind = kind
        self.level = level
        self.message = PlainText.line(message, atMost: Self.longestText)
        self.fields = fields.mapValues { PlainText.cut($0, Self.longestText) }
    }

    /// Bytes of a message or field at most, so that each event fits into one line of the pipe.
    private static let longestText = 8 << 10
}
