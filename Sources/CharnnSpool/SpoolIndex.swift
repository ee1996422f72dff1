/// What the daemon knows of every job, in memory, ordered so that the next one to run is found without a scan.
///
/// The spool's directories and statuses are the truth; this follows them.
///
/// Complexity: finding the next job is O(owners + log n) amortised. Of each predecessor of each job is kept how it stands, so
/// that a change of a job costs O(1) for each job that waits for it, whatever else these wait for.
struct SpoolIndex {
    struct Entry {
        var state: RecordedState
        var sequence: UInt64
        var ticket: JobTicket
        /// Seconds since 1970 before which the job is not started.
        var notBefore: Double?
        /// The text for which it waits, and the instant, seconds since 1970, at which that is looked at again.
        var awaitedText: AwaitedText?
        var nextLook: Double?
        /// Until when a job that this one names as its model may still be dropped, seconds since 1970: a folder of job
        /// files comes one by one.
        var patience: Double?
        /// Since when the file lies nowhere, on the monotonic clock.
        var absentSince: Double?
        /// Who submitted it; nil: nobody knows.
        var submitter: UInt32?
        /// Whether a worker was at it already.
        var hasBegun = false
        /// Whether it is its owner's alone.
        var isPrivate = false
        /// Told already that it must stop.
        var isStopping = false

        /// The only user who may read what is its; nil: the spool's group may.
        var onlyReader: UInt32? { isPrivate ? submitter ?? 0 : nil }
    }

    /// Names of files that were rejected and are no jobs; whoever waits for one waits in vain.
    private var rejected: Set<String> = []

    /// Takes note of all files that were rejected and are no jobs.
    mutating func setRejected(_ names: Set<String>) {
        let changed = names.symmetricDifference(rejected)
        rejected = names
        for name in changed { judgeDependents(of: name) }
    }

    /// Takes note of one more.
    mutating func addRejected(_ name: String) {
        guard entries[name] == nil, rejected.insert(name).inserted else { return }
        judgeDependents(of: name)
    }

    /// Whose word counts for whose job.
    struct Authority {
        /// Whether a user administers the spool.
        var isAdministrator: (UInt32) -> Bool = { _ in false }
        /// The highest priority that a user may give.
        var highestPriority: (UInt32?) -> Int = { _ in .max }
    }

    /// How a predecessor stands, as far as it decides whether the job that names it may run.
    private enum Standing: UInt8 {
        /// It stands in no way.
        case clear
        /// It is not done yet, or nobody has dropped it.
        case blocking
        /// It will not be done any more.
        case gone
        /// A model that nobody has dropped as a job.
        case openModel
    }

    /// The predecessors of a job, counted by how they stand.
    private struct Links {
        /// One for each predecessor, in the ticket's order.
        var standings: [Standing] = []
        var blocking = 0
        var gone = 0
        var openModels = 0

        mutating func count(_ standing: Standing, _ change: Int) {
            switch standing {
            case .clear: break
            case .blocking: blocking += change
            case .gone: gone += change
            case .openModel: openModels += change
            }
        }
    }

