internal import CharnnJobs
internal import CharnnSpool
internal import CharnnStorage
internal import Logging
internal import SystemPackage

/// The job that is being run.
struct Running {
    let job: String
    let number: Int
    let process: WorkerProcess
    /// What the worker told last.
    var status: JobStatus?
    /// When it was last heard of, on the monotonic clock.
    var lastWord: Double
    /// The last lines it wrote to its standard error.
    var lastLines: [String] = []
    /// When it was asked to end.
    var stoppedAt: Double?
    /// Until when it is given to end.
    var killAt: Double?
    var isHung = false
    /// Whether a checkpoint is being written, as far as it told.
    var isSaving = false
    /// What it told that it waits for.
    var wait: WorkerWait?
    /// How it ended, until the spool has taken note.
    var end: WorkerEnd?
}

// One worker for one job at a time.
extension MainLoop {
    private static let keptLines = 5
    private static let longestLine = 500

    func startNext() {
        attempt { () throws(StorageError) in
            guard let claim = try keeper.claimNext() else { return }
            workersStarted += 1
            let (number, send) = (workersStarted, daemon.send)
            announcer.forgetProgress()
            let again = claim.attempt == 1 ? "" : ", attempt \(claim.attempt)"
            announcer.tell(
                .jobStarted, .notice, job: claim.job, "Started\(again).", ["attempt": "\(claim.attempt)"])
            pageChanged()
            let process = WorkerProcess(
                options.worker, spool: options.spool.root, job: claim.job, orders: WorkerOrders(configuration)
            ) { send.yield(.worker($0, number: number)) }
            running = Running(job: claim.job, number: number, process: process, lastWord: clock.monotonic())
        }
    }

    /// Takes note of what a worker told.
    func hear(_ news: WorkerProcess.News, _ number: Int) {
        guard var current = running, current.number == number else { return }
        current.lastWord = clock.monotonic()
        switch news {
        case .started, .message(.alive): break
        case .message(.progress(let status)):
            current.status = status
            current.isSaving = false
        case .message(.event(let event)):
            if event.kind == .checkpointSaved { current.isSaving = false }
            announcer.tell(event, job: current.job)
        case .message(.waits(let wait)): current.wait = wait
        case .message(.savingCheckpoint):
            current.isSaving = true
            // A large one on a slow disk takes its time; it is what the stop is for.
            if let killAt = current.killAt { current.killAt = max(killAt, clock.monotonic() + 120) }
        case .line(let line):
            let text = String(line.prefix(Self.longestLine))
            current.lastLines = (current.lastLines + [text]).suffix(Self.keptLines)
            announcer.hear(line: text, job: current.job)
        case .ended(let end): current.end = current.isHung ? .hung : end
        }
        running = current
    }

    /// Asks the worker of a job to write a checkpoint and end.
    func stopWorker(of job: String) {
        guard running?.job == job, running?.stoppedAt == nil else { return }
        let now = clock.monotonic()
        running?.stoppedAt = now
        running?.killAt = now + options.stopTimeout
        running?.process.terminate()
    }

    /// Ends a worker that has given no sign of life for too long, or does not end when it should.
    func watchWorker() {
        guard let current = running, current.end == nil else { return }
        let now = clock.monotonic()
        if let killAt = current.killAt, now >= killAt {
            current.process.kill()
            // Should even that have no effect, as with a process in uninterruptible sleep, it is done again.
            running?.killAt = now + 10
        } else if current.stoppedAt == nil, now - current.lastWord > configuration.progressTimeout {
            announcer.tell(
                .workerHung, .error, job: current.job,
                "The worker gave no sign of life for \(StatusLine.duration(now - current.lastWord)); it is ended.")
            running?.isHung = true
            running?.stoppedAt = now
            running?.killAt = now + options.stopTimeout
            current.process.terminate()
        }
    }

    /// Has the spool file the job of a worker that has ended; again, if that failed.
    func settleWorker() {
        guard let current = running, var end = current.end else { return }
        if end == .exited(WorkerExit.temporary.rawValue) {
            let bytes: UInt64 = if case .disk(let bytes)? = current.wait { bytes } else { 0 }
            watchRoom(for: bytes, found: true)
            if let shortage {
                end = .lackedRoom(shortage.description)
            } else if current.wait == .gpu {
                end = .gpuFailed
            }
        }
        attempt { () throws(StorageError) in
            try keeper.workerEnded(
                current.job, end, wasStopped: current.stoppedAt != nil && !current.isHung,
                lastWords: current.lastLines.joined(separator: " | "))
            running = nil
        }
    }
}
