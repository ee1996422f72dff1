public import CharnnStorage
internal import Glibc
public import SystemPackage

/// What a person's request to the spool could not do.
public struct SpoolClientError: Error, Hashable, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// There is no such job, or the file to submit is missing.
        case notFound
        /// The job is in a state in which the request means nothing.
        case wrongState
        case badName
        /// The rights of the spool do not allow it.
        case denied
        case storage
    }

    public let code: Code
    public let description: String

    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    init(_ error: StorageError) {
        self.init(error.code == .denied ? .denied : .storage, "\(error)")
    }
}

/// A person's side of the spool, whether a daemon runs or not: in a spool of one's own a rename that `mv` could do too,
/// in a shared one a request that the daemon answers.
public struct SpoolClient: Sendable {
    public let layout: SpoolLayout
    let storage: any Storage
    let clock: SpoolClock
    let people: People

    public init(
        _ layout: SpoolLayout, storage: any Storage = LocalStorage(), clock: SpoolClock = .system,
        people: People = .system
    ) {
        self.layout = layout
        self.storage = storage
        self.clock = clock
        self.people = people
    }

    /// A job as a person sees it.
    public struct Job: Sendable, Equatable {

        public var name: String
        /// The state in whose directory the file lies.
        public var state: JobState
        /// The file's name there.
        public var file: String
        /// The job's status, if it can be read; its `state` may lag behind a move that the daemon has not seen.
        public var status: JobStatus?
        /// The user whom an access list names, where the status cannot be read.
        var reader: UInt32?
        /// Whether what was asked for it is still to be done by the daemon.
        public var isAsked = false

        /// Who submitted it; nil: that cannot be told.
        public var owner: UInt32? { status?.submitter ?? reader }

        /// Whether it is somebody's alone, and not that user's.
        public func isClosed(to user: UInt32) -> Bool {
            (status?.isPrivate == true && status?.submitter != user)
                || (status == nil && reader != nil && reader != user)
        }
    }

    /// Copies a job file durably into `incoming/`, complete under its name at once.
    ///
    /// - Parameter name: The job's name; nil: that of the file.
    /// - Returns: The file's name in `incoming/`; the job's own is decided when it is accepted.
    public func submit(_ path: FilePath, as name: String? = nil) throws(SpoolClientError) -> String {
        let found: [UInt8]?
        do throws(StorageError) {
            // A person may well name a link; what it leads to is theirs to read.
            found = try storage.contents(of: resolved(path), limit: SpoolKeeper.largestFile + 1)
        } catch {
            throw SpoolClientError(error)
        }
        guard let bytes = found else { throw SpoolClientError(.notFound, "\(path): there is no such file") }
        guard bytes.count <= SpoolKeeper.largestFile else {
            throw SpoolClientError(.badName, "\(path): a job file has at most \(SpoolKeeper.largestFile) bytes")
        }
        return try submit(bytes, fileName: name.map { "\($0).yaml" } ?? path.lastComponent?.string ?? "")
    }

    /// Puts a job file durably into `incoming/`, complete under its name at once.
    ///
    /// - Returns: The file's name in `incoming/`.
    public func submit(_ bytes: [UInt8], fileName: String) throws(SpoolClientError) -> String {
        guard let file = JobFileName(fileName) else {
            throw SpoolClientError(
                .badName,
                "\(fileName): a job file is named NAME.yaml, NAME.yml or NAME.json, with letters and digits of any "
                    + "script, space and ._+- in NAME, at most \(JobName.maximumLength) bytes, no . or - in front")
        }
        do throws(StorageError) {
            // Nobody can take the name before, who does not know it.
            let aside = try FileAside(
                layout.incoming.appending(".\(UInt64.random(in: 0 ... .max)).\(file).partial"), mode: 0o644, in: storage
            )
            // The daemon is another user in a shared spool and must be able to read it, whatever this user's mask.
            try storage.setMode(0o644, of: aside.path)
            try aside.file.append(bytes)
            var number = 1
            while true {
                let name = "\(JobFileName(name: file.name.numbered(number), ending: file.ending))"
                do {
                    try aside.publish(as: layout.incoming.appending(name), replacing: false)
                    // incoming/ of a shared spool cannot be opened by submitters, and so not synced by them; what
                    // the daemon accepts, it syncs.
                    try? storage.synchronizeDirectory(layout.incoming)
                    return name
                } catch let error where error.code == .alreadyExists {
                    number += 1
                }
            }
        } catch {
            throw SpoolClientError(error)
        }
    }

