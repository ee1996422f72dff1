/// Lets the first events of a kind through and sums up the rest, so that a flood does not drown the journal.
///
/// Times are parameters, seconds of a monotonic clock.
///
/// A window opens with the first event of a kind and closes by ``takeSums(at:)``, which is called now and then: so a
/// window is at least so long, and until it is asked after no more pass.
struct FloodGate {
    /// How many events of one kind pass in a window of so many seconds.
    static let allowance = 20
    static let window = 10.0

    private struct Count {
        var since: Double
        var passed = 0
        var withheld = 0
    }

    private struct Source: Hashable {
        let kind: EventKind
        let job: String?
    }

    private var counts: [Source: Count] = [:]

    /// Whether an event of that kind is told now.
    ///
    /// - Parameter job: Given where each job may have its own flood.
    mutating func passes(_ kind: EventKind, of job: String? = nil, at now: Double) -> Bool {
        let source = Source(kind: kind, job: job)
        var count = counts[source] ?? Count(since: now)
        defer { counts[source] = count }
        if count.passed < Self.allowance {
            count.passed += 1
            return true
        }
        count.withheld += 1
        return false
    }

    /// What was withheld in windows that are over.
    mutating func takeSums(at now: Double) -> [(kind: EventKind, job: String?, count: Int)] {
        var sums: [(kind: EventKind, job: String?, count: Int)] = []
        for (source, count) in counts where now - count.since >= Self.window {
            if count.withheld > 0 { sums.append((source.kind, source.job, count.withheld)) }
            counts[source] = nil
        }
        return sums.sorted { $0.kind.name < $1.kind.name }
    }

    /// Whether a window is open.
    var isCounting: Bool { !counts.isEmpty }
}
