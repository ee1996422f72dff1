internal import CharnnJobs
internal import CharnnSpool

/// A job that is being run.
struct Running {
    let job: String
    /// Tells this attempt's news from another's.
    let number: Int
    let worker: any RunningWorker
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

/// The jobs that are being run, in the order in which they were started.
///
/// A job stays in it until the spool has taken note of how its worker ended.
///
/// It is the daemon's only account of processes; what the spool holds in `active/` is another, and they differ for a
/// moment at both ends. A person may have moved a job's file away while its worker still writes its checkpoint.
struct RunningJobs {
    /// How many may run at a time.
    // One: a training takes all cores or the whole GPU.
    static let slots = 1

    private var jobs: [Running] = []
    /// How many were started so far.
    private var started = 0

    var all: [Running] { jobs }
    var isEmpty: Bool { jobs.isEmpty }
    var names: [String] { jobs.map(\.job) }
    /// Whether one more may be started.
    var hasRoom: Bool { jobs.count < Self.slots }
    /// Whether one of them is writing a checkpoint.
    var isSaving: Bool { jobs.contains(where: \.isSaving) }

    /// Adds a job; `launch` starts its worker, whose news bears the number.
    mutating func add(_ job: String, at time: Double, launch: (_ number: Int) -> any RunningWorker) {
        started += 1
        // The number is taken before the launch: the first news may come while it still goes on.
        jobs.append(Running(job: job, number: started, worker: launch(started), lastWord: time))
    }

    /// Changes the attempt of that number; nothing if it is no more.
    mutating func update(_ number: Int, _ change: (inout Running) -> Void) {
        guard let place = jobs.firstIndex(where: { $0.number == number }) else { return }
        change(&jobs[place])
    }

    mutating func remove(_ number: Int) { jobs.removeAll { $0.number == number } }

    subscript(number: Int) -> Running? { jobs.first { $0.number == number } }

    /// The attempt of that job.
    ///
    /// nil: no worker of it runs, whatever the spool says.
    func attempt(of job: String) -> Running? { jobs.first { $0.job == job } }
}
