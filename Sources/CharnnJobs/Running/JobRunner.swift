import CharnnReports
public import CharnnSpool
public import CharnnStorage
import CharnnTraining
import CharnnWords
import SystemPackage

/// Runs one job in its folder, from wherever an earlier attempt left it to its result record.
///
/// The same with and without a daemon. A runner belongs to one thread and blocks it.
///
/// ```
///            ┌─ TrainingJob ──▶ GenerationJob ──▶ EvaluationJob ──▶ JudgementJob ─┐
///   work ────┤                        (each if the job asks for it)               ├──▶ result record ──▶ done
///            └─ paused: checkpoint, 85 · wrong: result record, 65 66 78 · later: 75
/// ```
///
/// 1. Whoever calls it has the folder's lock, and no other runner is at the job.
/// 2. All that the job reads is looked at before its first step; what is wrong is refused then.
/// 3. Each part leaves its results whole or not at all, and finds by itself what an earlier attempt has left.
/// 4. The result record is the last thing that is written and says of all results what they are. Without one the job
///    has not ended, and an attempt that follows does again what is missing.
/// 5. Whatever takes time asks ``pause()``, which is also the sign of life. A part that has to pause throws
///    ``paused()``.
///
/// It knows nothing of queue or process: a daemon's worker and `charnn run` differ in reporter, environment and stop
/// flag.
public final class JobRunner {
    let job: JobFile
    let folder: JobFolder
    let environment: JobEnvironment
    let storage: any Storage
    let engines: any EngineProvider
    let keeper: StatusKeeper
    let stop: StopFlag
    let clock: SpoolClock
    let page: PageWriter
    let pulse: Pulse
    /// How large the folder was when it was last looked at, and when that is done again, on the monotonic clock.
    private var folderSize: UInt64 = 0
    private var nextMeasurement = -Double.infinity

    /// - Parameters:
    ///   - status: How the job stands, as the caller knows it; counted on from there.
    ///   - stop: Set when the work is to end with a checkpoint.
    ///   - pulse: Beats as long as the work gets on.
    public init(
        _ job: JobFile, status: JobStatus, folder: JobFolder, environment: JobEnvironment, storage: any Storage,
        engines: any EngineProvider, reporter: any JobReporter, stop: StopFlag,
        clock: SpoolClock = .system, pulse: Pulse = Pulse()
    ) {
        self.job = job
        let storage = BeatingStorage(base: storage, pulse: pulse)
        let folder = JobFolder(folder.path, in: storage)
        self.folder = folder
        self.environment = environment
        self.storage = storage
        self.pulse = pulse
        self.engines = engines
        self.stop = stop
        self.clock = clock
        keeper = StatusKeeper(status, folder: folder, reporter: reporter, clock: clock)
        page = PageWriter(folder, clock: clock)
    }

    /// Does all that the job asks for. When it returns ``WorkerExit/done``, or one of the exits of a bad job, the
    /// result record is written.
    ///
    /// Called once. The page is written last, whatever happened: it shows how the attempt ended.
    public func run() -> WorkerExit {
        let exit = attempt()
        page.write(keeper.status, isRunning: false)
        return exit
    }

    /// All of the work and its record. Errors become an exit here and nowhere else.
    private func attempt() -> WorkerExit {
        do {
            try work()
            let results = try folder.results()
            try keeper.finish(.done, reason: nil, results: results)
            GenerationJob(self).forgetProgress()
            // The daemon tells of the end itself, when it has moved the job's file.
            keeper.event(.finished, .debug, "All results are written.", ["ELAPSED": String(Int(keeper.elapsed))])
            return .done
        } catch {
            // The kind by which the journal's catalog explains what to try.
            if let error = error as? TrainingError, error.code == .diverged {
                keeper.event(.diverged, .error, "Training diverged: \(error)")
            }
            return end(with: JobError(error))
        }
    }

    /// The sections in their order. What the status still has of an earlier attempt's end is cleared first: a job that
    /// goes on has not failed.
    private func work() throws {
        keeper.update(force: true) { status in
            status.state = .active
            status.reason = nil
            status.results = nil
            status.endedAt = nil
            status.evaluationLoss = nil
            status.warnings = []
        }
        for note in job.notes { keeper.warn("\(note).") }
        var trained: LoadedModel?
        if let section = job.train {
            // It looks at the readings itself, as soon as the vocabulary is known.
            trained = try TrainingJob(self, section).run()
        } else {
            try inspectReadings(trained: nil)
        }
        try GenerationJob(self).run(trained)
        if let section = job.evaluate { try EvaluationJob(self, section).run(trained) }
        if job.judge { try JudgementJob(self).run() }
    }

