public import CharnnStorage
internal import SystemPackage

/// Looks through a spool without changing anything: directories and their rights, the sequence number, the files of
/// each state, and whether each job's status fits them. Models and checkpoints are looked at elsewhere.
public struct SpoolCheck {
    let layout: SpoolLayout
    let storage: any Storage
    private let check: JobCheck
    /// Seconds since 1970.
    private let now: Double
    var findings: [SpoolFinding] = []
    private var places: [String: [JobState]] = [:]
    /// The first job found with each sequence number.
    private var jobOfNumber: [UInt64: String] = [:]
    private var highest: UInt64 = 0
    /// Jobs with a number that another has too.
    private var doubled: [(job: String, number: UInt64, other: String)] = []

    private init(_ layout: SpoolLayout, _ storage: any Storage, _ check: @escaping JobCheck, now: Double) {
        self.layout = layout
        self.storage = storage
        self.check = check
        self.now = now
    }

    /// What there is to tell of a spool, in the order in which it was found.
    public static func findings(
        _ layout: SpoolLayout, storage: any Storage, check: @escaping JobCheck, now: Double = SpoolClock.system.wall()
    ) throws(StorageError) -> [SpoolFinding] {
        var search = SpoolCheck(layout, storage, check, now: now)
        guard try search.lookAtDirectories() else { return search.findings }
        try search.lookAtIncoming()
        try search.lookAtAccepting()
        for state in JobState.allCases { try search.lookAt(state) }
        for name in try storage.list(layout.jobs).sorted() { try search.lookAtFolder(name) }
        for (file, states) in search.places.sorted(by: { $0.key < $1.key }) { search.tellStray(file, states) }
        try search.lookAtNumbers()
        return search.findings
    }

    private mutating func tell(
        _ weight: SpoolFinding.Weight, _ path: FilePath, _ what: String, _ repair: SpoolRepair? = nil
    ) {
        findings.append(SpoolFinding(weight, path, what, repair))
    }

    // MARK: - Directories

    /// - Returns: Whether all are there, so that the rest can be looked at.
    private mutating func lookAtDirectories() throws(StorageError) -> Bool {
        let home = try storage.status(of: layout.accepting)
        var areThere = true
        let sharing = try layout.sharing(on: storage)
        let administrators = sharing == .group ? People.group(named: People.administratorsGroup) : nil
        for (path, rights) in layout.directories(sharing) {
            guard let found = try storage.status(of: path) else {
                tell(.damage, path, "the directory is missing", .makeDirectory(path, rights.mode))
                areThere = false
                continue
            }
            guard found.kind == .directory else {
                tell(.damage, path, "this is no directory; move it away")
                areThere = false
                continue
            }
            if path != layout.root { try lookAtRights(path, found, rights, administrators) }
            guard let home else { continue }
            if path != layout.corpora, found.device != home.device {
                tell(.damage, path, "it lies on another file system than \(layout.accepting); the spool must be one")
            }
            if path != layout.root, found.owner != home.owner {
                tell(
                    .damage, path,
                    "it belongs to user \(found.owner), not to the daemon's user \(home.owner); "
                        + "change that with `chown \(home.owner) \(path)`")
            }
        }
        return areThere
    }

    /// People may narrow or widen who reads; what is told is what opens the spool to more writers, shows the daemon's
    /// own directory, or keeps something from working.
    private mutating func lookAtRights(
        _ path: FilePath, _ found: FileStatus, _ rights: SpoolLayout.Rights, _ administrators: UInt32?
    ) throws(StorageError) {
        let wanted = rights.mode
        let list = try storage.accessList(of: path).flatMap { AccessList($0) }
        // Where there is a list the bits of the group are its mask.
        let group = list?.rights(of: .owningGroup).map { $0 << 3 } ?? found.mode.bits & 0o070
        let found = CharnnStorage.FileMode(found.mode.bits & ~0o070 | group)
        if rights.areAdministrators, let administrators {
            let strangers = list?.entries.filter { entry in
                guard entry.rights & 2 != 0 else { return false }
                switch entry.who {
                case .user: return true
                case .group(let named): return named != administrators
                default: return false
                }
            }
            if strangers?.isEmpty == false || list?.rights(of: .group(administrators)) != 7 {
                tell(
                    .damage, path,
                    "its access list does not let the administrators (\(People.administratorsGroup)) and nobody else write",
                    .setAccessList(path, rights.accessList(administrators)))
                return
            }
        }
        let open: UInt32 = path == layout.accepting ? 0o077 : 0o022
        let isOpen = found.bits & ~wanted.bits & open != 0
        let isShut = wanted.bits & ~found.bits != 0
        guard isOpen || isShut else { return }
        tell(
            .damage, path,
            "its rights are 0\(String(found.bits, radix: 8)), not 0\(String(wanted.bits, radix: 8))",
            .setRights(path, wanted))
    }

