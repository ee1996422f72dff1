public import CharnnStorage
public import SystemPackage

/// The daemon's side of a spool: accepts drops, follows moves, hands out jobs, files results, recovers.
///
/// One task uses it; nothing in it waits for anything but the disk. It decides by ``JobTransitions`` and tells what
/// happened as ``SpoolEvent``s; it neither logs nor starts processes.
///
/// The same calls serve a start after a crash and a running daemon: ``scan(within:)`` compares what the directories
/// hold with what the statuses record and does what the table says.
///
/// It is a door only. Behind it each part owns what it keeps, and knows those before it: ``TroubleLog``,
/// ``JobRecords``, ``DropIntake``, ``Rejections``, ``Acceptance``, ``Reconciler``, ``TextGuard``, ``Attempts``,
/// ``RequestDesk``. What each promises, and what a crash in the middle of it leaves, stands at its head.
public final class SpoolKeeper {
    /// Seconds for which a scan keeps whoever called it waiting when not told otherwise; the rest is left for later.
    public static let turn = 1.0
    /// Seconds for which a job waits for another to be dropped that it names as its model.
    public static let patience = 5.0
    /// The largest job file.
    public static let largestFile = 1 << 20
    /// Predecessors that are followed in one go in looking for circles; what is left is done in the next turn.
    package static let batchEdges = 250_000
    /// Jobs that are held in one go because their predecessor will not succeed.
    package static let batchHeld = 64
    /// Names that are tried where something odd stands under the wanted one.
    static let mostOddNames = 1000

    public let layout: SpoolLayout
    private let spool: SpoolContext
    private let locks: [any StorageLock]
    private let records: JobRecords
    private let intake: DropIntake
    private let acceptance: Acceptance
    private let reconciler: Reconciler
    private let texts: TextGuard
    private let attempts: Attempts
    private let desk: RequestDesk

    /// Takes the spool: one daemon has it at a time.
    ///
    /// - Parameter sharing: nil: as the rights of its directories say.
    /// - Returns: nil while another daemon has it.
    public static func open(
        _ layout: SpoolLayout, sharing: SpoolLayout.Sharing? = nil, storage: any Storage = LocalStorage(),
        clock: SpoolClock = .system, people: People = .system, rules: SpoolRules = SpoolRules(),
        check: @escaping JobCheck
    ) throws(StorageError) -> SpoolKeeper? {
        let sharing = if let sharing { sharing } else { try layout.sharing(on: storage) }
        try layout.requireLocal(on: storage)
        try layout.create(sharing, on: storage)
        try layout.requireOneFileSystem(on: storage)
        guard let lock = try storage.lock(layout.lock) else { return nil }
        var locks = [lock]
        if sharing == .group {
            // For people to know whether there is a daemon; without it they are only not told.
            if let sign = (try? storage.lock(layout.sign)) ?? nil { locks.append(sign) }
            try? storage.setMode(0o640, of: layout.sign)
        }
        let spool = SpoolContext(
            layout: layout, storage: storage, clock: clock, check: check, sharing: sharing, people: people,
            administration: Administration(rules))
        if sharing == .group, let complaint = try layout.secure(people.administrators, on: storage) {
            spool.log.tell(.trouble(complaint))
        }
        return SpoolKeeper(spool, try JobRecords(spool), locks)
    }

    private init(_ spool: SpoolContext, _ records: JobRecords, _ locks: [any StorageLock]) {
        self.spool = spool
        self.records = records
        self.locks = locks
        layout = spool.layout
        intake = DropIntake(spool, records)
        let rejections = Rejections(spool, records)
        acceptance = Acceptance(spool, records, intake, rejections)
        reconciler = Reconciler(spool, records, intake, acceptance, rejections)
        texts = TextGuard(spool, records, reconciler)
        attempts = Attempts(spool, records, rejections, reconciler, texts)
        desk = RequestDesk(spool, records, reconciler)
    }

    // What happened, and how things stand.

    /// What happened since the last call.
    public func takeEvents() -> [SpoolEvent] { spool.log.takeEvents() }

    /// Jobs in a state.
    public func count(_ state: JobState) -> Int { records.count(state) }

    /// Why a job is not being run; nil when it could be.
    public func blocker(of job: String) -> Blocker? { records.index.blocker(of: job, at: spool.clock.wall()) }

    /// Whether there are complete drops left to accept with ``acceptDrops()``.
    ///
    /// While many lie in `accepting/` because something failed, such as a full disk, the others stay where they are.
    public var hasDrops: Bool { acceptance.hasDrops }

    /// Whether something is left to be done by ``continueScan(within:)``: of a scan, or jobs that have to be held.
    public var hasBacklog: Bool { reconciler.hasBacklog }

    /// Whether drops are waited for, as jobs or as their models, or texts, or files that lie nowhere: ``tick()`` should be called
    /// again soon.
    ///
    /// What was told to stay where it is, such as a file with several names, is not waited for.
    public var isExpecting: Bool {
        intake.isExpecting || !records.index.absent.isEmpty || !records.index.active.isEmpty || records.index.isPatient
            || !records.index.awaiting.isEmpty
    }

    /// Seconds since 1970 when a delayed job may run.
    public var nextDelay: Double? { records.index.nextDelay }

    /// Whether jobs could be started but for the GPU, which has failed again and again.
    public var isWaitingForGPU: Bool { !records.index.resting.isEmpty }

    /// Until when jobs that may use the GPU wait, seconds since 1970.
    public var gpuRestsUntil: Double? { records.index.gpuRest }

    /// Whether something could not be done and is to be tried again by ``scan(within:)``.
    public var hasTrouble: Bool { spool.log.hasTrouble }

