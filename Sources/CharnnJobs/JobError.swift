import CharnnCheckpoint
import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnStorage
import CharnnTraining

/// Why a job cannot go on.
public struct JobError: Error, Hashable, CustomStringConvertible {
    /// What becomes of the job.
    public let exit: WorkerExit
    /// One sentence: what, where, and how to mend it.
    public let description: String

    public init(_ exit: WorkerExit, _ description: String) {
        self.exit = exit
        self.description = description
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
                case .unwritable: .temporary
                case .interrupted: .checkpointed
                case .undecodable, .empty, .damaged, .unknownCharacters: .badData
                }
            self.init(exit, error.description)
        case let error as ModelError:
            let exit: WorkerExit =
                switch error.code {
                case .unreadable: .noInput
                case .unwritable: .temporary
                case .damaged, .notAModel, .unknownCharacters: .badData
                }
            self.init(exit, error.description)
        case let error as TrainingError: self.init(.badData, error.description)
        case let error as CheckpointError: self.init(.temporary, error.description)
        case let error as EngineError:
            self.init(error.code == .deviceFailed ? .temporary : .badData, error.description)
        case let error as StorageError: self.init(.temporary, "\(error)")
        default: self.init(.temporary, "\(error)")
        }
    }
}
