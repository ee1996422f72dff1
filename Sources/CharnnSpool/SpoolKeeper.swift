public import CharnnStorage
internal import DequeModule
public import SystemPackage

/// The daemon's side of a spool: accepts drops, follows moves, hands out jobs, files results, recovers.
///
/// One task uses it; nothing in it waits for anything but the disk. It decides by ``JobTransitions`` and tells what
/// happened as ``SpoolEvent``s; it neither logs nor starts processes.
///
/// The same calls serve a start after a crash and a running daemon: ``scan()`` compares what the directories hold with
/// what the statuses record and does what the table says.
public final class SpoolKeeper {
    /// Seconds for which a job file must lie nowhere before that counts as removed; editors save by renaming.
    static let absence = 2.0
    /// Seconds for which a scan keeps whoever called it waiting when not told otherwise; the rest is left for later.
    public static let turn = 1.0
    /// Seconds without a change after which a found drop counts as complete.
    static let quiet = 30.0
    /// The same for an empty drop, which is more likely to be filled in the next moment.
    static let quietWhenEmpty = 2.0
    /// Seconds for which a job waits for another to be dropped that it names as its model.
    public static let patience = 5.0
    /// The largest job file.
    public static let largestFile = 1 << 20
    /// Drops that are accepted in one go, sharing the syncs of directories.
    static let batch = 256
    /// Bytes of job files after which no further drop is taken into it: the service manager waits for a sign of life.
    static let batchBytes = 4 << 20
    /// Predecessors that are followed in one go in looking for circles; what is left is done in the next turn.
    package static let batchEdges = 250_000
    /// Jobs that are held in one go because their predecessor will not succeed.
    package static let batchHeld = 64
    /// Drops that are not complete yet, of which one ``tick()`` looks at so many.
    static let batchWatched = 4096
    /// Bytes of the reason beside a rejected file; a file can have a thousand mistakes.
    static let longestReason = 64 << 10
    /// Names that are tried where something odd stands under the wanted one.
    static let mostOddNames = 1000

    public let layout: SpoolLayout
    let storage: any Storage
    let clock: SpoolClock
    let check: JobCheck
    let sharing: SpoolLayout.Sharing
    private let locks: [any StorageLock]

    var index = SpoolIndex()
    /// Events not yet collected.
    var events: [SpoolEvent] = []
    /// Drops waiting to be accepted, in the order in which they were found complete.
    var pending: Deque<Drop> = []
    var isPending: Set<Drop> = []
    /// Drops that are not complete yet: what they were when last looked at, and since when they are so.
    var watched: [Drop: (identity: FileIdentity, since: Double)] = [:]
    /// How far the clock for people was ahead of the monotonic one, the least that was ever seen.
    var leastOffset: Double
    /// Drops that stay, by what they were when that was told.
    var told: [Drop: FileIdentity] = [:]
    /// Sequence numbers of drops that lie in `accepting/` because something failed; ``scan()`` brings them through.
    var unfinished: Set<UInt64> = []
    /// Of these, the ones that somebody has a lease on: they keep no other from being accepted.
    var leased: Set<UInt64> = []
    /// Passages in `accepting/` that are brought through by the next ``acceptDrops()``.
    var postponed: [Passage] = []
    /// What a scan has found and is still to be looked at more closely.
    var backlog: Deque<Finding> = []
    /// Jobs that could not be held, until the next scan.
    var unholdable: Set<String> = []
    /// Jobs of which the status could not be written, so that it may say the old or the new.
    var doubtful: Set<String> = []
    /// For names that were taken, the number from which on to look for a free one.
    var numbers: [String: Int] = [:]
    var rejectedNumbers: [String: Int] = [:]
    /// What could not be done, by what it was, as it was told.
    var troubles: [String: String] = [:]
    /// The same as of the scan before, so that what lasts is told once.
    var formerTroubles: [String: String] = [:]
    var gpuHealth = GPUHealth()
    var sequences: SequenceNumbers
    /// Whether what a crash may have left is looked for.
    var isRecovering = false
    /// See ``isHalfSubmitted(_:_:)``.
    var namesAtRecovery: [UInt64: FilePath]?
    /// Drops that could not be looked at in the recovery, and are at the next scan as they would have been then.
    var unsettled: Set<Drop> = []
    /// Job folders of which the status could not be read: the jobs are there, and not known.
    var unread: Set<String> = []
    /// See ``giveSign()``.
    private var signs = 0
    /// Predecessors followed at most by one call of ``bringThrough(_:)``.
    package var mostFollowedInOneTurn = 0
    /// Predecessors followed in looking for circles, and looked at because a job changed: the measure of that work.
    package var predecessorsFollowed: Int { index.edgesFollowed }
    package var standingsJudged: Int { index.standingsJudged }

    /// Takes the spool: one daemon has it at a time.
    ///
    /// - Parameter sharing: nil: as the rights of its directories say.
    /// - Returns: nil while another daemon has it.
    public static func open(
        _ layout: SpoolLayout, sharing: SpoolLayout.Sharing? = nil, storage: any Storage = LocalStorage(),
        clock: SpoolClock = .system, check: @escaping JobCheck
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
        let sequences = try SequenceNumbers(layout.sequence, storage)
        return SpoolKeeper(layout, sharing, storage, clock, check, locks, sequences)
    }

    private init(
        _ layout: SpoolLayout, _ sharing: SpoolLayout.Sharing, _ storage: any Storage, _ clock: SpoolClock,
        _ check: @escaping JobCheck, _ locks: [any StorageLock], _ sequences: SequenceNumbers
    ) {
        self.layout = layout
        self.storage = storage
        self.clock = clock
        self.check = check
        self.sharing = sharing
        self.locks = locks
        self.sequences = sequences
        leastOffset = clock.wall() - clock.monotonic()
    }

