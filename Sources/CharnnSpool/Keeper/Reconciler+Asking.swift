internal import CharnnStorage
internal import SystemPackage

// What is asked for of one job, by somebody who may.
//
// 1. A person's name stands for a move as long as the daemon lives: also where a running job has to end first.
// 2. What is asked is a move of the table: what follows is recorded as if the file had been moved by hand.
// 3. An edit replaces the job's file by the daemon's own copy, whose identity is recorded before it has its name.
extension Reconciler {
    /// Moves a job's file, or replaces it.
    ///
    /// - Returns: Why not; nil: it is so now, or was so already.
    ///
    /// - Parameter isOwner: Whether who asks has submitted the job.
    func asked(
        _ request: SpoolRequest, _ job: String, by person: String, isOwner: Bool
    ) throws(StorageError) -> String? {
        guard let entry = records.index[job] else { return "there is no such job" }
        guard !acceptance.isUnfinished(entry.sequence) else { return "it is not accepted yet" }
        if request.verb == .edit { return try edit(job, entry, request.file, by: person, isOwner) }
        let (from, to): (Set<JobState>, JobState) =
            switch request.verb {
            case .cancel: ([.queue, .held, .active], .cancelled)
            case .hold: ([.queue, .active], .held)
            case .release: ([.held], .queue)
            default: ([.failed, .cancelled, .done, .rejected], .queue)
            }
        return try acting(as: person) { () throws(StorageError) -> String? in
            let recorded = entry.state.home
            let place = try primaryPlace(of: job, entry)
            // A crash may have come between a move and its record.
            guard place == recorded || place == to else {
                try reconcile(job: job)
                return "somebody has moved its file in the same moment"
            }
            if place != to {
                guard from.contains(recorded) else { return "it is in \(recorded.rawValue)/" }
                do throws(StorageError) {
                    try files.move(entry.ticket.file, from: recorded, to: to)
                } catch {
                    guard error.code == .notFound || error.code == .alreadyExists else { throw error }
                    try reconcile(job: job)
                    return "somebody has moved its file in the same moment"
                }
            }
            try reconcile(job: job)
            return nil
        }
    }

    /// Runs something in whose course a person is named as who asked.
    private func acting<Outcome>(
        as person: String, _ body: () throws(StorageError) -> Outcome
    ) throws(StorageError) -> Outcome {
        actor = person
        defer { actor = nil }
        return try body()
    }

    private func edit(
        _ job: String, _ entry: SpoolIndex.Entry, _ bytes: [UInt8], by person: String, _ isOwner: Bool
    ) throws(StorageError) -> String? {
        guard entry.state.isWaiting || entry.state.isFinished else {
            return "it runs; hold it first, or cancel it and let it go on with the new file"
        }
        let place = try primaryPlace(of: job, entry)
        guard place == entry.state.home else {
            try reconcile(job: job)
            return "somebody has moved its file in the same moment"
        }
        let requirements: JobRequirements
        do throws(JobRejection) {
            requirements = try spool.check(bytes, entry.ticket.file)
        } catch {
            return entry.isPrivate ? "the new job file is not valid" : "the new job file is not valid: \(error.reason)"
        }
        if !isOwner, let more = try overreach(of: requirements, job) { return more }
        if let broken = spool.rules.caps(entry.submitter).violation(of: requirements) { return broken }
        guard var status = try statusOrHold(job) else { return "its status was lost" }
        let copy = try files.freeCopy(entry.sequence, in: entry.state.home)
        do throws(StorageError) {
            // What becomes private is closed before it has its name; only the start of the job opens anything.
            let isClosed = entry.isPrivate ? true : try Privacy(spool: spool).isPrivate(requirements)
            let reader = isClosed ? entry.submitter ?? 0 : nil
            let writing = try Privacy.create(copy, onlyFor: reader, on: storage)
            if let reader {
                try Privacy.close(folder: layout.folder(of: job), to: reader, on: storage)
                status.isPrivate = true
            }
            try writing.append(bytes)
            try writing.synchronize()
            var ticket = entry.ticket
            ticket.identity = FileIdentity(try writing.status())
            adopt(requirements, of: job, into: &ticket)
            status.ticket = ticket
            status.hasBegun = nil
            status.awaitedText = nil
            try records.save(status, of: job, entry)
            try storage.rename(copy, to: layout.file(entry.ticket.file, in: entry.state.home), replacing: true)
        } catch {
            try? storage.discard(copy)
            throw error
        }
        try storage.synchronizeDirectory(layout.directory(entry.state.home))
        // Last: until the new file has its name, this copy is what tells the old one from another job's.
        try storage.replace(layout.jobFile(of: job), with: bytes)
        log.tell(.edited(job: job, by: person))
        if entry.state.isWaiting { try holdCircle(job) }
        return nil
    }

    /// What a file that is not the submitter's own wants and may not: it is run in the submitter's name, and would read
    /// what they alone may read, or show to all what was theirs alone.
    ///
    /// - Returns: The reason; nil: it may.
    func overreach(of requirements: JobRequirements, _ job: String) throws(StorageError) -> String? {
        guard spool.sharing == .group else { return nil }
        let bytes = try storage.contents(of: layout.jobFile(of: job), limit: SpoolKeeper.largestFile) ?? []
        guard let former = try? spool.check(bytes, job + ".yaml") else {
            return "the former job file cannot be compared with; its submitter may change it"
        }
        func reads(_ file: JobRequirements) -> Set<String> { Set(file.texts + file.modelJobs + file.modelPaths) }
        guard reads(requirements).isSubset(of: reads(former)) else {
            return "only the submitter may have the job read other texts and models"
        }
        guard requirements.share == former.share || requirements.share == .owner else {
            return "only the submitter may open what the job makes to others"
        }
        return nil
    }
}
