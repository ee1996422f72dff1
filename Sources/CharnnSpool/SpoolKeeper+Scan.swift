public import CharnnStorage
internal import DequeModule
internal import SystemPackage

// Comparing what the directories hold with what is known.
extension SpoolKeeper {
    /// Makes the spool whole after whatever ended the last daemon; called once, before anything else.
    ///
    /// - Parameter seconds: See ``scan(within:)``.
    public func recover(within seconds: Double = .infinity) throws(StorageError) {
        for name in try storage.list(layout.jobs) where name.hasPrefix(".") && name.hasSuffix(".new") {
            guarding(layout.jobs.appending(name).string) { () throws(StorageError) in
                try removeFolder(layout.jobs.appending(name))
            }
        }
        for state in JobState.allCases {
            for name in try storage.list(layout.directory(state)) where Self.isLeftover(name) {
                giveSign()
                guarding(layout.file(name, in: state).string) { () throws(StorageError) in
                    try sweep(layout.file(name, in: state))
                }
            }
        }
        for name in try storage.list(layout.accepting) where Passage(name) == nil {
            guard !name.hasPrefix(".") || Self.isLeftover(name) else { continue }
            guarding(layout.accepting.appending(name).string) { () throws(StorageError) in
                try sweep(layout.accepting.appending(name))
            }
        }
        isRecovering = true
        defer { (isRecovering, namesAtRecovery) = (false, nil) }
        try scan(within: seconds)
    }

