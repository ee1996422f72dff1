public import CharnnJobs

/// A kind of event with its MESSAGE_ID, by which the journal finds it and its explanation in the catalog.
///
/// An identifier never changes its meaning; `systemd/charnnd.catalog` explains each.
public struct EventKind: Hashable, Sendable {
    /// The kind's name, in the journal's field `CHARNND_EVENT`.
    public let name: String
    /// 128 bits in hexadecimal.
    public let messageID: String

    /// The daemon began its work in a spool.
    public static let started = EventKind(name: "started", messageID: "cdd0fc8ecd4c05f8091a73c4409aa825")
    /// Recovery is complete; jobs are taken.
    public static let ready = EventKind(name: "ready", messageID: "c1ecb39c9831c99b22dcd43a2d94a9f9")
    /// The daemon was asked to end.
    public static let stopping = EventKind(name: "stopping", messageID: "9d4bafe882f097d4c13ae2440a1d2334")
    /// The configuration was read again and is in force.
    public static let reloaded = EventKind(name: "reloaded", messageID: "9e3a23a825e9bda4e3b1d9af9041f3ca")
    /// The configuration could not be read; the old one stays in force.
    public static let reloadFailed = EventKind(name: "reloadFailed", messageID: "d90a2128a1cef4d310b22c9086d946b4")
    /// A drop became a job.
    public static let accepted = EventKind(name: "accepted", messageID: "3819a491338439e5c056975bdbd573ca")
    /// A job file was rejected.
    public static let rejected = EventKind(name: "rejected", messageID: "7b96b658a1da2defd76ea303104a998a")
    /// A drop stays where it is.
    public static let ignored = EventKind(name: "ignored", messageID: "bd8c5391a0d2a72d053d3cafb2a950a1")
    /// More events of one kind came than are told one by one.
    public static let flood = EventKind(name: "flood", messageID: "729b90d9ac255502d9ee30c5a174d8cd")
    /// A job waits for a person.
    public static let held = EventKind(name: "held", messageID: "53d6c9c14a3d35fd7c75955e8066982e")
    /// A held job waits to be run again.
    public static let released = EventKind(name: "released", messageID: "626e312ddd5d6039fb23104da00ee2fe")
    /// A job was cancelled.
    public static let cancelled = EventKind(name: "cancelled", messageID: "24d20a3fc4cc12d010b855573c9a7545")
    /// A finished job goes on by a person's wish.
    public static let again = EventKind(name: "again", messageID: "6de6e95869bfa1e92c269a0ff46dbde2")
    /// A job file was replaced at a person's request.
    public static let edited = EventKind(name: "edited", messageID: "5a0e6c1fd2b94e7f8b3d47a1c96e0283")
    /// A person's request was not done.
    public static let refused = EventKind(name: "refused", messageID: "c6f1b8e3405d4d9ca27e935b1f80d64c")
    /// No job is started until a time, or until somebody says so.
    public static let paused = EventKind(name: "paused", messageID: "81d3f5a7c20e4b69958c6e2d740bfa13")
    /// Jobs are started again.
    public static let resumed = EventKind(name: "resumed", messageID: "e92b7d604c1f4a38b05af3d86c17e459")
    /// A job whose turn has come waits for a text.
    public static let waits = EventKind(name: "waits", messageID: "4c0f3e2b7a9d4b06a1583d6ce27f910b")
    /// A job went back to the queue.
    public static let requeued = EventKind(name: "requeued", messageID: "996397c47b93218bd24f208e3f468f35")
    /// A move of a job file that means nothing was undone.
    public static let movedBack = EventKind(name: "movedBack", messageID: "5c231008d169b8eef5588ca1ac534911")
    /// A removed job file was written anew.
    public static let restored = EventKind(name: "restored", messageID: "f8873ea40aefcaaaf5dcdff1132c35c9")
    /// A worker was started for a job.
    public static let jobStarted = EventKind(name: "jobStarted", messageID: "ccac10cbc9a0aeac4f89257e0bf1062d")
    /// A job has succeeded.
    public static let jobDone = EventKind(name: "jobDone", messageID: "8eb252c3f68d17dfb278c30470b311e6")
    /// A job has failed.
    public static let jobFailed = EventKind(name: "jobFailed", messageID: "d4895e7c946eb3ac56fad425e9aaff13")
    /// A worker crashed.
    public static let workerCrashed = EventKind(name: "workerCrashed", messageID: "7fb1da72e8c45abfb642a7225ba1c8cb")
    /// A worker gave no sign of life for too long.
    public static let workerHung = EventKind(name: "workerHung", messageID: "0fc7d51cd1e9e63c6dac5ff43e8c0b7c")
    /// A line that a worker wrote to its standard error.
    public static let workerOutput = EventKind(name: "workerOutput", messageID: "ac460ff24df655ac3c8cb42119d36a23")
    /// The disk has no room or cannot be written: no job is started until it has and can.
    public static let diskFull = EventKind(name: "diskFull", messageID: "5b8e17c9a2d04f6e9c3170d8e4b6fa21")
    /// The disk has room again; the queue goes on.
    public static let roomAgain = EventKind(name: "roomAgain", messageID: "e07c4b95d1f84a3ab26f8835c90d7e14")
    /// The GPU failed again and again: jobs that may use it wait.
    public static let gpuRests = EventKind(name: "gpuRests", messageID: "b41c0f6ad3e7492c8d52e91f70a6c38b")
    /// The GPU works again.
    public static let gpuWorks = EventKind(name: "gpuWorks", messageID: "2f9e84d1b75c4c06a1e38b60d4f7925a")
    /// The administrator's command for notices failed, or units that follow the queue could not be told.
    public static let notifyFailed = EventKind(name: "notifyFailed", messageID: "3f1d0c6a5b7e4d28a94c1e60b2d7f583")
    /// The daemon could not do something and will try again.
    public static let trouble = EventKind(name: "trouble", messageID: "d435aff9d010c357d560f23b79c267d4")

