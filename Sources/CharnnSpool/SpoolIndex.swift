internal import HeapModule

/// What the daemon knows of every job, in memory, ordered so that the next one to run is found without a scan.
///
/// The spool's directories and statuses are the truth; this follows them.
///
/// Complexity: finding the next job is O(log n) amortised; a change of a job is that for each job waiting for it.
struct SpoolIndex {
    struct Entry {
        var state: RecordedState
        var sequence: UInt64
        var ticket: JobTicket
        /// Seconds since 1970 before which the job is not started.
        var notBefore: Double?
        /// Until when a job that this one names as its model may still be dropped, seconds since 1970: a folder of job
        /// files comes one by one.
        var patience: Double?
        /// Since when the file lies nowhere, on the monotonic clock.
        var absentSince: Double?
        /// Told already that it must stop.
        var isStopping = false

        /// Whether it names as its model a job that nobody has dropped.
        var lacksModel: Bool { ticket.predecessors.contains { $0.isModel && $0.sequence == nil } }

        /// Seconds since 1970 before which the job is not started, for whatever reason.
        var earliest: Double? {
            guard let patience, lacksModel else { return notBefore }
            return max(patience, notBefore ?? patience)
        }
    }

    private struct Place: Comparable {
        let priority: Int
        let sequence: UInt64
        let job: String

        static func < (a: Place, b: Place) -> Bool {
            a.priority != b.priority ? a.priority > b.priority : a.sequence < b.sequence
        }
    }

    private(set) var entries: [String: Entry] = [:]
    /// The job of each job file's name.
    private(set) var jobOfFile: [String: String] = [:]
    /// For each job, those that name it as a predecessor.
    private var dependents: [String: Set<String>] = [:]
    /// Jobs that may run, and leftovers of such that no longer may, which are dropped when they come up.
    private var runnable = Heap<Place>()
    /// Jobs that wait for a time: after a temporary failure, or for a model's job to be dropped.
    private var delayed: Set<String> = []
    /// Jobs whose file lies nowhere at the moment.
    private(set) var absent: Set<String> = []
    /// Jobs whose predecessor will not succeed: to be held.
    private(set) var stranded: Set<String> = []
    /// Jobs that run or were interrupted.
    private(set) var active: Set<String> = []
    private(set) var counts: [RecordedState: Int] = [:]
    /// Until when no job is started that may use the GPU, seconds since 1970; nil: any is.
    private(set) var gpuRest: Double?
    /// Jobs that could be started but for that.
    private(set) var resting: Set<String> = []

    subscript(job: String) -> Entry? { entries[job] }

    mutating func insert(_ job: String, _ entry: Entry) {
        remove(job)
        entries[job] = entry
        jobOfFile[entry.ticket.file] = job
        counts[entry.state, default: 0] += 1
        for predecessor in entry.ticket.predecessors { dependents[predecessor.job, default: []].insert(job) }
        if entry.state == .running || entry.state == .interrupted { active.insert(job) }
        if entry.absentSince != nil { absent.insert(job) }
        place(job, entry)
        for dependent in dependents[job] ?? [] { bindAndPlace(dependent, to: job, entry.sequence) }
    }

    mutating func remove(_ job: String) {
        guard let entry = entries.removeValue(forKey: job) else { return }
        if jobOfFile[entry.ticket.file] == job { jobOfFile[entry.ticket.file] = nil }
        counts[entry.state, default: 0] -= 1
        delayed.remove(job)
        resting.remove(job)
        absent.remove(job)
        stranded.remove(job)
        active.remove(job)
        for predecessor in entry.ticket.predecessors { dependents[predecessor.job]?.remove(job) }
        for dependent in dependents[job] ?? [] {
            if let waiting = entries[dependent] { place(dependent, waiting) }
        }
    }

    mutating func update(_ job: String, _ change: (inout Entry) -> Void) {
        guard var entry = entries[job] else { return }
        change(&entry)
        insert(job, entry)
    }

    /// Notes that a job's file lies nowhere, or that it is there again.
    mutating func setAbsent(_ job: String, since time: Double?) {
        update(job) { $0.absentSince = time }
    }

    mutating func setStopping(_ job: String) { entries[job]?.isStopping = true }

