internal import CharnnStorage
internal import SystemPackage

/// Hands out jobs to be run, and decides what becomes of them when their workers have ended.
///
/// ```
///   queued ──claim──▶ running ──▶ settled       the result record is there
///      ▲                 │    ──▶ failed        the worker said that the job is bad
///      ├─── requeued ────┤
///      │                 └──────▶ held          three crashes without a newer checkpoint, or the status is lost
///      └── a person's release
/// ```
///
/// 1. One worker has one job folder: a job whose folder is locked is not claimed.
/// 2. What a worker reads is `job.yaml` as it was when the job was claimed; a file that has become invalid by then is
///    rejected, and a file that is another job's is no reason to read with that job's rights.
/// 3. An attempt is counted durably before its worker is started, so that no crash makes attempts without number.
/// 4. The result record decides before anything that is known of the worker's end; ``AttemptPolicy`` decides the rest.
/// 5. What a person did with the file meanwhile counts: the table has the last word.
/// 6. A job whose texts are not there or not complete is not claimed, and holds up no other; see ``TextGuard``.
/// 7. A GPU that fails again and again rests for all jobs that may use it, and for no other.
///
/// A crash can fall after the file's move to `active/` and before the attempt is counted (the job was interrupted at
/// nothing, and is queued again), after the attempt is counted (an outage), and between a failed job's record and its
/// file's move (the record decides).
final class Attempts: SpoolRoom {
    /// Seconds before a job is tried again of which the folder cannot be used.
    static let oddDelay = 60.0

    let spool: SpoolContext
    private let records: JobRecords
    private let rejections: Rejections
    private let reconciler: Reconciler
    private let texts: TextGuard
    private var gpuHealth = GPUHealth()
    /// Whether the last ``claimNext()`` ended before all jobs whose turn it may be were looked at.
    private(set) var hasTurnsLeft = false

    init(
        _ spool: SpoolContext, _ records: JobRecords, _ rejections: Rejections, _ reconciler: Reconciler,
        _ texts: TextGuard
    ) {
        self.spool = spool
        self.records = records
        self.rejections = rejections
        self.reconciler = reconciler
        self.texts = texts
    }

    /// Takes the job to run next: its file goes to `active/`, and what it says is fixed in `job.yaml`.
    ///
    /// A file that has become invalid since it was accepted is rejected, and the next one is taken.
    func claimNext() throws(StorageError) -> Claim? {
        hasTurnsLeft = false
        let end = clock.monotonic() + SpoolKeeper.turn
        while let job = records.index.next(at: clock.wall(), authority) {
            guard let entry = records.index[job] else { continue }
            if files.isOccupied(job) {
                // Somebody works there outside the queue, such as `charnn run`.
                records.index.update(job) { $0.notBefore = clock.wall() + 1 }
                continue
            }
            var isHeldBack = false
            let isLookedAt = try apart(job, "look at the texts of") { () throws(StorageError) in
                isHeldBack = try texts.holdsBack(job, entry)
            }
            if isHeldBack || !isLookedAt {
                guard clock.monotonic() < end else {
                    hasTurnsLeft = true
                    return nil
                }
                continue
            }
            do {
                try files.move(entry.ticket.file, from: .queue, to: .active)
            } catch let error where error.code == .notFound || error.code == .alreadyExists {
                try reconciler.reconcile(job: job)
                // Nothing the table could mend at once: not this one, until a scan finds it right.
                if records.index[job]?.state == .queued, records.index[job]?.absentSince == nil {
                    records.index.setAbsent(job, since: clock.monotonic())
                }
                continue
            }
            var claim: Claim?
            try apart(job, "start") { () throws(StorageError) in claim = try begin(job, entry) }
            if let claim { return claim }
        }
        return nil
    }

    /// Does something for a job of which a failure concerns no other job, as one of something odd in its folder, or of a
    /// lease on its file. The job is delayed then.
    ///
    /// - Returns: Whether it did not fail.
    @discardableResult
    private func apart(
        _ job: String, _ what: String, _ body: () throws(StorageError) -> Void
    ) throws(StorageError) -> Bool {
        do throws(StorageError) {
            try body()
            return true
        } catch {
            guard error.code == .busy || !error.isTransient else { throw error }
            guarding("\(what) \(job)") { () throws(StorageError) in throw error }
            guarding(job) { () throws(StorageError) in try reconciler.reconcile(job: job) }
            records.index.update(job) { $0.notBefore = clock.wall() + Self.oddDelay }
            return false
        }
    }

