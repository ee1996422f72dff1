/// `jobs/NAME/status.json`: how a job stands, always whole.
///
/// While a worker runs it writes the file; otherwise the daemon does. A status whose `results` is present with
/// `state == .done` or `.failed` is the job's result record: its durable write is the instant at which the job ended,
/// whatever directory its file still lies in.
///
/// A worker that writes the file keeps what it does not know of: it reads the status that the daemon left, changes its
/// own part, and writes the whole.
public struct JobStatus: Codable, Sendable, Equatable {
    public struct Result: Codable, Sendable, Equatable {
        /// Relative to the job folder.
        public var path: String
        public var sha256: String
        public var bytes: Int

        public init(path: String, sha256: String, bytes: Int) {
            self.path = path
            self.sha256 = sha256
            self.bytes = bytes
        }
    }

    /// A time in which a worker was at the job.
    public struct Work: Codable, Sendable, Equatable {
        /// Seconds since 1970 when it began.
        public var from: Double
        public var seconds: Double

        public init(from: Double, seconds: Double) {
            self.from = from
            self.seconds = seconds
        }

        var ends: Double { from + seconds }

        /// The part of it that came after a time; none of what is dated later than now, by a clock that was ahead.
        func seconds(after time: Double, before now: Double) -> Double {
            ends > now + 60 ? 0 : max(0, min(seconds, ends - time))
        }
    }

    public var job: String
    public var state: JobState
    /// What is going on within the state, such as `encoding`, `training`, `evaluating`, `generating`, `checkpointing`.
    public var phase: String?
    /// Arrival order; never reused.
    public var sequence: UInt64?
    /// How many times a worker was started for this job since it was accepted.
    public var attempts: Int
    /// Crashes in a row without a newer valid checkpoint.
    public var crashes: Int
    /// The step of the newest checkpoint when the current attempt began, to tell progress from none.
    public var checkpointStep: Int?
    public var step: Int?
    public var totalSteps: Int?
    public var epoch: Int?
    public var totalEpochs: Int?
    /// Nats a character.
    public var trainLoss: Double?
    public var validationLoss: Double?
    public var bestValidationLoss: Double?
    /// The temperature that fits the best model to the validation text.
    public var fittedTemperature: Double?
    /// Its loss with each half of that text at the temperature that fits the other half.
    public var fittedValidationLoss: Double?
    /// The loss of the text that it was asked to score.
    public var evaluationLoss: Double?
    /// The SHA-256 of the characters of the validation text: losses compare only where it is the same.
    public var validationText: String?
    public var charactersPerSecond: Double?
    /// Seconds left, as estimated.
    public var secondsLeft: Double?
    /// What the training takes of the machine's memory, as predicted, bytes.
    public var neededMemory: UInt64?
    /// Seconds of work over all attempts.
    public var elapsedSeconds: Double?
    /// ISO 8601, UTC.
    public var acceptedAt: String?
    public var startedAt: String?
    public var endedAt: String?
    public var updatedAt: String?
    /// Numeric user id of who dropped the file, and their name when they did.
    public var submitter: UInt32?
    public var owner: String?
    /// Whether it is its owner's alone.
    public var isPrivate: Bool?
    /// Whether a worker was at it since a person last had it wait or begin anew.
    public var hasBegun: Bool?
    /// Since when a worker is at it, seconds since 1970.
    public var claimedAt: Double?
    /// What workers did in the last day.
    public var worked: [Work]?
    /// Why the job is held, failed or cancelled, or what it waits for.
    public var reason: String?
    public var warnings: [String]
    /// The results with their checksums; only in a result record.
    public var results: [Result]?
    /// Whether the daemon has moved the job's file where the result record says; until then the record decides over
    /// any move. A new record has none.
    public var filed: Bool?
    /// How often in a row daemon or machine went down while the job ran, without a newer checkpoint.
    public var outages: Int?
    /// Temporary failures in a row.
    public var temporaryFailures: Int?
    /// Seconds since 1970 before which the job is not started again.
    public var notBefore: Double?
    /// The text for which the job waits, its turn having come.
    public var awaitedText: AwaitedText?
    /// What the queue needs to know without reading the job file again.
    public var ticket: JobTicket?

    public init(job: String, state: JobState) {
        self.job = job
        self.state = state
        self.attempts = 0
        self.crashes = 0
        self.warnings = []
    }
}
