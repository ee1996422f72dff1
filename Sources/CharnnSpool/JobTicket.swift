public import CharnnStorage

/// What a job file asks of the queue; all that the spool understands of it.
public struct JobRequirements: Sendable, Equatable {
    /// Higher runs first.
    public var priority: Int
    /// Jobs that must have succeeded, but for those of ``ended``.
    public var after: [String]
    /// Of these the ones that need only be over, however that went.
    public var ended: Set<String> = []
    /// Jobs whose model is used: predecessors as long as they are not done.
    public var modelJobs: [String]
    /// Whether it may use the GPU; false only where it says that it does not.
    public var mayUseGPU: Bool
    /// Who may read what the job makes.
    public var share = Share.auto
    /// Texts that it reads, as written: relative ones lie in `corpora/`.
    public var texts: [String] = []
    /// Models that it reads and that are no job's.
    public var modelPaths: [String] = []
    /// Characters of the longest text that it writes, and how many texts it writes.
    public var textLength = 0
    public var textCount = 0
    /// Bytes of memory that it needs at the least, as far as its file tells.
    public var memory: UInt64 = 0

    public init(priority: Int = 0, after: [String] = [], modelJobs: [String] = [], mayUseGPU: Bool = true) {
        self.priority = priority
        self.after = after
        self.modelJobs = modelJobs
        self.mayUseGPU = mayUseGPU
    }
}

/// Who may read what a job makes in a shared spool.
public enum Share: String, Sendable, CaseIterable {
    /// Its owner alone, if a text or model that it reads cannot be read by the whole group; else the group.
    case auto
    case group
    case owner
}

/// Why a job file cannot be run, as a person is told.
public struct JobRejection: Error, Hashable, CustomStringConvertible {
    public var reason: String
    public init(_ reason: String) { self.reason = reason }
    public var description: String { reason }
}

/// Reads a job file's bytes; called with the file's name for messages.
public typealias JobCheck = @Sendable (_ bytes: [UInt8], _ fileName: String) throws(JobRejection) -> JobRequirements

/// A job that another waits for.
public struct Predecessor: Codable, Sendable, Hashable {
    public var job: String
    /// Which job of that name: it is bound when the waiting job is accepted, or when the first job of that name is.
    public var sequence: UInt64?
    /// Whether the job is named as a model and not by `after`; such a one is waited for only if it exists.
    public var isModel: Bool
    /// Whether it need only be over: done, failed, cancelled, rejected or removed.
    public var whenEnded: Bool {
        get { isEnough == true }
        set { isEnough = newValue ? true : nil }
    }
    /// Told only where it is so, as in tickets from before this was asked.
    private var isEnough: Bool?

    public init(job: String, sequence: UInt64? = nil, isModel: Bool = false, whenEnded: Bool = false) {
        self.job = job
        self.sequence = sequence
        self.isModel = isModel
        self.whenEnded = whenEnded
    }
}

extension JobRequirements {
    /// What it waits for, each name once: first what `after` says. A model is there only where its job has succeeded.
    var predecessors: [Predecessor] {
        let models = Set(modelJobs)
        var seen: Set<String> = []
        return
            (after.map { Predecessor(job: $0, whenEnded: ended.contains($0) && !models.contains($0)) }
            + modelJobs.map { Predecessor(job: $0, isModel: true) })
            .filter { seen.insert($0.job).inserted }
    }
}

/// What the queue knows of a waiting job.
///
/// It is part of the status, so that a daemon with many queued jobs need not read their files when it starts.
public struct JobTicket: Codable, Sendable, Hashable {
    /// The job file's name in the state directories.
    public var file: String
    public var priority: Int
    public var predecessors: [Predecessor]
    /// Whether the job may use the GPU.
    public var mayUseGPU: Bool {
        get { isForCPU != true }
        set { isForCPU = newValue ? nil : true }
    }
    /// Told only where it is so: tickets from before this was asked do not know.
    private var isForCPU: Bool?
    /// What the file was when it was read; a difference shows an edit.
    public var identity: FileIdentity?
    /// Texts that the job reads, as its file names them; nil in tickets from before this was asked.
    public var texts: [String]?

