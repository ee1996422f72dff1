import CharnnCheckpoint
import CharnnCorpus
import CharnnEngine
import CharnnModel
public import CharnnSpool
import CharnnStorage
import CharnnTraining
import SystemPackage

/// Why a job cannot go on.
///
/// It is where the errors of all floors below become a decision: whoever throws says what is wrong, and here it is
/// sorted whether the job fails or waits. The rule: what is wrong with the job itself, or with what it names, fails it,
/// for waiting would change nothing; what is wrong with disk, GPU or memory is tried again. Sorting the first kind
/// wrongly wastes nights; sorting the second wrongly loses a job.
public struct JobError: Error, Hashable, CustomStringConvertible {
    /// What becomes of the job.
    public let exit: WorkerExit
    /// One sentence: what, where, and how to mend it.
    public let description: String
    /// What the job waits for, where only the disk or the GPU is in the way.
    public let wait: WorkerWait?

    /// - Parameter description: Without a full stop; it becomes a part of other sentences.
    public init(_ exit: WorkerExit, _ description: String, waitingFor wait: WorkerWait? = nil) {
        self.exit = exit
        self.description = description
        self.wait = wait
    }

    /// Sorts an error of the floors below: what is wrong with the job, and what may be better later.
    public init(_ error: any Error) {
        switch error {
        case let error as JobError: self = error
        case let error as JobFileError: self.init(.badJob, error.description)
        case let error as CorpusError:
            let exit: WorkerExit =
                switch error.code {
                case .unreadable: .noInput
                // A text that changed while it was read may be at rest the next time.
                case .readFailed, .changed, .unwritable: .temporary
                case .interrupted: .checkpointed
                case .undecodable, .empty, .damaged, .unknownCharacters: .badData
                }
            self.init(exit, error.description)
        case let error as ModelError:
            let exit: WorkerExit =
                switch error.code {
                case .unreadable: .noInput
                case .readFailed, .unwritable: .temporary
                case .damaged, .notAModel, .unknownCharacters: .badData
                }
            self.init(exit, error.description)
        // All of a training is a function of job file and text: the same would happen again.
        case let error as TrainingError: self.init(.badData, error.description)
        case let error as CheckpointError:
            self.init(
                .temporary, error.description,
                waitingFor: error.code == .noSpace ? .disk(bytes: UInt64(error.bytes)) : nil)
        case let error as EngineError:
            switch error.code {
            case .deviceFailed: self.init(.temporary, error.description, waitingFor: .gpu)
            case .outOfMemory: self.init(.temporary, error.description)
            case .unavailable, .mismatch: self.init(.badData, error.description)
            }
        case let error as StorageError:
            let isDisk = error.code == .noSpace || error.code == .readOnly
            let hint =
                switch error.code {
                case .notFound: "; was the job's folder removed or moved while it ran?"
                case .denied: "; look at the rights (ls -ld \(error.path.removingLastComponent()))"
                default: ""
                }
            self.init(.temporary, "\(error)\(hint)", waitingFor: isDisk ? .disk(bytes: 0) : nil)
        // What nobody has sorted yet does not cost the job: it is tried again, at growing intervals.
        default: self.init(.temporary, "\(error)")
        }
    }
}