    private func begin(_ job: String, _ entry: SpoolIndex.Entry) throws(StorageError) -> Claim? {
        let path = layout.file(entry.ticket.file, in: .active)
        if spool.sharing == .group, let daemon = try storage.status(of: layout.accepting)?.owner,
            try !JobRecords.belongs(job, to: daemon, layout, storage)
        {
            try reconciler.hold(
                job,
                "Its folder or status is not the daemon's own, so that nobody knows whose job it is; an administrator "
                    + "removes \(layout.folder(of: job)), and the job is dropped again.")
            return nil
        }
        let bytes: [UInt8]
        let found: FileStatus
        let requirements: JobRequirements
        do {
            let file = try storage.open(path, beneath: nil)
            found = try file.status()
            guard found.size <= SpoolKeeper.largestFile else {
                throw JobRejection(
                    "The file has \(found.size) bytes; a job file has at most \(SpoolKeeper.largestFile).")
            }
            bytes = try files.read(file)
            if try records.isForeign(found, bytes, in: job, entry.ticket), let file = JobFileName(entry.ticket.file) {
                // The job's own file is gone; it counts as removed.
                try rejections.reject(path, as: file, Rejections.movedReason, isForeign: true)
                try reconciler.reconcile(job: job)
                return nil
            }
            requirements = try spool.check(bytes, entry.ticket.file)
            if let broken = spool.rules.caps(entry.submitter).violation(of: requirements) { throw JobRejection(broken) }
            let isAnothers =
                found.owner != (try storage.status(of: layout.accepting)?.owner) && found.owner != entry.submitter
            if isAnothers, spool.people.isAdministrator(found.owner),
                let more = try reconciler.overreach(of: requirements, job)
            {
                throw JobRejection("the job file is an administrator's, and \(more)")
            }
        } catch {
            let reason: String
            switch error {
            case let error as JobRejection: reason = error.reason
            case let error as StorageError where error.code == .denied || error.code == .notRegular:
                reason = "The daemon may not read it (\(error))."
            case let error as StorageError: throw error
            default: reason = "\(error)"
            }
            try rejectClaimed(job, entry, reason)
            return nil
        }
        try storage.createDirectories(layout.folder(of: job), mode: 0o750)
        if try storage.contents(of: layout.jobFile(of: job)) != bytes {
            try storage.replace(layout.jobFile(of: job), with: bytes)
        }
        let checkpoint = try files.newestCheckpoint(of: job)
        let submitter = try submitter(of: found, entry)
        // A status that cannot be read does not say that nothing was made yet.
        let attempts = (try? records.status(of: job)).flatMap { $0 }?.attempts
        let hasBeenAtWork = attempts.map { $0 > 0 } ?? true
        let isPrivate = try setRights(of: job, entry, to: submitter, requirements, hasBeenAtWork: hasBeenAtWork)
        var attempt = 0
        let time = JobStatus.time(clock.wall())
        let isChanged = try reconciler.change(job, entry, to: .active) { status in
            status.attempts += 1
            attempt = status.attempts
            status.checkpointStep = checkpoint
            status.startedAt = status.startedAt ?? time
            status.notBefore = nil
            status.reason = nil
            status.isPrivate = isPrivate ? true : nil
            status.claimedAt = clock.wall()
            status.hasBegun = true
            if status.submitter != submitter {
                status.submitter = submitter
                status.owner = submitter.map(spool.people.name)
            }
        }
        guard isChanged else { return nil }
        records.index.update(job) { $0.state = .running }
        reconciler.working[job] = clock.monotonic()
        reconciler.askers[job] = nil
        return Claim(job: job, folder: layout.folder(of: job), attempt: attempt)
    }

    /// Whose job it is, now that its file is taken.
    ///
    /// Whoever put another file in the place of the accepted one reads with their own rights; an administrator's change
    /// is made in the submitter's name.
    private func submitter(of file: FileStatus, _ entry: SpoolIndex.Entry) throws(StorageError) -> UInt32? {
        guard file.owner != (try storage.status(of: layout.accepting)?.owner) else { return entry.submitter }
        if spool.sharing == .group, spool.people.isAdministrator(file.owner) { return entry.submitter }
        return file.owner
    }

    /// Lets those read what the job makes who may, before its worker writes anything.
    ///
    /// - Returns: Whether it is its owner's alone.
    private func setRights(
        of job: String, _ entry: SpoolIndex.Entry, to submitter: UInt32?, _ requirements: JobRequirements,
        hasBeenAtWork: Bool
    ) throws(StorageError) -> Bool {
        guard spool.sharing == .group else { return false }
        var isPrivate = try Privacy(spool: spool).isPrivate(requirements)
        // What lies there was made of what could not be read by all.
        if requirements.share == .auto, entry.isPrivate, hasBeenAtWork { isPrivate = true }
        // Nobody is known who could open it.
        if submitter == nil, entry.isPrivate { isPrivate = true }
        let (folder, file) = (layout.folder(of: job), layout.file(entry.ticket.file, in: .active))
        // A former worker's results are the former owner's.
        guard isPrivate != entry.isPrivate || (isPrivate && submitter != entry.submitter) else { return isPrivate }
        let isOwn = try storage.status(of: file)?.owner == storage.status(of: layout.accepting)?.owner
        if isPrivate {
            try Privacy.close(folder: folder, to: submitter ?? 0, on: storage)
            if isOwn { try Privacy.close(file: file, to: submitter ?? 0, on: storage) }
        } else {
            try Privacy.open(folder: folder, on: storage)
            if isOwn { try Privacy.open(file: file, on: storage) }
        }
        // A later start believes the status, which says so next, and looks at no rights.
        if isOwn { try storage.open(file, beneath: nil).synchronize() }
        return isPrivate
    }

