internal import HeapModule

/// Jobs that may run, handed out in turns: the one rule of the order in which jobs are run, for the queue itself as for
/// whatever foretells it.
///
/// 1. The highest priority goes first.
/// 2. Among equal ones a job that has begun.
/// 3. Then one of the owner whose jobs have had the fewest seconds of work.
/// 4. Then the one that came first.
///
/// A job that no longer may run is left in it and dropped when its turn comes.
///
/// Complexity: O(owners + log jobs) for the next one; O(log jobs) to insert.
struct TurnQueue {
    struct Turn: Comparable {
        let job: String
        let priority: Int
        /// Order of arrival.
        let sequence: UInt64
        let hasBegun: Bool
        /// nil: nobody knows; all of these are one.
        let owner: UInt32?

        static func < (a: Turn, b: Turn) -> Bool {
            a.sequence != b.sequence ? a.sequence < b.sequence : a.job < b.job
        }
    }

    /// The jobs of one priority.
    fileprivate struct Lane {
        var begun = Heap<Turn>()
        var owners: [UInt32?: Heap<Turn>] = [:]
    }

    private var lanes: [Int: Lane] = [:]
    private var priorities = Heap<Int>()

    mutating func insert(_ place: Turn) {
        if lanes[place.priority] == nil {
            lanes[place.priority] = Lane()
            priorities.insert(place.priority)
        }
        if place.hasBegun {
            lanes[place.priority]?.begun.insert(place)
        } else {
            lanes[place.priority]?.owners[place.owner, default: Heap()].insert(place)
        }
    }

    /// The job whose turn it is. It stays in the queue until ``drop(_:)``.
    ///
    /// - Parameters:
    ///   - seconds: The work that was done for an owner.
    ///   - isCurrent: Whether a place still is a job's.
    mutating func next(seconds: (UInt32?) -> Double, isCurrent: (Turn) -> Bool) -> Turn? {
        while let priority = priorities.max {
            if let found = lanes[priority]?.next(seconds, isCurrent) { return found }
            priorities.removeMax()
            lanes[priority] = nil
        }
        return nil
    }

    /// Takes out the job that ``next(seconds:isCurrent:)`` has returned last.
    mutating func drop(_ place: Turn) {
        if place.hasBegun {
            _ = lanes[place.priority]?.begun.popMin()
        } else {
            _ = lanes[place.priority]?.owners[place.owner]?.popMin()
        }
    }
}

extension TurnQueue.Lane {
    fileprivate mutating func next(
        _ seconds: (UInt32?) -> Double, _ isCurrent: (TurnQueue.Turn) -> Bool
    ) -> TurnQueue.Turn? {
        while let first = begun.min {
            if isCurrent(first) { return first }
            begun.removeMin()
        }
        var best: (place: TurnQueue.Turn, seconds: Double)?
        for owner in Array(owners.keys) {
            while let first = owners[owner]?.min, !isCurrent(first) { owners[owner]?.removeMin() }
            guard let first = owners[owner]?.min else {
                owners[owner] = nil
                continue
            }
            let had = seconds(owner)
            guard let other = best, had > other.seconds || (had == other.seconds && first > other.place) else {
                best = (first, had)
                continue
            }
        }
        return best?.place
    }
}

/// The work that was done for each owner.
struct OwnerLedger {
    /// Seconds for which work counts.
    static let window = 86_400.0

    private var work: [UInt32: [JobStatus.Work]] = [:]

    mutating func add(_ more: [JobStatus.Work], for owner: UInt32?, at wall: Double) {
        guard let owner, !more.isEmpty else { return }
        work[owner] = (work[owner] ?? []).filter { $0.ends > wall - Self.window } + more
    }

    /// Seconds of work in the last ``window``; for an owner whom nobody knows, none.
    func seconds(_ owner: UInt32?, at wall: Double) -> Double {
        guard let owner else { return 0 }
        return (work[owner] ?? []).reduce(0) { $0 + $1.seconds(after: wall - Self.window, before: wall) }
    }

    /// The same of all owners who had any.
    func all(at wall: Double) -> [UInt32: Double] {
        var found: [UInt32: Double] = [:]
        for owner in work.keys {
            let seconds = seconds(owner, at: wall)
            if seconds > 0 { found[owner] = seconds }
        }
        return found
    }
}
