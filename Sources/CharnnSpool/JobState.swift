/// Where a job or a run stands; for a job of the queue its raw value is the spool directory in which the job's file lies.
public enum JobState: String, Sendable, CaseIterable, Codable {
    /// Accepted, waiting.
    case queue
    /// Running now.
    case active
    /// Waiting for a person.
    case held
    case done
    case failed
    case cancelled
    /// Not accepted; the reason lies beside the file.
    case rejected
    /// A run outside the queue that ended before its end and can go on; a job of the queue never is.
    case stopped

    /// The states of jobs of the queue, each a directory of the spool.
    public static let allCases: [JobState] = [.queue, .active, .held, .done, .failed, .cancelled, .rejected]
}
