internal import CharnnStorage
internal import SystemPackage

/// Makes jobs of complete drops.
///
/// ```
///  incoming/NAME ──1──▶ accepting/SEQ.NAME ──2──▶ .SEQ.new/ and .SEQ.copy written, synced
///  (queue/, held/)            ▲ │                          │
///        ▲                    │ │ invalid                  3  jobs/NAME/ gets its name
///        │ swapped meanwhile  │ ▼                          │
///        └────────────────────┘ rejected/NAME              4  queue/NAME gets its name: accepted
///                                                          │
///                                                          5  accepting/SEQ.NAME removed: told
/// ```
///
/// 1. Whatever lies in `accepting/` under a number is a drop on its way, and is brought through by this daemon or the
///    next. Its number is never another's, and no two jobs have the same.
/// 2. A job folder that has its name is whole: the job file and a status that bears the number.
/// 3. Before the file is in `queue/` or `held/`, all of the job is on the disk, and so is the loss of the drop's name.
/// 4. A job is told of as accepted when nothing of the drop is left, and not before.
/// 5. Names are given in the order of the numbers within a batch; a name stays taken while its job folder exists.
/// 6. What fails for one drop fails for no other, and while a batch of drops has failed none is taken in addition.
/// 7. What is read of a drop is what was opened before it was moved; a drop that was swapped meanwhile goes back.
///
/// A crash can fall between any two of the steps above:
/// - after 1: both names may be there (``discardOrigin(of:)``), else the passage is found and goes on from 2;
/// - in 2: hidden files are left, which recovery removes, and the passage goes on from 2;
/// - after 3: the job folder has the number, so there is no second job; ``wasAccepted(_:as:)`` writes the file into
///   `queue/` from the folder;
/// - after 4: the same, and only the original is left to be removed.
final class Acceptance: SpoolRoom {
    /// Drops that are accepted in one go, sharing the syncs of directories.
    static let batch = 256
    /// Bytes of job files after which no further drop is taken into it: the service manager waits for a sign of life.
    static let batchBytes = 4 << 20

    let spool: SpoolContext
    private let records: JobRecords
    private let intake: DropIntake
    private let rejections: Rejections
    /// Sequence numbers of drops that lie in `accepting/` because something failed; a scan brings them through.
    private var unfinished: Set<UInt64> = []
    /// Of these, the ones that somebody has a lease on: they keep no other from being accepted.
    private var leased: Set<UInt64> = []
    /// Passages in `accepting/` that are brought through by the next ``acceptDrops()``.
    private var postponed: [Passage] = []
    /// For names that were taken, the number from which on to look for a free one.
    private var numbers: [String: Int] = [:]
    /// Predecessors followed at most by one call of ``bringThrough(_:)``.
    private(set) var mostFollowedInOneTurn = 0

    init(_ spool: SpoolContext, _ records: JobRecords, _ intake: DropIntake, _ rejections: Rejections) {
        self.spool = spool
        self.records = records
        self.intake = intake
        self.rejections = rejections
    }

    /// Whether there are complete drops left to accept with ``acceptDrops()``.
    ///
    /// While many lie in `accepting/` because something failed, such as a full disk, the others stay where they are.
    var hasDrops: Bool {
        !postponed.isEmpty || (intake.hasPending && unfinished.count - leased.count < Self.batch)
    }

    /// Whether a job of that number is still on its way: its file is not compared with anything yet.
    func isUnfinished(_ sequence: UInt64) -> Bool { unfinished.contains(sequence) }

    /// Brings through what lies in `accepting/`: drops that a crash or a full disk kept from becoming jobs.
    func finishPassages() throws(StorageError) {
        (postponed, leased) = ([], [])
        let passages = try storage.list(layout.accepting).sorted().compactMap { Passage($0) }
        for (_, entry) in records.index.entries { records.sequences.skip(entry.sequence) }
        for passage in passages { records.sequences.skip(passage.sequence) }
        unfinished = Set(passages.map(\.sequence))
        guard !passages.isEmpty else { return }
        // What cannot be told yet waits for the next scan: whether the drop lies elsewhere too, or its job is there.
        let clear = passages.filter { passage in
            guarding(passage.text) { () throws(StorageError) in try discardOrigin(of: passage) }
                && !records.unread.contains { passage.mayBecome($0) }
        }
        var jobs: [UInt64: String] = [:]
        for (job, entry) in records.index.entries { jobs[entry.sequence] = job }
        var left: [Passage] = []
        for passage in clear {
            guarding(passage.text) { () throws(StorageError) in
                if try wasAccepted(passage, as: jobs[passage.sequence]) {
                    unfinished.remove(passage.sequence)
                } else {
                    left.append(passage)
                }
            }
        }
        try bringThrough(left)
    }

