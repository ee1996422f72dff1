internal import CharnnStorage
internal import DequeModule
internal import SystemPackage

/// Looks at drops until they are complete, and keeps them in the order in which they were found so.
///
/// ```
///              not yet complete               closed after writing, or quiet
///   (nothing) ─────────────────▶ watched ────────────────────────────────────▶ pending ──▶ Acceptance
///       │                          │ ▲                                           │
///       │ a link, a device, a name │ │ changed, or leased                        │ gone meanwhile
///       ▼ of another kind          ▼ │                                           ▼
///      told ◀──────── several names, unreadable                              (nothing)
/// ```
///
/// 1. It reads and never changes a drop; only a second name that a crash left of a drop's submission is removed, and
///    only in a recovery.
/// 2. Only a regular file with one name and one of the endings becomes pending; `.name` and `name~` are nobody's.
/// 3. A drop is complete when nobody has it open for writing, or where that cannot be told, when it was closed after
///    writing while it was watched, or has been quiet for ``quiet`` seconds by both clocks.
/// 4. Why a drop stays is told once for what it was then, and not again before it changes.
/// 5. A drop is pending at most once.
///
/// All of it is memory: a crash loses nothing, since the next scan looks at `incoming/` again. The instant that matters
/// here lies in the submitter: between the two halves of a rename on a file system where it has two
/// (``isHalfSubmitted(_:_:)``).
final class DropIntake: SpoolRoom {
    /// Seconds without a change after which a found drop counts as complete.
    static let quiet = 30.0
    /// The same for an empty drop, which is more likely to be filled in the next moment.
    static let quietWhenEmpty = 2.0
    /// Drops that are not complete yet, of which one ``tick()`` looks at so many.
    static let batchWatched = 4096

    let spool: SpoolContext
    private let records: JobRecords
    /// Drops waiting to be accepted, in the order in which they were found complete.
    private var pending: Deque<Drop> = []
    private var isPending: Set<Drop> = []
    /// Drops that are not complete yet: what they were when last looked at, and since when they are so.
    private var watched: [Drop: (identity: FileIdentity, since: Double)] = [:]
    private var stillness: Stillness
    /// Drops that stay, by what they were when that was told.
    private var told: [Drop: FileIdentity] = [:]
    /// Whether what a crash may have left is looked for.
    private var isRecovering = false
    /// See ``isHalfSubmitted(_:_:)``.
    private var namesAtRecovery: [UInt64: FilePath]?
    /// Drops that could not be looked at in the recovery, and are at the next scan as they would have been then.
    private var unsettled: Set<Drop> = []

    init(_ spool: SpoolContext, _ records: JobRecords) {
        self.spool = spool
        self.records = records
        stillness = Stillness(spool.clock)
    }

    /// Whether complete drops wait.
    var hasPending: Bool { !pending.isEmpty }

    /// Whether drops are watched that may yet become complete.
    ///
    /// What was told to stay where it is, such as a file with several names, may not.
    var isExpecting: Bool { watched.contains { told[$0.key] != $0.value.identity } }

    /// The next complete drop.
    func next() -> Drop? {
        guard let drop = pending.popFirst() else { return nil }
        isPending.remove(drop)
        return drop
    }

    /// Takes a drop back that was complete and could not be taken: it is looked at again.
    func watch(_ drop: Drop, _ status: FileStatus) { watched[drop] = (FileIdentity(status), clock.monotonic()) }

    /// Looks, while `body` runs, for what a crash may have left.
    func recovering(_ body: () throws(StorageError) -> Void) throws(StorageError) {
        isRecovering = true
        defer { (isRecovering, namesAtRecovery) = (false, nil) }
        try body()
    }

    /// Looks again at drops that were not complete.
    func tick() {
        // Whoever leaves thousands half written has them looked at less often.
        let drops = Array(watched.keys)
        for drop in drops.count > Self.batchWatched ? Array(drops.shuffled().prefix(Self.batchWatched)) : drops {
            giveSign()
            guarding(drop.path.string) { () throws(StorageError) in try look(at: drop, isArrival: false) }
        }
    }

    func scan() throws(StorageError) {
        let names = try storage.list(layout.incoming)
        let present = Set(names)
        for drop in Array(watched.keys) where drop.directory == layout.incoming && !present.contains(drop.name) {
            watched[drop] = nil
        }
        for drop in Array(told.keys) where drop.directory == layout.incoming && !present.contains(drop.name) {
            told[drop] = nil
        }
        unsettled = unsettled.filter { present.contains($0.name) }
        for name in inOrderOfArrival(names) {
            giveSign()
            let isSeen = guarding(layout.incoming.appending(name).string) { () throws(StorageError) in
                try look(atDrop: name, isArrival: false)
            }
            if !isSeen, isRecovering { unsettled.insert(Drop(directory: layout.incoming, name: name)) }
        }
    }

