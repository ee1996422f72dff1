/// Where a job stands; its raw value is the spool directory in which the job's file lies.
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
}