    // MARK: - Files

    private mutating func lookAtIncoming() throws(StorageError) {
        for name in try storage.list(layout.incoming).sorted() {
            let path = layout.incoming.appending(name)
            guard let found = try storage.status(of: path) else {
                if name.contains("\u{FFFD}") {
                    tell(.note, path, "its name is not UTF-8, so it is never taken; give it another name")
                }
                continue
            }
            if name.hasPrefix(".") {
                // What `charnn submit` left when it was killed; a day is longer than any submission takes.
                if name.hasSuffix(".partial"), found.kind == .regular, now - found.modified > 86400 {
                    tell(.note, path, "a submission that was never finished", .discard(path))
                }
            } else if found.kind != .regular {
                tell(.note, path, "it is not a regular file and is never taken; remove it")
            } else if JobFileName.split(name) == nil {
                tell(.note, path, "its name does not end in .yaml, .yml or .json, so it is never taken")
            } else {
                tell(.note, path, "a job file that waits for a daemon")
            }
        }
    }

    private mutating func lookAtAccepting() throws(StorageError) {
        for name in try storage.list(layout.accepting).sorted() {
            let path = layout.accepting.appending(name)
            if let passage = Passage(name) {
                highest = max(highest, passage.sequence)
                tell(.note, path, "a drop on its way into the queue, where the next daemon brings it", .recover)
            } else if JobFiles.isLeftover(name) {
                tell(.note, path, "a crash left it half written", .discard(path))
            } else if !name.hasPrefix(".") {
                tell(.damage, path, "it is none of the queue's; the next daemon removes it", .recover)
            }
        }
    }

    private mutating func lookAt(_ state: JobState) throws(StorageError) {
        let directory = layout.directory(state)
        let names = try storage.list(directory).sorted()
        let present = Set(names)
        for name in names {
            let path = directory.appending(name)
            if name.hasPrefix(".") {
                if JobFiles.isLeftover(name) { tell(.note, path, "a crash left it half written", .discard(path)) }
                continue
            }
            if state == .rejected, name.hasSuffix(".reason.txt") {
                if !present.contains(String(name.dropLast(".reason.txt".count))) {
                    tell(.note, path, "the reason of a file that is gone; the next daemon removes it", .recover)
                }
                continue
            }
            guard try storage.status(of: path)?.kind == .regular else {
                tell(.damage, path, "it is not a regular file; the queue does not see it: move it away")
                continue
            }
            guard JobFileName(name) != nil else {
                tell(.note, path, "it is no job file; the queue does not see it")
                continue
            }
            places[name, default: []].append(state)
            if state == .rejected, !present.contains("\(name).reason.txt") {
                let beside = directory.appending("\(name).reason.txt")
                tell(.damage, path, "it has no reason beside it", .writeReason(beside))
            }
        }
    }

    /// A file that is no job's.
    private mutating func tellStray(_ file: String, _ states: [JobState]) {
        for state in states {
            let path = layout.file(file, in: state)
            switch state {
            case .queue, .held, .active:
                tell(.note, path, "it is no job's yet; the next daemon takes it as a drop")
            case .done, .failed, .cancelled:
                tell(.damage, path, "no job of the queue has this file; move it to incoming/ to run it")
            case .rejected, .stopped: break
            }
        }
    }

    // MARK: - Job folders

    private mutating func lookAtFolder(_ name: String) throws(StorageError) {
        let folder = layout.folder(of: name)
        if name.hasPrefix(".") {
            if name.hasSuffix(".new") { tell(.note, folder, "a crash left it half made", .discard(folder)) }
            return
        }
        guard try storage.status(of: folder)?.kind == .directory else {
            return tell(.damage, folder, "this is no directory; move it away, it keeps a name from being used")
        }
        for left in try storage.list(folder).sorted() where JobFiles.isLeftover(left) {
            tell(.note, folder.appending(left), "a crash left it half written", .discard(folder.appending(left)))
        }
        let path = layout.status(of: name)
        let own = JobFileName.endings.map { "\(name).\($0)" }.filter { places[$0] != nil }
        let kind = try storage.status(of: path)?.kind
        guard kind == .regular || kind == nil else {
            return tell(.damage, path, "this is not a regular file; move it away")
        }
        guard kind != nil else {
            let file = own.first
            if file == nil { return tell(.note, folder, "it has no status.json and no job file: none of the queue's") }
            for file in own { places[file] = nil }
            return tell(.damage, path, "the status is missing", .recover)
        }
        let read: JobStatus?
        do throws(StorageError) {
            read = try JobStatus.read(path, on: storage)
        } catch {
            guard error.code == .damaged else { throw error }
            for file in own { places[file] = nil }
            return tell(.damage, path, "the status cannot be read as one", .setAside(path))
        }
        guard let status = read else { return }
        guard status.job == name else {
            return tell(.damage, folder, "its status is that of a job \(status.job); give the folder that name again")
        }
        // `charnn run` writes into such folders too, without a queue's number.
        guard let sequence = status.sequence else { return }
        highest = max(highest, sequence)
        if let other = jobOfNumber[sequence] {
            doubled.append((name, sequence, other))
        } else {
            jobOfNumber[sequence] = name
        }
        guard let ticket = status.ticket else { return tellTicket(name, own.first) }
        try lookAtPlace(name, status, ticket)
    }

