public import CharnnCheckpoint
import CharnnCorpus
import CharnnReports
public import CharnnSpool
public import CharnnStorage
import Crypto
public import SystemPackage

/// `jobs/NAME/`: where everything of one job lies.
public struct JobFolder: Sendable {
    public let path: FilePath
    let storage: any Storage

    public init(_ path: FilePath, in storage: any Storage) {
        self.path = path
        self.storage = storage
    }

    public var jobFile: FilePath { path.appending("job.yaml") }
    public var resolved: FilePath { path.appending("resolved.yaml") }
    public var statusFile: FilePath { path.appending("status.json") }
    public var log: FilePath { path.appending("log.txt") }
    public var metrics: FilePath { path.appending("metrics.csv") }
    public var corpus: FilePath { path.appending("corpus.bin") }
    public var model: FilePath { path.appending("model.safetensors") }
    public var lastModel: FilePath { path.appending("last.safetensors") }
    public var samples: FilePath { path.appending("samples") }
    public var generated: FilePath { path.appending("generated") }
    public var evaluation: FilePath { path.appending("evaluation.json") }
    public var comparison: FilePath { path.appending("comparison.json") }
    public var copies: FilePath { path.appending("copies.json") }
    public var page: FilePath { path.appending("report.html") }
    public var events: FilePath { path.appending(EventFile.name) }
    public var checkpoints: CheckpointFolder { CheckpointFolder(path.appending("checkpoints"), in: storage) }

    /// The status as last written; nil where there is none or it cannot be read.
    public func status() -> JobStatus? {
        (try? JobStatus.read(statusFile, on: storage)) ?? nil
    }

    /// Writes the status so that it is always whole, after a power failure too: it has what the queue knows of the job.
    func write(_ status: JobStatus) throws(StorageError) { try storage.swap(statusFile, with: status.encoded) }

    /// The results that are there, with their checksums.
    public func results() throws -> [JobStatus.Result] {
        // A disk that fails must not make a result look as if there were none.
        var paths = try [model, lastModel, metrics, evaluation].filter { try storage.status(of: $0) != nil }
        for folder in [samples, generated] where try storage.status(of: folder) != nil {
            for name in try storage.list(folder).sorted() where !name.hasPrefix(".") {
                paths.append(folder.appending(name))
            }
        }
        return try paths.map { file in
            let handle = try storage.open(file, beneath: nil)
            var hasher = SHA256()
            var position = 0
            while true {
                let piece = try handle.read(at: position, count: 1 << 20)
                if piece.isEmpty { break }
                hasher.update(data: piece)
                position += piece.count
            }
            let relative = file.components.dropFirst(path.components.count).map(\.string).joined(separator: "/")
            return JobStatus.Result(path: relative, sha256: hasher.finalize().hexadecimal, bytes: position)
        }
    }

    func exists(_ file: FilePath) -> Bool { (try? storage.status(of: file)) != nil }
}