    /// Brings through what lies in `accepting/`: drops that a crash or a full disk kept from becoming jobs.
    private func finishPassages() throws(StorageError) {
        (postponed, leased) = ([], [])
        let passages = try storage.list(layout.accepting).sorted().compactMap { Passage($0) }
        for (_, entry) in index.entries { sequences.skip(entry.sequence) }
        for passage in passages { sequences.skip(passage.sequence) }
        unfinished = Set(passages.map(\.sequence))
        guard !passages.isEmpty else { return }
        // What cannot be told yet waits for the next scan: whether the drop lies elsewhere too, or its job is there.
        let clear = passages.filter { passage in
            guarding(passage.text) { () throws(StorageError) in try discardOrigin(of: passage) }
                && !unread.contains { passage.mayBecome($0) }
        }
        var jobs: [UInt64: String] = [:]
        for (job, entry) in index.entries { jobs[entry.sequence] = job }
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

    /// Whether a hidden file is one that a crash kept from getting its name.
    static func isLeftover(_ name: String) -> Bool {
        name.hasPrefix(".") && (name.hasSuffix(".copy") || name.hasSuffix(".partial"))
    }

    /// Removes a leftover. Only a regular file is one: people can write in the state directories, and what else they
    /// make there is theirs.
    private func sweep(_ path: FilePath) throws(StorageError) {
        if try storage.status(of: path)?.kind == .regular { try storage.discard(path) }
    }

    /// Whether the job of a passage exists; then only the original is left to be removed, or the job file to be
    /// published.
    private func wasAccepted(_ passage: Passage, as job: String?) throws(StorageError) -> Bool {
        guard let job, let entry = index[job] else { return false }
        if try places(of: entry.ticket.file).isEmpty, entry.state == .queued || entry.state == .held {
            let state: JobState = entry.state == .held ? .held : .queue
            try place(job, entry.ticket.file, in: state, sequence: passage.sequence)
            try storage.synchronizeDirectory(layout.directory(state))
            let path = layout.file(entry.ticket.file, in: state)
            guard let published = try storage.status(of: path) else { return false }
            index.update(job) { $0.ticket.identity = FileIdentity(published) }
        }
        if entry.state.isWaiting { try storage.synchronizeDirectory(layout.directory(entry.state.home)) }
        try storage.discard(layout.accepting.appending(passage.text))
        // Told when the original is removed, and so not before.
        events.append(.accepted(job: job, sequence: passage.sequence, file: "\(passage.file)"))
        return true
    }

    /// Looks at everything: the truth, of which hints are only a part.
    ///
    /// - Parameter seconds: What is left after so many is left to ``continueScan(within:)``.
    /// - Complexity: O(jobs and drops), with one system call for each waiting job.
    public func scan(within seconds: Double = .infinity) throws(StorageError) {
        formerTroubles = troubles
        troubles = [:]
        backlog = []
        unholdable = []
        try scanDrops()
        var found: [ExactName: [JobState]] = [:]
        for state in JobState.allCases {
            for name in try storage.list(layout.directory(state)) {
                if JobFileName(name) != nil {
                    found[ExactName(name), default: []].append(state)
                } else if state == .rejected {
                    guarding(layout.file(name, in: state).string) { () throws(StorageError) in
                        try discardOrphan(name)
                    }
                }
            }
        }
        let names = try storage.list(layout.jobs).filter { !$0.hasPrefix(".") }
        let folders = Set(names)
        unread = unread.intersection(folders)
        load(names.filter { index[$0] == nil })
        // Before the files are compared: an accepted job whose file could not be published yet is not a removed one.
        guarding("accepting") { () throws(StorageError) in try finishPassages() }
        let unmoved = unmovedJobs(found)
        for (job, entry) in index.entries {
            let places = found.removeValue(forKey: ExactName(entry.ticket.file)) ?? []
            if unmoved.contains(job) { continue }
            if doubtful.contains(job) {
                backlog.append(.moved(job))
            } else if places.isEmpty, !folders.contains(job), entry.state.isFinished {
                index.remove(job)
            } else if places == [entry.state.home], entry.state.isWaiting, entry.absentSince == nil {
                backlog.append(.edited(job))
            } else if places != [entry.state.home] || !entry.state.isFinished || entry.absentSince != nil {
                backlog.append(.moved(job))
            }
        }
        for (file, _) in found { backlog.append(.file(file.text)) }
        try continueScan(within: seconds)
    }

    /// Something that a scan has found.
    enum Finding {
        /// A job whose file lies elsewhere than it is known to.
        case moved(String)
        /// A waiting job whose file is not the one that was read.
        case edited(String)
        /// A file that is no known job's.
        case file(String)
    }

    /// Goes on with what a scan has found. Each finding is looked at anew, since time has passed.
    public func continueScan(within seconds: Double = .infinity) throws(StorageError) {
        let end = clock.monotonic() + seconds
        while let finding = backlog.popFirst() {
            giveSign()
            switch finding {
            case .moved(let job): guarding(job) { () throws(StorageError) in try reconcile(job: job) }
            case .edited(let job):
                guarding(job) { () throws(StorageError) in
                    guard let entry = index[job], entry.state.isWaiting else { return }
                    try noteEdit(job, entry, entry.state.home)
                }
            case .file(let file): guarding(file) { () throws(StorageError) in try reconcile(file: file) }
            }
            if clock.monotonic() >= end { break }
        }
        try holdStranded()
    }

    /// The waiting jobs whose files lie, unchanged, where they belong and nowhere else: most of a long queue.
    ///
    /// - Parameter places: For each job file's name, the states in whose directories it was found.
    private func unmovedJobs(_ places: [ExactName: [JobState]]) -> Set<String> {
        let waiting = index.entries.lazy.filter { job, entry in
            entry.state.isWaiting && entry.absentSince == nil && !self.doubtful.contains(job)
                && places[ExactName(entry.ticket.file)] == [entry.state.home]
        }.map(\.key)
        var unmoved: Set<String> = []
        let storage = storage
        for jobs in Array(waiting).chunks {
            signOfLife()
            let files = jobs.compactMap { job in
                index[job].map { (layout.file($0.ticket.file, in: $0.state.home), $0.ticket.identity) }
            }
            let outcomes = storage.forEach(of: files) { path, identity throws(StorageError) in
                try storage.status(of: path).map { FileIdentity($0) == identity } ?? false
            }
            for (job, outcome) in zip(jobs, outcomes) where (try? outcome.get()) == true { unmoved.insert(job) }
        }
        return unmoved
    }

    private func scanDrops() throws(StorageError) {
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
            signOfLife()
            return storage.forEach(of: Array(names)) { name throws(StorageError) in
                try storage.status(of: incoming.appending(name))?.changed
            }
        }
        // What cannot be looked at now is told of when its turn comes.
        return zip(names, found).map { name, outcome in (name: name, time: (try? outcome.get()) ?? .infinity) }
            .sorted { ($0.time, $0.name) < ($1.time, $1.name) }.map(\.name)
    }

    /// Removes a reason whose file a person has taken away.
    private func discardOrphan(_ name: String) throws(StorageError) {
        let ending = ".reason.txt"
        guard name.hasSuffix(ending) else { return }
        let file = layout.file(String(name.dropLast(ending.count)), in: .rejected)
        if try storage.status(of: file) == nil {
            try sweep(layout.directory(.rejected).appending(name))
        }
    }

