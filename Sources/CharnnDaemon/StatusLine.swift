internal import CharnnSpool
internal import CharnnWords

/// The one line by which `systemctl status` tells how things stand.
enum StatusLine {
    /// - Parameters:
    ///   - running: The running jobs and what their workers told last.
    ///   - counts: How many jobs are queued, held and failed.
    ///   - pause: That nothing is started.
    ///   - shortage: What the disk lacks, for which the queue waits.
    ///   - isWaitingForGPU: Whether jobs wait for the GPU, as it has failed again and again.
    static func text(
        running: [(job: String, status: JobStatus?)], counts: (queued: Int, held: Int, failed: Int),
        pause: QueuePause? = nil, shortage: Shortage? = nil, isWaitingForGPU: Bool = false
    ) -> String {
        let rest = "\(counts.queued) queued, \(counts.held) held, \(counts.failed) failed"
        guard !running.isEmpty else {
            let waiting =
                pause.map { "Paused by \($0.by)\($0.end)" } ?? shortage.map { "Waiting for the disk: \($0)" }
                ?? (isWaitingForGPU ? "Waiting for the GPU, which has failed again and again" : "Idle")
            return "\(waiting); \(rest)"
        }
        return (running.map(progress) + [rest]).joined(separator: "; ")
    }

    /// All that is told of a job that is its owner's alone.
    static func closed(_ job: String) -> JobStatus {
        var status = JobStatus(job: job, state: .active)
        status.phase = "running"
        return status
    }

    private static func progress(of job: String, _ status: JobStatus?) -> String {
        var parts = ["\(job): \(status?.phase ?? "starting")"]
        if let step = status?.step {
            let total = status?.totalSteps.map { "/\($0) (\($0 > step ? 100 * step / $0 : 100) %)" } ?? ""
            parts.append("step \(step)\(total)")
        }
        if let loss = status?.trainLoss { parts.append("loss \(fixed(loss, 3))") }
        if let loss = status?.validationLoss { parts.append("validation loss \(fixed(loss, 3))") }
        if let left = status?.secondsLeft, left.isFinite, left >= 0 { parts.append("\(duration(left)) left") }
        return parts.joined(separator: ", ")
    }
}
