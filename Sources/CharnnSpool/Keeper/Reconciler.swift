internal import CharnnStorage
internal import DequeModule
internal import SystemPackage

/// Compares what the directories hold with what is recorded, and does what ``JobTransitions`` says.
///
/// ```
///                       queue/  ◀──────────────▶  held/        by people, or held with a reason
///   Acceptance ──────▶    │  ▲                      │
///                  claim  │  │ again, later         │
///                         ▼  │                      │
///                       active/ ────────────────────┤
///                         │                         │
///          result record  │  cancelled, removed     │
///                         ▼                         ▼
///            done/ · failed/ · rejected/      cancelled/          and from all of these back: again
/// ```
///
/// 1. The table decides, and nothing else: one look at the record and at the file's place gives one transition, at the
///    start after a crash as while the daemon is up. After a transition the job is looked at again, at most three
///    times.
/// 2. A result record decides over any move until the daemon has filed its job.
/// 3. A move is made on the disk before it is recorded; a record never says of a file what a crash could take back.
/// 4. A file counts as removed when it has lain nowhere for ``absence`` seconds, and is then written anew into
///    `cancelled/`, after the removal is on the disk.
/// 5. Of several files of one job's name one is the job's; the others are drops, or refused.
/// 6. A hint is looked up before it is believed, and what a scan has found is looked at anew when its turn comes.
/// 7. A scan, a tick and the holding of jobs end after a turn or a batch; what is left is kept and done next.
/// 8. What fails for one job fails for no other: it is told once and tried again.
///
/// A crash can fall between a file's move and its record: the next start finds the file elsewhere than recorded, which
/// is a pair of the table like any other. It can fall within a restoring (the file is written anew, or not yet: then it
/// is missing again), and between a file's move to `held/` and the reason's record, after which a person is said to
/// have held it.
final class Reconciler: SpoolRoom {
    /// Seconds for which a job file must lie nowhere before that counts as removed; editors save by renaming.
    static let absence = 2.0
    /// Outages in a row without a newer checkpoint after which a job is held.
    static let mostOutages = 5

    let spool: SpoolContext
    let records: JobRecords
    private let intake: DropIntake
    let acceptance: Acceptance
    private let rejections: Rejections
    /// What a scan has found and is still to be looked at more closely.
    private var backlog: Deque<Finding> = []
    /// Jobs that could not be held, until the next scan.
    var unholdable: Set<String> = []
    /// Who asks for what is being done; nil: it was found done.
    var actor: String?
    /// Who asked running jobs to end.
    var askers: [String: String] = [:]
    /// Since when workers of this daemon are at jobs, on the monotonic clock.
    var working: [String: Double] = [:]

    /// Who did what is being recorded of a job; nil: whoever may move files by hand.
    func doer(of job: String) -> String? { actor ?? askers[job] ?? spool.mover }

    init(
        _ spool: SpoolContext, _ records: JobRecords, _ intake: DropIntake, _ acceptance: Acceptance,
        _ rejections: Rejections
    ) {
        self.spool = spool
        self.records = records
        self.intake = intake
        self.acceptance = acceptance
        self.rejections = rejections
    }

    /// Whether something is left to be done by ``continueScan(within:)``: of a scan, or jobs that have to be held.
    var hasBacklog: Bool { !backlog.isEmpty || !records.index.stranded.isSubset(of: unholdable) }

    /// Looks again at jobs that run, and at those whose file lies nowhere.
    func tick() {
        // Each that was removed is written anew, which takes its syncs; of thousands the rest waits for the next call.
        let end = clock.monotonic() + SpoolKeeper.turn
        for job in Array(records.index.active) + records.index.absent.subtracting(records.index.active) {
            giveSign()
            guarding(job) { () throws(StorageError) in try reconcile(job: job) }
            if clock.monotonic() >= end { break }
        }
    }

