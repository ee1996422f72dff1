/// Something that happened in the spool and that its people are told of.
public enum SpoolEvent: Sendable, Equatable {
    /// - by: Here and below who did it, where it was not whoever may move files in a spool of their own.
    case accepted(job: String, sequence: UInt64, file: String, by: String? = nil)
    case rejected(file: String, reason: String)
    /// A drop that stays where it is; told once.
    case ignored(file: String, reason: String)
    case held(job: String, reason: String?, by: String? = nil)
    case released(job: String, by: String? = nil)
    case cancelled(job: String, by: String? = nil)
    /// A finished job goes on by a person's wish.
    case again(job: String, by: String? = nil)
    /// Its job file was replaced by a person's request.
    case edited(job: String, by: String)
    /// A request that was not done; nil: one that could not be read.
    case refused(request: SpoolRequest?, by: String, reason: String)
    case paused(QueuePause)
    /// - by: nil: its time has come.
    case resumed(by: String?)
    case requeued(job: String, RequeueCause, reason: String?, by: String? = nil)
    /// A move that means nothing was undone, or an interrupted one completed.
    case movedBack(job: String, from: JobState, to: JobState)
    /// A removed file was written anew from the job folder.
    case restored(job: String, to: JobState)
    case finished(job: String, state: JobState, reason: String?)
    /// A job whose turn has come waits for a text.
    case waits(job: String, AwaitedText)
    /// The worker of this job has to be asked to checkpoint and end.
    case stop(job: String)
    /// Jobs that may use the GPU wait for so many seconds, after so many failures of it in a row.
    case gpuRests(seconds: Double, failures: Int, reason: String)
    /// The GPU works again.
    case gpuWorks
    case trouble(String)
}
