internal import CharnnStorage
internal import DequeModule
internal import SystemPackage

/// Does what people ask for in `requests/`, where they may ask it.
///
/// ```
///   requests/X.request ──▶ read ──▶ may its owner ask that? ──▶ the job's file is moved ──▶ recorded ──▶ removed
///           │                │no: refused, told, removed             │
///           │ more to come   │                                       └─ a crash here: asked again, and found done
///           └──▶ left for the next look; after a minute removed
/// ```
///
/// 1. Who asks is the owner of the request, as the file that is read says itself; no name in it counts.
/// 2. A request is a regular file with one name. Links, pipes and whatever else bears the ending are removed unread.
/// 3. A submitter asks for their own jobs, an administrator for all; in a spool of one's own its owner. Of a job whose
///    submitter is not known only administrators ask. The queue is paused and resumed by administrators.
/// 4. A request names a job by its number; one whose number is not the job's does nothing. An administrator may say 0:
///    the number of what is its owner's alone is not theirs to see.
/// 5. What a request asks for is decided by where the job is now: what is so already, or cannot be, does nothing.
/// 6. A request is removed after what it asks for is on the disk, and its removal is on the disk before any job is
///    started: so it is done at most once for what follows from it.
/// 7. Requests are done in turns among those who ask, the older first, and only for a while at a time: ten thousand of
///    one person's keep nobody else's waiting.
///
/// A crash can fall between a move and the removal of the request that asked for it: the request is found again, before
/// files are compared with records, and with its owner's name; it then does nothing more than to have the move recorded.
/// An edit is written aside, recorded as what the file will be, and renamed: in between, the old file is the job's.
final class RequestDesk: SpoolRoom {
    /// Seconds after which a request of which more should come is removed.
    static let patience = 60.0
    /// Seconds for which requests are done in one go.
    static let turn = 0.25

    let spool: SpoolContext
    private let records: JobRecords
    private let reconciler: Reconciler
    /// Names of requests by their owners, each in the order in which they came, and whose turn it is.
    private var waiting: [UInt32: Deque<String>] = [:]
    private var turns: Deque<UInt32> = []
    private var isWaiting: Set<String> = []
    /// What was done and could not be removed, so that it is not done again.
    private var done: [String: FileIdentity] = [:]
    /// That nothing is started; nil: jobs are.
    private(set) var pause: QueuePause?

    init(_ spool: SpoolContext, _ records: JobRecords, _ reconciler: Reconciler) {
        self.spool = spool
        self.records = records
        self.reconciler = reconciler
    }

    var hasRequests: Bool { !turns.isEmpty }

    /// Reads what a former daemon was asked for.
    func loadPause() {
        do throws(StorageError) {
            pause = try QueuePause.read(layout, on: storage)
        } catch {
            // What cannot be read never counts as empty: nothing is started before somebody says so.
            log.tell(.trouble("The queue is paused: \(error); `charnn resume` lets it go on."))
            pause = QueuePause(by: "a pause that cannot be read", since: JobStatus.time(clock.wall()))
        }
    }

    /// Ends a pause whose time has come.
    func tick() {
        guard let end = pause?.until, clock.wall() >= end else { return }
        guarding(layout.pause.string) { () throws(StorageError) in try endPause(by: nil) }
    }

    /// Looks what lies in `requests/`, and orders it in turns among its owners.
    func scan() throws(StorageError) {
        let (storage, requests) = (storage, layout.requests)
        guard try storage.status(of: requests) != nil else { return }
        let names = try storage.list(requests).filter { $0.hasSuffix(SpoolRequest.ending) && !$0.hasPrefix(".") }
        done = done.filter { names.contains($0.key) }
        var owners: [UInt32: [(time: Double, name: String)]] = [:]
        for names in names.chunks {
            spool.signs.give()
            let found = storage.forEach(of: Array(names)) { name throws(StorageError) in
                try storage.status(of: requests.appending(name))
            }
            for (name, outcome) in zip(names, found) {
                guard let status = (try? outcome.get()) ?? nil else { continue }
                owners[status.owner, default: []].append((status.changed, name))
            }
        }
        // Whose turn it was goes on; the others follow.
        (waiting, isWaiting) = ([:], [])
        for (owner, list) in owners {
            let names = list.sorted { ($0.time, $0.name) < ($1.time, $1.name) }.map(\.name)
            waiting[owner] = Deque(names)
            isWaiting.formUnion(names)
        }
        turns = Deque(turns.filter { waiting[$0] != nil })
        for owner in waiting.keys.sorted() where !turns.contains(owner) { turns.append(owner) }
    }

    /// The next request: one of each owner in turn.
    private func next() -> String? {
        guard let owner = turns.popFirst(), let name = waiting[owner]?.popFirst() else { return nil }
        if waiting[owner]?.isEmpty == false { turns.append(owner) } else { waiting[owner] = nil }
        isWaiting.remove(name)
        return name
    }

    /// Takes note of a name that has come.
    func look(at name: String) {
        guard name.hasSuffix(SpoolRequest.ending), !name.hasPrefix("."), !isWaiting.contains(name),
            let owner = (try? storage.status(of: layout.requests.appending(name)))??.owner
        else { return }
        isWaiting.insert(name)
        if waiting[owner] == nil { turns.append(owner) }
        waiting[owner, default: []].append(name)
    }