    /// Makes the spool whole after whatever ended the last daemon; called once, before anything else.
    ///
    /// - Parameters:
    ///   - seconds: See ``scan(within:_:)``.
    ///   - requests: See ``scan(within:_:)``.
    func recover(
        within seconds: Double = .infinity, _ requests: () throws(StorageError) -> Void
    ) throws(StorageError) {
        for name in try storage.list(layout.jobs) where name.hasPrefix(".") && name.hasSuffix(".new") {
            guarding(layout.jobs.appending(name).string) { () throws(StorageError) in
                try files.removeFolder(layout.jobs.appending(name))
            }
        }
        for state in JobState.allCases {
            for name in try storage.list(layout.directory(state)) where JobFiles.isLeftover(name) {
                giveSign()
                guarding(layout.file(name, in: state).string) { () throws(StorageError) in
                    try files.sweep(layout.file(name, in: state))
                }
            }
        }
        for name in try storage.list(layout.accepting) where Passage(name) == nil {
            guard !name.hasPrefix(".") || JobFiles.isLeftover(name) else { continue }
            guarding(layout.accepting.appending(name).string) { () throws(StorageError) in
                try files.sweep(layout.accepting.appending(name))
            }
        }
        try intake.recovering { () throws(StorageError) in try look(requests) }
        try continueScan(within: seconds)
    }

    /// Looks at everything: the truth, of which hints are only a part.
    ///
    /// - Parameters:
    ///   - seconds: What is left after so many is left to ``continueScan(within:)``.
    ///   - requests: Called when all jobs are known and before their files are compared with what is: what was asked for
    ///     and done is not taken for a move by hand.
    /// - Complexity: O(jobs and drops), with one system call for each waiting job.
    func scan(
        within seconds: Double = .infinity, _ requests: () throws(StorageError) -> Void
    ) throws(StorageError) {
        try look(requests)
        try continueScan(within: seconds)
    }

    /// Finds what differs from what is known.
    private func look(_ requests: () throws(StorageError) -> Void) throws(StorageError) {
        log.beginScan()
        backlog = []
        unholdable = []
        try intake.scan()
        var found: [ExactName: [JobState]] = [:]
        for state in JobState.allCases {
            for name in try storage.list(layout.directory(state)) {
                if JobFileName(name) != nil {
                    found[ExactName(name), default: []].append(state)
                } else if state == .rejected {
                    guarding(layout.file(name, in: state).string) { () throws(StorageError) in
                        try rejections.discardOrphan(name)
                    }
                }
            }
        }
        let names = try storage.list(layout.jobs).filter { !$0.hasPrefix(".") }
        let folders = Set(names)
        records.unread = records.unread.intersection(folders)
        records.load(names.filter { records.index[$0] == nil })
        // Before the files are compared: an accepted job whose file could not be published yet is not a removed one.
        guarding("accepting") { () throws(StorageError) in try acceptance.finishPassages() }
        guarding(layout.requests.string, requests)
        let unmoved = unmovedJobs(found)
        for (job, entry) in records.index.entries {
            let places = found.removeValue(forKey: ExactName(entry.ticket.file)) ?? []
            if unmoved.contains(job) { continue }
            if records.doubtful.contains(job) {
                backlog.append(.moved(job))
            } else if places.isEmpty, !folders.contains(job), entry.state.isFinished {
                records.index.remove(job)
            } else if places == [entry.state.home], entry.state.isWaiting, entry.absentSince == nil {
                backlog.append(.edited(job))
            } else if places != [entry.state.home] || !entry.state.isFinished || entry.absentSince != nil {
                backlog.append(.moved(job))
            }
        }
        let rejected = found.filter { $0.value.contains(.rejected) }.compactMap { JobFileName($0.key.text)?.name.text }
        records.index.setRejected(Set(rejected.filter { records.index[$0] == nil }))
        for (file, _) in found { backlog.append(.file(file.text)) }
    }

    /// Something that a scan has found.
    enum Finding {
        /// A job whose file lies elsewhere than it is known to.
        case moved(String)
        /// A waiting job whose file is not the one that was read.
        case edited(String)
        /// A file that is no known job's.
        case file(String)
    }

    /// Goes on with what a scan has found. Each finding is looked at anew, since time has passed.
    func continueScan(within seconds: Double = .infinity) throws(StorageError) {
        let end = clock.monotonic() + seconds
        while let finding = backlog.popFirst() {
            giveSign()
            switch finding {
            case .moved(let job): guarding(job) { () throws(StorageError) in try reconcile(job: job) }
            case .edited(let job):
                guarding(job) { () throws(StorageError) in
                    guard let entry = records.index[job], entry.state.isWaiting else { return }
                    try noteEdit(job, entry, entry.state.home)
                }
            case .file(let file): guarding(file) { () throws(StorageError) in try reconcile(file: file) }
            }
            if clock.monotonic() >= end { break }
        }
        try holdStranded()
    }

