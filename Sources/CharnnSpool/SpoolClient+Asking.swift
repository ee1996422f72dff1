internal import CharnnStorage
internal import Glibc
internal import SystemPackage

// Changing what becomes of a job.
extension SpoolClient {
    /// Seconds for which an answer of the daemon is waited for.
    private static let patience = 5.0

    /// Moves a job's file, or asks the daemon to.
    ///
    /// - Returns: The job as it was.
    func change(
        _ name: String, _ verb: SpoolRequest.Verb, from states: [JobState], to state: JobState, called word: String
    ) throws(SpoolClientError) -> Job {
        // One that still lies in incoming/ has a sentence of its own.
        guard let job = try find(name) else { throw SpoolClientError(.notFound, try why(name)) }
        guard states.contains(job.state) else {
            let sought = states.map { "\($0.rawValue)/" }.joined(separator: " or ")
            throw SpoolClientError(
                .wrongState,
                "\(name) is in \(job.state.rawValue)/, and only a job in \(sought) can be \(word)\(job.remedy)")
        }
        do {
            if try layout.sharing(on: storage) == .group {
                return try ask(verb, of: job) { now in now.state == state || (verb == .retry && now.state == .active) }
            }
            try storage.rename(
                layout.file(job.file, in: job.state), to: layout.file(job.file, in: state), replacing: false)
        } catch let error as StorageError {
            // The daemon or another person moved it in the same moment.
            if error.code == .notFound { return try change(name, verb, from: states, to: state, called: word) }
            throw SpoolClientError(error)
        } catch {
            throw (error as? SpoolClientError) ?? SpoolClientError(.storage, "\(error)")
        }
        try? storage.synchronizeDirectory(layout.directory(state))
        try? storage.synchronizeDirectory(layout.directory(job.state))
        return job
    }

    /// Replaces a job's file; it has been checked before.
    ///
    /// - Returns: The job as it was.
    @discardableResult
    public func edit(_ name: String, _ bytes: [UInt8]) throws(SpoolClientError) -> Job {
        guard let job = try find(name) else { throw SpoolClientError(.notFound, try why(name)) }
        guard job.state != .active else {
            throw SpoolClientError(
                .wrongState, "\(name) runs; `charnn hold \(name)` lets it stop with a checkpoint, then it can be edited"
            )
        }
        guard job.state != .rejected || job.status != nil else {
            throw SpoolClientError(.wrongState, "\(name) never was a job; drop the mended file with `charnn submit`")
        }
        do {
            if try layout.sharing(on: storage) == .group {
                let path = layout.file(job.file, in: job.state)
                let before = try storage.status(of: path)?.inode
                return try ask(.edit, of: job, bytes) { _ in (try? storage.status(of: path))??.inode != before }
            }
            try storage.replace(layout.file(job.file, in: job.state), with: bytes)
            return job
        } catch let error as StorageError {
            throw SpoolClientError(error)
        } catch {
            throw (error as? SpoolClientError) ?? SpoolClientError(.storage, "\(error)")
        }
    }

    /// Has nothing more started, and what runs write a checkpoint.
    ///
    /// - Parameter until: Seconds since 1970 at which the queue goes on by itself; nil: when it is resumed.
    /// - Returns: Whether it is so already.
    public func pause(until: Double? = nil) throws(SpoolClientError) -> Bool {
        try askAll(SpoolRequest(.pause, until: until)) { $0 != nil }
    }

    /// Has the queue go on.
    ///
    /// - Returns: Whether it is so already.
    public func resume() throws(SpoolClientError) -> Bool { try askAll(SpoolRequest(.resume)) { $0 == nil } }

    /// That nothing is started; nil: jobs are, or that cannot be told.
    public var queuePause: QueuePause? { (try? QueuePause.read(layout, on: storage)) ?? nil }

    private func askAll(
        _ request: SpoolRequest, _ isDone: (QueuePause?) -> Bool
    ) throws(SpoolClientError) -> Bool {
        do throws(StorageError) {
            let isShared = try layout.sharing(on: storage) == .group
            guard !isShared || people.isAdministrator(getuid()) else {
                throw StorageError(.denied, call: "open", path: layout.requests, errno: .permissionDenied)
            }
            try leave(request)
        } catch {
            guard error.code == .denied else { throw SpoolClientError(error) }
            throw SpoolClientError(
                .denied,
                "the queue is paused and resumed by members of \(People.administratorsGroup); hold your own jobs instead"
            )
        }
        return isDone(queuePause)
    }

    /// Leaves a request for the daemon and waits a moment for what comes of it.
    private func ask(
        _ verb: SpoolRequest.Verb, of job: Job, _ file: [UInt8] = [], _ isDone: (Job) -> Bool
    ) throws -> Job {
        let user = getuid()
        let isAllowed = user == job.owner || people.isAdministrator(user)
        guard isAllowed || job.owner == nil else {
            let whose = job.owner.map { people.name(of: $0) } ?? "nobody knows whose"
            throw SpoolClientError(
                .denied,
                "\(job.name) is a job of \(whose): who submitted it and members of \(People.administratorsGroup) "
                    + "may \(verb.rawValue) it")
        }
        // The number of what is its owner's alone is not for others to see; administrators go without.
        guard let sequence = job.status?.sequence ?? (people.isAdministrator(user) ? 0 : nil) else {
            throw SpoolClientError(
                .denied, "\(job.name): its number cannot be read by you, so that nothing can be asked of it")
        }
        try leave(SpoolRequest(verb, job: job.name, sequence: sequence, file: file))
        var result = job
        guard hasDaemon() != false else {
            result.isAsked = true
            return result
        }
        let now = try find(job.name)
        if let now, isDone(now) || (sequence > 0 && now.status?.sequence != sequence) { return result }
        // A running job ends with a checkpoint first; its file is moved at once.
        result.isAsked = true
        return result
    }

    /// Puts a request durably into `requests/` and waits until it is gone, where a daemon is there to take it.
    private func leave(_ request: SpoolRequest) throws(StorageError) {
        let name = "\(UInt64.random(in: 0 ... .max))"
        let aside = try FileAside(layout.requests.appending(".\(name).partial"), mode: 0o644, in: storage)
        // The daemon is another user in a shared spool and must be able to read it, whatever this user's mask.
        try storage.setMode(request.verb == .edit ? 0o640 : 0o644, of: aside.path)
        try aside.file.append(request.bytes)
        let path = layout.requests.appending(name + SpoolRequest.ending)
        try aside.publish(as: path, replacing: false)
        try? storage.synchronizeDirectory(layout.requests)
        guard hasDaemon() != false else { return }
        let end = clock.monotonic() + Self.patience
        while clock.monotonic() < end, try storage.status(of: path) != nil { usleep(20_000) }
    }
}