    /// What happened since the last call.
    public func takeEvents() -> [SpoolEvent] {
        defer { events = [] }
        return events
    }

    /// Jobs in a state.
    public func count(_ state: JobState) -> Int {
        let recorded: [RecordedState] =
            switch state {
            case .queue: [.queued]
            case .active: [.running, .interrupted]
            case .held: [.held]
            case .done: [.done, .succeeded]
            case .failed: [.failed, .broken]
            case .cancelled: [.cancelled]
            case .rejected: [.rejected]
            }
        return recorded.reduce(0) { $0 + (index.counts[$1] ?? 0) }
    }

    /// Why a job is not being run; nil when it could be.
    public func blocker(of job: String) -> Blocker? { index.blocker(of: job, at: clock.wall()) }

    /// Whether there are complete drops left to accept with ``acceptDrops()``.
    ///
    /// While many lie in `accepting/` because something failed, such as a full disk, the others stay where they are.
    public var hasDrops: Bool {
        !postponed.isEmpty || (!pending.isEmpty && unfinished.count - leased.count < Self.batch)
    }

    /// Whether something is left to be done by ``continueScan(within:)``: of a scan, or jobs that have to be held.
    public var hasBacklog: Bool { !backlog.isEmpty || !index.stranded.isSubset(of: unholdable) }

    /// Called again and again during whatever takes its time, so that others see that it goes on.
    public var signOfLife: () -> Void = {}

    /// Gives a sign of life; called for each of many, so it does so for some of them only.
    func giveSign() {
        signs &+= 1
        if signs % 64 == 0 { signOfLife() }
    }

    /// Whether drops are waited for, as jobs or as their models, or files that lie nowhere: ``tick()`` should be called
    /// again soon.
    ///
    /// What was told to stay where it is, such as a file with several names, is not waited for.
    public var isExpecting: Bool {
        watched.contains { told[$0.key] != $0.value.identity } || !index.absent.isEmpty || !index.active.isEmpty
            || index.isPatient
    }

    /// Seconds since 1970 when a delayed job may run.
    public var nextDelay: Double? { index.nextDelay }

    /// Whether jobs could be started but for the GPU, which has failed again and again.
    public var isWaitingForGPU: Bool { !index.resting.isEmpty }

    /// Until when jobs that may use the GPU wait, seconds since 1970.
    public var gpuRestsUntil: Double? { index.gpuRest }

    /// Directories whose hints ``handle(_:)`` understands.
    public var watchedDirectories: [FilePath] { [layout.incoming] + JobState.allCases.map(layout.directory) }

    /// Uses a hint that something changed.
    public func handle(_ hint: StorageHint) throws(StorageError) {
        switch hint {
        case .overflow: try scan(within: Self.turn)
        case .arrived(let directory, let name), .changed(let directory, let name):
            let isArrival = if case .arrived = hint { true } else { false }
            guarding(directory.appending(name).string) { () throws(StorageError) in
                if directory == layout.incoming {
                    try look(atDrop: name, isArrival: isArrival)
                } else if try !isKnown(name, in: directory) {
                    try reconcile(file: name)
                }
            }
        }
    }

    /// Does what only time brings: files that stay away, drops that have become quiet.
    public func tick() throws(StorageError) {
        // Whoever leaves thousands half written has them looked at less often.
        let drops = Array(watched.keys)
        for drop in drops.count > Self.batchWatched ? Array(drops.shuffled().prefix(Self.batchWatched)) : drops {
            giveSign()
            guarding(drop.path.string) { () throws(StorageError) in try look(at: drop, isArrival: false) }
        }
        // Each that was removed is written anew, which takes its syncs; of thousands the rest waits for the next call.
        let end = clock.monotonic() + Self.turn
        for job in Array(index.active) + index.absent.subtracting(index.active) {
            giveSign()
            guarding(job) { () throws(StorageError) in try reconcile(job: job) }
            if clock.monotonic() >= end { break }
        }
        try holdStranded()
    }

    /// Whether something could not be done and is to be tried again by ``scan()``.
    public var hasTrouble: Bool { !troubles.isEmpty }

    /// Does what concerns one name. If it fails, that is told once, and the rest of the spool goes on.
    @discardableResult
    func guarding(_ name: String, _ body: () throws(StorageError) -> Void) -> Bool {
        do throws(StorageError) {
            try body()
            troubles[name] = nil
            formerTroubles[name] = nil
            return true
        } catch {
            let former = troubles.updateValue("\(error)", forKey: name) ?? formerTroubles[name]
            if former != "\(error)" {
                events.append(.trouble("\(name): \(error); the rest goes on, and it is tried again."))
            }
            return false
        }
    }
}

/// Sequence numbers that are never used twice, handed out from blocks whose end is on disk before their first use.
struct SequenceNumbers {
    private static let block: UInt64 = 1024
    private let path: FilePath
    private let storage: any Storage
    private var next: UInt64
    private var end: UInt64

    init(_ path: FilePath, _ storage: any Storage) throws(StorageError) {
        self.path = path
        self.storage = storage
        let text = String(decoding: try storage.contents(of: path, limit: 32) ?? [], as: UTF8.self)
        next = UInt64(text.prefix { $0.isNumber }) ?? 1
        end = next
    }

    /// Sees to it that numbers up to `used` are not handed out again, should the file have been lost.
    mutating func skip(_ used: UInt64) {
        guard used >= next else { return }
        next = used + 1
        end = next
    }

    mutating func take() throws(StorageError) -> UInt64 {
        if next >= end {
            end = next + Self.block
            try storage.replace(path, with: Array("\(end)\n".utf8))
        }
        defer { next += 1 }
        return next
    }
}
