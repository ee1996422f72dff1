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
/// 5. Whatever takes time asks ``JobContext/pause()``, which is also the sign of life.
///
/// It knows nothing of queue or process: a daemon's worker and `charnn run` differ in reporter, environment and stop
/// flag.
public final class JobRunner {
    let context: JobContext
    private var keeper: StatusKeeper { context.keeper }

    /// - Parameters:
    ///   - status: How the job stands, as the caller knows it; counted on from there.
    ///   - stop: Set when the work is to end with a checkpoint.
    ///   - pulse: Beats as long as the work gets on.
    public init(
        _ job: JobFile, status: JobStatus, folder: JobFolder, environment: JobEnvironment, storage: any Storage,
        engines: any EngineProvider, reporter: any JobReporter, stop: StopFlag,
        clock: SpoolClock = .system, pulse: Pulse = Pulse()
    ) {
        let storage = BeatingStorage(base: storage, pulse: pulse)
        let folder = JobFolder(folder.path, in: storage)
        context = JobContext(
            job: job, folder: folder, environment: environment, storage: storage, engines: engines,
            keeper: StatusKeeper(status, folder: folder, reporter: reporter, clock: clock), stop: stop, clock: clock,
            page: PageWriter(folder, clock: clock), pulse: pulse,
            size: FolderSize(folder.path, in: storage, clock: clock))
    }

    /// Does all that the job asks for. When it returns ``WorkerExit/done``, or one of the exits of a bad job, the
    /// result record is written.
    ///
    /// Called once. The page is written last, whatever happened: it shows how the attempt ended.
    public func run() -> WorkerExit {
        let exit = attempt()
        context.page.write(keeper.status, isRunning: false)
        return exit
    }

    /// All of the work and its record. Errors become an exit here and nowhere else.
    private func attempt() -> WorkerExit {
        do {
            try work()
            let results = try context.folder.results()
            try keeper.finish(.done, reason: nil, results: results)
            GenerationJob(context).forgetProgress()
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
        for note in context.job.notes { keeper.warn("\(note).") }
        var trained: LoadedModel?
        if let section = context.job.train {
            // It looks at the readings itself, as soon as the vocabulary is known.
            let model = try TrainingJob(context, section).run()
            try StatisticsJob(context: context, section: section).run(model)
            trained = model
        } else {
            try context.inspectReadings(trained: nil)
        }
        try GenerationJob(context).run(trained)
        if let section = context.job.evaluate { try EvaluationJob(context, section).run(trained) }
        if context.job.judge { try JudgementJob(context).run() }
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
                try keeper.finish(.failed, reason: error.description, results: try context.folder.results())
            } catch {
                return .temporary
            }
        }
        return error.exit
    }
}
