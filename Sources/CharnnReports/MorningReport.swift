public import CharnnSpool
import CharnnWords

/// What a spool has to tell in the morning, as data: the page and the text are made of it.
///
/// It is collected in CharnnJobs, which knows spools and job files; here it is put into words and pictures. `charnn
/// report`, the spool's index.html and `charnn report --html` are all made of it, and so say the same.
public struct MorningReport: Sendable {
    /// A job that is running or waits.
    public struct Waiting: Sendable {
        /// The job's.
        public var name: String
        /// `active`, `queue` or `held`.
        public var state: JobState
        /// Why it waits, where that is more than its turn.
        public var reason: String?
        /// Seconds from now until it begins and until it is done, as estimated; nil: cannot be told.
        public var startsIn: Double?
        /// Also of a job that runs. Where it cannot be told of a job in its turn, it cannot of those behind.
        public var doneIn: Double?

        /// A job whose times cannot be told leaves them out.
        public init(name: String, state: JobState, reason: String?, startsIn: Double? = nil, doneIn: Double? = nil) {
            self.name = name
            self.state = state
            self.reason = reason
            self.startsIn = startsIn
            self.doneIn = doneIn
        }

        /// When it begins, in words; nothing for one that has begun.
        var beginning: String { state == .active ? "" : startsIn.map(about) ?? "" }
    }

    /// A job that did not succeed.
    public struct Problem: Sendable {
        /// The job's, or of a rejected file the name that it would have had.
        public var name: String
        /// `failed`, `rejected` or `held`; of a run outside the queue with something wrong in its folder any.
        public var state: JobState
        /// What went wrong, as the status or the file beside a rejected one says it.
        public var reason: String
        /// What to do about it.
        public var remedy: String
        /// ISO 8601; nil: it is not known. By it problems are sorted, the newest first.
        public var endedAt: String?
        /// Whether there is a page of it to link to.
        public var hasFolder: Bool

        public init(
            name: String, state: JobState, reason: String, remedy: String, endedAt: String?, hasFolder: Bool
        ) {
            self.name = name
            self.state = state
            self.reason = reason
            self.remedy = remedy
            self.endedAt = endedAt
            self.hasFolder = hasFolder
        }
    }

    /// A job that is its owner's alone.
    public struct Closed: Sendable {
        public var name: String
        public var state: JobState
        /// The name of the user who submitted it; empty: nobody knows.
        public var owner: String

        /// There is nothing else to give: neither reason, nor times, nor losses.
        public init(name: String, state: JobState, owner: String) {
            self.name = name
            self.state = state
            self.owner = owner
        }
    }

    /// The path of its root.
    public var spool: String
    /// When it was made, ISO 8601.
    public var time: String
    /// Since when what ran counts as new, ISO 8601.
    public var since: String
    /// Running and trained since then, as ``RankedGroup`` ranks them.
    public var ran: [JobRecord]
    /// What a person has to look at, the newest first.
    public var problems: [Problem]
    /// What runs, waits in the queue, and is held.
    public var waiting: [Waiting]
    /// Jobs that ended before: name, state, best validation loss in bits, end.
    public var earlier: [(name: String, state: JobState, bits: Double?, endedAt: String?)]
    /// Jobs of which only this may be told.
    public var closed: [Closed] = []
    /// That nothing is done until somebody starts the service; nil: it works.
    public var standstill: String?
    /// Job files in `incoming/`; nil where this user may not look.
    public var drops: Int?

    /// An empty report, to be filled.
    public init(spool: String, time: String, since: String) {
        self.spool = spool
        self.time = time
        self.since = since
        ran = []
        problems = []
        waiting = []
        earlier = []
    }

    /// One sentence of how things stand.
    public var summary: String {
        let done = ran.filter { $0.state == .done }.count
        let running = ran.filter { $0.state == .active }.map(\.name)
        let queued = waiting.filter { $0.state == .queue }.count
        let held = waiting.filter { $0.state == .held }.count
        var parts: [String] = []
        if done > 0 { parts.append("\(done) done") }
        if !problems.isEmpty { parts.append("\(problems.count) that did not succeed") }
        if !running.isEmpty { parts.append("\(running.joined(separator: ", ")) running") }
        if queued > 0 { parts.append("\(queued) waiting") }
        if held > 0 { parts.append("\(held) held") }
        let stop = standstill.map { " \($0)" } ?? ""
        guard !parts.isEmpty else {
            let what = stop.isEmpty ? "nothing" : "no accepted job"
            return "Nothing ran since \(Page.day(since)), and \(what) waits.\(stop)"
        }
        // What waits for more than its turn may never be.
        let isForeseen = waiting.allSatisfy { $0.state == .held || $0.doneIn != nil }
        let last = isForeseen ? waiting.compactMap(\.doneIn).max() : nil
        let end = last.map { " All will be done in \(about($0))." } ?? ""
        return "Since \(Page.day(since)): " + parts.joined(separator: ", ") + "." + end + stop
    }

}
