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
    /// Where only the disk is in the way: the bytes that must be free before the job can go on, as far as known.
    public let neededBytes: UInt64?

    public init(_ exit: WorkerExit, _ description: String, neededBytes: UInt64? = nil) {
        self.exit = exit
        self.description = description
        self.neededBytes = neededBytes
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
                case .readFailed, .unwritable: .temporary
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
        case let error as TrainingError: self.init(.badData, error.description)
        case let error as CheckpointError:
            self.init(
                .temporary, error.description, neededBytes: error.code == .noSpace ? UInt64(error.bytes) : nil)
        case let error as EngineError:
            self.init(error.code == .deviceFailed ? .temporary : .badData, error.description)
        case let error as StorageError:
            let isDisk = error.code == .noSpace || error.code == .readOnly
            self.init(.temporary, "\(error)", neededBytes: isDisk ? 0 : nil)
        default: self.init(.temporary, "\(error)")
        }
    }
}