    /// Predecessors followed at most in one turn.
    package var mostFollowedInOneTurn: Int { acceptance.mostFollowedInOneTurn }
    /// Predecessors followed in looking for circles, and looked at because a job changed: the measure of that work.
    package var predecessorsFollowed: Int { records.index.edgesFollowed }
    package var standingsJudged: Int { records.index.standingsJudged }

    /// Called again and again during whatever takes its time, so that others see that it goes on.
    public var signOfLife: () -> Void {
        get { spool.signs.give }
        set { spool.signs.give = newValue }
    }

    // Drops and moves.

    /// Directories whose hints ``handle(_:)`` understands.
    public var watchedDirectories: [FilePath] {
        [layout.incoming, layout.requests] + JobState.allCases.map(layout.directory)
    }

    /// Folders of texts: what is closed after writing there, or moved there, ``textArrived(_:)`` wants to know. They need not
    /// be there.
    public var textFolders: Set<FilePath> { texts.folders }

    /// Takes note of a text that was closed after writing, or moved to where it is.
    public func textArrived(_ path: FilePath) { texts.noteClosed(path) }

    /// Uses a hint that something changed.
    public func handle(_ hint: StorageHint) throws(StorageError) {
        switch hint {
        case .overflow: try scan(within: Self.turn)
        case .arrived(let directory, let name), .changed(let directory, let name):
            let isArrival = if case .arrived = hint { true } else { false }
            spool.log.guarding(directory.appending(name).string) { () throws(StorageError) in
                if directory == layout.incoming {
                    try intake.look(atDrop: name, isArrival: isArrival)
                } else if directory == layout.requests {
                    desk.look(at: name)
                } else if try !reconciler.isKnown(name, in: directory) {
                    try reconciler.reconcile(file: name)
                }
            }
        }
    }

    /// Does what only time brings: files that stay away, drops that have become quiet.
    public func tick() throws(StorageError) {
        intake.tick()
        reconciler.tick()
        desk.tick()
        texts.tick()
        try reconciler.holdStranded()
    }

    /// Makes the spool whole after whatever ended the last daemon; called once, before anything else.
    ///
    /// - Parameter seconds: See ``scan(within:)``.
    public func recover(within seconds: Double = .infinity) throws(StorageError) {
        desk.loadPause()
        try reconciler.recover(within: seconds) { () throws(StorageError) in try lookAtRequests() }
    }

    /// Looks at everything: the truth, of which hints are only a part.
    ///
    /// - Parameter seconds: What is left after so many is left to ``continueScan(within:)``.
    /// - Complexity: O(jobs and drops), with one system call for each waiting job.
    public func scan(within seconds: Double = .infinity) throws(StorageError) {
        try reconciler.scan(within: seconds) { () throws(StorageError) in try lookAtRequests() }
    }

    private func lookAtRequests() throws(StorageError) {
        try desk.scan()
        try desk.work()
    }

    /// Does what people ask for in `requests/`, for a while.
    public func answerRequests() throws(StorageError) { try desk.work() }

    /// Whether something asked for is left to be done by ``answerRequests()``.
    public var hasRequests: Bool { desk.hasRequests }

    /// That nothing is to be started; nil: jobs are.
    public var pause: QueuePause? { desk.pause }

    /// What the administrator has decided; it may change while the daemon is up.
    public var rules: SpoolRules {
        get { spool.administration.rules }
        set { spool.administration.rules = newValue }
    }

    /// The work of the last day of all owners that had any, in seconds, by user.
    public var ownerSeconds: [UInt32: Double] { records.index.ledger.all(at: spool.clock.wall()) }

    /// Jobs whose priority is that of one that waits for them.
    public var inheritedPriorities: [String: Int] { records.index.inherited }

    /// Whether a job is its owner's alone.
    public func isPrivate(_ job: String) -> Bool { records.index[job]?.isPrivate ?? false }

    /// Who submitted a job, where that is known.
    public func submitter(of job: String) -> UInt32? { records.index[job]?.submitter }

    /// Goes on with what a scan has found.
    public func continueScan(within seconds: Double = .infinity) throws(StorageError) {
        try reconciler.continueScan(within: seconds)
    }

    /// Accepts complete drops, at most one batch of them.
    public func acceptDrops() throws(StorageError) { try acceptance.acceptDrops() }

    /// Holds jobs whose predecessor will not succeed any more, at most one batch of them.
    public func holdStranded() throws(StorageError) { try reconciler.holdStranded() }

    // Running jobs.

    /// Takes the job to run next: its file goes to `active/`, and what it says is fixed in `job.yaml`.
    ///
    /// A file that has become invalid since it was accepted is rejected, and the next one is taken.
    public func claimNext() throws(StorageError) -> Claim? { try attempts.claimNext() }

    /// Whether ``claimNext()`` found none only because it would have taken too long to look at all jobs.
    public var hasTurnsLeft: Bool { attempts.hasTurnsLeft }

    /// Decides what becomes of a job whose worker has ended.
    ///
    /// - Parameters:
    ///   - wasStopped: Whether the worker was asked to end.
    ///   - lastWords: The end of what it wrote to its standard error.
    public func workerEnded(
        _ job: String, _ end: WorkerEnd, wasStopped: Bool, lastWords: String
    ) throws(StorageError) {
        try attempts.workerEnded(job, end, wasStopped: wasStopped, lastWords: lastWords)
    }
}

/// A job that is to be run now.
public struct Claim: Sendable, Equatable {
    public let job: String
    public let folder: FilePath
    public let attempt: Int
}