    private mutating func tellTicket(_ job: String, _ file: String?) {
        let path = layout.status(of: job)
        guard let file, let state = places.removeValue(forKey: file)?.first else {
            return tell(.damage, path, "the status has no ticket, and there is no file of the job; drop it again")
        }
        var ticket = JobTicket(file: file)
        if let bytes = try? storage.contents(of: layout.file(file, in: state), limit: SpoolKeeper.largestFile),
            let requirements = try? check(bytes, file)
        {
            ticket.priority = requirements.priority
            ticket.mayUseGPU = requirements.mayUseGPU
            ticket.predecessors = requirements.predecessors
        }
        tell(
            .damage, path, "the status has no ticket, by which the queue knows the job", .writeTicket(job: job, ticket))
    }

    /// Whether the job's file lies where the status says.
    private mutating func lookAtPlace(
        _ job: String, _ status: JobStatus, _ ticket: JobTicket
    ) throws(StorageError) {
        let path = layout.status(of: job)
        let recorded = status.recorded
        // One in rejected/ beside it is a former try under the same name, which was mended and dropped again.
        let all = places.removeValue(forKey: ticket.file) ?? []
        let found = all.count > 1 && recorded.home != .rejected ? all.filter { $0 != .rejected } : all
        let isAtWork = recorded == .interrupted ? try storage.isLocked(layout.lock(of: job)) : false
        let home = isAtWork ? .active : recorded.home
        if try storage.status(of: layout.jobFile(of: job)) == nil {
            let repair = found.first.map {
                SpoolRepair.copyJobFile(layout.file(ticket.file, in: $0), to: layout.jobFile(of: job))
            }
            tell(.damage, layout.jobFile(of: job), "the copy of the job file is missing", repair)
        }
        if found.count > 1 {
            let list = found.map(\.rawValue).joined(separator: "/, ")
            tell(
                .damage, path,
                "the job has a file in each of \(list)/; those beside the one in "
                    + "\((found.contains(home) ? home : found[0]).rawValue)/ are taken as drops", .recover)
        }
        if isAtWork { return }
        let place = found.contains(home) ? home : found.first
        let says = "the status says \(status.state.rawValue)"
        switch JobTransitions.decide(recorded, foundIn: place) {
        case .nothing where place == nil:
            tell(.note, layout.folder(of: job), "its file was taken from \(home.rawValue)/; the folder keeps the name")
        case .nothing, .adopt, .stop: break
        case .record(let state), .again(let state):
            let reason =
                recorded == .succeeded || recorded == .broken
                ? "its end has not been noted yet"
                : recorded == .interrupted
                    ? "it ran when its daemon ended" : "\(says), and somebody moved its file to \(state.rawValue)/"
            tell(.note, path, "\(reason); the next daemon follows", .recover)
        case .move(let state):
            let isUsual = recorded == .interrupted || recorded == .succeeded || recorded == .broken
            let what =
                isUsual ? "it was cut short" : "\(says), and its file lies in \((place ?? home).rawValue)/"
            tell(isUsual ? .note : .damage, path, "\(what); it belongs to \(state.rawValue)/", .recover)
        case .restore(let state):
            tell(
                .damage, path, "\(says), and its file lies nowhere; it is written anew into \(state.rawValue)/",
                .recover)
        }
    }

    private mutating func lookAtNumbers() throws(StorageError) {
        for (job, number, other) in doubled {
            highest += 1
            tell(
                .damage, layout.status(of: job), "it has the number \(number), and so has \(other)",
                .renumber(job: job, to: highest))
        }
        let path = layout.sequence
        guard let bytes = try storage.contents(of: path, limit: 32) else {
            if highest > 0 {
                tell(.damage, path, "the file of the next number is missing", .beginNumbers(path, at: highest + 1))
            }
            return
        }
        let next = UInt64(String(decoding: bytes, as: UTF8.self).prefix { $0.isNumber })
        if let next, next > highest { return }
        let what = next.map { "the next number is \($0), and \(highest) is in use" } ?? "it holds no number"
        tell(.damage, path, what, .beginNumbers(path, at: highest + 1))
    }
}