    /// The job of that name; nil if there is none in the spool's state directories.
    ///
    /// - Parameter name: In whatever form of Unicode; the result has it as the folder bears it.
    public func find(_ name: String) throws(SpoolClientError) -> Job? {
        do throws(StorageError) {
            let name = SpoolLayout.bornName(of: name, in: layout.jobs, on: storage)
            let status = try? JobStatus.read(layout.status(of: name), on: storage)
            let files = status?.ticket.map { [$0.file] } ?? JobFileName.endings.map { "\(name).\($0)" }
            for state in JobState.allCases {
                for file in files where try storage.status(of: layout.file(file, in: state))?.kind == .regular {
                    return Job(
                        name: name, state: state, file: file, status: status,
                        reader: status == nil ? reader(of: name) : nil)
                }
            }
            return nil
        } catch {
            throw SpoolClientError(error)
        }
    }

    /// Whose a job is that is its owner's alone: the folder's access list names them, for everybody to see.
    private func reader(of job: String) -> UInt32? {
        guard let bytes = (try? storage.accessList(of: layout.folder(of: job))) ?? nil, let list = AccessList(bytes)
        else { return nil }
        for case .user(let user) in list.entries.map(\.who) { return user }
        return nil
    }

    /// Every job, those that run first, then waiting ones in their order, then the others by arrival.
    public func list() throws(SpoolClientError) -> [Job] {
        var jobs: [Job] = []
        do throws(StorageError) {
            for state in JobState.allCases {
                for name in try storage.list(layout.directory(state)) {
                    guard JobFileName(name) != nil, let job = JobFileName.split(name)?.stem else { continue }
                    // A numbered file of rejected/ can bear a name that differs from its job's.
                    let status = try? JobStatus.read(layout.status(of: job), on: storage)
                    // So can one that was mended and dropped again: the status is the new job's.
                    let isOwn =
                        (status?.ticket.map { $0.file == name } ?? true)
                        && (state != .rejected || status?.state == .rejected)
                    jobs.append(
                        Job(
                            name: job, state: state, file: name, status: isOwn ? status : nil,
                            reader: status == nil ? reader(of: job) : nil))
                }
            }
        } catch {
            throw SpoolClientError(error)
        }
        return ordered(Self.eachOnce(jobs))
    }

    /// Of some jobs those that matter still: a file that was rejected, mended and dropped again under its name is not one.
    public static func withoutMended(_ jobs: [Job]) -> [Job] {
        let accepted = Set(jobs.filter { $0.state != .rejected }.map(\.name))
        return jobs.filter { $0.state != .rejected || $0.status != nil || !accepted.contains($0.name) }
    }

    /// The directories are listed one after the other: a job that is moved meanwhile stands in two. It is where its status
    /// says, else where it was seen last.
    private static func eachOnce(_ jobs: [Job]) -> [Job] {
        let accepted = jobs.filter { $0.state != .rejected }
        guard Set(accepted.map(\.name)).count < accepted.count else { return jobs }
        let places = Dictionary(grouping: accepted, by: \.name)
        return jobs.filter { job in
            guard job.state != .rejected, let found = places[job.name], found.count > 1 else { return true }
            let recorded = found.last { $0.status?.state == $0.state } ?? found.last
            return job.state == recorded?.state && job.file == recorded?.file
        }
    }

    /// Jobs as they are listed: what runs, then what waits in its order, then the others by arrival.
    private func ordered(_ jobs: [Job]) -> [Job] {
        let waits = queueWaits
        let sorted = jobs.sorted { a, b in
            if a.rank != b.rank { return a.rank < b.rank }
            let (one, other) = (waits.priority(of: a), waits.priority(of: b))
            if a.state == .queue, one != other { return one > other }
            let (first, second) = (a.status?.sequence ?? .max, b.status?.sequence ?? .max)
            return first != second ? first < second : a.name < b.name
        }
        // Those first whose turn comes by itself.
        let turns = Self.turns(sorted, waits, at: clock.wall())
        let inTurn = Set(turns.map(\.name))
        let rest = sorted.filter { $0.state != .queue || !inTurn.contains($0.name) }
        let place = rest.firstIndex { $0.rank > 0 } ?? rest.endIndex
        return rest[..<place] + turns + rest[place...]
    }

