/// A text for which a queued job waits, as its status tells it.
public struct AwaitedText: Codable, Sendable, Hashable {
    /// As the job file names it.
    public var text: String
    /// Seconds since 1970 when the job's turn first came and a text was missing; nil: the text is there, and somebody may
    /// still be writing it.
    public var missingSince: Double?
    /// When the job's worker is started all the same, which then says what is missing and fails.
    public var failsAt: Double?

    public init(text: String, missingSince: Double? = nil, failsAt: Double? = nil) {
        self.text = text
        self.missingSince = missingSince
        self.failsAt = failsAt
    }

    /// What it is that is waited for, such as `waits for the text kjv.txt, which …`.
    public var reason: String {
        let name = PlainText.line(text, atMost: 200)
        guard missingSince != nil else {
            return "waits for the text \(name), which was changed a moment ago, to be complete"
        }
        let end = failsAt.map { "; if it does not come, the job fails at \(JobStatus.time($0))" } ?? ""
        return
            "waits for the text \(name), which is not there or may not be read by whoever submitted the job; a relative name "
            + "lies in corpora/\(end)"
    }
}