    /// Looks at all that the job reads besides the text it trains on, and refuses now what would be refused after a night.
    ///
    /// - Parameter alphabet: Of the model that the job trains; nil: it trains none.
    func inspectReadings(trained alphabet: Alphabet?) throws {
        var inspection = JobInspection(
            job, environment, storage: storage, engines: engines, shouldStop: { [self] in shouldPause })
        inspection.inspectReadings(trained: alphabet)
        if shouldPause { throw paused() }
        try inspection.refuse()
        for note in inspection.notes { keeper.warn("\(note).") }
    }

    /// Ends an attempt that did not get to the end.
    ///
    /// A bad job has a result record too, with what it has made so far; where that cannot be written the job is tried
    /// again, and then ends with it.
    private func end(with error: JobError) -> WorkerExit {
        switch error.exit {
        case .checkpointed:
            keeper.event(.interrupted, .notice, "Stopped on request; the job goes on from here later.")
        case .temporary:
            keeper.update(force: true) { $0.reason = error.description }
            if let wait = error.wait { keeper.waits(wait) }
            keeper.event(.failed, .warning, "The job has to wait: \(error.description)")
        case .badData, .noInput, .badJob, .done:
            keeper.event(.failed, .debug, error.description)
            do {
                try keeper.finish(.failed, reason: error.description, results: try folder.results())
            } catch {
                return .temporary
            }
        }
        return error.exit
    }

    // MARK: - What the parts of a job share

    /// Why the work has to pause now; nil: it has not.
    ///
    /// It is asked again and again wherever something takes its time, and so gives a sign of life, too.
    func pause() -> TrainingPause? {
        pulse.beat()
        if stop.isSet { return .requested }
        if let limit = job.timeLimit, keeper.elapsed >= limit { return .timeLimit }
        if brokenCap() != nil { return .timeLimit }
        return nil
    }

    /// The cap of its owner that the job has come to, as a person is told; nil: none.
    ///
    /// Time is asked for at each call; the folder's size now and then, for that takes a look at each file.
    private func brokenCap() -> String? {
        let caps = environment.configuration.caps.all
        if let cap = caps.time, keeper.elapsed >= cap.value {
            return
                "the job has had \(duration(keeper.elapsed)) of work, and may have \(duration(cap.value)) (\(cap.key))"
        }
        guard let cap = caps.disk else { return nil }
        let now = clock.monotonic()
        if now >= nextMeasurement {
            folderSize = Self.size(of: folder.path, in: storage)
            nextMeasurement = now + Self.measureEvery
        }
        guard folderSize > cap.value else { return nil }
        return "the job's folder has \(byteCount(folderSize)), and may have \(byteCount(cap.value)) (\(cap.key))"
    }

    /// Seconds between two looks at how large the folder is.
    private static let measureEvery = 30.0

    /// Bytes of all files below a folder; what cannot be looked at counts as none.
    private static func size(of folder: FilePath, in storage: any Storage) -> UInt64 {
        ((try? storage.list(folder)) ?? []).reduce(0) { sum, name in
            let path = folder.appending(name)
            guard let found = (try? storage.status(of: path)) ?? nil else { return sum }
            return sum + (found.kind == .directory ? size(of: path, in: storage) : UInt64(found.size))
        }
    }

    var shouldPause: Bool { pause() != nil }

    /// Ends the attempt for the reason that ``pause()`` gives.
    func paused() -> JobError {
        if stop.isSet { return JobError(.checkpointed, "stopped on request") }
        if let cap = brokenCap() {
            return JobError(
                .badData,
                "\(cap); the best model so far and a checkpoint are kept. An administrator can raise the cap; then "
                    + environment.tryingAgain
            )
        }
        return JobError(
            .badData,
            "the job's time_limit is over; the best model so far and a checkpoint are kept. "
                + "Raise time_limit and \(environment.tryingAgain) to go on")
    }

    func engineChoice(precision: PrecisionChoice) -> EngineChoice {
        environment.engineChoice(job, precision)
    }
}
