/// Why queued jobs are not started, where it is more than their turn: the same words for every tool that tells it.
public struct WaitingReasons: Sendable {
    private let jobs: [String: SpoolClient.Job]
    private let waits: QueueWaits
    private let pause: QueuePause?
    private let now: Double

    init(_ jobs: [SpoolClient.Job], _ waits: QueueWaits, _ pause: QueuePause?, at now: Double) {
        self.jobs = Dictionary(jobs.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        self.waits = waits
        self.pause = pause
        self.now = now
    }

    /// Whether nothing at all is started, so that no time can be told.
    public var isStopped: Bool { pause != nil || waits.disk != nil }

    /// Whether a job waits for the GPU, so that others overtake it.
    func rests(_ job: SpoolClient.Job) -> Bool {
        waits.gpuUntil ?? 0 > now && job.status?.ticket?.mayUseGPU == true
    }

    /// Why a queued job is not started, such as `waits for parent, which failed`; nil: it waits for its turn only.
    public func reason(of job: SpoolClient.Job) -> String? {
        blocker(of: job) ?? delay(of: job) ?? job.status?.awaitedText?.reason ?? standstill
    }

    /// What of other jobs stands in the way.
    func blocker(of job: SpoolClient.Job) -> String? {
        let blocker = Blocker.first(among: job.status?.ticket?.predecessors ?? []) { name in
            guard let other = jobs[name] else { return nil }
            let state: RecordedState =
                switch other.state {
                case .queue: .queued
                case .active, .stopped: .interrupted
                case .held: .held
                case .done: .done
                case .failed: .failed
                case .cancelled: .cancelled
                case .rejected: .rejected
                }
            return (other.status?.sequence, state)
        }
        guard case .missing(let name)? = blocker else { return blocker?.description }
        // People name the file, too.
        let stem = JobFileName(name)?.name.text
        let near = stem.flatMap { jobs[$0] == nil ? nil : $0 } ?? Spelling.nearest(to: name, in: Array(jobs.keys))
        let remedy = near.flatMap { $0 == job.name ? nil : "; did you mean \($0)? `charnn edit \(job.name)`" } ?? ""
        return (blocker?.description ?? "") + remedy
    }

    /// What only time brings to an end.
    private func delay(of job: SpoolClient.Job) -> String? {
        let again = job.status?.notBefore.flatMap { $0 > now ? $0 : nil }
        if let time = waits.gpuUntil, time > again ?? 0, rests(job) {
            let how = waits.gpuReason.map { " (the last time: \($0))" } ?? ""
            return "waits until \(JobStatus.time(time)) for the GPU, which has failed again and again\(how); "
                + "`charnn doctor` looks at it, and jobs with device: cpu go on"
        }
        guard let again else { return nil }
        return "is tried again at \(JobStatus.time(again))"
    }

    /// What the queue as a whole waits for.
    private var standstill: String? {
        if let pause {
            return
                "waits, as the whole queue does: it is paused by \(pause.by)\(pause.end); `charnn resume` lets it go on"
        }
        return waits.disk.map { "waits, as the whole queue does, for the disk: \($0)" }
    }
}

extension SpoolClient {
    /// Why the jobs of a list wait.
    public func waitingReasons(_ jobs: [Job]) -> WaitingReasons {
        WaitingReasons(jobs, queueWaits, queuePause, at: clock.wall())
    }

    /// The queued jobs whose turn comes by itself, in that order.
    public func turns(_ jobs: [Job]) -> [Job] { Self.turns(jobs, queueWaits, at: clock.wall()) }
}