    /// Completes the move of a drop into `accepting/` that a crash left with both names.
    private func discardOrigin(of passage: Passage) throws(StorageError) {
        guard let status = try storage.status(of: layout.accepting.appending(passage.text)), status.links > 1 else {
            return
        }
        for directory in [layout.incoming, layout.directory(.queue), layout.directory(.held)] {
            for name in try storage.list(directory) {
                let path = directory.appending(name)
                guard try storage.status(of: path)?.inode == status.inode else { continue }
                try storage.discard(path)
                try storage.synchronizeDirectory(directory)
            }
        }
    }

    /// Whether the job of a passage exists; then only the original is left to be removed, or the job file to be
    /// published.
    private func wasAccepted(_ passage: Passage, as job: String?) throws(StorageError) -> Bool {
        guard let job, let entry = records.index[job] else { return false }
        if try files.places(of: entry.ticket.file).isEmpty, entry.state == .queued || entry.state == .held {
            let state: JobState = entry.state == .held ? .held : .queue
            try files.place(
                job, entry.ticket.file, in: state, sequence: passage.sequence, onlyFor: entry.onlyReader)
            try storage.synchronizeDirectory(layout.directory(state))
            let path = layout.file(entry.ticket.file, in: state)
            guard let published = try storage.status(of: path) else { return false }
            records.index.update(job) { $0.ticket.identity = FileIdentity(published) }
        }
        if entry.state.isWaiting { try storage.synchronizeDirectory(layout.directory(entry.state.home)) }
        try storage.discard(layout.accepting.appending(passage.text))
        // Told when the original is removed, and so not before.
        log.tell(
            .accepted(
                job: job, sequence: passage.sequence, file: "\(passage.file)",
                by: entry.submitter.flatMap { spool.sharing == .group ? spool.people.name(of: $0) : nil }))
        return true
    }

    /// Accepts complete drops, at most one batch of them.
    ///
    /// A drop is moved to `accepting/SEQ`, which orders it for good; copied into files that the daemon owns, which are
    /// synced with their directories; then published in `queue/`, which is the instant of acceptance; then its original
    /// is removed. Each step can be repeated by ``recover()`` without a second job, because the job
    /// folder's status bears SEQ.
    ///
    /// Directories are synced once for a whole batch.
    public func acceptDrops() throws(StorageError) {
        if !postponed.isEmpty {
            let passages = postponed
            postponed = []
            guarding("accepting") { () throws(StorageError) in try bringThrough(passages) }
            return
        }
        var (passages, left): ([Passage], Set<FilePath>) = ([], [])
        var (count, bytes) = (0, 0)
        while hasDrops, count < Self.batch, bytes < Self.batchBytes, let drop = intake.next() {
            count += 1
            guarding("take \(drop.path)") { () throws(StorageError) in
                guard let (passage, size) = try takeIn(drop) else { return }
                passages.append(passage)
                left.insert(drop.directory)
                bytes += size
            }
        }
        guard count > 0 else { return }
        guarding("accepting") { () throws(StorageError) in
            // Where a move is a new name and then the loss of the old one, a power failure could bring the drop back
            // after its job was published.
            unfinished.formUnion(passages.map(\.sequence))
            for directory in left { try storage.synchronizeDirectory(directory) }
            try bringThrough(passages)
        }
    }

    /// Moves a drop to `accepting/`.
    ///
    /// - Returns: The bytes beside it that are going to be read.
    private func takeIn(_ drop: Drop) throws(StorageError) -> (Passage, Int)? {
        guard let status = try storage.status(of: drop.path) else { return nil }
        do {
            guard let (stem, ending) = JobFileName.split(drop.name) else { return nil }
            guard let name = JobName(stem) else {
                try rejections.reject(
                    drop.path, as: JobFileName(name: JobName(mending: stem), ending: ending),
                    "The name cannot be used: letters and digits of any script, space and ._+- are allowed, at most "
                        + "\(JobName.maximumLength) bytes, no . or - in front.")
                return nil
            }
            let file = try storage.open(drop.path, beneath: nil)
            if try records.isOwn(try file.status()) {
                try rejections.reject(
                    drop.path, as: JobFileName(name: name, ending: ending), Rejections.movedReason, isForeign: true)
                return nil
            }
            var passage = Passage(
                sequence: try records.sequences.take(), isHeld: drop.isHeld,
                file: JobFileName(name: name, ending: ending))
            let path = layout.accepting.appending(passage.text)
            try storage.rename(drop.path, to: path, replacing: false)
            // What was opened must be what was moved; if somebody swapped it meanwhile, the new one is looked at anew.
            // So is one that has got a second name since it was looked at: it may be a link to another's file.
            let (opened, moved) = (try file.status(), try storage.status(of: path))
            if moved?.inode != opened.inode || moved?.kind != .regular || opened.links != 1 {
                try storage.rename(path, to: drop.path, replacing: false)
                return nil
            }
            passage.opened = file
            return (passage, min(opened.size, SpoolKeeper.largestFile))
        } catch {
            switch error.code {
            case .notFound, .alreadyExists: return nil
            case .busy:
                // Whoever holds it up holds up nobody else.
                intake.watch(drop, status)
                return nil
            case .denied, .notRegular, .readOnly:
                intake.tell(drop, FileIdentity(status), "The daemon may not read or move it (\(error)).")
                return nil
            default: throw error
            }
        }
    }