    private var authority: SpoolIndex.Authority {
        let (people, rules) = (spool.people, spool.rules)
        return SpoolIndex.Authority(
            isAdministrator: people.isAdministrator,
            highestPriority: { rules.caps($0).highestPriority?.value ?? .max })
    }

    /// Rejects a job whose file in `active/` cannot be run.
    private func rejectClaimed(_ job: String, _ entry: SpoolIndex.Entry, _ reason: String) throws(StorageError) {
        guard let file = JobFileName(entry.ticket.file) else { return }
        var changed = entry
        changed.ticket.file = try rejections.reject(
            layout.file(entry.ticket.file, in: .active), as: file, reason, onlyFor: entry.onlyReader)
        try reconciler.change(job, changed, to: .rejected) { $0.reason = reason }
    }

    /// Decides what becomes of a job whose worker has ended.
    ///
    /// - Parameters:
    ///   - wasStopped: Whether the worker was asked to end.
    ///   - lastWords: The end of what it wrote to its standard error.
    func workerEnded(
        _ job: String, _ end: WorkerEnd, wasStopped: Bool, lastWords: String
    ) throws(StorageError) {
        guard let entry = records.index[job], let status = try reconciler.statusOrHold(job) else { return }
        let recorded = status.recorded
        if status.state != .active, recorded != .succeeded, recorded != .broken {
            // Noted before something failed, and this is the second try: to decide anew would run the job again.
            records.index.update(job) { $0.state = recorded }
            return try reconciler.reconcile(job: job)
        }
        let checkpoint = try files.newestCheckpoint(of: job)
        let policy = AttemptPolicy(
            hasResult: recorded == .succeeded || recorded == .broken, wasStopped: wasStopped,
            hasProgress: (checkpoint ?? -1) > (status.checkpointStep ?? -1), crashes: status.crashes,
            temporaryFailures: status.temporaryFailures ?? 0)
        // A worker that ended in good order has left its reason in the status instead.
        let words = lastWords.isEmpty && status.state == .active ? status.reason ?? "" : lastWords
        let outcome = policy.decide(end, lastWords: words)
        let crashes = policy.crashes(after: outcome)
        switch outcome {
        case .settle:
            records.index.update(job) {
                $0.state = recorded
                $0.isStopping = false
            }
        case .fail(let reason):
            var failed = status
            failed.reason = reason
            failed.sequence = entry.sequence
            failed.ticket = entry.ticket
            try ResultRecord.commit(
                failed, as: .failed, results: [], at: clock.wall(), to: layout.status(of: failed.job), on: storage)
            records.index.update(job) { $0.state = .broken }
        case .requeue(let cause, let reason, let delay):
            try moveIfActive(entry, to: .queue)
            let until = delay.map { clock.wall() + $0 }
            let isQueued = try reconciler.change(job, entry, to: .queue) { status in
                status.crashes = crashes
                status.temporaryFailures = delay == nil ? nil : policy.temporaryFailures + 1
                status.notBefore = until
                status.reason = reason
                if policy.hasProgress { status.outages = nil }
            }
            if isQueued { log.tell(.requeued(job: job, cause, reason: reason)) }
        case .hold(let reason):
            try moveIfActive(entry, to: .held)
            try reconciler.change(job, entry, to: .held) { status in
                status.crashes = crashes
                status.reason = reason
            }
            log.tell(.held(job: job, reason: reason))
        }
        if entry.ticket.mayUseGPU {
            noteGPU(end, hasProgress: policy.hasProgress || recorded == .succeeded, lastWords: words)
        }
        // A person may have moved the file meanwhile; then that counts.
        try reconciler.reconcile(job: job)
        try reconciler.holdStranded()
    }

    /// Lets the GPU rest where it fails again and again, and tells when it works again.
    private func noteGPU(_ end: WorkerEnd, hasProgress: Bool, lastWords: String) {
        let hadFailed = gpuHealth.failures >= GPUHealth.mostFailures
        let rest = gpuHealth.note(end, hasProgress: hasProgress)
        if hadFailed, gpuHealth.failures < GPUHealth.mostFailures {
            records.index.endGPURest()
            log.tell(.gpuWorks)
        }
        guard let rest else { return }
        records.index.restGPU(until: clock.wall() + rest)
        log.tell(.gpuRests(seconds: rest, failures: gpuHealth.failures, reason: lastWords))
    }

    private func moveIfActive(_ entry: SpoolIndex.Entry, to state: JobState) throws(StorageError) {
        do {
            try files.move(entry.ticket.file, from: .active, to: state)
        } catch let error where error.code == .notFound || error.code == .alreadyExists {}
    }
}