    /// The waiting jobs whose files lie, unchanged, where they belong and nowhere else: most of a long queue.
    ///
    /// - Parameter places: For each job file's name, the states in whose directories it was found.
    private func unmovedJobs(_ places: [ExactName: [JobState]]) -> Set<String> {
        let waiting = records.index.entries.lazy.filter { job, entry in
            entry.state.isWaiting && entry.absentSince == nil && !self.records.doubtful.contains(job)
                && places[ExactName(entry.ticket.file)] == [entry.state.home]
        }.map(\.key)
        var unmoved: Set<String> = []
        let storage = storage
        for jobs in Array(waiting).chunks {
            spool.signs.give()
            let files = jobs.compactMap { job in
                records.index[job].map { (layout.file($0.ticket.file, in: $0.state.home), $0.ticket.identity) }
            }
            let outcomes = storage.forEach(of: files) { path, identity throws(StorageError) in
                try storage.status(of: path).map { FileIdentity($0) == identity } ?? false
            }
            for (job, outcome) in zip(jobs, outcomes) where (try? outcome.get()) == true { unmoved.insert(job) }
        }
        return unmoved
    }

    /// Whether a hint tells of nothing but what is known already, as of the daemon's own publishing of a job.
    func isKnown(_ file: String, in directory: FilePath) throws(StorageError) -> Bool {
        guard let job = records.index.jobOfFile[file], let entry = records.index[job], entry.state.isWaiting,
            entry.ticket.file.isSame(as: file), entry.absentSince == nil, !records.doubtful.contains(job),
            directory == layout.directory(entry.state.home),
            let found = try storage.status(of: directory.appending(file))
        else { return false }
        return entry.ticket.identity == FileIdentity(found)
    }

    /// Brings a file of a state directory in line with what is known.
    func reconcile(file: String) throws(StorageError) {
        if let job = records.index.jobOfFile[file], let entry = records.index[job] {
            if entry.ticket.file.isSame(as: file) { return try reconcile(job: job) }
            return try reconcile(twin: file, of: job, entry)
        }
        guard let name = JobFileName(file) else { return }
        if records.index[name.name.text] == nil, try storage.status(of: layout.folder(of: name.name.text)) != nil {
            records.load([name.name.text])
            if records.index.jobOfFile[file] != nil { return try reconcile(job: name.name.text) }
            if try rebuild(name) { return }
        }
        for place in try files.places(of: file) { try adopt(file, place) }
    }

    /// Brings a file in line whose name is that of a job's file in another form of Unicode: moved by a person who typed
    /// it so, or another's.
    private func reconcile(twin file: String, of job: String, _ entry: SpoolIndex.Entry) throws(StorageError) {
        guard let place = try files.places(of: file).first else { return }
        let twin = layout.file(file, in: place)
        for former in try files.places(of: entry.ticket.file).map({ layout.file(entry.ticket.file, in: $0) }) {
            guard try storage.status(of: former)?.inode == storage.status(of: twin)?.inode else {
                return try adopt(file, place)
            }
            // A move made of link and unlink that a crash cut short: it counts as made.
            try storage.discard(former)
        }
        try storage.rename(twin, to: layout.file(entry.ticket.file, in: place), replacing: false)
        try storage.synchronizeDirectory(layout.directory(place))
        try reconcile(job: job)
    }

    /// Takes a file that is no job's as a drop, where the table says so.
    private func adopt(_ file: String, _ place: JobState) throws(StorageError) {
        guard case .adopt(let state) = JobTransitions.decide(.unknown, foundIn: place) else { return }
        let drop = Drop(directory: layout.directory(place), name: file, isHeld: state == .held)
        try intake.look(at: drop, isArrival: true)
    }

