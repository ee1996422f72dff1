public import CharnnStorage
public import SystemPackage

/// A job that is to be run now.
public struct Claim: Sendable, Equatable {
    public let job: String
    public let folder: FilePath
    public let attempt: Int
}

// Running jobs.
extension SpoolKeeper {
    /// Outages in a row without a newer checkpoint after which a job is held.
    static let mostOutages = 5
    /// Seconds before a job is tried again of which the folder cannot be used.
    static let oddDelay = 60.0

    /// Takes the job to run next: its file goes to `active/`, and what it says is fixed in `job.yaml`.
    ///
    /// A file that has become invalid since it was accepted is rejected, and the next one is taken.
    public func claimNext() throws(StorageError) -> Claim? {
        while let job = index.next(at: clock.wall()) {
            guard let entry = index[job] else { continue }
            if isOccupied(job) {
                // Somebody works there outside the queue, such as `charnn run`.
                index.update(job) { $0.notBefore = clock.wall() + 1 }
                continue
            }
            do {
                try moveFile(entry.ticket.file, from: .queue, to: .active)
            } catch let error where error.code == .notFound || error.code == .alreadyExists {
                try reconcile(job: job)
                // Nothing the table could mend at once: not this one, until a scan finds it right.
                if index[job]?.state == .queued, index[job]?.absentSince == nil {
                    index.setAbsent(job, since: clock.monotonic())
                }
                continue
            }
            do {
                if let claim = try begin(job, entry) { return claim }
            } catch let error
                where error.code == .notRegular || error.code == .denied || error.code == .alreadyExists
                || error.code == .busy
            {
                // Something odd in its folder, or a lease on its file, concerns no other job.
                guarding("start \(job)") { () throws(StorageError) in throw error }
                guarding(job) { () throws(StorageError) in try reconcile(job: job) }
                index.update(job) { $0.notBefore = clock.wall() + Self.oddDelay }
            }
        }
        return nil
    }

    private func begin(_ job: String, _ entry: SpoolIndex.Entry) throws(StorageError) -> Claim? {
        let path = layout.file(entry.ticket.file, in: .active)
        let bytes: [UInt8]
        let found: FileStatus
        do {
            let file = try storage.open(path, beneath: nil)
            found = try file.status()
            guard found.size <= Self.largestFile else {
                throw JobRejection("The file has \(found.size) bytes; a job file has at most \(Self.largestFile).")
            }
            bytes = try read(file)
            if try isForeign(found, bytes, in: job, entry.ticket), let file = JobFileName(entry.ticket.file) {
                // The job's own file is gone; it counts as removed.
                try reject(path, as: file, Self.movedReason, isForeign: true)
                try reconcile(job: job)
                return nil
            }
            _ = try check(bytes, entry.ticket.file)
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
        let daemon = try storage.status(of: layout.accepting)?.owner
        let checkpoint = try newestCheckpoint(of: job)
        var attempt = 0
        let time = JobStatus.time(clock.wall())
        let isChanged = try change(job, entry, to: .active) { status in
            status.attempts += 1
            attempt = status.attempts
            status.checkpointStep = checkpoint
            status.startedAt = status.startedAt ?? time
            status.notBefore = nil
            status.reason = nil
            // Whoever put another file in the place of the accepted one reads with their own rights.
            if found.owner != daemon { status.submitter = found.owner }
        }
        guard isChanged else { return nil }
        index.update(job) { $0.state = .running }
        return Claim(job: job, folder: layout.folder(of: job), attempt: attempt)
    }

    /// Rejects a job whose file in `active/` cannot be run.
    private func rejectClaimed(_ job: String, _ entry: SpoolIndex.Entry, _ reason: String) throws(StorageError) {
        guard let file = JobFileName(entry.ticket.file) else { return }
        var changed = entry
        changed.ticket.file = try reject(layout.file(entry.ticket.file, in: .active), as: file, reason)
        try change(job, changed, to: .rejected) { $0.reason = reason }
    }

    /// Decides what becomes of a job whose worker has ended.
    ///
    /// - Parameters:
    ///   - wasStopped: Whether the worker was asked to end.
    ///   - lastWords: The end of what it wrote to its standard error.
    public func workerEnded(
        _ job: String, _ end: WorkerEnd, wasStopped: Bool, lastWords: String
    ) throws(StorageError) {
        guard let entry = index[job], let status = try statusOrHold(job) else { return }
        let recorded = status.recorded
        if status.state != .active, recorded != .succeeded, recorded != .broken {
            // Noted before something failed, and this is the second try: to decide anew would run the job again.
            index.update(job) { $0.state = recorded }
            return try reconcile(job: job)
        }
        let checkpoint = try newestCheckpoint(of: job)
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
            index.update(job) {
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
            index.update(job) { $0.state = .broken }
        case .requeue(let cause, let reason, let delay):
            try moveIfActive(entry, to: .queue)
            let until = delay.map { clock.wall() + $0 }
            let isQueued = try change(job, entry, to: .queue) { status in
                status.crashes = crashes
                status.temporaryFailures = delay == nil ? nil : policy.temporaryFailures + 1
                status.notBefore = until
                status.reason = reason
                if policy.hasProgress { status.outages = nil }
            }
            if isQueued { events.append(.requeued(job: job, cause, reason: reason)) }
        case .hold(let reason):
            try moveIfActive(entry, to: .held)
            try change(job, entry, to: .held) { status in
                status.crashes = crashes
                status.reason = reason
            }
            events.append(.held(job: job, reason: reason))
        }
        if entry.ticket.mayUseGPU {
            noteGPU(end, hasProgress: policy.hasProgress || recorded == .succeeded, lastWords: words)
        }
        // A person may have moved the file meanwhile; then that counts.
        try reconcile(job: job)
        try holdStranded()
    }

    /// Lets the GPU rest where it fails again and again, and tells when it works again.
    private func noteGPU(_ end: WorkerEnd, hasProgress: Bool, lastWords: String) {
        let hadFailed = gpuHealth.failures >= GPUHealth.mostFailures
        let rest = gpuHealth.note(end, hasProgress: hasProgress)
        if hadFailed, gpuHealth.failures < GPUHealth.mostFailures {
            index.endGPURest()
            events.append(.gpuWorks)
        }
        guard let rest else { return }
        index.restGPU(until: clock.wall() + rest)
        events.append(.gpuRests(seconds: rest, failures: gpuHealth.failures, reason: lastWords))
    }

    private func moveIfActive(_ entry: SpoolIndex.Entry, to state: JobState) throws(StorageError) {
        do {
            try moveFile(entry.ticket.file, from: .active, to: state)
        } catch let error where error.code == .notFound || error.code == .alreadyExists {}
    }

    /// How often in a row daemon or machine went down during a job that got no further.
    func countOutage(_ job: String) throws(StorageError) -> Int? {
        guard let status = try statusOrHold(job) else { return nil }
        let checkpoint = try newestCheckpoint(of: job)
        return (checkpoint ?? -1) > (status.checkpointStep ?? -1) ? 0 : (status.outages ?? 0) + 1
    }

    /// The step of the newest checkpoint, by its file's name.
    func newestCheckpoint(of job: String) throws(StorageError) -> Int? {
        let names: [String]
        do {
            names = try storage.list(layout.folder(of: job).appending("checkpoints"))
        } catch let error where error.code == .notFound {
            return nil
        }
        return names.compactMap { name -> Int? in
            guard name.hasPrefix("step-"), name.hasSuffix(".safetensors") else { return nil }
            return Int(name.dropFirst("step-".count).dropLast(".safetensors".count))
        }.max()
    }
}
