public import CharnnStorage
import CharnnTraining
public import SystemPackage

/// A job's `checkpoints/`: files `step-00001000.safetensors`, of which the newest few are kept.
public struct CheckpointFolder: Sendable {
    /// It need not be there before the first checkpoint.
    public let path: FilePath
    private let storage: any Storage

    public init(_ path: FilePath, in storage: any Storage) {
        self.path = path
        self.storage = storage
    }

    /// The file of a step.
    public func file(step: Int) -> FilePath { path.appending("\(Self.name(step: step)).safetensors") }

    /// `step-00001000`: sorts as numbers do, up to a hundred million steps.
    public static func name(step: Int) -> String {
        let digits = String(step)
        return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    /// The steps that have a file, newest first, whole or not.
    public func steps() throws(StorageError) -> [Int] {
        guard try storage.status(of: path) != nil else { return [] }
        return try storage.list(path).compactMap(Self.step(of:)).sorted(by: >)
    }

    /// The step of a file name; nil for other files.
    static func step(of name: String) -> Int? {
        guard name.hasPrefix("step-"), name.hasSuffix(".safetensors") else { return nil }
        return Int(name.dropFirst(5).dropLast(12))
    }

    /// Writes a checkpoint durably and then removes all but the newest `keeping`.
    public func save(_ checkpoint: Checkpoint, keeping: Int) throws(CheckpointError) {
        do {
            try storage.createDirectories(path, mode: 0o750)
            try checkpoint.write(to: file(step: checkpoint.state.progress.step), in: storage)
            for step in try steps().dropFirst(max(1, keeping)) { try storage.discard(file(step: step)) }
        } catch let error as StorageError {
            throw CheckpointError(.unwritable, "cannot tend the checkpoints: \(error)")
        } catch let error as CheckpointError {
            throw error
        } catch {
            throw CheckpointError(.unwritable, "cannot tend the checkpoints: \(error)")
        }
    }

    /// The newest checkpoint that is whole, with the steps of newer ones and what was wrong with them.
    ///
    /// - Parameter limit: Only those of earlier steps.
    /// - Throws: When there is none and one could not be read: the disk may give it back later, and to begin anew would
    ///   give up all that it has.
    public func newest(before limit: Int = .max) throws(CheckpointError) -> (
        checkpoint: Checkpoint?, damaged: [(step: Int, error: CheckpointError)]
    ) {
        let steps: [Int]
        do {
            steps = try self.steps().filter { $0 < limit }
        } catch {
            throw CheckpointError(.unreadable, "cannot look for checkpoints: \(error)")
        }
        var damaged: [(step: Int, error: CheckpointError)] = []
        for step in steps {
            do {
                return (try Checkpoint(reading: file(step: step), in: storage), damaged)
            } catch {
                damaged.append((step, error))
            }
        }
        if let (_, error) = damaged.first(where: { $0.error.code == .unreadable }) { throw error }
        return (nil, damaged)
    }

    /// Removes those of a step and all later ones durably, so that the run goes on before it. A later one that a power
    /// failure brought back would count on rows of metrics that are gone.
    public func discard(from step: Int) throws(StorageError) {
        let later = try steps().filter { $0 >= step }
        guard !later.isEmpty else { return }
        for step in later { try storage.discard(file(step: step)) }
        try storage.synchronizeDirectory(path)
    }

    /// Removes what an interrupted write left behind, and checkpoints whose contents are damaged: they must not count
    /// among the newest that are kept.
    public func sweep(_ damaged: [(step: Int, error: CheckpointError)]) throws(StorageError) {
        guard try storage.status(of: path) != nil else { return }
        for (step, error) in damaged where error.code == .damaged { try storage.discard(file(step: step)) }
        for name in try storage.list(path) where name.hasPrefix(".") && name.hasSuffix(".partial") {
            try storage.discard(path.appending(name))
        }
    }
}