    private(set) var entries: [String: Entry] = [:]
    /// The job of each job file's name.
    private(set) var jobOfFile: [String: String] = [:]
    /// For each name, the jobs that name it as a predecessor, and at which place of their tickets.
    private var dependents: [String: [String: Int]] = [:]
    private var links: [String: Links] = [:]
    /// Predecessors followed in looking for circles so far: the measure of that work.
    private(set) var edgesFollowed = 0
    /// Predecessors looked at so far because the job that they name changed.
    private(set) var standingsJudged = 0
    /// Jobs that may run, and leftovers of such that no longer may, which are dropped when they come up.
    private var runnable = TurnQueue()
    /// Jobs that wait for a time: after a temporary failure, or for a model's job to be dropped.
    private var delayed: Set<String> = []
    /// Jobs whose file lies nowhere at the moment.
    private(set) var absent: Set<String> = []
    /// Jobs whose predecessor will not succeed: to be held.
    private(set) var stranded: Set<String> = []
    /// Queued jobs that wait for a text.
    private(set) var awaiting: Set<String> = []
    /// Jobs that run or were interrupted.
    private(set) var active: Set<String> = []
    private(set) var counts: [RecordedState: Int] = [:]
    /// How many jobs of each owner wait, held ones among them.
    private(set) var waitingOf: [UInt32?: Int] = [:]
    /// The work that was done for each owner.
    var ledger = OwnerLedger()
    /// Jobs whose priority is that of one that waits for them.
    private(set) var inherited: [String: Int] = [:]
    /// How many jobs in the queue have each priority of their own.
    private var priorities: [Int: Int] = [:]
    /// Jobs in the queue that wait for others.
    private var waiters: Set<String> = []
    /// Whether priorities may have to be inherited anew, and from when on that is looked at.
    private var isInheritanceStale = false
    private var nextInheritance = -Double.infinity
    /// Until when no job is started that may use the GPU, seconds since 1970; nil: any is.
    private(set) var gpuRest: Double?
    /// Jobs that could be started but for that.
    private(set) var resting: Set<String> = []

    subscript(job: String) -> Entry? { entries[job] }

    mutating func insert(_ job: String, _ entry: Entry) {
        remove(job)
        rejected.remove(job)
        entries[job] = entry
        jobOfFile[entry.ticket.file] = job
        count(entry, 1)
        note(job, entry)
        link(job, entry.ticket.predecessors)
        place(job)
        bindDependents(of: job, to: entry.sequence)
    }

    mutating func remove(_ job: String) {
        guard let entry = entries[job] else { return }
        unlink(job, entry.ticket.predecessors)
        entries[job] = nil
        if jobOfFile[entry.ticket.file] == job { jobOfFile[entry.ticket.file] = nil }
        count(entry, -1)
        delayed.remove(job)
        resting.remove(job)
        absent.remove(job)
        stranded.remove(job)
        active.remove(job)
        awaiting.remove(job)
        inherited[job] = nil
        if waiters.remove(job) != nil { isInheritanceStale = true }
        judgeDependents(of: job)
    }

    mutating func update(_ job: String, _ change: (inout Entry) -> Void) {
        guard let old = entries[job] else { return }
        var entry = old
        change(&entry)
        let isRelinked = entry.ticket.predecessors != old.ticket.predecessors
        if isRelinked { unlink(job, old.ticket.predecessors) }
        entries[job] = entry
        if entry.ticket.file != old.ticket.file {
            if jobOfFile[old.ticket.file] == job { jobOfFile[old.ticket.file] = nil }
        }
        jobOfFile[entry.ticket.file] = job
        count(old, -1)
        count(entry, 1)
        note(job, entry)
        if isRelinked || entry.state != old.state || entry.ticket.priority != old.ticket.priority {
            // It passes on another priority, or may have to take one.
            if !entry.ticket.predecessors.isEmpty || dependents[job] != nil { isInheritanceStale = true }
        }
        if isRelinked { link(job, entry.ticket.predecessors) }
        place(job)
        if entry.sequence != old.sequence {
            bindDependents(of: job, to: entry.sequence)
        } else if entry.state != old.state {
            judgeDependents(of: job)
        }
    }

    /// Notes that a job's file lies nowhere, or that it is there again.
    mutating func setAbsent(_ job: String, since time: Double?) {
        update(job) { $0.absentSince = time }
    }

    mutating func setStopping(_ job: String) { entries[job]?.isStopping = true }

    /// Takes note of work that was done on a job.
    mutating func note(_ work: JobStatus.Work, of owner: UInt32?, at wall: Double) {
        ledger.add([work], for: owner, at: wall)
    }