    /// Takes job folders into the index that are the queue's.
    private func load(_ jobs: [String]) {
        let (layout, storage) = (layout, storage)
        for jobs in jobs.chunks {
            signOfLife()
            let found = storage.forEach(of: Array(jobs)) { job throws(StorageError) in
                try Self.queuedStatus(of: job, layout, storage)
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
                state: status.recorded, sequence: status.sequence ?? 0, ticket: ticket, notBefore: status.notBefore))
    }

    /// The states in whose directories a job file of that name lies.
    func places(of file: String) throws(StorageError) -> [JobState] {
        var found: [JobState] = []
        for state in JobState.allCases where try storage.status(of: layout.file(file, in: state))?.kind == .regular {
            found.append(state)
        }
        return found
    }

    /// Whether a hint tells of nothing but what is known already, as of the daemon's own publishing of a job.
    func isKnown(_ file: String, in directory: FilePath) throws(StorageError) -> Bool {
        guard let job = index.jobOfFile[file], let entry = index[job], entry.state.isWaiting,
            entry.ticket.file.isSame(as: file), entry.absentSince == nil, !doubtful.contains(job),
            directory == layout.directory(entry.state.home),
            let found = try storage.status(of: directory.appending(file))
        else { return false }
        return entry.ticket.identity == FileIdentity(found)
    }

    /// Brings a file of a state directory in line with what is known.
    func reconcile(file: String) throws(StorageError) {
        if let job = index.jobOfFile[file], let entry = index[job] {
            if entry.ticket.file.isSame(as: file) { return try reconcile(job: job) }
            return try reconcile(twin: file, of: job, entry)
        }
        guard let name = JobFileName(file) else { return }
        if index[name.name.text] == nil, try storage.status(of: layout.folder(of: name.name.text)) != nil {
            load([name.name.text])
            if index.jobOfFile[file] != nil { return try reconcile(job: name.name.text) }
            if try rebuild(name) { return }
        }
        for place in try places(of: file) { try adopt(file, place) }
    }

    /// Brings a file in line whose name is that of a job's file in another form of Unicode: moved by a person who typed
    /// it so, or another's.
    private func reconcile(twin file: String, of job: String, _ entry: SpoolIndex.Entry) throws(StorageError) {
        guard let place = try places(of: file).first else { return }
        guard try places(of: entry.ticket.file).isEmpty else { return try adopt(file, place) }
        try storage.rename(
            layout.file(file, in: place), to: layout.file(entry.ticket.file, in: place), replacing: false)
        try storage.synchronizeDirectory(layout.directory(place))
        try reconcile(job: job)
    }

    /// Takes a file that is no job's as a drop, where the table says so.
    private func adopt(_ file: String, _ place: JobState) throws(StorageError) {
        guard case .adopt(let state) = JobTransitions.decide(.unknown, foundIn: place) else { return }
        let drop = Drop(directory: layout.directory(place), name: file, isHeld: state == .held)
        try look(at: drop, isArrival: true)
    }

    /// What is known of a job of which the status was lost: neither how often it crashed nor who submitted it.
    private func lostStatus(of job: String, in state: JobState) throws(StorageError) -> JobStatus {
        var status = JobStatus(job: job, state: state)
        status.filed = true
        // In a spool of one's own it is nobody else. In a shared one a job without a submitter reads nothing.
        if sharing == .personal { status.submitter = try storage.status(of: layout.accepting)?.owner }
        status.warnings.append("The status was lost and has been made anew.")
        return status
    }

    /// Why a job is held of which the status cannot be read.
    private static let lostReason =
        "Its status could not be read and lies beside it as status.json.damaged; who submitted the job and how often "
        + "it was tried is not known any more. Drop its file again to run it"

    /// Makes a status for a job whose own was lost, from where its file lies. One that is there and cannot be read is
    /// set aside, and the job held where it would have run.
    private func rebuild(_ file: JobFileName) throws(StorageError) -> Bool {
        let job = file.name.text
        guard let place = try places(of: "\(file)").first, try storage.status(of: layout.jobFile(of: job)) != nil else {
            return false
        }
        var isDamaged = false
        do throws(StorageError) {
            guard try status(of: job) == nil else { return false }
        } catch {
            guard Self.isLost(error) else { throw error }
            isDamaged = true
        }
        var status = try lostStatus(of: job, in: place)
        status.sequence = try sequences.take()
        status.ticket = JobTicket(file: "\(file)")
        if isDamaged {
            try setStatusAside(job)
            if place == .queue || place == .active { status.reason = Self.lostReason }
        }
        try status.save(layout.status(of: job), on: storage)
        events.append(.trouble("The status of \(job) was lost and has been made anew."))
        load([job])
        if status.reason != nil {
            try holdLost(job)
        } else {
            try reconcile(job: job)
        }
        return true
    }