    /// Brings passages to `queue/`, `held/` or `rejected/`.
    ///
    /// The files of all are written first and synced then together. What fails on the way stays in `accepting/` and is
    /// brought through by a later scan; what would take too long, by the next ``acceptDrops()``.
    func bringThrough(_ passages: [Passage]) throws(StorageError) {
        unfinished.formUnion(passages.map(\.sequence))
        let before = records.index.edgesFollowed
        defer { mostFollowedInOneTurn = max(mostFollowedInOneTurn, records.index.edgesFollowed - before) }
        let limit = before + SpoolKeeper.batchEdges
        var left = passages[...]
        while !left.isEmpty {
            guard records.index.edgesFollowed < limit else {
                postponed = Array(left)
                return
            }
            // Each has files open until it is through.
            try bringThroughTogether(&left, until: limit)
        }
    }

    /// Brings the first of some passages through.
    ///
    /// - Parameter limit: After so many predecessors have been followed no further passage is taken into it.
    private func bringThroughTogether(
        _ passages: inout ArraySlice<Passage>, until limit: Int
    ) throws(StorageError) {
        try storage.synchronizeDirectory(layout.accepting)
        var written: [NewJob] = []
        var count = 0
        while count < Self.batch, count == 0 || records.index.edgesFollowed < limit, let passage = passages.popFirst() {
            count += 1
            giveSign()
            guarding(passage.text) { () throws(StorageError) in
                if let job = try prepare(passage) {
                    written.append(job)
                } else {
                    unfinished.remove(passage.sequence)
                }
            }
        }
        do {
            try storage.synchronize(written.flatMap(\.files), directories: written.map(\.folder))
        } catch {
            // A sync is never tried again: the files are written anew, with the next scan.
            for job in written { records.index.remove(job.name) }
            throw error
        }
        var named: [NewJob] = []
        for job in written {
            let isNamed = guarding(job.passage.text) { () throws(StorageError) in
                try storage.rename(job.folder, to: layout.folder(of: job.name), replacing: false)
                named.append(job)
            }
            if !isNamed { records.index.remove(job.name) }
        }
        guard !named.isEmpty else { return }
        try storage.synchronizeDirectory(layout.jobs)
        var published: [NewJob] = []
        for job in named {
            guarding(job.passage.text) { () throws(StorageError) in
                try storage.rename(job.copy, to: layout.file(job.ticket.file, in: job.state), replacing: false)
                published.append(job)
            }
        }
        for state in [JobState.queue, .held] where published.contains(where: { $0.state == state }) {
            try storage.synchronizeDirectory(layout.directory(state))
        }
        for job in published {
            guarding(job.passage.text) { () throws(StorageError) in
                try storage.discard(layout.accepting.appending(job.passage.text))
                unfinished.remove(job.passage.sequence)
                log.tell(
                    .accepted(
                        job: job.name, sequence: job.passage.sequence, file: "\(job.passage.file)",
                        by: spool.sharing == .group ? job.owner : nil))
            }
        }
    }

    /// A job that is being made: its files are written under hidden names.
    private struct NewJob {
        let passage: Passage
        let name: String
        /// The name of who dropped it.
        let owner: String
        let ticket: JobTicket
        /// Its job folder, still hidden.
        let folder: FilePath
        /// The copy that becomes its file in `queue/` or `held/`.
        let copy: FilePath
        /// What is to be synced before anything of it gets its name.
        let files: [any StorageFile]

        var state: JobState { passage.isHeld ? .held : .queue }
    }