    /// What keeps a queued job from being started now.
    func blocker(of job: String, at wall: Double) -> Blocker? {
        guard let entry = entries[job] else { return nil }
        if let blocker = blocker(entry) { return blocker }
        if let text = entry.awaitedText, let time = entry.nextLook, !Self.isDue(time, at: wall) {
            return .awaitsText(text)
        }
        if let time = earliest(job, entry), !Self.isDue(time, at: wall) { return .delayed(time) }
        if let time = gpuRest, entry.ticket.mayUseGPU, !Self.isDue(time, at: wall) { return .lacksGPU(time) }
        return nil
    }

    /// The queued job to run next.
    mutating func next(at wall: Double, _ authority: Authority = Authority()) -> String? {
        if let time = gpuRest, Self.isDue(time, at: wall) { endGPURest() }
        if isInheritanceStale, wall >= nextInheritance || wall < nextInheritance - Self.inheritancePause {
            inherit(authority, at: wall)
        }
        for job in delayed {
            guard let entry = entries[job], Self.isDue(earliest(job, entry) ?? 0, at: wall) else { continue }
            delayed.remove(job)
            runnable.insert(turn(of: job, entry))
        }
        // Taken out for as long as it looks at the rest.
        var runnable = TurnQueue()
        swap(&runnable, &self.runnable)
        defer { swap(&runnable, &self.runnable) }
        while true {
            let next = runnable.next(
                seconds: { ledger.seconds($0, at: wall) },
                isCurrent: { place in entries[place.job].map { isCurrent(place, $0) } ?? false })
            guard let next else { return nil }
            switch blocker(of: next.job, at: wall) {
            case nil: return next.job
            case .lacksGPU: resting.insert(next.job)
            default: break
            }
            runnable.drop(next)
        }
    }

    /// Seconds between two looks at inherited priorities where many jobs wait for many.
    private static let inheritancePause = 10.0
    /// Predecessors above which that is so.
    private static let manyEdges = 20_000

    /// Gives jobs the priority of those that wait for them: of the same owner's, and of administrators'. It goes on from
    /// job to job, is at most what the owner may give, and does not come from held jobs.
    ///
    /// - Complexity: O(n log n) in the jobs that wait for others, and O(their predecessors): each is followed once from
    ///   its highest waiter, and once for itself.
    private mutating func inherit(_ authority: Authority, at wall: Double) {
        isInheritanceStale = false
        // Nobody gives the lowest priority to anybody: of a queue of one priority none is followed.
        let lowest = priorities.keys.min() ?? 0
        let giving = priorities.count > 1 ? waiters : []
        let sources = giving.compactMap { job in entries[job].map { (job: job, priority: $0.ticket.priority) } }
            .filter { $0.priority > lowest }
            .sorted { $0.priority != $1.priority ? $0.priority > $1.priority : $0.job < $1.job }
        var found: [String: Int] = [:]
        var edges = 0
        // Asked once for each owner: behind it are the groups of this machine.
        var administrators: [UInt32: Bool] = [:]
        var highest: [UInt32?: Int] = [:]
        for source in sources {
            var reached = [(job: source.job, priority: source.priority)]
            while let (job, priority) = reached.popLast() {
                guard let entry = entries[job], entry.state == .queued, let owner = entry.submitter else { continue }
                edges += entry.ticket.predecessors.count
                for predecessor in entry.ticket.predecessors {
                    let name = predecessor.job
                    guard found[name] == nil, let other = entries[name], other.state == .queued,
                        predecessor.sequence == other.sequence, priority > other.ticket.priority
                    else { continue }
                    if other.submitter != owner {
                        let may = administrators[owner] ?? authority.isAdministrator(owner)
                        administrators[owner] = may
                        guard may else { continue }
                    }
                    let most = highest[other.submitter] ?? authority.highestPriority(other.submitter)
                    highest[other.submitter] = most
                    let given = min(priority, most)
                    guard given > other.ticket.priority else { continue }
                    found[name] = given
                    reached.append((name, given))
                }
            }
        }
        nextInheritance = edges > Self.manyEdges ? wall + Self.inheritancePause : -.infinity
        let changed = Set(found.keys).union(inherited.keys).filter { found[$0] != inherited[$0] }
        inherited = found
        for job in changed { place(job) }
    }

