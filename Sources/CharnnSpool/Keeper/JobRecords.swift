internal import CharnnStorage
internal import SystemPackage

/// What is recorded of the jobs: their statuses on the disk, and the index of them in memory.
///
/// 1. The status on the disk is the record; the index follows it, never the other way.
/// 2. What cannot be read never counts as empty. A job folder whose status cannot be read now is ``unread``: it is a
///    job, of which nothing is known. A status that is there and is none is *lost*: it is set aside, never written
///    over.
/// 3. A job whose status was written and not synced is ``doubtful``: its record is read again before anything is
///    decided.
/// 4. Who is not known to have submitted a job is nobody: a status that is made anew in a shared spool has no
///    submitter.
/// 5. No sequence number is used twice, also when the file that counts them is lost.
///
/// A crash can fall between a status's write and the index's change, which a start makes good since it reads all
/// statuses, and within ``setAside(_:)``, after which the status lies under either of its names.
final class JobRecords: SpoolRoom {
    let spool: SpoolContext
    var index = SpoolIndex()
    var sequences: SequenceNumbers
    /// Jobs of which the status could not be written, so that it may say the old or the new.
    var doubtful: Set<String> = []
    /// Job folders of which the status could not be read: the jobs are there, and not known.
    var unread: Set<String> = []

    init(_ spool: SpoolContext) throws(StorageError) {
        self.spool = spool
        sequences = try SequenceNumbers(spool.layout.sequence, spool.storage)
    }

    /// Jobs in a state.
    func count(_ state: JobState) -> Int {
        let recorded: [RecordedState] =
            switch state {
            case .queue: [.queued]
            case .active: [.running, .interrupted]
            case .held: [.held]
            case .done: [.done, .succeeded]
            case .failed: [.failed, .broken]
            case .cancelled: [.cancelled]
            case .rejected: [.rejected]
            case .stopped: []
            }
        return recorded.reduce(0) { $0 + (index.counts[$1] ?? 0) }
    }

    /// Reads again what is recorded of a job whose status may not have been written.
    func settleDoubt(about job: String) throws(StorageError) {
        guard doubtful.contains(job) else { return }
        if let found = try status(of: job) { index.update(job) { $0.state = found.recorded } }
        doubtful.remove(job)
    }

    /// Writes a job's status and has the index follow.
    func save(_ status: JobStatus, of job: String, _ entry: SpoolIndex.Entry) throws(StorageError) {
        try storage.createDirectories(layout.folder(of: job), mode: 0o750)
        do {
            try status.save(layout.status(of: job), on: storage)
        } catch {
            // It may be there all the same, when only the last sync failed; what is there counts.
            doubtful.insert(job)
            throw error
        }
        let (recorded, delay, ticket) = (status.recorded, status.notBefore, status.ticket ?? entry.ticket)
        index.update(job) {
            $0.state = recorded
            $0.notBefore = delay
            $0.awaitedText = status.awaitedText
            $0.nextLook = nil
            $0.ticket = ticket
            $0.submitter = status.submitter
            $0.hasBegun = status.hasBegun ?? false
            $0.isPrivate = status.isPrivate ?? false
            $0.isStopping = false
        }
    }

    /// Takes job folders into the index that are the queue's.
    func load(_ jobs: [String]) {
        let (layout, storage) = (layout, storage)
        let daemon = spool.sharing == .group ? (try? storage.status(of: layout.accepting))??.owner : nil
        for jobs in jobs.chunks {
            spool.signs.give()
            let found = storage.forEach(of: Array(jobs)) { job throws(StorageError) -> QueuedStatus? in
                // In a shared spool a record counts that is the daemon's own, in a folder of its own.
                if let daemon, try !Self.belongs(job, to: daemon, layout, storage) { return nil }
                return try Self.queuedStatus(of: job, layout, storage)
            }
            for (job, outcome) in zip(jobs, found) {
                let isRead = guarding(layout.status(of: job).string) { () throws(StorageError) in
                    if let status = try outcome.get() { load(job, status) }
                }
                if isRead { unread.remove(job) } else { unread.insert(job) }
            }
        }
    }

    private func load(_ job: String, _ status: QueuedStatus) {
        guard status.job == job, let ticket = status.ticket else { return }
        index.insert(
            job,
            .init(
                state: status.recorded, sequence: status.sequence ?? 0, ticket: ticket, notBefore: status.notBefore,
                awaitedText: status.awaitedText, submitter: status.submitter, hasBegun: status.hasBegun ?? false,
                isPrivate: status.isPrivate ?? false))
        index.ledger.add(status.worked ?? [], for: status.submitter, at: clock.wall())
    }

    /// Whether a job's folder and status are the daemon's: under version 0.1.0 members could put folders of their own into
    /// `jobs/`, and administrators can.
    static func belongs(
        _ job: String, to daemon: UInt32, _ layout: SpoolLayout, _ storage: any Storage
    ) throws(StorageError) -> Bool {
        for path in [layout.folder(of: job), layout.status(of: job)] {
            if let found = try storage.status(of: path), found.owner != daemon { return false }
        }
        return true
    }