    /// Ends a waiting or running job; a running one with a checkpoint.
    ///
    /// - Returns: The job as it was.
    @discardableResult
    public func cancel(_ name: String) throws(SpoolClientError) -> Job {
        try change(name, .cancel, from: [.queue, .held, .active], to: .cancelled, called: "cancelled")
    }

    /// Lets a waiting or running job wait for ``release(_:)``; a running one ends with a checkpoint.
    ///
    /// - Returns: The job as it was.
    @discardableResult
    public func hold(_ name: String) throws(SpoolClientError) -> Job {
        try change(name, .hold, from: [.queue, .active], to: .held, called: "held")
    }

    /// Lets a held job run.
    ///
    /// - Returns: The job as it was.
    @discardableResult
    public func release(_ name: String) throws(SpoolClientError) -> Job {
        try change(name, .release, from: [.held], to: .queue, called: "released")
    }

    /// Lets a finished job go on from its newest checkpoint.
    ///
    /// - Returns: The job as it was.
    @discardableResult
    public func retry(_ name: String) throws(SpoolClientError) -> Job {
        try change(
            name, .retry, from: [.failed, .cancelled, .done, .rejected], to: .queue, called: "tried again")
    }

    /// One sentence on why a job is where it is.
    public func why(_ name: String) throws(SpoolClientError) -> String {
        guard let job = try find(name) else {
            let drops = JobFileName.endings.map { layout.incoming.appending("\(name).\($0)") }
            // In a shared spool incoming/ cannot be listed, but a name can be asked for.
            for drop in drops + [layout.incoming.appending(name)] where FilePath.Component(name) != nil {
                guard let found = (try? storage.status(of: drop)) ?? nil else { continue }
                let file = drop.lastComponent?.string ?? name
                if let problem = problem(of: file, found) {
                    return "\(file) lies in incoming/ and stays there: \(problem)."
                }
                let remedy =
                    hasDaemon() == false
                    ? ": no daemon works in this spool. \(startRemedy)" : "; the daemon takes it within seconds."
                return "\(name) lies in incoming/ and has not been accepted yet\(remedy)"
            }
            if let run = try named(name)?.run { return run.sentence }
            let names = ((try? list()) ?? []).map(\.name)
            // People name the file, too.
            let stem = JobFileName(name).map(\.name.text)
            let near = stem.flatMap { names.contains($0) ? $0 : nil } ?? Spelling.nearest(to: name, in: names)
            let remedy =
                near.map { "; did you mean \($0)?" }
                ?? (names.isEmpty ? "; there are no jobs in \(layout.root)" : "; `charnn list` shows all")
            throw SpoolClientError(.notFound, "there is no job named \(name)\(remedy)")
        }
        let reason = job.status?.reason.map { ": \($0)" } ?? "."
        switch job.state {
        case .queue: return try whyQueued(job)
        case .active: return "\(name) is running."
        case .held: return "\(name) is held\(reason)"
        case .done: return "\(name) is done."
        case .failed: return "\(name) failed\(reason)"
        case .cancelled: return "\(name) is cancelled\(reason)"
        case .stopped: return "\(name) is stopped\(reason)"
        case .rejected:
            let path = layout.directory(.rejected).appending("\(job.file).reason.txt")
            let told = (try? storage.contents(of: path, limit: 1 << 16)).flatMap { $0 } ?? []
            return "\(name) was rejected: \(String(decoding: told, as: UTF8.self))"
        }
    }

    /// How a daemon is started here, as a person is told.
    public var startRemedy: String {
        (try? layout.sharing(on: storage)) == .group
            ? "An administrator starts it: sudo systemctl start charnnd."
            : "`charnnd` starts one, `charnnd --once` does what waits."
    }

    /// That nothing is done in a shared spool until somebody starts its service, and what this user cannot see of what
    /// waits; nil: a daemon works here, or this spool is one's own.
    public var standstill: String? {
        guard (try? layout.sharing(on: storage)) == .group, hasDaemon() == false else { return nil }
        let unseen =
            (try? storage.list(layout.incoming)) == nil
            ? " What lies in incoming/ waits for it; you may not list that, `charnn why NAME` tells of one file." : ""
        return "The service is stopped. \(startRemedy)\(unseen)"
    }