    private func turn(of job: String, _ entry: Entry) -> TurnQueue.Turn {
        TurnQueue.Turn(
            job: job, priority: inherited[job] ?? entry.ticket.priority, sequence: entry.sequence,
            hasBegun: entry.hasBegun, owner: entry.submitter)
    }

    /// Whether a delayed job may run. One that would have to wait for longer than any delay was given its time by a
    /// clock that has been set back since.
    private static func isDue(_ time: Double, at wall: Double) -> Bool {
        time <= wall || time > wall + AttemptPolicy.delays.longest
    }

    /// When the first delayed job may run, seconds since 1970.
    var nextDelay: Double? {
        let rest = resting.isEmpty ? nil : gpuRest
        return delayed.compactMap { job in entries[job].flatMap { earliest(job, $0) } }.min()
            .map { min($0, rest ?? $0) } ?? rest
    }

    /// Lets what may use the GPU wait.
    mutating func restGPU(until time: Double) { gpuRest = time }

    /// Lets what may use the GPU be started again.
    mutating func endGPURest() {
        gpuRest = nil
        let waiting = resting
        resting = []
        for job in waiting { place(job) }
    }

    /// Whether a job waits for another to be dropped.
    var isPatient: Bool { delayed.contains { entries[$0]?.patience != nil && lacksModel($0) } }

    /// The names that a new job's predecessors lead through back to itself, if they do.
    ///
    /// - Complexity: O(predecessors of all jobs that it waits for, directly or not); O(its own) for a job that nobody
    ///   waits for, as nearly all are when they come.
    mutating func circle(from job: String, _ predecessors: [Predecessor]) -> [String]? {
        guard dependents[job]?.isEmpty == false || predecessors.contains(where: { $0.job == job }) else { return nil }
        // For each name that is reached, who waits for it: the way back.
        var waiter: [String: String] = [:]
        var reached: [String] = []
        func follow(_ predecessors: [Predecessor], of name: String) {
            for predecessor in predecessors where waiter[predecessor.job] == nil {
                waiter[predecessor.job] = name
                reached.append(predecessor.job)
            }
        }
        follow(predecessors, of: job)
        edgesFollowed += predecessors.count
        while let name = reached.popLast() {
            if name == job {
                var way = [job]
                while let before = waiter[way[way.count - 1]] {
                    way.append(before)
                    if before == job { break }
                }
                return way.reversed()
            }
            guard let entry = entries[name], entry.state != .done else { continue }
            follow(entry.ticket.predecessors, of: name)
            edgesFollowed += entry.ticket.predecessors.count
        }
        return nil
    }

    private func isCurrent(_ place: TurnQueue.Turn, _ entry: Entry) -> Bool {
        guard entry.state == .queued, entry.absentSince == nil else { return false }
        let now = turn(of: place.job, entry)
        return now == place && now.priority == place.priority && now.hasBegun == place.hasBegun
            && now.owner == place.owner
    }

    private mutating func count(_ entry: Entry, _ change: Int) {
        counts[entry.state, default: 0] += change
        if entry.state.isWaiting { waitingOf[entry.submitter, default: 0] += change }
        guard entry.state == .queued else { return }
        priorities[entry.ticket.priority, default: 0] += change
        if priorities[entry.ticket.priority] == 0 { priorities[entry.ticket.priority] = nil }
    }

    private func blocker(_ entry: Entry) -> Blocker? {
        Blocker.first(among: entry.ticket.predecessors, isRejected: rejected.contains) { name in
            entries[name].map { ($0.sequence, $0.state) }
        }
    }

    /// Keeps the sets that an entry alone decides.
    private mutating func note(_ job: String, _ entry: Entry) {
        if entry.state == .running || entry.state == .interrupted { active.insert(job) } else { active.remove(job) }
        if entry.absentSince != nil { absent.insert(job) } else { absent.remove(job) }
        if entry.state == .queued, entry.awaitedText != nil { awaiting.insert(job) } else { awaiting.remove(job) }
        if entry.state == .queued, !entry.ticket.predecessors.isEmpty {
            if waiters.insert(job).inserted { isInheritanceStale = true }
        } else if waiters.remove(job) != nil {
            isInheritanceStale = true
        }
    }

