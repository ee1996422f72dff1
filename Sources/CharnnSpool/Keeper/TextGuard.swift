internal import CharnnStorage
internal import SystemPackage

/// Keeps a job in the queue until the texts that it reads are there and written to their end.
///
/// ```
///   its turn comes ──▶ all complete, or frozen ─────────────────────▶ claimed
///        ▲    │
///        │    ├──▶ a text is there and may still be written ─────┐
///        │    └──▶ a text is missing ─── the grace is over ──────┼──▶ claimed: its worker says what is missing, and fails
///        │                 │                                     │
///        └─────────────────┴── looked at again: others go first ─┘
/// ```
///
/// 1. A text is complete when nobody has it open for writing, or, where that cannot be told, when it was closed after
///    writing while its folder was watched and has not changed since, or has not changed for ``quiet`` seconds.
/// 2. What the submitter may not read is told as missing: nobody learns through the queue what lies where.
/// 3. Since when a text is missing stands in the status, from the instant at which the job's turn first came. A restart
///    of the daemon gives no new grace; a person's hold, edit or retry does.
/// 4. A job that has a checkpoint has its text: it waits for none.
/// 5. A text that has not changed since a worker last had the job was complete then, and is now.
/// 6. What cannot be judged here, such as a text outside the folders that jobs may read, is the worker's to tell.
///
/// What was seen closed is memory only: after a crash a text counts as complete when it has not changed for a while.
final class TextGuard: SpoolRoom {
    /// Seconds without a change after which a text counts as complete.
    static let quiet = 30.0
    /// Seconds between two looks at what a job waits for; for every so many jobs that wait, one second more.
    private static let lookInterval = 5.0
    private static let jobsPerSecond = 500
    /// Texts of which is remembered that they were closed, or since when they have not changed.
    private static let mostRemembered = 4096
    /// Folders beside the roots that are watched at a time.
    private static let mostFolders = 64

    let spool: SpoolContext
    private let records: JobRecords
    private let reconciler: Reconciler
    private var stillness: Stillness
    /// Texts that were seen closed after writing, as they were then.
    private var closed: [FilePath: FileStatus] = [:]
    /// Texts that may still be written: as they were when last looked at, and since when they are so.
    private var watched: [FilePath: (status: FileStatus, since: Double)] = [:]
    /// Jobs that wait for a text, by its path.
    private var waiting: [String: Set<String>] = [:]
    /// Folders of texts that are waited for.
    private var nearFolders: Set<FilePath> = []

    init(_ spool: SpoolContext, _ records: JobRecords, _ reconciler: Reconciler) {
        self.spool = spool
        self.records = records
        self.reconciler = reconciler
        stillness = Stillness(spool.clock)
    }

    /// Folders in which texts are to be watched, as far as they are there.
    var folders: Set<FilePath> { nearFolders.union([layout.corpora] + spool.rules.corpusRoots) }

    /// Takes note that a file in one of the ``folders`` was closed after writing, or moved there.
    func noteClosed(_ path: FilePath) {
        guard let status = (try? storage.status(of: path)) ?? nil, status.kind == .regular else { return }
        if closed.count >= Self.mostRemembered {
            let now = clock.wall()
            closed = closed.filter { now - $0.value.changed < Self.quiet }
        }
        if closed.count < Self.mostRemembered { closed[path] = status }
        for job in waiting.removeValue(forKey: Self.key(path)) ?? [] { records.index.update(job) { $0.nextLook = nil } }
    }

    /// Whether a job is to wait; then that is recorded and told.
    func holdsBack(_ job: String, _ entry: SpoolIndex.Entry) throws(StorageError) -> Bool {
        guard try files.newestCheckpoint(of: job) == nil, let found = try firstAwaited(job, entry) else { return false }
        if let changed = found.changed, try wasBegun(job, entry, after: changed) { return false }
        let now = clock.wall()
        var awaited = AwaitedText(text: found.text)
        if found.isMissing {
            // A clock that was set back gives a new grace.
            let since = entry.awaitedText?.missingSince.flatMap { $0 <= now ? $0 : nil } ?? now
            let end = since + spool.rules.textGrace
            if now >= end { return false }
            (awaited.missingSince, awaited.failsAt) = (since, end)
        }
        if awaited != entry.awaitedText {
            // Without a status it is held, and so waits, too.
            guard var status = try reconciler.statusOrHold(job) else { return true }
            status.awaitedText = awaited
            try records.save(status, of: job, entry)
            log.tell(.waits(job: job, awaited))
        }
        let pause = Self.lookInterval + Double(records.index.awaiting.count / Self.jobsPerSecond)
        let seconds = found.secondsLeft.map { max(0.5, min($0, pause)) } ?? pause
        records.index.update(job) { $0.nextLook = min(now + seconds, awaited.failsAt ?? .infinity) }
        waiting[Self.key(found.path), default: []].insert(job)
        // Of more folders the texts are looked at now and then, and not watched.
        if nearFolders.count < Self.mostFolders { nearFolders.insert(found.path.removingLastComponent()) }
        return true
    }