    public init(
        file: String, priority: Int = 0, predecessors: [Predecessor] = [], mayUseGPU: Bool = true,
        identity: FileIdentity? = nil, texts: [String]? = nil
    ) {
        self.file = file
        self.priority = priority
        self.predecessors = predecessors
        self.identity = identity
        self.texts = texts
        self.mayUseGPU = mayUseGPU
    }
}

/// What changes when a file is edited or replaced.
public struct FileIdentity: Codable, Sendable, Equatable, Hashable {
    public var inode: UInt64
    public var size: Int
    public var modified: Double

    public init(_ status: FileStatus) {
        self.init(inode: status.inode, size: status.size, modified: status.modified)
    }

    private init(inode: UInt64, size: Int, modified: Double) {
        self.inode = inode
        self.size = size
        self.modified = modified
    }

    /// Of what cannot be looked at.
    static let none = FileIdentity(inode: 0, size: 0, modified: 0)
}

/// Why a queued job is not started.
public enum Blocker: Sendable, Equatable {
    /// No job of that name has been accepted yet.
    case missing(String)
    /// That job is waiting or running.
    case unfinished(String)
    /// That job failed; when it is tried again and succeeds, this one goes on.
    case failed(String)
    /// That job will not succeed any more unless a person acts: this one is held.
    case gone(String, String)
    /// Until that time (seconds since 1970): after a temporary failure, or for a model's job to be dropped.
    case delayed(Double)
    /// Until that time (seconds since 1970): the GPU has failed again and again.
    case lacksGPU(Double)
    /// A text that it reads is missing, or may still be written.
    case awaitsText(AwaitedText)

    public var description: String {
        switch self {
        case .missing(let job): "waits for a job named \(job), which does not exist yet"
        case .unfinished(let job): "waits for \(job)"
        case .failed(let job): "waits for \(job), which failed: `charnn retry \(job)` goes on"
        case .gone(let job, let what): "waits for \(job), which \(what), and is held for that"
        case .lacksGPU: "waits for the GPU, which has failed again and again"
        case .awaitsText(let awaited): awaited.reason
        case .delayed: "waits for its next attempt after a temporary failure, or for its model's job to be dropped"
        }
    }

    /// What stands in the way of a job with these predecessors, the gravest first.
    ///
    /// - Parameters:
    ///   - isRejected: Whether a file of that name was rejected and never became a job.
    ///   - lookUp: A job's sequence number and recorded state by its name; nil if there is no such job.
    public static func first(
        among predecessors: [Predecessor], isRejected: (String) -> Bool = { _ in false },
        lookUp: (String) -> (sequence: UInt64?, state: RecordedState)?
    ) -> Blocker? {
        var found: Blocker?
        for predecessor in predecessors {
            let job = predecessor.job
            let current = lookUp(job)
            let isBound = predecessor.sequence != nil
            guard let current, !isBound || current.sequence == predecessor.sequence else {
                if predecessor.whenEnded, isBound || isRejected(job) { continue }
                if isBound { return .gone(job, "was removed") }
                if isRejected(job) { return .gone(job, "was rejected") }
                if !predecessor.isModel { found = found ?? .missing(job) }
                continue
            }
            if predecessor.whenEnded, current.state.isOver { continue }
            switch current.state {
            case .done, .succeeded: continue
            case .cancelled: return .gone(job, "was cancelled")
            case .rejected: return .gone(job, "was rejected")
            case .failed, .broken: found = .failed(job)
            case .queued, .running, .interrupted, .held, .unknown: found = found ?? .unfinished(job)
            }
        }
        return found
    }
}