    /// Puts a job where it belongs by what it waits for.
    private mutating func place(_ job: String) {
        delayed.remove(job)
        resting.remove(job)
        stranded.remove(job)
        guard let entry = entries[job], entry.state == .queued, let waits = links[job] else { return }
        if waits.gone > 0 {
            stranded.insert(job)
        } else if waits.blocking == 0 {
            if earliest(job, entry) != nil {
                delayed.insert(job)
            } else {
                runnable.insert(turn(of: job, entry))
            }
        }
    }

    /// Seconds since 1970 before which a job is not started, for whatever reason.
    private func earliest(_ job: String, _ entry: Entry) -> Double? {
        [entry.notBefore, entry.nextLook, lacksModel(job) ? entry.patience : nil].compactMap(\.self).max()
    }

    /// Whether a job names as its model a job that nobody has dropped.
    private func lacksModel(_ job: String) -> Bool { links[job].map { $0.openModels > 0 } ?? false }

    // What jobs wait for.

    private mutating func link(_ job: String, _ predecessors: [Predecessor]) {
        var found = Links()
        found.standings.reserveCapacity(predecessors.count)
        for (index, predecessor) in predecessors.enumerated() {
            var standing = Standing.clear
            // A name counts once.
            if dependents[predecessor.job]?[job] == nil {
                dependents[predecessor.job, default: [:]][job] = index
                standing = self.standing(of: predecessor)
            }
            if let known = dependents.index(forKey: predecessor.job) {
                // One string for all who name it: thousands may name thousands.
                entries[job]?.ticket.predecessors[index].job = dependents.keys[known]
            }
            found.standings.append(standing)
            found.count(standing, 1)
        }
        links[job] = found
    }

    private mutating func unlink(_ job: String, _ predecessors: [Predecessor]) {
        links[job] = nil
        for predecessor in predecessors {
            dependents[predecessor.job]?[job] = nil
            if dependents[predecessor.job]?.isEmpty == true { dependents[predecessor.job] = nil }
        }
    }

    private func standing(of predecessor: Predecessor) -> Standing {
        let isBound = predecessor.sequence != nil
        guard let found = entries[predecessor.job], !isBound || predecessor.sequence == found.sequence else {
            if isBound || rejected.contains(predecessor.job) { return predecessor.whenEnded ? .clear : .gone }
            return predecessor.isModel ? .openModel : .blocking
        }
        if predecessor.whenEnded { return found.state.isOver ? .clear : .blocking }
        switch found.state {
        case .done, .succeeded: return .clear
        case .cancelled, .rejected: return .gone
        case .failed, .broken, .queued, .running, .interrupted, .held, .unknown: return .blocking
        }
    }

    /// Looks again at those that wait for a job, which has changed.
    private mutating func judgeDependents(of job: String) {
        for (dependent, index) in dependents[job] ?? [:] { judge(dependent, at: index) }
    }

    /// Binds open references to the job that now bears the name, and looks again at all that wait for it.
    private mutating func bindDependents(of job: String, to sequence: UInt64) {
        for (dependent, index) in dependents[job] ?? [:] {
            if let state = entries[dependent]?.state, state != .done,
                entries[dependent]?.ticket.predecessors[index].sequence == nil
            {
                entries[dependent]?.ticket.predecessors[index].sequence = sequence
                isInheritanceStale = true
            }
            judge(dependent, at: index)
        }
    }

    private mutating func judge(_ job: String, at index: Int) {
        guard let predecessor = entries[job]?.ticket.predecessors[index], let old = links[job]?.standings[index] else {
            return
        }
        standingsJudged += 1
        let new = standing(of: predecessor)
        links[job]?.standings[index] = new
        links[job]?.count(old, -1)
        links[job]?.count(new, 1)
        place(job)
    }
}