    /// Reads and checks a drop and writes the files of its job; nil if it was rejected.
    private func prepare(_ passage: Passage) throws(StorageError) -> NewJob? {
        let path = layout.accepting.appending(passage.text)
        let file: any StorageFile
        do throws(StorageError) {
            file = if let opened = passage.opened { opened } else { try storage.open(path, beneath: nil) }
        } catch {
            if error.code == .busy { leased.insert(passage.sequence) }
            throw error
        }
        let found = try file.status()
        let bytes: [UInt8]
        let requirements: JobRequirements
        do {
            guard found.size <= SpoolKeeper.largestFile else {
                throw JobRejection(
                    "The file has \(found.size) bytes; a job file has at most \(SpoolKeeper.largestFile).")
            }
            bytes = try files.read(file)
            requirements = try spool.check(bytes, "\(passage.file)")
            let waiting = records.index.waitingOf[found.owner] ?? 0
            if let broken = spool.rules.caps(found.owner).violation(of: requirements, queued: waiting) {
                throw JobRejection(broken)
            }
        } catch {
            if let error = error as? StorageError { throw error }
            // What cannot be read as a job file may be one that was to be its owner's alone.
            let isOpen = spool.sharing == .personal || found.mode.bits & 0o044 != 0
            try rejections.reject(
                path, as: passage.file, (error as? JobRejection)?.reason ?? "\(error)",
                onlyFor: isOpen ? nil : found.owner)
            return nil
        }
        var (name, ticket) = try freeTicket(passage.file, requirements)
        if let circle = records.index.circle(from: name, ticket.predecessors) {
            try rejections.reject(path, as: passage.file, Rejections.circleReason(circle))
            return nil
        }
        let state: JobState = passage.isHeld ? .held : .queue
        // Made in that very directory, whose group it takes: in a shared spool its people are to read it.
        let copy = try files.freeCopy(passage.sequence, in: state)
        let isPrivate = try Privacy(spool: spool).isPrivate(requirements)
        let copied = try write(bytes, to: copy, onlyFor: isPrivate ? found.owner : nil)
        // What the copy is, its name will be: the next start need not read it again.
        ticket.identity = FileIdentity(try copied.status())
        var status = JobStatus(job: name, state: state)
        status.sequence = passage.sequence
        status.submitter = found.owner
        status.owner = spool.people.name(of: found.owner)
        status.isPrivate = isPrivate ? true : nil
        status.acceptedAt = JobStatus.time(clock.wall())
        status.updatedAt = status.acceptedAt
        status.ticket = ticket
        // Made under a hidden name and moved: so a job folder is whole when it is there, and claims its name at once.
        let folder = layout.folder(of: ".\(passage.sequence).new")
        try files.removeFolder(folder)
        try storage.createDirectory(folder, mode: isPrivate ? 0o700 : 0o750)
        if isPrivate { try Privacy.close(folder: folder, to: found.owner, on: storage) }
        let files = [
            copied, try write(bytes, to: folder.appending(.jobFile)),
            try write(status.encoded, to: folder.appending(.status)),
        ]
        // Here, and not when it is published: the next of the batch may wait for it, or want its name.
        records.index.insert(
            name,
            .init(
                state: passage.isHeld ? .held : .queued, sequence: passage.sequence, ticket: ticket,
                patience: clock.wall() + SpoolKeeper.patience, submitter: found.owner, isPrivate: isPrivate))
        return NewJob(
            passage: passage, name: name, owner: status.owner ?? "", ticket: ticket, folder: folder, copy: copy,
            files: files)
    }

    /// Writes a new file, which is still to be synced.
    private func write(
        _ bytes: [UInt8], to path: FilePath, onlyFor reader: UInt32? = nil
    ) throws(StorageError) -> any StorageFile {
        let file = try Privacy.create(path, onlyFor: reader, on: storage)
        try file.append(bytes)
        return file
    }

    /// The first name that is free for a dropped file, and what the queue is to know of its job.
    private func freeTicket(
        _ file: JobFileName, _ requirements: JobRequirements
    ) throws(StorageError) -> (name: String, ticket: JobTicket) {
        var number = max(1, numbers[file.name.text] ?? 1)
        while true {
            let name = file.name.numbered(number)
            let numbered = "\(JobFileName(name: name, ending: file.ending))"
            if try isFree(numbered, name.text) {
                if number > 1 { numbers[file.name.text] = number + 1 }
                let predecessors = records.bind(requirements, of: name.text, old: [])
                let ticket = JobTicket(
                    file: numbered, priority: requirements.priority, predecessors: predecessors,
                    mayUseGPU: requirements.mayUseGPU, texts: requirements.texts)
                return (name.text, ticket)
            }
            number += 1
        }
    }

    /// Whether no job bears the name, nor a file in any state.
    private func isFree(_ file: String, _ job: String) throws(StorageError) -> Bool {
        if records.index[job] != nil || records.index.jobOfFile[file] != nil { return false }
        if try storage.status(of: layout.folder(of: job)) != nil { return false }
        for state in JobState.allCases where state != .rejected {
            if try storage.status(of: layout.file(file, in: state)) != nil { return false }
        }
        return true
    }
}
