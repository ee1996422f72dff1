internal import CharnnStorage
internal import SystemPackage

// Changing what is recorded of a job, and holding what cannot go on.
//
// 1. A job of which the status was lost is never run: where it would be, it is held, whoever asks.
// 2. A job is held by moving its file first; if a person moved it meanwhile, their move counts and nothing is
//    recorded.
// 3. What is held for a reason that lasts (its predecessor is gone, it waits for itself) is held when somebody
//    releases it, too.
extension Reconciler {
    /// Why a job is held of which the status cannot be read.
    private static let lostReason =
        "Its status could not be read and lies beside it as status.json.damaged; who submitted the job and how often "
        + "it was tried is not known any more. Drop its file again to run it"

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
            found = try records.status(of: job)
        } catch {
            guard JobRecords.isLost(error) else { throw error }
            try records.setAside(job)
        }
        guard found != nil || (state != .queue && state != .active) else {
            try holdLost(job)
            return false
        }
        var status: JobStatus = if let found { found } else { try records.lostStatus(of: job, in: state) }
        status.state = state
        status.sequence = entry.sequence
        status.ticket = entry.ticket
        status.phase = nil
        status.awaitedText = nil
        if state != .active { noteWork(job, &status, entry) }
        status.updatedAt = JobStatus.time(clock.wall())
        change(&status)
        try records.save(status, of: job, entry)
        return true
    }

    /// Takes note of what the worker of a job did that has none any more.
    private func noteWork(_ job: String, _ status: inout JobStatus, _ entry: SpoolIndex.Entry) {
        let start = working.removeValue(forKey: job)
        guard let from = status.claimedAt else { return }
        // Of a worker whose daemon is gone nothing is known but when it told something last.
        let told = status.updatedAt.flatMap { JobStatus.seconds(of: $0) } ?? from
        let seconds = max(0, start.map { clock.monotonic() - $0 } ?? told - from)
        // Dated by its end: the clock may have been set since it began.
        let work = JobStatus.Work(from: start == nil ? from : clock.wall() - seconds, seconds: seconds)
        status.claimedAt = nil
        status.note(work, at: clock.wall())
        records.index.note(work, of: entry.submitter, at: clock.wall())
    }

    /// Makes a status for a job whose own was lost, from where its file lies. One that is there and cannot be read is
    /// set aside, and the job held where it would have run.
    func rebuild(_ file: JobFileName) throws(StorageError) -> Bool {
        let job = file.name.text
        guard let place = try files.places(of: "\(file)").first, try storage.status(of: layout.jobFile(of: job)) != nil
        else {
            return false
        }
        var isDamaged = false
        do throws(StorageError) {
            guard try records.status(of: job) == nil else { return false }
        } catch {
            guard JobRecords.isLost(error) else { throw error }
            isDamaged = true
        }
        var status = try records.lostStatus(of: job, in: place)
        status.sequence = try records.sequences.take()
        status.ticket = JobTicket(file: "\(file)")
        if isDamaged {
            try records.setAside(job)
            if place == .queue || place == .active { status.reason = Self.lostReason }
        }
        try status.save(layout.status(of: job), on: storage)
        log.tell(.trouble("The status of \(job) was lost and has been made anew."))
        records.load([job])
        if status.reason != nil {
            try holdLost(job)
        } else {
            try reconcile(job: job)
        }
        return true
    }

    /// The status of a job that the queue knows; nil where it was lost, and then the job is held.
    func statusOrHold(_ job: String) throws(StorageError) -> JobStatus? {
        do throws(StorageError) {
            if let status = try records.status(of: job) { return status }
        } catch {
            guard JobRecords.isLost(error) else { throw error }
        }
        try holdLost(job)
        return nil
    }

    /// Holds a job of which the status was lost, wherever its file lies.
    func holdLost(_ job: String) throws(StorageError) {
        guard let entry = records.index[job] else { return }
        do {
            if let place = try primaryPlace(of: job, entry), place != .held {
                try files.move(entry.ticket.file, from: place, to: .held)
            }
        } catch let error where error.code == .notFound || error.code == .alreadyExists {
            // Somebody was faster; the next look decides.
            return
        }
        try change(job, entry, to: .held) { $0.reason = Self.lostReason }
        log.tell(.held(job: job, reason: Self.lostReason))
    }

    /// Holds a job of which an edit made it wait for itself.
    func holdCircle(_ job: String) throws(StorageError) {
        guard let entry = records.index[job], entry.state.isWaiting,
            let circle = records.index.circle(from: job, entry.ticket.predecessors)
        else { return }
        let reason = Rejections.circleReason(circle)
        if entry.state == .queued {
            try hold(job, reason)
        } else {
            try change(job, entry, to: .held) { $0.reason = reason }
            log.tell(.held(job: job, reason: reason))
        }
    }

    /// Holds jobs whose predecessor will not succeed any more.
    ///
    /// Not more than a batch of them: a job that is cancelled may have the whole queue wait for it.
    func holdStranded() throws(StorageError) {
        for job in records.index.stranded.lazy.filter({ !self.unholdable.contains($0) }).prefix(SpoolKeeper.batchHeld) {
            giveSign()
            guard case .gone(let other, let what)? = records.index.blocker(of: job, at: clock.wall()) else {
                unholdable.insert(job)
                continue
            }
            let isDone = guarding("hold \(job)") { () throws(StorageError) in
                try hold(job, "\(other), which must succeed first, \(what).")
            }
            if !isDone || records.index.stranded.contains(job) { unholdable.insert(job) }
        }
    }

    /// Moves a queued or interrupted job to `held/` with a reason.
    func hold(_ job: String, _ reason: String) throws(StorageError) {
        guard let entry = records.index[job] else { return }
        do {
            try files.move(entry.ticket.file, from: entry.state == .queued ? .queue : .active, to: .held)
        } catch let error where error.code == .notFound || error.code == .alreadyExists {
            // A person was faster; their move decides.
            return try reconcile(job: job)
        }
        try change(job, entry, to: .held) { $0.reason = reason }
        log.tell(.held(job: job, reason: reason))
    }

    /// How often in a row daemon or machine went down during a job that got no further.
    func countOutage(_ job: String) throws(StorageError) -> Int? {
        guard let status = try statusOrHold(job) else { return nil }
        let checkpoint = try files.newestCheckpoint(of: job)
        return (checkpoint ?? -1) > (status.checkpointStep ?? -1) ? 0 : (status.outages ?? 0) + 1
    }
}