    /// Whether an error says that a status is there that cannot be read, now or later.
    static func isLost(_ error: StorageError) -> Bool {
        error.code == .damaged || error.code == .notRegular || error.code == .denied
    }

    private func setStatusAside(_ job: String) throws(StorageError) {
        try SpoolRepair.setAside(layout.status(of: job)).perform(layout, on: storage)
    }

    /// Brings a job in line with where its file lies.
    func reconcile(job: String) throws(StorageError) {
        // A transition can call for another: a file that is moved back is then recorded there. None calls for more.
        for _ in 0..<3 {
            if doubtful.contains(job) {
                if let found = try status(of: job) { index.update(job) { $0.state = found.recorded } }
                doubtful.remove(job)
            }
            guard let entry = index[job], !unfinished.contains(entry.sequence) else { return }
            if entry.state == .interrupted {
                // A worker whose daemon is gone still ends; its result may yet be written.
                if isOccupied(job) { return }
                guard let status = try statusOrHold(job) else { return }
                if status.recorded != .interrupted {
                    index.update(job) { $0.state = status.recorded }
                    continue
                }
            }
            let place = try primaryPlace(of: job, entry)
            if place != nil, entry.absentSince != nil { index.setAbsent(job, since: nil) }
            guard try perform(JobTransitions.decide(entry.state, foundIn: place), job, entry, place) else { return }
        }
    }

    /// Where a job's file lies, if anywhere. Of several files of its name one is the job's; others are drops.
    private func primaryPlace(of job: String, _ entry: SpoolIndex.Entry) throws(StorageError) -> JobState? {
        let file = entry.ticket.file
        let found = try places(of: file)
        guard found.count > 1 else { return found.first }
        let home = found.contains(entry.state.home) ? entry.state.home : found[0]
        for extra in found where extra != home {
            let (first, second) = (layout.file(file, in: home), layout.file(file, in: extra))
            guard let one = try storage.status(of: first), let other = try storage.status(of: second) else {
                return try places(of: file).first
            }
            if one.inode == other.inode {
                // A move made of link and unlink that a crash cut short: it counts as made.
                try storage.discard(first)
                return extra
            }
            try adopt(file, extra)
        }
        return home
    }

    /// - Returns: Whether the job has to be looked at again.
    private func perform(
        _ transition: Transition, _ job: String, _ entry: SpoolIndex.Entry, _ place: JobState?
    ) throws(StorageError) -> Bool {
        switch transition {
        case .nothing:
            if let place, entry.state.isWaiting { try noteEdit(job, entry, place) }
            return false
        case .adopt: return false
        case .record(let state):
            try record(job, entry, state)
            return false
        case .again(let state):
            try startOver(job, entry, state)
            return false
        case .move(let state):
            guard let place else { return false }
            return try move(job, entry, from: place, to: state)
        case .stop:
            if place == nil {
                guard try isGone(job, entry) else { return false }
            }
            guard !entry.isStopping else { return false }
            index.setStopping(job)
            events.append(.stop(job: job))
            return false
        case .restore(let state):
            guard try isGone(job, entry) else { return false }
            // The removal first: a power failure must not bring back the file beside its successor.
            try storage.synchronizeDirectory(layout.directory(entry.state.home))
            do {
                try self.place(job, entry.ticket.file, in: state, sequence: entry.sequence)
            } catch let error where error.code == .alreadyExists {
                return true
            }
            try storage.synchronizeDirectory(layout.directory(state))
            index.setAbsent(job, since: nil)
            events.append(.restored(job: job, to: state))
            return true
        }
    }

    /// Whether a file has been nowhere for long enough.
    private func isGone(_ job: String, _ entry: SpoolIndex.Entry) throws(StorageError) -> Bool {
        let now = clock.monotonic()
        guard let since = entry.absentSince else {
            index.setAbsent(job, since: now)
            return false
        }
        return now - since >= Self.absence
    }

    private func move(
        _ job: String, _ entry: SpoolIndex.Entry, from place: JobState, to state: JobState
    ) throws(StorageError) -> Bool {
        do {
            try moveFile(entry.ticket.file, from: place, to: state)
        } catch let error where error.code == .notFound || error.code == .alreadyExists {
            // Somebody was faster, or something stands there: the next look decides.
            return false
        }
        let isOwnMove = entry.state == .succeeded || entry.state == .broken || entry.state == .interrupted
        if !isOwnMove { events.append(.movedBack(job: job, from: place, to: state)) }
        return true
    }

