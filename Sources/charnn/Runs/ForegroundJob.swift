import CharnnJobs
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import Glibc
import SystemPackage

/// A job run by a person's own process, with a person's own rights.
///
/// For `run` and `demo`. The work itself is ``JobRunner``'s, as in a daemon's worker; here is what the daemon does
/// otherwise:
///
/// 1. Predecessors that are not there are refused: nobody would wait for them.
/// 2. The folder's lock is taken, and ends with this process, whatever ends it.
/// 3. Whether the folder is that of this run is looked at before anything in it is changed: it may be a job's, or of
///    other settings.
/// 4. `process` in the folder says who is at it, for `charnn end`; it is removed at the end.
/// 5. Signals that would end a program end this one with a checkpoint. When it has ended the status says "stopped", and
///    the same command goes on.
struct ForegroundJob {
    /// The run's, and of its folder unless a person has named another.
    var name: String
    /// The job file as given; it is kept as `job.yaml`.
    var bytes: [UInt8]
    var fileName: String
    var folder: FilePath
    var layout: SpoolLayout
    var runs: RunFolders
    /// Where relative texts and models are looked for first.
    var beside: FilePath
    var storage: any Storage
    /// What goes on with it.
    ///
    /// Told where a person could go on, or begin anew; it must be one that can be pasted.
    var command: String
    /// Whether what it wrote before is removed first.
    var isFresh = false
    var isQuiet = false

    private static let stop = StopFlag()

    /// - Throws: What refuses the run before it has begun; what ends it later is in the exit and was told.
    func run() throws -> WorkerExit {
        let job = try FilesBeside(folder: beside, storage: storage)
            .located(try JobFile.parse(bytes, fileName: fileName))
        // Before anything is put there; and again when nobody else can be at work.
        _ = try formerStatus(of: job)
        try inspect(job)
        let jobFolder = JobFolder(folder, in: storage)
        try storage.createDirectories(folder, mode: 0o750)
        guard let lock = try storage.lock(folder.appending(.lock)) else {
            throw Failure("another worker is at \(folder); wait for it, or give --output another folder", status: 75)
        }
        let former = try formerStatus(of: job)
        var status = former ?? JobStatus(job: name, state: .active)
        // Counted here, since no daemon does.
        status.attempts += 1
        status.startedAt = JobStatus.time(SpoolClock.system.wall())
        // A person who runs a job again gives it its time again.
        if ![.active, .stopped].contains(status.state) { status.elapsedSeconds = nil }

        if isFresh {
            try jobFolder.removeOutput(beginning: status)
        } else if former == nil {
            // By it the folder is known for a run's, whatever happens next.
            try status.save(jobFolder.statusFile, on: storage)
        }
        let reporter = ConsoleReporter(log: jobFolder.log, storage: storage, isQuiet: isQuiet)
        let runner = JobRunner(
            job, status: status, folder: jobFolder, environment: environment, storage: storage, engines: Engines(),
            reporter: reporter, stop: Self.stop)
        // A file that does not fit to what was written must not change what is told of it.
        try runner.requireSameRun()
        try tellWhoseModels(job)
        // Only now: a run that was refused leaves the file of the one that lies there.
        try storage.replace(jobFolder.jobFile, with: bytes)
        Self.listen()
        try ProcessIdentity.current?.save(folder.appending(.process), on: storage)
        let exit = runner.run()
        reporter.clear()
        settle(jobFolder)
        // Without this the compiler may let go of the lock at its last use, which is where it was taken.
        withExtendedLifetime(lock) {}
        return exit
    }

    /// A person's own: no roots, and models of their runs beside those of the queue.
    var environment: JobEnvironment {
        var environment = JobEnvironment(corpora: layout.corpora, jobs: layout.jobs, roots: nil)
        environment.runs = runs.home.runs
        environment.startingAnew = "begin anew with `\(command) --fresh`, which removes what lies in \(folder)"
        environment.tryingAgain = "run it again"
        return environment
    }

    /// Looks at what the job reads. One that goes on needs no more of it than was kept; one that begins anew is looked at
    /// as a whole, before anything is removed.
    private func inspect(_ job: JobFile) throws {
        var inspection = JobInspection(job, environment, storage: storage, engines: Engines())
        let client = SpoolClient(layout, storage: storage)
        guard isFresh else {
            inspection.lookForPredecessors(in: client)
            return try inspection.refuse()
        }
        _ = inspection.inspect(in: client)
        try inspection.refuse()
        try requireKept(environment.files(readBy: job, in: storage))
    }

    /// Says which of two is meant, where a job of the queue and a run have the name that the file gives for a model.
    private func tellWhoseModels(_ job: JobFile) throws {
        for model in job.modelJobs {
            guard let run = try runs.find(model), !run.isFormer,
                try storage.status(of: layout.folder(of: model)) != nil
            else { continue }
            Terminal.error(
                "charnn: \(model) is taken for the job of the queue; to take the run of that name, say "
                    + "\(run.folder.appending(.model))")
        }
    }

    /// Has signals that end a program end this one with a checkpoint.
    private static func listen() {
        _ = stop.isSet
        signal(SIGPIPE, SIG_IGN)
        EndingSignals.handle { _ in ForegroundJob.stop.set() }
    }

    /// Says durably that nobody works at it any more.
    private func settle(_ jobFolder: JobFolder) {
        // What cannot be written is told by the lock alone, which ends with this process.
        try? storage.discard(folder.appending(.process))
        guard var status = jobFolder.status(), status.state == .active else { return }
        status.state = .stopped
        status.phase = nil
        status.secondsLeft = nil
        status.updatedAt = JobStatus.time(SpoolClock.system.wall())
        try? status.save(jobFolder.statusFile, on: storage)
    }
}