    /// Brings a job in line with where its file lies.
    func reconcile(job: String) throws(StorageError) {
        // A transition can call for another: a file that is moved back is then recorded there. None calls for more.
        for _ in 0..<3 {
            try records.settleDoubt(about: job)
            guard let entry = records.index[job], !acceptance.isUnfinished(entry.sequence) else { return }
            if entry.state == .interrupted {
                // A worker whose daemon is gone still ends; its result may yet be written.
                if files.isOccupied(job) { return }
                guard let status = try statusOrHold(job) else { return }
                if status.recorded != .interrupted {
                    records.index.update(job) { $0.state = status.recorded }
                    continue
                }
            }
            let place = try primaryPlace(of: job, entry)
            if place != nil, entry.absentSince != nil { records.index.setAbsent(job, since: nil) }
            guard try perform(JobTransitions.decide(entry.state, foundIn: place), job, entry, place) else { return }
        }
    }

    /// Where a job's file lies, if anywhere. Of several files of its name one is the job's; others are drops.
    func primaryPlace(of job: String, _ entry: SpoolIndex.Entry) throws(StorageError) -> JobState? {
        let file = entry.ticket.file
        let found = try files.places(of: file)
        guard found.count > 1 else { return found.first }
        let home = found.contains(entry.state.home) ? entry.state.home : found[0]
        for extra in found where extra != home {
            let (first, second) = (layout.file(file, in: home), layout.file(file, in: extra))
            guard let one = try storage.status(of: first), let other = try storage.status(of: second) else {
                return try files.places(of: file).first
            }
            if one.inode == other.inode {
                // A move made of link and unlink that a crash cut short: it counts as made.
                try storage.discard(first)
                return extra
            }
            try adopt(file, extra)
        }
        return home
    }

    /// - Returns: Whether the job has to be looked at again.
    private func perform(
        _ transition: Transition, _ job: String, _ entry: SpoolIndex.Entry, _ place: JobState?
    ) throws(StorageError) -> Bool {
        switch transition {
        case .nothing:
            if let place, entry.state.isWaiting { try noteEdit(job, entry, place) }
            return false
        case .adopt: return false
        case .record(let state):
            try record(job, entry, state)
            return false
        case .again(let state):
            try startOver(job, entry, state)
            return false
        case .move(let state):
            guard let place else { return false }
            return try move(job, entry, from: place, to: state)
        case .stop:
            if place == nil {
                guard try isGone(job, entry) else { return false }
            }
            guard !entry.isStopping else { return false }
            records.index.setStopping(job)
            askers[job] = actor
            log.tell(.stop(job: job))
            return false
        case .restore(let state):
            guard try isGone(job, entry) else { return false }
            // The removal first: a power failure must not bring back the file beside its successor.
            try storage.synchronizeDirectory(layout.directory(entry.state.home))
            do {
                try files.place(
                    job, entry.ticket.file, in: state, sequence: entry.sequence, onlyFor: entry.onlyReader)
            } catch let error where error.code == .alreadyExists {
                return true
            }
            try storage.synchronizeDirectory(layout.directory(state))
            records.index.setAbsent(job, since: nil)
            log.tell(.restored(job: job, to: state))
            return true
        }
    }

    /// Whether a file has been nowhere for long enough.
    private func isGone(_ job: String, _ entry: SpoolIndex.Entry) throws(StorageError) -> Bool {
        let now = clock.monotonic()
        guard let since = entry.absentSince else {
            records.index.setAbsent(job, since: now)
            return false
        }
        guard now - since >= Self.absence else { return false }
        // Under the name's other form it is there, and could not be renamed yet.
        return try !files.hasTwin(entry.ticket.file)
    }

    private func move(
        _ job: String, _ entry: SpoolIndex.Entry, from place: JobState, to state: JobState
    ) throws(StorageError) -> Bool {
        do {
            try files.move(entry.ticket.file, from: place, to: state)
        } catch let error where error.code == .notFound || error.code == .alreadyExists {
            // Somebody was faster, or something stands there: the next look decides.
            return false
        }
        let isOwnMove = entry.state == .succeeded || entry.state == .broken || entry.state == .interrupted
        if !isOwnMove { log.tell(.movedBack(job: job, from: place, to: state)) }
        return true
    }