    /// Moves a job file between states, durably.
    func moveFile(_ file: String, from place: JobState, to state: JobState) throws(StorageError) {
        try storage.rename(layout.file(file, in: place), to: layout.file(file, in: state), replacing: false)
        try storage.synchronizeDirectory(layout.directory(state))
        try storage.synchronizeDirectory(layout.directory(place))
    }

    /// A job's status; nil only if there is none.
    ///
    /// - Throws: What ``isLost(_:)`` knows, if something that is no status stands in its place.
    func status(of job: String) throws(StorageError) -> JobStatus? {
        try JobStatus.read(layout.status(of: job), on: storage)
    }

    /// The status of a job that the queue knows; nil where it was lost, and then the job is held.
    func statusOrHold(_ job: String) throws(StorageError) -> JobStatus? {
        do throws(StorageError) {
            if let status = try status(of: job) { return status }
        } catch {
            guard Self.isLost(error) else { throw error }
        }
        try holdLost(job)
        return nil
    }

    /// Holds a job of which the status was lost, wherever its file lies.
    private func holdLost(_ job: String) throws(StorageError) {
        guard let entry = index[job] else { return }
        do {
            if let place = try primaryPlace(of: job, entry), place != .held {
                try moveFile(entry.ticket.file, from: place, to: .held)
            }
        } catch let error where error.code == .notFound || error.code == .alreadyExists {
            // Somebody was faster; the next look decides.
            return
        }
        try change(job, entry, to: .held) { $0.reason = Self.lostReason }
        events.append(.held(job: job, reason: Self.lostReason))
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

    /// Changes a job's status on disk and in the index.
    ///
    /// A job of which the status was lost is not run any more: where it would have been, it is held instead.
    /// - Returns: Whether that was not so, and the job is now in `state`.
    @discardableResult
    func change(
        _ job: String, _ entry: SpoolIndex.Entry, to state: JobState, _ change: (inout JobStatus) -> Void = { _ in }
    ) throws(StorageError) -> Bool {
        var found: JobStatus?
        do throws(StorageError) {
            found = try self.status(of: job)
        } catch {
            guard Self.isLost(error) else { throw error }
            try setStatusAside(job)
        }
        guard found != nil || (state != .queue && state != .active) else {
            try holdLost(job)
            return false
        }
        var status: JobStatus = if let found { found } else { try lostStatus(of: job, in: state) }
        status.state = state
        status.sequence = entry.sequence
        status.ticket = entry.ticket
        status.phase = nil
        status.updatedAt = JobStatus.time(clock.wall())
        change(&status)
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
            $0.ticket = ticket
            $0.isStopping = false
        }
        return true
    }

    private func record(_ job: String, _ entry: SpoolIndex.Entry, _ state: JobState) throws(StorageError) {
        let time = JobStatus.time(clock.wall())
        var reason: String?
        var outage: Int?
        if entry.state == .interrupted {
            // Without a status the job is held already.
            guard let count = try countOutage(job) else { return }
            outage = count
        }
        let isChanged = try change(job, entry, to: state) { status in
            switch state {
            case .done, .failed:
                status.filed = true
                reason = status.reason
            case .cancelled:
                status.reason = "Cancelled by a person."
                status.endedAt = time
            case .held:
                status.reason = "Held by a person."
                status.temporaryFailures = nil
                status.notBefore = nil
            default:
                if entry.state == .held {
                    status.temporaryFailures = nil
                    status.notBefore = nil
                }
                if entry.state == .held { status.crashes = 0 }
                if entry.state == .held { status.outages = nil }
                status.reason = nil
            }
            if let outage { status.outages = outage }
        }
        guard isChanged else { return }
        switch state {
        case .done, .failed: events.append(.finished(job: job, state: state, reason: reason))
        case .cancelled: events.append(.cancelled(job: job))
        case .held: events.append(.held(job: job, reason: nil))
        default: events.append(entry.state == .held ? .released(job: job) : .requeued(job: job, .moved, reason: nil))
        }
        if state == .queue, let released = index[job] {
            try noteEdit(job, released, state)
            try holdCircle(job)
        }
        if let outage, outage >= Self.mostOutages, index[job]?.state == .queued {
            try hold(
                job, "Daemon or machine went down \(outage) times in a row while it ran, without a newer checkpoint.")
        }
    }

