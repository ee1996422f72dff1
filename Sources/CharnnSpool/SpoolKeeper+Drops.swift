public import CharnnStorage
internal import DequeModule
internal import SystemPackage

/// A job file that nobody has accepted yet.
struct Drop: Hashable {
    /// `incoming/`, or a state directory into which a person put it directly.
    let directory: FilePath
    let name: String
    /// Whether it was put into `held/` and so waits there.
    var isHeld = false

    var path: FilePath { directory.appending(name) }

    /// By the bytes of the name: one text in two forms is two files.
    static func == (a: Drop, b: Drop) -> Bool {
        a.directory == b.directory && a.isHeld == b.isHeld && a.name.isSame(as: b.name)
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(directory)
        for byte in name.utf8 { hasher.combine(byte) }
    }
}

/// A drop on its way to `queue/`, as it lies in `accepting/`: `SEQ.NAME.yaml`, with a `+` before the first dot where
/// the job goes to `held/`.
struct Passage {
    let sequence: UInt64
    let isHeld: Bool
    let file: JobFileName
    /// The drop, where it has been open since before it was moved: nobody can take a lease on it meanwhile.
    var opened: (any StorageFile)?

    var text: String {
        let digits = String(sequence)
        return String(repeating: "0", count: max(0, 12 - digits.count)) + digits + (isHeld ? "+" : "") + ".\(file)"
    }

    init(sequence: UInt64, isHeld: Bool, file: JobFileName) {
        self.sequence = sequence
        self.isHeld = isHeld
        self.file = file
    }

    init?(_ text: String) {
        guard let dot = text.firstIndex(of: "."), let file = JobFileName(String(text[text.index(after: dot)...])) else {
            return nil
        }
        var digits = text[..<dot]
        isHeld = digits.last == "+"
        if isHeld { digits.removeLast() }
        guard let sequence = UInt64(digits) else { return nil }
        self.sequence = sequence
        self.file = file
    }

    /// Whether its job may have got that name.
    func mayBecome(_ job: String) -> Bool {
        let number = job.split(separator: "-").last.flatMap { Int($0) } ?? 1
        return file.name.text == job || file.name.numbered(number).text == job
    }
}

// Looking at drops.
extension SpoolKeeper {
    /// Looks at a name in `incoming/` and notes it as complete, as to be looked at again, or as none of ours.
    func look(atDrop name: String, isArrival: Bool) throws(StorageError) {
        try look(at: Drop(directory: layout.incoming, name: name), isArrival: isArrival)
    }

    func look(at drop: Drop, isArrival: Bool) throws(StorageError) {
        guard !drop.name.hasPrefix("."), !drop.name.hasSuffix("~"), !isPending.contains(drop) else { return }
        if let job = index.jobOfFile[drop.name], let entry = index[job], entry.ticket.file.isSame(as: drop.name),
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
        let since = watched[drop]?.since ?? now
        // The monotonic clock knows only how long this daemon has looked. The other one may have jumped since the file
        // was written: the least time that it can have been is taken.
        leastOffset = min(leastOffset, clock.wall() - now)
        let quietFor = max(now - since, now + leastOffset - status.modified)
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
        events.append(.ignored(file: drop.name, reason: reason))
    }
}

