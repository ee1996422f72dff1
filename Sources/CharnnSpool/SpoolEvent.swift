/// Something that happened in the spool and that its people are told of.
public enum SpoolEvent: Sendable, Equatable {
    case accepted(job: String, sequence: UInt64, file: String)
    case rejected(file: String, reason: String)
    /// A drop that stays where it is; told once.
    case ignored(file: String, reason: String)
    case held(job: String, reason: String?)
    case released(job: String)
    case cancelled(job: String)
    /// A finished job goes on by a person's wish.
    case again(job: String)
    case requeued(job: String, RequeueCause, reason: String?)
    /// A move that means nothing was undone, or an interrupted one completed.
    case movedBack(job: String, from: JobState, to: JobState)
    /// A removed file was written anew from the job folder.
    case restored(job: String, to: JobState)
    case finished(job: String, state: JobState, reason: String?)
    /// The worker of this job has to be asked to checkpoint and end.
    case stop(job: String)
    /// Jobs that may use the GPU wait for so many seconds, after so many failures of it in a row.
    case gpuRests(seconds: Double, failures: Int, reason: String)
    /// The GPU works again.
    case gpuWorks
    case trouble(String)
}