    /// Names in `incoming/` by when each came there, those of one moment by name.
    private func inOrderOfArrival(_ names: [String]) -> [String] {
        let (storage, incoming) = (storage, layout.incoming)
        let found = names.chunks.flatMap { names in
            spool.signs.give()
            return storage.forEach(of: Array(names)) { name throws(StorageError) in
                try storage.status(of: incoming.appending(name))?.changed
            }
        }
        // What cannot be looked at now is told of when its turn comes.
        return zip(names, found).map { name, outcome in (name: name, time: (try? outcome.get()) ?? .infinity) }
            .sorted { ($0.time, $0.name) < ($1.time, $1.name) }.map(\.name)
    }

    /// Looks at a name in `incoming/` and notes it as complete, as to be looked at again, or as none of ours.
    func look(atDrop name: String, isArrival: Bool) throws(StorageError) {
        try look(at: Drop(directory: layout.incoming, name: name), isArrival: isArrival)
    }

    func look(at drop: Drop, isArrival: Bool) throws(StorageError) {
        guard !drop.name.hasPrefix("."), !drop.name.hasSuffix("~"), !isPending.contains(drop) else { return }
        if let job = records.index.jobOfFile[drop.name], let entry = records.index[job],
            entry.ticket.file.isSame(as: drop.name),
            drop.directory == layout.directory(entry.state.home)
        {
            // Since it was looked at last it has become a job's own file.
            watched[drop] = nil
            return
        }
        guard let status = try storage.status(of: drop.path) else {
            watched[drop] = nil
            if drop.name.contains("\u{FFFD}") {
                // The name that was read is the repaired one, under which there is nothing.
                tell(drop, .none, "Its name is not UTF-8; give it another name.")
            } else {
                told[drop] = nil
            }
            return
        }
        guard status.kind == .regular else {
            return tell(
                drop, FileIdentity(status),
                "It is not a regular file; links, folders, pipes and devices are never taken.")
        }
        guard JobFileName.split(drop.name) != nil else {
            return tell(drop, FileIdentity(status), "Its name does not end in .yaml, .yml or .json.")
        }
        var isSingle = status.links == 1
        if !isSingle { isSingle = try isHalfSubmitted(drop, status) }
        guard isSingle else {
            watched[drop] = (FileIdentity(status), clock.monotonic())
            return tell(
                drop, FileIdentity(status),
                "It has several names (hard links), so that its owner need not be who dropped it.")
        }
        if try isComplete(drop, status, isArrival: isArrival) {
            watched[drop] = nil
            isPending.insert(drop)
            pending.append(drop)
        }
    }

    /// Whether a drop has a second name only because a crash cut short the move by which it was submitted, on a file
    /// system where a move is a new name and then the loss of the old one. The old one is removed. A crash is before a
    /// start, and only then is it looked for; who drops many links must not have each compared with many files.
    private func isHalfSubmitted(_ drop: Drop, _ status: FileStatus) throws(StorageError) -> Bool {
        guard isRecovering || unsettled.contains(drop), status.links == 2, drop.directory == layout.incoming else {
            return false
        }
        let other = try otherNames()[status.inode]
        // In rejected/ it was being rejected: then it is the drop's own name that is the old one.
        let isRejected = other?.removingLastComponent() == layout.directory(.rejected)
        if let other { try storage.discard(isRejected ? drop.path : other) }
        unsettled.remove(drop)
        return other != nil && !isRejected
    }

    /// The second names that a drop may have after a crash, by their file; looked up once in a recovery.
    private func otherNames() throws(StorageError) -> [UInt64: FilePath] {
        if let known = namesAtRecovery { return known }
        var found: [UInt64: FilePath] = [:]
        for name in try storage.list(layout.incoming) where name.hasPrefix(".") && name.hasSuffix(".partial") {
            let path = layout.incoming.appending(name)
            if let status = try storage.status(of: path), status.links > 1 { found[status.inode] = path }
        }
        for name in try storage.list(layout.directory(.rejected)) {
            let path = layout.file(name, in: .rejected)
            if let status = try storage.status(of: path), status.links > 1 { found[status.inode] = path }
        }
        if isRecovering { namesAtRecovery = found }
        return found
    }

    /// Whether a drop is written to its end, as far as that can be told.
    private func isComplete(_ drop: Drop, _ status: FileStatus, isArrival: Bool) throws(StorageError) -> Bool {
        let identity = FileIdentity(status)
        let now = clock.monotonic()
        if watched[drop]?.identity != identity { watched[drop] = (identity, now) }
        let quietFor = stillness.seconds(changed: status.modified, seenSince: watched[drop]?.since ?? now)
        if status.size == 0 { return quietFor >= Self.quietWhenEmpty }
        do {
            switch try storage.open(drop.path, beneath: nil).isOpenForWriting() {
            case true: return false
            case false: return true
            case nil: return isArrival || quietFor >= Self.quiet
            }
        } catch {
            // Unreadable: acceptance says so.
            return error.code == .denied
        }
    }

    /// Tells once why a drop stays where it is.
    func tell(_ drop: Drop, _ identity: FileIdentity, _ reason: String) {
        guard told[drop] != identity else { return }
        told[drop] = identity
        log.tell(.ignored(file: drop.name, reason: reason))
    }
}