    /// Forgets what no job waits for any more.
    func tick() {
        let awaiting = records.index.awaiting
        guard waiting.count > awaiting.count || (awaiting.isEmpty && !nearFolders.isEmpty) else { return }
        for (path, jobs) in waiting {
            let left = jobs.intersection(awaiting)
            waiting[path] = left.isEmpty ? nil : left
        }
        if awaiting.isEmpty { (nearFolders, watched) = ([], [:]) }
    }

    /// Names in either form of Unicode are one text.
    private static func key(_ path: FilePath) -> String { path.string.composed }

    private struct Found {
        var text: String
        var path: FilePath
        var isMissing: Bool
        /// Until it counts as complete, if it does not change.
        var secondsLeft: Double?
        /// When it was, seconds since 1970.
        var changed: Double?
    }

    /// Whether a worker has had the job since its text last changed: it was complete then.
    private func wasBegun(_ job: String, _ entry: SpoolIndex.Entry, after changed: Double) throws(StorageError) -> Bool
    {
        guard entry.hasBegun, let last = try records.status(of: job)?.worked?.last else { return false }
        return changed < last.from
    }

    /// The first text that is missing, else the first that may still be written.
    private func firstAwaited(_ job: String, _ entry: SpoolIndex.Entry) throws(StorageError) -> Found? {
        var incomplete: Found?
        for text in try texts(of: job, entry) {
            giveSign()
            let found = lookTwice(at: text, for: entry.submitter)
            if let found, found.isMissing { return found }
            incomplete = incomplete ?? found
        }
        return incomplete
    }

    private func texts(of job: String, _ entry: SpoolIndex.Entry) throws(StorageError) -> [String] {
        if let known = entry.ticket.texts { return known }
        // Its ticket is older than the question.
        do throws(StorageError) {
            let file = try storage.open(layout.file(entry.ticket.file, in: .queue), beneath: nil)
            return (try? spool.check(try files.read(file), entry.ticket.file))?.texts ?? []
        } catch {
            return []
        }
    }

    /// A disk that fails once is asked again. Of what fails then, the worker tells, which meets the same.
    private func lookTwice(at text: String, for submitter: UInt32?) -> Found? {
        for _ in 0..<2 {
            do throws(StorageError) {
                return try look(at: text, for: submitter)
            } catch {
                guard error.isTransient else { return nil }
            }
        }
        return nil
    }

    private func look(at text: String, for submitter: UInt32?) throws(StorageError) -> Found? {
        let place = try spool.readable.place(of: FilePath(text), relativeTo: layout.corpora, in: storage)
        guard case .file(let path, let root?) = place else { return nil }
        let missing = Found(text: text, path: path, isMissing: true)
        guard let status = try status(of: path, below: root, for: submitter) else { return missing }
        guard status.kind == .regular else { return nil }
        guard let left = try secondsUntilComplete(path, root, status) else { return nil }
        return Found(text: text, path: path, isMissing: false, secondsLeft: left, changed: status.changed)
    }

    /// nil where there is none, or none for the submitter.
    private func status(
        of path: FilePath, below root: FilePath, for submitter: UInt32?
    ) throws(StorageError) -> FileStatus? {
        guard spool.sharing == .group, let submitter, submitter != 0,
            submitter != (try storage.status(of: layout.accepting)?.owner)
        else { return try storage.status(of: path) }
        let reader = Reader(user: submitter, spool.people)
        guard case .allowed(let status) = try reader.access(to: path, below: root, in: storage) else { return nil }
        return status
    }

    /// nil: it is complete.
    private func secondsUntilComplete(
        _ path: FilePath, _ root: FilePath, _ status: FileStatus
    ) throws(StorageError) -> Double? {
        let now = clock.monotonic()
        if watched[path]?.status.isUnchanged(status) != true {
            if watched.count >= Self.mostRemembered { watched = [:] }
            watched[path] = (status, now)
        }
        let left = Self.quiet - stillness.seconds(changed: status.changed, seenSince: watched[path]?.since ?? now)
        do throws(StorageError) {
            switch try storage.open(path, beneath: root).isOpenForWriting() {
            case true: return max(left, 1)
            case false: return nil
            case nil: return left > 0 && closed[path]?.isUnchanged(status) != true ? left : nil
            }
        } catch {
            // That it cannot be read, its worker says.
            return nil
        }
    }
}

extension FileStatus {
    /// Whether a file is what it was, as far as the file system tells.
    fileprivate func isUnchanged(_ other: FileStatus) -> Bool {
        inode == other.inode && size == other.size && modified == other.modified && changed == other.changed
    }
}
