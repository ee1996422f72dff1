import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTraining
import CharnnWords
import SystemPackage

/// What the parts of a job share: what it asks for, where it works, with what, and whom it tells.
///
/// Made by ``JobRunner`` and handed to each part; a part knows no other. Whatever takes time asks ``pause()``, which is
/// also the sign of life, and a part that has to pause throws ``paused()``.
struct JobContext {
    let job: JobFile
    let folder: JobFolder
    let environment: JobEnvironment
    let storage: any Storage
    let engines: any EngineProvider
    let keeper: StatusKeeper
    /// Set when the work is to end with a checkpoint.
    let stop: StopFlag
    let clock: SpoolClock
    let page: PageWriter
    /// Beats as long as the work gets on.
    let pulse: Pulse
    /// How large the folder is.
    let size: FolderSize

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
        let bytes = size.bytes()
        guard bytes > cap.value else { return nil }
        return "the job's folder has \(byteCount(bytes)), and may have \(byteCount(cap.value)) (\(cap.key))"
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

    /// Looks at all that the job reads besides the text it trains on, and refuses now what would be refused after a night.
    ///
    /// - Parameter alphabet: Of the model that the job trains; nil: it trains none.
    func inspectReadings(trained alphabet: Alphabet?) throws {
        var inspection = JobInspection(
            job, environment, storage: storage, engines: engines, shouldStop: { shouldPause })
        inspection.inspectReadings(trained: alphabet)
        if shouldPause { throw paused() }
        try inspection.refuse()
        for note in inspection.notes { keeper.warn("\(note).") }
    }
}

/// How large a folder is, looked at now and then: that takes a look at each of its files.
final class FolderSize {
    private let folder: FilePath
    private let storage: any Storage
    private let clock: SpoolClock
    private var known: UInt64 = 0
    /// When it is looked at again, on the monotonic clock.
    private var next = -Double.infinity

    /// Seconds between two looks.
    private static let interval = 30.0

    init(_ folder: FilePath, in storage: any Storage, clock: SpoolClock) {
        (self.folder, self.storage, self.clock) = (folder, storage, clock)
    }

    /// Bytes of all files below it; what cannot be looked at counts as none.
    func bytes() -> UInt64 {
        let now = clock.monotonic()
        if now >= next {
            known = Self.size(of: folder, in: storage)
            next = now + Self.interval
        }
        return known
    }

    private static func size(of folder: FilePath, in storage: any Storage) -> UInt64 {
        ((try? storage.list(folder)) ?? []).reduce(0) { sum, name in
            let path = folder.appending(name)
            guard let found = (try? storage.status(of: path)) ?? nil else { return sum }
            return sum + (found.kind == .directory ? size(of: path, in: storage) : UInt64(found.size))
        }
    }
}