    /// Why the daemon does not take a drop, as far as that can be seen from here; nil: it does.
    private func problem(of name: String, _ found: FileStatus) -> String? {
        switch found.kind {
        case .regular: break
        case .link: return "it is a link; put the file itself there"
        case .directory: return "it is a folder; put the job file itself there"
        case .fifo, .other: return "it is no regular file"
        }
        guard let (stem, _) = JobFileName.split(name) else { return "its name does not end in .yaml, .yml or .json" }
        if found.links > 1 { return "it has several names (hard links); drop a copy" }
        if JobName(stem) == nil {
            return "its name will be refused: letters and digits of any script, space and ._+- are allowed, at most "
                + "\(JobName.maximumLength) bytes, no . or - in front"
        }
        let isShared = (try? layout.sharing(on: storage)) == .group
        let spool = (try? storage.status(of: layout.incoming)) ?? nil
        if isShared, let spool, found.owner != spool.owner,
            found.mode.bits & 0o004 == 0, found.group != spool.group || found.mode.bits & 0o040 == 0
        {
            return "the daemon may not read it; `chmod g+r` lets it"
        }
        return nil
    }

    private func whyQueued(_ job: Job) throws(SpoolClientError) -> String {
        let jobs = try list()
        let waits = queueWaits
        let reasons = waitingReasons(jobs)
        let reason = job.status?.reason.map { " \($0)" } ?? ""
        if let why = reasons.reason(of: job) {
            let isDelayed = job.status?.notBefore.map { $0 > clock.wall() } ?? false
            return "\(job.name) \(why).\(isDelayed && !reasons.rests(job) ? reason : "")"
        }
        if let text = absentText(of: job) {
            return
                "\(job.name) waits for its turn, and then for its text \(text), which is not there yet, or not to be read "
                + "by you."
        }
        if hasDaemon() == false { return "\(job.name) is queued, but no daemon works in this spool. \(startRemedy)" }
        let before = jobs.prefix { $0.name != job.name }.filter { $0.state == .queue && !reasons.rests($0) }.count
        let turn = turn(of: job, jobs, waits)
        if before > 0 {
            return "\(job.name) is queued behind \(before) other\(before == 1 ? "" : "s").\(turn)\(reason)"
        }
        let running = jobs.first { $0.state == .active }
        return "\(job.name) is next" + (running.map { " after \($0.name)." } ?? ".") + turn + reason
    }

    /// The first of a queued job's texts that is not there, as far as this user can see.
    func absentText(of job: Job) -> String? {
        // Of a job with a checkpoint none is read any more.
        guard job.state == .queue, job.status?.step ?? 0 == 0 else { return nil }
        return job.status?.ticket?.texts?.prefix(Reader.mostComponents).first { text in
            let folders = ReadableFolders(roots: nil)
            let place = try? folders.place(of: FilePath(text), relativeTo: layout.corpora, in: storage)
            guard case .file(let path, _)? = place else { return false }
            return ((try? storage.status(of: path)) ?? nil) == nil
        }.map { PlainText.line($0, atMost: 200) }
    }

    /// Whose turn it is, where several people's jobs of one priority wait; empty where one only waits.
    private func turn(of job: Job, _ jobs: [Job], _ waits: QueueWaits) -> String {
        let priority = waits.priority(of: job)
        var words = ""
        if let inherited = waits.inherited?[job.name] {
            words += " It has the priority \(inherited) of a job that waits for it."
        }
        let equal = jobs.filter { $0.state == .queue && waits.priority(of: $0) == priority }
        let owners = Set(equal.compactMap(\.owner))
        guard owners.count > 1, let owner = job.owner else { return words }
        if job.status?.hasBegun == true { return words + " It has begun, and so goes before those that have not." }
        let had = owners.map { user in (name: people.name(of: user), seconds: waits.ownerSeconds?["\(user)"] ?? 0) }
            .sorted { ($0.seconds, $0.name) < ($1.seconds, $1.name) }
        let told = had.prefix(5).map { "\($0.name) \(Int(($0.seconds / 60).rounded())) min" }.joined(separator: ", ")
        return words
            + " Among equal priorities the owner goes first whose jobs had the least work in the last day (\(told)"
            + "); this one is \(people.name(of: owner))'s."
    }