    private func record(_ job: String, _ entry: SpoolIndex.Entry, _ state: JobState) throws(StorageError) {
        let time = JobStatus.time(clock.wall())
        let doer = doer(of: job)
        let words = doer ?? "a person"
        var reason: String?
        var outage: Int?
        if entry.state == .interrupted {
            // Without a status the job is held already.
            guard let count = try countOutage(job) else { return }
            outage = count
        }
        let isChanged = try change(job, entry, to: state) { status in
            switch state {
            case .done, .failed:
                status.filed = true
                reason = status.reason
            case .cancelled:
                status.reason = "Cancelled by \(words)."
                status.endedAt = time
            case .held:
                status.reason = "Held by \(words)."
                status.hasBegun = nil
                status.temporaryFailures = nil
                status.notBefore = nil
            default:
                if entry.state == .held {
                    status.temporaryFailures = nil
                    status.notBefore = nil
                    status.hasBegun = nil
                }
                if entry.state == .held { status.crashes = 0 }
                if entry.state == .held { status.outages = nil }
                status.reason = nil
            }
            if let outage { status.outages = outage }
        }
        askers[job] = nil
        guard isChanged else { return }
        switch state {
        case .done, .failed: log.tell(.finished(job: job, state: state, reason: reason))
        case .cancelled: log.tell(.cancelled(job: job, by: doer))
        case .held: log.tell(.held(job: job, reason: nil, by: doer))
        default:
            log.tell(
                entry.state == .held
                    ? .released(job: job, by: doer)
                    : .requeued(job: job, .moved, reason: nil, by: outage == nil ? doer : nil))
        }
        if state == .queue, let released = records.index[job] {
            try noteEdit(job, released, state)
            try holdCircle(job)
        }
        if let outage, outage >= Self.mostOutages, records.index[job]?.state == .queued {
            try hold(
                job, "Daemon or machine went down \(outage) times in a row while it ran, without a newer checkpoint.")
        }
    }

    private func startOver(_ job: String, _ entry: SpoolIndex.Entry, _ state: JobState) throws(StorageError) {
        let isChanged = try change(job, entry, to: state) { status in
            status.results = nil
            status.filed = nil
            status.hasBegun = nil
            status.endedAt = nil
            status.reason = nil
            status.crashes = 0
            status.outages = nil
            status.temporaryFailures = nil
            status.notBefore = nil
        }
        guard isChanged else { return }
        if let entry = records.index[job] { try noteEdit(job, entry, state) }
        log.tell(.again(job: job, by: doer(of: job)))
    }

    /// Reads a waiting job's file again when it was changed.
    ///
    /// A file that has become invalid keeps its place until it is claimed: then it is rejected.
    func noteEdit(_ job: String, _ entry: SpoolIndex.Entry, _ place: JobState) throws(StorageError) {
        let path = layout.file(entry.ticket.file, in: place)
        guard let found = try storage.status(of: path), entry.ticket.identity != FileIdentity(found) else { return }
        var ticket = entry.ticket
        ticket.identity = FileIdentity(found)
        let bytes = found.size <= SpoolKeeper.largestFile ? try? files.read(try storage.open(path, beneath: nil)) : nil
        if try records.isForeign(found, bytes ?? [], in: job, entry.ticket), let file = JobFileName(ticket.file) {
            try rejections.reject(path, as: file, Rejections.movedReason, isForeign: true)
            records.index.setAbsent(job, since: clock.monotonic())
            return
        }
        if let bytes, let requirements = try? spool.check(bytes, ticket.file) {
            adopt(requirements, of: job, into: &ticket)
        }
        records.index.update(job) { $0.ticket = ticket }
        guard var status = try statusOrHold(job) else { return }
        status.ticket = ticket
        status.awaitedText = nil
        records.index.update(job) { ($0.awaitedText, $0.nextLook) = (nil, nil) }
        try status.save(layout.status(of: job), on: storage)
        try holdCircle(job)
    }

    /// Has a ticket say what a changed file asks of the queue.
    func adopt(_ requirements: JobRequirements, of job: String, into ticket: inout JobTicket) {
        ticket.priority = requirements.priority
        ticket.mayUseGPU = requirements.mayUseGPU
        ticket.texts = requirements.texts
        ticket.predecessors = records.bind(requirements, of: job, old: ticket.predecessors)
    }
}

/// A file's name as the file system compares it: by its bytes.
private struct ExactName: Hashable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (a: ExactName, b: ExactName) -> Bool { a.text.isSame(as: b.text) }

    func hash(into hasher: inout Hasher) { for byte in text.utf8 { hasher.combine(byte) } }
}
