internal import CharnnJobs
internal import CharnnReports
internal import CharnnSpool
internal import CharnnStorage
internal import CharnnWords
internal import Logging
internal import SystemPackage

// The workers of the jobs that run. A worker's life, as the main loop sees it:
//
// started ─▶ news ─▶ … ─▶ ended ─▶ settled, and out of the running jobs
//    │                      ▲
//    ├─ asked to end ───────┤  by a person, a pause, a stop, or as hung
//    └─ killed ─────────────┘  when it has not ended in time
//
// News carries the number of the attempt, so that what a worker of before had still to say is not taken for that of the
// next. How a worker ended is kept until the spool has taken note of it durably: a disk that is full at that moment
// costs nothing but time.
extension MainLoop {
    /// Of what a worker writes to its standard error the end says what went wrong: it goes into the status.
    private static let keptLines = 5
    private static let longestLine = 500

    /// Starts the job whose turn it is.
    ///
    /// - Returns: Whether there was one.
    func startNext() -> Bool {
        var hasStarted = false
        attempt { () throws(StorageError) in
            guard let claim = try keeper.claimNext() else { return }
            hasStarted = true
            let send = daemon.send
            announcer.forgetProgress()
            let again = claim.attempt == 1 ? "" : ", attempt \(claim.attempt)"
            announcer.tell(
                .jobStarted, .notice, job: claim.job, "Started\(again).", ["attempt": "\(claim.attempt)"])
            pageChanged()
            running.add(claim.job, at: clock.monotonic()) { number in
                options.launcher.launch(
                    spool: options.spool.root, job: claim.job, orders: orders(for: claim.job)
                ) { send.yield(.worker($0, number: number)) }
            }
        }
        return hasStarted
    }

    /// The configuration in force and the caps of the job's owner, as they are at this moment.
    private func orders(for job: String) -> WorkerOrders {
        WorkerOrders(configuration, caps: keeper.rules.caps(keeper.submitter(of: job)))
    }

    /// Takes note of what a worker told.
    func hear(_ news: WorkerNews, _ number: Int) {
        guard var current = running[number] else { return }
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
            // Only later, never earlier; two minutes from when it told of it.
            if let killAt = current.killAt { current.killAt = max(killAt, clock.monotonic() + 120) }
        case .line(let line):
            let text = String(line.prefix(Self.longestLine))
            current.lastLines = (current.lastLines + [text]).suffix(Self.keptLines)
            announcer.hear(line: text, job: current.job)
        case .ended(.outOfMemory(let bound)) where !current.isHung:
            let needed = current.status?.neededMemory.map { "the job needs about \(byteCount($0))" }
            current.end = .outOfMemory("\(needed ?? "what the job needs is not known yet"), and \(bound)")
        // That the daemon ended it says more than the signal by which it did.
        case .ended(let end): current.end = current.isHung ? .hung : end
        }
        running.update(number) { $0 = current }
    }

    /// Asks the worker of a job to write a checkpoint and end.
    func stopWorker(of job: String) {
        guard let current = running.attempt(of: job), current.stoppedAt == nil else { return }
        stop(current)
    }

    /// Asks a worker to end, for the first time.
    private func stop(_ current: Running, asHung: Bool = false) {
        let now = clock.monotonic()
        running.update(current.number) {
            $0.stoppedAt = now
            $0.killAt = now + options.stopTimeout
            if asHung { $0.isHung = true }
        }
        current.worker.terminate()
    }

    /// Ends workers that have given no sign of life for too long, or do not end when they should.
    func watchWorkers() {
        for current in running.all where current.end == nil {
            let now = clock.monotonic()
            if let killAt = current.killAt, now >= killAt {
                current.worker.kill()
                // Should even that have no effect, as with a process in uninterruptible sleep, it is done again.
                running.update(current.number) { $0.killAt = now + 10 }
            } else if current.stoppedAt == nil, now - current.lastWord > configuration.progressTimeout {
                announcer.tell(
                    .workerHung, .error, job: current.job,
                    "The worker gave no sign of life for \(duration(now - current.lastWord)); it is ended.")
                stop(current, asHung: true)
            }
        }
    }

    /// Has the spool file the jobs of workers that have ended; again, if that failed.
    func settleWorkers() {
        for current in running.all {
            guard var end = current.end else { continue }
            // A worker that has to try again says that it has, and perhaps for what; whether the disk is to blame the
            // daemon sees for itself, for then the whole queue has to wait.
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
                running.remove(current.number)
            }
        }
    }
}
