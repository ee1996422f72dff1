public import CharnnSpool

/// How a worker process ends, told by its exit status.
public enum WorkerExit: Int32, Sendable {
    /// The result record is written.
    case done = 0
    /// Checkpointed after a request to stop: run me again.
    case checkpointed = 85
    /// Something that may be better later, such as a busy device or a full disk.
    case temporary = 75
    /// The job's data is bad: a corpus, a model, a loss that is not finite. The result record says why.
    case badData = 65
    /// Something the job names is not there or not readable.
    case noInput = 66
    /// The job file is bad.
    case badJob = 78
}

/// What a worker tells its daemon: one JSON object a line on its standard output.
///
/// A worker ends its work with a checkpoint when it gets SIGTERM or when its standard input ends, which is how it
/// learns that its daemon is gone.
public enum WorkerMessage: Codable, Sendable, Equatable {
    /// Something worth a line in the journal and in `log.txt`.
    case event(WorkerEvent)
    /// How the job stands; sent at least every few seconds while there is progress. Silence means a hang.
    case progress(JobStatus)
    /// A checkpoint of so many bytes is being written now; a stop has to wait for it.
    case savingCheckpoint(bytes: Int)
}

/// One event in the life of a job.
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
        case epochEnded
        case stoppedEarly
        case diverged
        case generated
        case scored
        case warning
        case finished
        case failed
        case interrupted
    }

    public enum Level: String, Codable, Sendable { case debug, info, notice, warning, error }

    public var kind: Kind
    public var level: Level
    /// A sentence for people.
    public var message: String
    /// Structured fields, such as `STEP`, `EPOCH`, `LOSS`, `VAL_LOSS`; the journal prefixes each with `CHARNND_`.
    public var fields: [String: String]

    public init(_ kind: Kind, _ level: Level = .info, _ message: String, fields: [String: String] = [:]) {
        self.kind = kind
        self.level = level
        self.message = message
        self.fields = fields
    }
}
