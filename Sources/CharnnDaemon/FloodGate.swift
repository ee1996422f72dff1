/// Lets the first events of a kind through and sums up the rest, so that a flood does not drown the journal.
///
/// Times are parameters, seconds of a monotonic clock.
struct FloodGate {
    /// How many events of one kind pass in a window of so many seconds.
    static let allowance = 20
    static let window = 10.0

    private struct Count {
        var since: Double
        var passed = 0
        var withheld = 0
    }

    private var counts: [EventKind: Count] = [:]

    /// Whether an event of that kind is told now.
    mutating func passes(_ kind: EventKind, at now: Double) -> Bool {
        var count = counts[kind] ?? Count(since: now)
        defer { counts[kind] = count }
        if count.passed < Self.allowance {
            count.passed += 1
            return true
        }
        count.withheld += 1
        return false
    }

    /// What was withheld in windows that are over.
    mutating func takeSums(at now: Double) -> [(kind: EventKind, count: Int)] {
        var sums: [(kind: EventKind, count: Int)] = []
        for (kind, count) in counts where now - count.since >= Self.window {
            if count.withheld > 0 { sums.append((kind, count.withheld)) }
            counts[kind] = nil
        }
        return sums.sorted { $0.kind.name < $1.kind.name }
    }

    /// Whether a window is open.
    var isCounting: Bool { !counts.isEmpty }
}