    /// What keeps a queued job from being started now.
    func blocker(of job: String, at wall: Double) -> Blocker? {
        guard let entry = entries[job] else { return nil }
        if let blocker = blocker(entry) { return blocker }
        if let time = entry.earliest, !Self.isDue(time, at: wall) { return .delayed(time) }
        if let time = gpuRest, entry.ticket.mayUseGPU, !Self.isDue(time, at: wall) { return .lacksGPU(time) }
        return nil
    }

    /// The queued job to run next.
    mutating func next(at wall: Double) -> String? {
        if let time = gpuRest, Self.isDue(time, at: wall) { endGPURest() }
        for job in delayed {
            guard let entry = entries[job], Self.isDue(entry.earliest ?? 0, at: wall) else { continue }
            delayed.remove(job)
            runnable.insert(Place(priority: entry.ticket.priority, sequence: entry.sequence, job: job))
        }
        while let first = runnable.min {
            if let entry = entries[first.job], isCurrent(first, entry) {
                switch blocker(of: first.job, at: wall) {
                case nil: return first.job
                case .lacksGPU: resting.insert(first.job)
                default: break
                }
            }
            runnable.removeMin()
        }
        return nil
    }

    /// Whether a delayed job may run. One that would have to wait for longer than any delay was given its time by a
    /// clock that has been set back since.
    private static func isDue(_ time: Double, at wall: Double) -> Bool {
        time <= wall || time > wall + AttemptPolicy.delays.longest
    }

    /// When the first delayed job may run, seconds since 1970.
    var nextDelay: Double? {
        let rest = resting.isEmpty ? nil : gpuRest
        return delayed.compactMap { entries[$0]?.earliest }.min().map { min($0, rest ?? $0) } ?? rest
    }

    /// Lets what may use the GPU wait.
    mutating func restGPU(until time: Double) { gpuRest = time }

    /// Lets what may use the GPU be started again.
    mutating func endGPURest() {
        gpuRest = nil
        let waiting = resting
        resting = []
        for job in waiting { if let entry = entries[job] { place(job, entry) } }
    }

    /// Whether a job waits for another to be dropped.
    var isPatient: Bool { delayed.contains { entries[$0]?.lacksModel == true && entries[$0]?.patience != nil } }

    /// The names that a new job's predecessors lead through back to itself, if they do.
    ///
    /// - Complexity: O(jobs that it waits for, directly or not)
    func circle(from job: String, _ predecessors: [Predecessor]) -> [String]? {
        var visited: Set<String> = []
        var paths = predecessors.map { [$0.job] }
        while let path = paths.popLast() {
            guard let last = path.last else { continue }
            if last == job { return [job] + path }
            guard visited.insert(last).inserted, let entry = entries[last], entry.state != .done else { continue }
            for next in entry.ticket.predecessors { paths.append(path + [next.job]) }
        }
        return nil
    }

    private func isCurrent(_ place: Place, _ entry: Entry) -> Bool {
        entry.state == .queued && entry.sequence == place.sequence && entry.ticket.priority == place.priority
            && entry.absentSince == nil
    }

    private func blocker(_ entry: Entry) -> Blocker? {
        Blocker.first(among: entry.ticket.predecessors) { name in
            entries[name].map { ($0.sequence, $0.state) }
        }
    }

    private mutating func place(_ job: String, _ entry: Entry) {
        delayed.remove(job)
        resting.remove(job)
        stranded.remove(job)
        guard entry.state == .queued else { return }
        switch blocker(entry) {
        case nil:
            if entry.earliest != nil {
                delayed.insert(job)
            } else {
                runnable.insert(Place(priority: entry.ticket.priority, sequence: entry.sequence, job: job))
            }
        case .gone: stranded.insert(job)
        default: break
        }
    }

    /// Binds a waiting job's open reference to the job that now bears the name, and places it anew.
    private mutating func bindAndPlace(_ dependent: String, to job: String, _ sequence: UInt64) {
        guard var entry = entries[dependent], entry.state != .done else { return }
        for index in entry.ticket.predecessors.indices
        where entry.ticket.predecessors[index].job == job && entry.ticket.predecessors[index].sequence == nil {
            entry.ticket.predecessors[index].sequence = sequence
        }
        entries[dependent] = entry
        place(dependent, entry)
    }
}