// Accepting.
extension SpoolKeeper {
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
        while hasDrops, count < Self.batch, bytes < Self.batchBytes, let drop = pending.popFirst() {
            count += 1
            isPending.remove(drop)
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
                try reject(
                    drop.path, as: JobFileName(name: JobName(mending: stem), ending: ending),
                    "The name cannot be used: letters and digits of any script, space and ._+- are allowed, at most "
                        + "\(JobName.maximumLength) bytes, no . or - in front.")
                return nil
            }
            let file = try storage.open(drop.path, beneath: nil)
            if try isOwn(try file.status()) {
                try reject(
                    drop.path, as: JobFileName(name: name, ending: ending), Self.movedReason, isForeign: true)
                return nil
            }
            var passage = Passage(
                sequence: try sequences.take(), isHeld: drop.isHeld, file: JobFileName(name: name, ending: ending))
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
            return (passage, min(opened.size, Self.largestFile))
        } catch {
            switch error.code {
            case .notFound, .alreadyExists: return nil
            case .busy:
                // Whoever holds it up holds up nobody else.
                watched[drop] = (FileIdentity(status), clock.monotonic())
                return nil
            case .denied, .notRegular, .readOnly:
                tell(drop, FileIdentity(status), "The daemon may not read or move it (\(error)).")
                return nil
            default: throw error
            }
        }
    }

    static let movedReason = "This file was moved from another job; drop it into incoming/ again."

    /// Whether a file belongs to the daemon of a shared spool. It then is the copy of some job's file, of which the
    /// daemon is not the submitter: taken as a drop, it would read with the daemon's rights.
    func isOwn(_ file: FileStatus) throws(StorageError) -> Bool {
        guard sharing == .group else { return false }
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
        return try storage.contents(of: layout.jobFile(of: job), limit: Self.largestFile) != bytes
    }

    /// Brings passages to `queue/`, `held/` or `rejected/`.
    ///
    /// The files of all are written first and synced then together. What fails on the way stays in `accepting/` and is
    /// brought through by a later scan; what would take too long, by the next ``acceptDrops()``.
    func bringThrough(_ passages: [Passage]) throws(StorageError) {
        unfinished.formUnion(passages.map(\.sequence))
        let before = index.edgesFollowed
        defer { mostFollowedInOneTurn = max(mostFollowedInOneTurn, index.edgesFollowed - before) }
        let limit = before + Self.batchEdges
        var left = passages[...]
        while !left.isEmpty {
            guard index.edgesFollowed < limit else {
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
        while count < Self.batch, count == 0 || index.edgesFollowed < limit, let passage = passages.popFirst() {
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
            for job in written { index.remove(job.name) }
            throw error
        }
        var named: [NewJob] = []
        for job in written {
            let isNamed = guarding(job.passage.text) { () throws(StorageError) in
                try storage.rename(job.folder, to: layout.folder(of: job.name), replacing: false)
                named.append(job)
            }
            if !isNamed { index.remove(job.name) }
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
                events.append(
                    .accepted(job: job.name, sequence: job.passage.sequence, file: "\(job.passage.file)"))
            }
        }
    }

    /// A job that is being made: its files are written under hidden names.
    private struct NewJob {
        let passage: Passage
        let name: String
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
            guard found.size <= Self.largestFile else {
                throw JobRejection("The file has \(found.size) bytes; a job file has at most \(Self.largestFile).")
            }
            bytes = try read(file)
            requirements = try check(bytes, "\(passage.file)")
        } catch {
            if let error = error as? StorageError { throw error }
            try reject(path, as: passage.file, (error as? JobRejection)?.reason ?? "\(error)")
            return nil
        }
        var (name, ticket) = try freeTicket(passage.file, requirements)
        if let circle = index.circle(from: name, ticket.predecessors) {
            try reject(path, as: passage.file, Self.circleReason(circle))
            return nil
        }
        let state: JobState = passage.isHeld ? .held : .queue
        // Made in that very directory, whose group it takes: in a shared spool its people are to read it.
        let copy = try freeCopy(passage.sequence, in: state)
        let copied = try write(bytes, to: copy)
        // What the copy is, its name will be: the next start need not read it again.
        ticket.identity = FileIdentity(try copied.status())
        var status = JobStatus(job: name, state: state)
        status.sequence = passage.sequence
        status.submitter = found.owner
        status.acceptedAt = JobStatus.time(clock.wall())
        status.updatedAt = status.acceptedAt
        status.ticket = ticket
        // Made under a hidden name and moved: so a job folder is whole when it is there, and claims its name at once.
        let folder = layout.folder(of: ".\(passage.sequence).new")
        try removeFolder(folder)
        try storage.createDirectory(folder, mode: 0o750)
        let files = [
            copied, try write(bytes, to: folder.appending("job.yaml")),
            try write(status.encoded, to: folder.appending("status.json")),
        ]
        // Here, and not when it is published: the next of the batch may wait for it, or want its name.
        index.insert(
            name,
            .init(
                state: passage.isHeld ? .held : .queued, sequence: passage.sequence, ticket: ticket,
                patience: clock.wall() + Self.patience))
        return NewJob(
            passage: passage, name: name, ticket: ticket, folder: folder, copy: copy, files: files)
    }

    /// Writes a new file, which is still to be synced.
    private func write(_ bytes: [UInt8], to path: FilePath) throws(StorageError) -> any StorageFile {
        let file = try storage.create(path, mode: 0o640)
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
                let predecessors = bind(requirements, of: name.text, old: [])
                let ticket = JobTicket(
                    file: numbered, priority: requirements.priority, predecessors: predecessors,
                    mayUseGPU: requirements.mayUseGPU)
                return (name.text, ticket)
            }
            number += 1
        }
    }

    /// Jobs of a circle that are told by name; it can be as long as the queue.
    private static let mostNamedInCircle = 20

    static func circleReason(_ circle: [String]) -> String {
        var names = circle
        if names.count > mostNamedInCircle {
            let left = names.count - mostNamedInCircle
            names[mostNamedInCircle - 1] = "\(left) more, the last of which"
            names.removeSubrange(mostNamedInCircle..<(names.count - 1))
        }
        return "after: the jobs would wait for each other for ever: \(names.joined(separator: " waits for "))."
    }

    /// Whether no job bears the name, nor a file in any state.
    private func isFree(_ file: String, _ job: String) throws(StorageError) -> Bool {
        if index[job] != nil || index.jobOfFile[file] != nil { return false }
        if try storage.status(of: layout.folder(of: job)) != nil { return false }
        for state in JobState.allCases where state != .rejected {
            if try storage.status(of: layout.file(file, in: state)) != nil { return false }
        }
        return true
    }

    /// Writes a job's file from its job folder into a state directory, durably but for the directory's sync.
    func place(_ job: String, _ file: String, in state: JobState, sequence: UInt64) throws(StorageError) {
        let bytes = try storage.contents(of: layout.jobFile(of: job), limit: Self.largestFile) ?? []
        // Made in that very directory, whose group it takes: in a shared spool its people are to read it.
        let copy = try freeCopy(sequence, in: state)
        let writing = try storage.create(copy, mode: 0o640)
        try writing.append(bytes)
        try writing.synchronize()
        try storage.rename(copy, to: layout.file(file, in: state), replacing: false)
    }

    /// A hidden name to write a job file under; what is left of an earlier attempt is removed.
    private func freeCopy(_ sequence: UInt64, in state: JobState) throws(StorageError) -> FilePath {
        for number in 1..<Self.mostOddNames {
            let copy = layout.file(number == 1 ? ".\(sequence).copy" : ".\(sequence).\(number).copy", in: state)
            do {
                try storage.discard(copy)
                return copy
            } catch let error where error.code == .notRegular || error.code == .denied {
                // A person made a directory of that name.
            }
        }
        return layout.file(".\(sequence).copy", in: state)
    }

    /// Binds what a job waits for to the jobs that bear the names now.
    func bind(_ requirements: JobRequirements, of job: String, old: [Predecessor]) -> [Predecessor] {
        var bound: [Predecessor] = []
        var names: Set<String> = []
        let former = Dictionary(
            old.filter { $0.sequence != nil }.map { ($0.job, $0) }, uniquingKeysWith: { first, _ in first })
        for (name, isModel) in requirements.after.map({ ($0, false) }) + requirements.modelJobs.map({ ($0, true) }) {
            guard names.insert(name).inserted else { continue }
            if let known = former[name] {
                bound.append(known)
            } else if let other = index[name], name != job {
                // Also a model that is there already: it is not to be removed while a job waits to use it.
                bound.append(Predecessor(job: name, sequence: other.sequence, isModel: isModel))
            } else if !(isModel && name == job) {
                bound.append(Predecessor(job: name, isModel: isModel))
            }
        }
        return bound
    }

    /// At most a job file's bytes and one more.
    func read(_ file: any StorageFile) throws(StorageError) -> [UInt8] {
        try file.read(at: 0, count: min(Self.largestFile, try file.status().size) + 1)
    }

    /// Moves a file to `rejected/` with the reason beside it.
    ///
    /// The reason is there before the file, so that nobody finds a file without one.
    /// - Returns: The file's name in `rejected/`.
    @discardableResult
    func reject(
        _ path: FilePath, as file: JobFileName, _ reason: String, isForeign: Bool = false
    ) throws(StorageError) -> String {
        var number = max(1, rejectedNumbers["\(file)"] ?? 1)
        // Under the very name of a job it would count as that job's file.
        if isForeign, index.jobOfFile["\(file)"] != nil { number = max(2, number) }
        let reason = PlainText.lines(reason, atMost: Self.longestReason)
        let text = reason.hasSuffix("\n") ? reason : reason + "\n"
        while true {
            let target = "\(JobFileName(name: file.name.numbered(number), ending: file.ending))"
            number += 1
            let destination = layout.file(target, in: .rejected)
            if let standing = try storage.status(of: destination), standing.links > 1,
                try storage.status(of: path)?.inode == standing.inode
            {
                // A move made of link and unlink that a crash cut short: it counts as made.
                try storage.discard(path)
                try storage.synchronizeDirectory(path.removingLastComponent())
                events.append(.rejected(file: target, reason: reason))
                return target
            }
            guard try storage.status(of: destination) == nil, index.jobOfFile[target] == nil || number == 2 else {
                continue
            }
            do {
                let beside = layout.directory(.rejected).appending("\(target).reason.txt")
                try storage.replace(beside, with: Array(text.utf8))
            } catch let error
                where (error.code == .notRegular || error.code == .denied || error.code == .alreadyExists)
                && number < Self.mostOddNames
            {
                // A person made a directory of one of the names.
                continue
            }
            do {
                try storage.rename(path, to: destination, replacing: false)
            } catch let error where error.code == .alreadyExists {
                continue
            }
            try storage.synchronizeDirectory(layout.directory(.rejected))
            try storage.synchronizeDirectory(path.removingLastComponent())
            if number > 2 { rejectedNumbers["\(file)"] = number }
            events.append(.rejected(file: target, reason: reason))
            return target
        }
    }

    /// Removes a folder that a crash left half made.
    func removeFolder(_ folder: FilePath) throws(StorageError) {
        guard try storage.status(of: folder) != nil else { return }
        for name in try storage.list(folder) { try storage.discard(folder.appending(name)) }
        try storage.removeDirectory(folder)
    }
}
