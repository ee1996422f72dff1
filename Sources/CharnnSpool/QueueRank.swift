/// Where a waiting job comes in the order in which jobs are run: the one rule, for the queue itself as for every list
/// that shows it.
///
/// The higher priority goes first, among equal ones who came first.
struct QueueRank: Comparable {
    let priority: Int
    /// Order of arrival; ``JobStatus/sequence``.
    let sequence: UInt64
    let job: String

    /// - Parameter sequence: nil where it is not known: after all others.
    init(job: String, priority: Int, sequence: UInt64?) {
        self.job = job
        self.priority = priority
        self.sequence = sequence ?? .max
    }

    static func < (a: QueueRank, b: QueueRank) -> Bool {
        if a.priority != b.priority { return a.priority > b.priority }
        return a.sequence != b.sequence ? a.sequence < b.sequence : a.job < b.job
    }
}
