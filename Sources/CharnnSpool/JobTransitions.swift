/// What the spool knows of a job from its status, apart from where its file lies.
public enum RecordedState: Hashable, Sendable, CaseIterable {
    /// No job folder bears the file's name.
    case unknown
    case queued
    /// A worker of this daemon is at it.
    case running
    /// Its status says `active`, but no worker is at it: it has just ended, or daemon or machine went down.
    case interrupted
    case held
    /// The result record is written, the file not yet moved to `done/` by the daemon.
    case succeeded
    /// The record of failure is written, the file not yet moved to `failed/` by the daemon.
    case broken
    case done
    case failed
    case cancelled
    case rejected
}

/// What the daemon does about where it finds a job's file.
public enum Transition: Hashable, Sendable {
    /// All is as recorded.
    case nothing
    /// The file is no job's yet: it is accepted as a new one, as if dropped, and goes to that state.
    case adopt(JobState)
    /// A person's move counts: the status is made to say so.
    case record(JobState)
    /// A person's move starts a finished job again: from its newest checkpoint, with one attempt more.
    case again(JobState)
    /// The file goes where it belongs: the move means nothing, or the daemon's own move is completed.
    case move(JobState)
    /// The worker is asked to checkpoint and end; what then holds is decided when it has.
    case stop
    /// The file is gone: it is written anew from the job folder into that state.
    case restore(JobState)
}

/// The table of all pairs of what is recorded and where the file lies.
///
/// It holds while the daemon is up, when it has seen a move, and at its start, when it finds what was done meanwhile;
/// that is why moves by people and moves of the daemon that a crash cut short are decided in one place.
///
/// The rules behind the table:
/// 1. A result record decides: its job is done or failed wherever the file lies, until the daemon has filed it.
/// 2. Only the daemon fills `active/`; a file put there by hand asks to be run and so goes to `queue/`.
/// 3. Only the daemon fills `done/`, `failed/` and `rejected/`; a waiting job moved there goes back where it was.
/// 4. What removes a finished job's file changes nothing else: the job folder stays and keeps the name.
public enum JobTransitions {
    /// - Parameter place: The state in whose directory the file lies; nil when it lies in none.
    public static func decide(_ recorded: RecordedState, foundIn place: JobState?) -> Transition {
        switch recorded {
        case .unknown: unknown(place)
        case .queued: waiting(.queue, place)
        case .held: waiting(.held, place)
        case .running: running(place)
        case .interrupted: interrupted(place)
        case .succeeded: recordedResult(.done, place)
        case .broken: recordedResult(.failed, place)
        case .done: finished(.done, place)
        case .failed: finished(.failed, place)
        case .cancelled: finished(.cancelled, place)
        case .rejected: finished(.rejected, place)
        }
    }

    private static func unknown(_ place: JobState?) -> Transition {
        switch place {
        case .queue, .active: .adopt(.queue)
        case .held: .adopt(.held)
        case .done, .failed, .cancelled, .rejected, .stopped, nil: .nothing
        }
    }

    private static func waiting(_ state: JobState, _ place: JobState?) -> Transition {
        switch place {
        case state: .nothing
        case .queue: .record(.queue)
        case .held: .record(.held)
        case .cancelled: .record(.cancelled)
        case .active: .move(.queue)
        case .done, .failed, .rejected, .stopped: .move(state)
        case nil: .restore(.cancelled)
        }
    }

    private static func running(_ place: JobState?) -> Transition {
        switch place {
        case .active: .nothing
        case .queue, .held, .cancelled, nil: .stop
        case .done, .failed, .rejected, .stopped: .move(.active)
        }
    }

    private static func interrupted(_ place: JobState?) -> Transition {
        switch place {
        case .queue: .record(.queue)
        case .held: .record(.held)
        case .cancelled: .record(.cancelled)
        case .active, .done, .failed, .rejected, .stopped: .move(.queue)
        case nil: .restore(.cancelled)
        }
    }

    private static func recordedResult(_ state: JobState, _ place: JobState?) -> Transition {
        switch place {
        case state: .record(state)
        case nil: .restore(state)
        default: .move(state)
        }
    }

    private static func finished(_ state: JobState, _ place: JobState?) -> Transition {
        switch place {
        case state, nil: .nothing
        case .queue: .again(.queue)
        case .held: .again(.held)
        case .active: .move(.queue)
        case .done, .failed, .cancelled, .rejected, .stopped: .move(state)
        }
    }
}