    /// Every kind of event of the daemon itself.
    public static let daemon: [EventKind] = [
        .started, .ready, .stopping, .reloaded, .reloadFailed, .accepted, .rejected, .ignored, .flood, .held,
        .released, .cancelled, .again, .edited, .refused, .paused, .resumed, .waits, .requeued, .movedBack, .restored,
        .jobStarted, .jobDone, .jobFailed,
        .workerCrashed, .workerHung, .workerOutput, .diskFull, .roomAgain, .gpuRests, .gpuWorks,
        .notifyFailed, .trouble,
    ]

    /// What a job's line says of how it stands where more is not for everybody; nil: nothing.
    var state: String? {
        switch self {
        case .accepted: "Accepted."
        case .jobStarted: "Started."
        case .held: "Held."
        case .released: "Released."
        case .cancelled: "Cancelled."
        case .again: "Goes on."
        case .waits: "Waits."
        case .edited: "Its job file was changed."
        case .requeued, .workerCrashed: "Back in the queue."
        case .jobDone: "Done."
        case .jobFailed: "Failed."
        default: nil
        }
    }

    /// The kind of an event that a worker tells of.
    public static func worker(_ kind: WorkerEvent.Kind) -> EventKind {
        EventKind(name: "worker.\(kind.rawValue)", messageID: identifier(kind))
    }

    private static func identifier(_ kind: WorkerEvent.Kind) -> String {
        switch kind {
        case .encoded: "d4529e65e9db054b67bbf7c74747cfec"
        case .trainingStarted: "e68793d020f08104e54f9952bc4d51a5"
        case .resumed: "ed0598dacea8375a136876cfaa2be2dc"
        case .progress: "b080bb645ec6fac9ac95e4f40eda90a4"
        case .evaluated: "80f6d93a99828ec70e30a53a5af7aed4"
        case .sampled: "8d7494b409d5b13ca3c5deaa4929004b"
        case .checkpointSaved: "c551571a929044ea4b41e11c83d4a67e"
        case .checkpointDamaged: "c4d38699dabfd3dbb07e8354ac88c03b"
        case .stoppedEarly: "cd46692ff7205f4854bf828b7e5ab01b"
        case .diverged: "681cadb180c7df9c4ded1b6a966cbf79"
        case .generated: "49bdc7ffe830fb635ef54721c2729aad"
        case .scored: "d1e48778e590051a25ba35b00219561a"
        case .warning: "14ad566d38a20b390e6435f02bafbd29"
        case .finished: "ef43ad34f0dd5f592c33dd147c55da1c"
        case .failed: "1d40eb3ec7b481f311d3b95b75d33f46"
        case .interrupted: "0843e4a7b0f84b0df922b5d40600bbdd"
        }
    }

    private init(name: String, messageID: String) {
        self.name = name
        self.messageID = messageID
    }
}