    /// Does what is asked for, for a while.
    func work(within seconds: Double = RequestDesk.turn) throws(StorageError) {
        let end = clock.monotonic() + seconds
        var isDone = false
        while let name = next() {
            giveSign()
            guarding(layout.requests.appending(name).string) { () throws(StorageError) in
                if try answer(name) { isDone = true }
            }
            if clock.monotonic() >= end { break }
        }
        if isDone { try storage.synchronizeDirectory(layout.requests) }
    }

    /// - Returns: Whether the request is gone.
    private func answer(_ name: String) throws(StorageError) -> Bool {
        let path = layout.requests.appending(name)
        guard let seen = try storage.status(of: path) else { return false }
        guard done[name] != FileIdentity(seen) else {
            try storage.discard(path)
            return true
        }
        guard seen.kind == .regular, seen.links == 1 else {
            return try refuse(path, seen, "a request is a regular file with one name")
        }
        let file: any StorageFile
        do throws(StorageError) {
            file = try storage.open(path, beneath: nil)
        } catch {
            switch error.code {
            case .notFound, .busy: return false
            case .denied: return try refuse(path, seen, "the daemon may not read it; `charnn` gives it the right to")
            case .notRegular: return try refuse(path, seen, "a request is a regular file with one name")
            default: throw error
            }
        }
        let found = try file.status()
        guard found.inode == seen.inode, found.links == 1 else { return false }
        let most = SpoolKeeper.largestFile + SpoolRequest.longestHead
        guard found.size <= most else { return try refuse(path, found, "it has more than \(most) bytes") }
        let request: SpoolRequest
        do throws(SpoolRequest.Problem) {
            let bytes: [UInt8]
            do throws(StorageError) { bytes = try file.read(at: 0, count: found.size) } catch { return false }
            request = try SpoolRequest(bytes)
        } catch {
            switch error {
            case .incomplete:
                guard clock.wall() - found.changed > Self.patience else { return false }
                return try refuse(path, found, "the rest of it never came")
            case .wrong(let what): return try refuse(path, found, what)
            }
        }
        // Of a job whose status cannot be read now nobody says that there is none; the next look finds it.
        guard !records.unread.contains(request.job) else { return false }
        let person = spool.people.name(of: found.owner)
        if let problem = try perform(request, of: found.owner, person) {
            log.tell(.refused(request: request, by: person, reason: problem))
        }
        try remove(path, name, seen)
        return true
    }

    private func remove(_ path: FilePath, _ name: String, _ seen: FileStatus) throws(StorageError) {
        done[name] = FileIdentity(seen)
        try storage.discard(path)
        done[name] = nil
    }

    private func refuse(_ path: FilePath, _ found: FileStatus, _ reason: String) throws(StorageError) -> Bool {
        let person = spool.people.name(of: found.owner)
        if found.kind == .directory {
            do throws(StorageError) {
                try storage.removeDirectory(path)
            } catch {
                // Full of somebody's things: it stays, and is nothing.
                guard error.code == .alreadyExists || error.code == .denied else { throw error }
                return false
            }
        } else {
            try storage.remove(path)
        }
        log.tell(.refused(request: nil, by: person, reason: reason))
        return true
    }

    /// Does it.
    ///
    /// - Returns: Why not; nil: it was done, or was so already.
    private func perform(
        _ request: SpoolRequest, of user: UInt32, _ person: String
    ) throws(StorageError) -> String? {
        let isOwner = spool.sharing == .personal
        let isAdministrator = isOwner || spool.people.isAdministrator(user)
        switch request.verb {
        case .pause, .resume:
            guard isAdministrator else {
                return "the queue is paused and resumed by administrators (\(People.administratorsGroup))"
            }
            if request.verb == .resume {
                if pause != nil { try endPause(by: person) }
                return nil
            }
            if let until = request.until, until <= clock.wall() { return "the time until which to pause is over" }
            let pause = QueuePause(until: request.until, by: person, since: JobStatus.time(clock.wall()))
            try pause.save(layout, on: storage)
            self.pause = pause
            log.tell(.paused(pause))
            return nil
        case .hold, .release, .cancel, .retry, .edit: break
        }
        let name = request.job.composed
        guard let job = records.index[request.job] != nil ? request.job : records.index[name] != nil ? name : nil,
            let entry = records.index[job]
        else { return "there is no such job" }
        guard isAdministrator || entry.submitter == user else {
            return entry.submitter == nil
                ? "nobody knows whose job it is; an administrator may" : "it is another's job"
        }
        // Of what is its owner's alone an administrator cannot see the number.
        guard entry.sequence == request.sequence || (request.sequence == 0 && isAdministrator) else {
            return "the job that was meant, number \(request.sequence), is gone; there is another of that name"
        }
        return try reconciler.asked(request, job, by: person, isOwner: isOwner || entry.submitter == user)
    }

    private func endPause(by person: String?) throws(StorageError) {
        try storage.discard(layout.pause)
        try storage.synchronizeDirectory(layout.jobs)
        pause = nil
        log.tell(.resumed(by: person))
    }
}
