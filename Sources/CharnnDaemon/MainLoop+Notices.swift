internal import CharnnJobs
internal import CharnnSpool
internal import CharnnStorage
internal import Logging
internal import SystemPackage

/// A job that has ended, or a file that never became one, for a notice.
struct EndedJob: Sendable {
    var name: String
    var state: JobState
    var reason: String?
    /// The file's name in `rejected/`; nil: it was a job.
    var rejectedFile: String?

    /// - Parameter name: The job's; of a rejected file that which it would have had.
    init(name: String, state: JobState, reason: String? = nil, rejectedFile: String? = nil) {
        self.name = name
        self.state = state
        self.reason = reason
        self.rejectedFile = rejectedFile
    }

    /// Where what is told of it lies.
    func report(in layout: SpoolLayout) -> FilePath {
        rejectedFile.map { layout.directory(.rejected).appending("\($0).reason.txt") }
            ?? layout.folder(of: name).appending(.page)
    }

    /// What an event means for those who want to be told; nil where no job ended.
    ///
    /// That a job goes back to the queue, or is retried, is no end.
    init?(_ event: SpoolEvent) {
        switch event {
        case .finished(let job, let state, let reason): self.init(name: job, state: state, reason: reason)
        case .rejected(let file, let reason):
            self.init(
                name: JobFileName(file)?.name.text ?? file, state: .rejected, reason: reason, rejectedFile: file)
        case .cancelled(let job, _): self.init(name: job, state: .cancelled)
        // A person who holds a job knows.
        case .held(let job, let reason?, _): self.init(name: job, state: .held, reason: reason)
        default: return nil
        }
    }
}

// Telling the administrator's command and the units that follow the queue.
extension MainLoop {
    /// Bytes that the list of jobs in the notice of an empty queue has at most: one variable may have 128 KiB.
    private static let longestList = 96 << 10
    // A reason is somebody's text: it gets into a variable in one line, and cut.
    private static let longestReason = 1000

    /// Tells the command of one job, and keeps it for the notice of an empty queue. The command gets the owner's name,
    /// but no reason where the job is its owner's alone.
    func noteEnd(_ job: EndedJob) {
        endsSinceIdle.append(job)
        guard let command = configuration.notifyCommand else { return }
        let folder = job.rejectedFile == nil ? options.spool.folder(of: job.name) : options.spool.directory(.rejected)
        notifier.send(
            Notifier.Notice(
                command: command, limit: configuration.notifyTimeout,
                variables: [
                    "CHARNND_NOTICE": "job", "CHARNND_SPOOL": options.spool.root.string, "CHARNND_JOB": job.name,
                    "CHARNND_STATE": job.state.rawValue,
                    "CHARNND_OWNER": owner(of: job).map { options.people.name(of: $0) } ?? "",
                    "CHARNND_REASON": job.rejectedFile == nil && keeper.isPrivate(job.name)
                        ? "" : PlainText.line(job.reason ?? "", atMost: Self.longestReason),
                    "CHARNND_FOLDER": folder.string, "CHARNND_REPORT": job.report(in: options.spool).string,
                ]), mayForget: true)
    }

    /// Who submitted a job, or dropped a rejected file; another's job may have the same name.
    private func owner(of job: EndedJob) -> UInt32? {
        guard let file = job.rejectedFile else { return keeper.submitter(of: job.name) }
        return ((try? options.storage.status(of: options.spool.file(file, in: .rejected))) ?? nil)?.owner
    }

    /// Notes at the end of a turn whether there is anything left to do.
    ///
    /// Called at each turn; the command is told once for each time that the queue becomes empty, and only if a job
    /// ended since the time before.
    func noteIdleness(isIdle: Bool) {
        if isIdle != wasIdle {
            wasIdle = isIdle
            tellFollowers(isIdle: isIdle)
        }
        guard isIdle, !endsSinceIdle.isEmpty else { return }
        let ended = endsSinceIdle
        endsSinceIdle = []
        guard let command = configuration.notifyCommand else { return }
        var variables = [
            "CHARNND_NOTICE": "idle", "CHARNND_SPOOL": options.spool.root.string,
            "CHARNND_REPORT": options.spool.root.appending("index.html").string,
            "CHARNND_WAITING": "\(keeper.count(.queue))",
            "CHARNND_JOBS": list(ended),
        ]
        for state in [JobState.done, .failed, .cancelled, .held, .rejected] {
            variables["CHARNND_\(state.rawValue.uppercased())"] = "\(ended.count { $0.state == state })"
        }
        notifier.send(
            Notifier.Notice(command: command, limit: configuration.notifyTimeout, variables: variables),
            mayForget: false)
    }

    /// Writes whether there is work where charnnd-idle.service sees it.
    private func tellFollowers(isIdle: Bool) {
        guard let folder = options.runtimeFolder else { return }
        do {
            try options.storage.swap(
                folder.appending("state"), with: Array((isIdle ? "idle\n" : "busy\n").utf8), mode: 0o644)
        } catch {
            announcer.tell(
                .notifyFailed, .warning, "charnnd-idle.target does not follow: \(error)", ["error": "\(error)"])
        }
    }

    /// A line for each of the jobs that ended last, as many as an environment variable holds.
    private func list(_ jobs: [EndedJob]) -> String {
        var lines: [String] = []
        var bytes = 0
        for job in jobs.reversed() {
            let line = "\(job.name)\t\(job.state.rawValue)\t\(job.report(in: options.spool))"
            bytes += line.utf8.count + 1
            guard bytes <= Self.longestList else { break }
            lines.append(line)
        }
        return lines.reversed().joined(separator: "\n")
    }
}