    private func startOver(_ job: String, _ entry: SpoolIndex.Entry, _ state: JobState) throws(StorageError) {
        let isChanged = try change(job, entry, to: state) { status in
            status.results = nil
            status.filed = nil
            status.endedAt = nil
            status.reason = nil
            status.crashes = 0
            status.outages = nil
            status.temporaryFailures = nil
            status.notBefore = nil
        }
        guard isChanged else { return }
        if let entry = index[job] { try noteEdit(job, entry, state) }
        events.append(.again(job: job))
    }

    /// Reads a waiting job's file again when it was changed.
    ///
    /// A file that has become invalid keeps its place until it is claimed: then it is rejected.
    private func noteEdit(_ job: String, _ entry: SpoolIndex.Entry, _ place: JobState) throws(StorageError) {
        let path = layout.file(entry.ticket.file, in: place)
        guard let found = try storage.status(of: path), entry.ticket.identity != FileIdentity(found) else { return }
        var ticket = entry.ticket
        ticket.identity = FileIdentity(found)
        let bytes = found.size <= Self.largestFile ? try? read(try storage.open(path, beneath: nil)) : nil
        if try isForeign(found, bytes ?? [], in: job, entry.ticket), let file = JobFileName(ticket.file) {
            try reject(path, as: file, Self.movedReason, isForeign: true)
            index.setAbsent(job, since: clock.monotonic())
            return
        }
        if let bytes, let requirements = try? check(bytes, ticket.file) {
            ticket.priority = requirements.priority
            ticket.mayUseGPU = requirements.mayUseGPU
            ticket.predecessors = bind(requirements, of: job, old: ticket.predecessors)
        }
        index.update(job) { $0.ticket = ticket }
        guard var status = try statusOrHold(job) else { return }
        status.ticket = ticket
        try status.save(layout.status(of: job), on: storage)
        try holdCircle(job)
    }

    /// Holds a job of which an edit made it wait for itself.
    private func holdCircle(_ job: String) throws(StorageError) {
        guard let entry = index[job], entry.state.isWaiting,
            let circle = index.circle(from: job, entry.ticket.predecessors)
        else { return }
        let reason = Self.circleReason(circle)
        if entry.state == .queued {
            try hold(job, reason)
        } else {
            try change(job, entry, to: .held) { $0.reason = reason }
            events.append(.held(job: job, reason: reason))
        }
    }

    /// Holds jobs whose predecessor will not succeed any more.
    ///
    /// Not more than a batch of them: a job that is cancelled may have the whole queue wait for it.
    public func holdStranded() throws(StorageError) {
        for job in index.stranded.lazy.filter({ !self.unholdable.contains($0) }).prefix(Self.batchHeld) {
            giveSign()
            guard case .gone(let other, let what)? = blocker(of: job) else {
                unholdable.insert(job)
                continue
            }
            let isDone = guarding("hold \(job)") { () throws(StorageError) in
                try hold(job, "\(other), which must succeed first, \(what).")
            }
            if !isDone || index.stranded.contains(job) { unholdable.insert(job) }
        }
    }

    /// Moves a queued or interrupted job to `held/` with a reason.
    func hold(_ job: String, _ reason: String) throws(StorageError) {
        guard let entry = index[job] else { return }
        do {
            try moveFile(entry.ticket.file, from: entry.state == .queued ? .queue : .active, to: .held)
        } catch let error where error.code == .notFound || error.code == .alreadyExists {
            // A person was faster; their move decides.
            return try reconcile(job: job)
        }
        try change(job, entry, to: .held) { $0.reason = reason }
        events.append(.held(job: job, reason: reason))
    }

    /// Whether some worker holds the job folder.
    func isOccupied(_ job: String) -> Bool {
        do {
            return try storage.isLocked(layout.lock(of: job))
        } catch {
            return false
        }
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
}

/// A file's name as the file system compares it: by its bytes.
private struct ExactName: Hashable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (a: ExactName, b: ExactName) -> Bool { a.text.isSame(as: b.text) }

    func hash(into hasher: inout Hasher) { for byte in text.utf8 { hasher.combine(byte) } }
}

extension Array {
    /// The elements in pieces for ``Storage/forEach(of:_:)``, so that what comes of them is not all in memory at once.
    fileprivate var chunks: some Sequence<ArraySlice<Element>> {
        stride(from: 0, to: count, by: 4096).lazy.map { self[$0..<Swift.min($0 + 4096, count)] }
    }
}