    /// What the daemon says that the queue waits for; what a daemon left that has ended says nothing any more.
    var queueWaits: QueueWaits { hasDaemon() == false ? QueueWaits() : .read(layout, on: storage) }

    /// Whether a daemon works in this spool; nil where this user cannot tell.
    public func hasDaemon() -> Bool? {
        if let isLocked = try? storage.isLocked(layout.lock) { return isLocked }
        // In a shared spool only the daemon looks into `accepting/`.
        guard (try? storage.status(of: layout.sign)) != nil else { return nil }
        return try? storage.isLocked(layout.sign)
    }

    /// Removes finished jobs with their folders.
    ///
    /// Jobs that a waiting one names in `after` are kept, and jobs of which the folder is in use.
    /// - Parameter endedBefore: Only jobs that ended before that time, seconds since 1970.
    /// - Returns: The names of the jobs removed, or that would be removed.
    @discardableResult
    public func clean(
        _ states: Set<JobState> = [.done, .failed, .cancelled, .rejected], endedBefore: Double, dryRun: Bool = false
    ) throws(SpoolClientError) -> [String] {
        let jobs = try list()
        let needed = Set(
            jobs.filter { [.queue, .held, .active].contains($0.state) }
                .flatMap { $0.status?.ticket?.predecessors.map(\.job) ?? [] })
        let limit = JobStatus.time(endedBefore)
        var removed: [String] = []
        for job in jobs where states.contains(job.state) && !needed.contains(job.name) {
            guard [.done, .failed, .cancelled, .rejected].contains(job.state) else { continue }
            if let ended = job.status?.endedAt ?? job.status?.updatedAt, ended >= limit { continue }
            // A status that is there and cannot be read does not say that the job ended long ago.
            if job.status == nil, job.state != .rejected, (try? storage.status(of: layout.status(of: job.name))) != nil
            {
                continue
            }
            if dryRun {
                removed.append(job.name)
                continue
            }
            do throws(StorageError) {
                if try remove(job) { removed.append(job.name) }
            } catch {
                if error.code == .denied { throw denied(job) }
                throw SpoolClientError(error)
            }
        }
        return removed
    }

    private func denied(_ job: Job) -> SpoolClientError {
        SpoolClientError(
            .denied,
            "\(job.name) may not be removed by this user: its folder belongs to the daemon. Nothing of it was removed; "
                + "run this as the daemon's user.")
    }

    /// Removes the job's file first: what a crash leaves is a folder that still keeps the name. Before, it is seen that
    /// the folder is not in use and may be removed.
    ///
    /// - Returns: Whether it was removed; false where the folder is in use.
    private func remove(_ job: Job) throws(StorageError) -> Bool {
        let folder = layout.folder(of: job.name)
        let hasFolder = job.status?.state == job.state
        var directories = [layout.directory(job.state)]
        if hasFolder { directories += [layout.jobs, folder] }
        for directory in directories where !storage.isWritable(directory) {
            throw StorageError(.denied, call: "access", path: directory, errno: .permissionDenied)
        }
        var lock: (any StorageLock)?
        if hasFolder {
            lock = try storage.lock(layout.lock(of: job.name))
            if lock == nil { return false }
        }
        try storage.discard(layout.file(job.file, in: job.state))
        // Before the folder and the reason go: a file without one would be nobody's, and one without the other a riddle.
        try storage.synchronizeDirectory(layout.directory(job.state))
        if job.state == .rejected {
            try storage.discard(layout.directory(.rejected).appending("\(job.file).reason.txt"))
        }
        if hasFolder { try storage.removeTree(folder) }
        withExtendedLifetime(lock) {}
        return true
    }
}

extension SpoolClient.Job {
    var rank: Int {
        switch state {
        case .active: 0
        case .queue: 1
        case .held: 2
        case .done, .failed, .cancelled, .rejected, .stopped: 3
        }
    }

    /// What a person may do with it instead.
    var remedy: String {
        switch state {
        case .done, .failed, .cancelled, .rejected, .stopped: "; `charnn retry \(name)` lets it go on"
        case .held: "; `charnn release \(name)` lets it run"
        case .queue, .active: "; `charnn why \(name)` says what it does"
        }
    }
}

/// `path` with its links followed.
private func resolved(_ path: FilePath) -> FilePath {
    guard let real = realpath(path.string, nil) else { return path }
    defer { free(real) }
    return FilePath(String(cString: real))
}