    private static func queuedStatus(
        of job: String, _ layout: SpoolLayout, _ storage: any Storage
    ) throws(StorageError) -> QueuedStatus? {
        do {
            return try storage.contents(of: layout.status(of: job), limit: JobStatus.largestRead)
                .flatMap(QueuedStatus.init)
        } catch let error where error.code == .notRegular || error.code == .denied {
            return nil
        }
    }

    /// A job's status; nil only if there is none.
    ///
    /// - Throws: What ``isLost(_:)`` knows, if something that is no status stands in its place.
    func status(of job: String) throws(StorageError) -> JobStatus? {
        try JobStatus.read(layout.status(of: job), on: storage)
    }

    /// Whether an error says that a status is there that cannot be read, now or later.
    static func isLost(_ error: StorageError) -> Bool {
        error.code == .damaged || error.code == .notRegular || error.code == .denied
    }

    func setAside(_ job: String) throws(StorageError) {
        try SpoolRepair.setAside(layout.status(of: job)).perform(layout, on: storage)
    }

    /// What is known of a job of which the status was lost: neither how often it crashed nor who submitted it.
    func lostStatus(of job: String, in state: JobState) throws(StorageError) -> JobStatus {
        var status = JobStatus(job: job, state: state)
        status.filed = true
        // In a spool of one's own it is nobody else. In a shared one a job without a submitter reads nothing.
        if spool.sharing == .personal { status.submitter = try storage.status(of: layout.accepting)?.owner }
        // What was its owner's alone stays so: the folder's access list still says it.
        let list = try storage.accessList(of: layout.folder(of: job)).flatMap { AccessList($0) }
        if spool.sharing == .group, list?.rights(of: .owningGroup) == 0 { status.isPrivate = true }
        status.warnings.append("The status was lost and has been made anew.")
        return status
    }

    /// Binds what a job waits for to the jobs that bear the names now.
    func bind(_ requirements: JobRequirements, of job: String, old: [Predecessor]) -> [Predecessor] {
        var bound: [Predecessor] = []
        let former = Dictionary(
            old.filter { $0.sequence != nil }.map { ($0.job, $0) }, uniquingKeysWith: { first, _ in first })
        for var predecessor in requirements.predecessors {
            let name = predecessor.job
            if let known = former[name] {
                predecessor.sequence = known.sequence
            } else if let other = index[name], name != job {
                // Also a model that is there already: it is not to be removed while a job waits to use it.
                predecessor.sequence = other.sequence
            } else if predecessor.isModel, name == job {
                continue
            }
            bound.append(predecessor)
        }
        return bound
    }

    /// Whether a file belongs to the daemon of a shared spool. It then is the copy of some job's file, of which the
    /// daemon is not the submitter: taken as a drop, it would read with the daemon's rights.
    func isOwn(_ file: FileStatus) throws(StorageError) -> Bool {
        guard spool.sharing == .group else { return false }
        return try storage.status(of: layout.accepting)?.owner == file.owner
    }

    /// Whether what lies under a job's name is the daemon's copy of another job's file, moved there by a person.
    func isForeign(
        _ file: FileStatus, _ bytes: [UInt8], in job: String, _ ticket: JobTicket
    ) throws(StorageError) -> Bool {
        guard try isOwn(file), ticket.identity != FileIdentity(file) else { return false }
        // Whoever may write in the daemon's own file in place is its administrator.
        if ticket.identity?.inode == file.inode,
            !index.entries.contains(where: { $0.key != job && $0.value.ticket.identity?.inode == file.inode })
        {
            return false
        }
        return try storage.contents(of: layout.jobFile(of: job), limit: SpoolKeeper.largestFile) != bytes
    }
}

extension RecordedState {
    /// The state in whose directory the file belongs.
    var home: JobState {
        switch self {
        case .unknown, .queued: .queue
        case .running, .interrupted: .active
        case .held: .held
        case .succeeded, .done: .done
        case .broken, .failed: .failed
        case .cancelled: .cancelled
        case .rejected: .rejected
        }
    }

    var isFinished: Bool {
        switch self {
        case .done, .failed, .cancelled, .rejected: true
        default: false
        }
    }

    var isWaiting: Bool { self == .queued || self == .held }

    /// Whether it is over, however it went.
    var isOver: Bool { [.succeeded, .done, .broken, .failed, .cancelled, .rejected].contains(self) }
}

extension Array {
    /// The elements in pieces for ``Storage/forEach(of:_:)``, so that what comes of them is not all in memory at once.
    var chunks: some Sequence<ArraySlice<Element>> {
        stride(from: 0, to: count, by: 4096).lazy.map { self[$0..<Swift.min($0 + 4096, count)] }
    }
}
