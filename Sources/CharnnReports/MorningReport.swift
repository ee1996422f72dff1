public import CharnnSpool
import CharnnWords

/// What a spool has to tell in the morning, as data: the page and the text are made of it.
public struct MorningReport: Sendable {
    /// A job that is running or waits.
    public struct Waiting: Sendable {
        public var name: String
        public var state: JobState
        /// Why it waits, where that is more than its turn.
        public var reason: String?
        /// Seconds from now until it begins and until it is done, as estimated; nil: cannot be told.
        public var startsIn: Double?
        public var doneIn: Double?

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
        public var name: String
        public var state: JobState
        public var reason: String
        /// What to do about it.
        public var remedy: String
        public var endedAt: String?
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
        public var owner: String

        public init(name: String, state: JobState, owner: String) {
            self.name = name
            self.state = state
            self.owner = owner
        }
    }

    public var spool: String
    /// When it was made, ISO 8601.
    public var time: String
    /// Since when what ran counts as new, ISO 8601.
    public var since: String
    /// Running and trained since then, as ``RankedGroup`` ranks them.
    public var ran: [JobRecord]
    public var problems: [Problem]
    public var waiting: [Waiting]
    /// Jobs that ended before: name, state, best validation loss in bits, end.
    public var earlier: [(name: String, state: JobState, bits: Double?, endedAt: String?)]
    /// Jobs of which only this may be told.
    public var closed: [Closed] = []
    /// That nothing is done until somebody starts the service; nil: it works.
    public var standstill: String?
    /// Job files in `incoming/`; nil where this user may not look.
    public var drops: Int?

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
