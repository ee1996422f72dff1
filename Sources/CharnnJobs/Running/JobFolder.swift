public import CharnnCheckpoint
import CharnnCorpus
import CharnnReports
public import CharnnSpool
public import CharnnStorage
import Crypto
public import SystemPackage

/// `jobs/NAME/`: where everything of one job lies.
///
/// It knows names and what becomes of results as a whole; what each file holds is known by who writes it. Whoever runs
/// the job holds the folder's lock, so that there are never two of them.
public struct JobFolder: Sendable {
    /// Absolute; in the spool, or where a person wants their run to be.
    public let path: FilePath
    let storage: any Storage

    /// Nothing is made or looked at.
    public init(_ path: FilePath, in storage: any Storage) {
        self.path = path
        self.storage = storage
    }

    /// The job file as it was when the job was claimed.
    public var jobFile: FilePath { path.appending(.jobFile) }
    /// Every value as used, see ``ResolvedFile``.
    public var resolved: FilePath { path.appending(.resolved) }
    public var statusFile: FilePath { path.appending(.status) }
    public var log: FilePath { path.appending(.log) }
    public var metrics: FilePath { path.appending(.metrics) }
    /// The encoded text: what the run learns, whatever becomes of the files that it was read from.
    public var corpus: FilePath { path.appending(.corpus) }
    /// The best weights so far; the last ones where there is no validation.
    public var model: FilePath { path.appending(.model) }
    /// The weights after the last step; there only once training has ended.
    public var lastModel: FilePath { path.appending(.lastModel) }
    /// ``GradientStatistics`` of ``model``.
    public var statistics: FilePath { path.appending(.statistics) }
    public var samples: FilePath { path.appending(.samples) }
    /// Texts in the order of the job file; those of earlier attempts in folders within.
    public var generated: FilePath { path.appending(.generated) }
    public var evaluation: FilePath { path.appending(.evaluation) }
    public var comparison: FilePath { path.appending(.comparison) }
    public var copies: FilePath { path.appending(.copies) }
    public var page: FilePath { path.appending(.page) }
    /// Where a job has more results than its record lists: one line for each of the others, as `sha256sum` has them.
    public var manifest: FilePath { path.appending(.manifest) }
    /// For TensorBoard; not one of the job's results.
    public var events: FilePath { path.appending(EventFile.name) }
    public var checkpoints: CheckpointFolder { CheckpointFolder(path.appending(.checkpoints), in: storage) }

    /// The status as last written; nil where there is none or it cannot be read.
    public func status() -> JobStatus? {
        (try? JobStatus.read(statusFile, on: storage)) ?? nil
    }

    /// Writes the status so that it is always whole, after a power failure too: it has what the queue knows of the job.
    func write(_ status: JobStatus) throws(StorageError) { try storage.swap(statusFile, with: status.encoded) }

    /// The results that are there, with their checksums; of many texts that of a manifest, which is written for it.
    ///
    /// Hidden files are none; all others in `samples/` and `generated/` are. It reads all of them: seconds, at the end
    /// of a night.
    public func results() throws -> [JobStatus.Result] {
        // A disk that fails must not make a result look as if there were none.
        var paths = try [model, lastModel, metrics, evaluation].filter { try storage.status(of: $0) != nil }
        var texts: [FilePath] = []
        for folder in [samples, generated] where try storage.status(of: folder) != nil {
            for name in try storage.list(folder).sorted() where !name.hasPrefix(".") {
                let path = folder.appending(name)
                if folder == generated, Self.attempt(name) != nil {
                    texts += try storage.list(path).sorted().map { path.appending($0) }
                } else {
                    texts.append(path)
                }
            }
        }
        if paths.count + texts.count <= JobStatus.mostResults {
            try storage.discard(manifest)
            return try (paths + texts).map(result)
        }
        var lines: [UInt8] = []
        for text in texts {
            let result = try result(text)
            // Such names are not ours, and in such a line they would mean something else.
            guard !result.path.contains("\n"), !result.path.contains("\\") else { continue }
            lines += Array("\(result.sha256)  \(result.path)\n".utf8)
        }
        try storage.replace(manifest, with: lines)
        paths.append(manifest)
        return try paths.map(result)
    }

    /// The folder in `generated/` that holds the texts of an earlier attempt.
    static func name(ofAttempt number: Int) -> String { "attempt-\(number)" }

    /// The number in such a name; nil for another one.
    static func attempt(_ name: String) -> Int? {
        guard name.hasPrefix("attempt-"), let number = Int(name.dropFirst("attempt-".count)), number > 0 else {
            return nil
        }
        return number
    }

    private func result(_ file: FilePath) throws -> JobStatus.Result {
        let (sha256, bytes) = try storage.sha256(of: try storage.open(file, beneath: nil))
        let relative = file.components.dropFirst(path.components.count).map(\.string).joined(separator: "/")
        return JobStatus.Result(path: relative, sha256: sha256, bytes: bytes)
    }

    /// The results that a manifest lists.
    ///
    /// - Returns: nil if it is none.
    static func listed(in manifest: [UInt8]) -> [(path: String, sha256: String)]? {
        var found: [(path: String, sha256: String)] = []
        for line in manifest.split(separator: UInt8(ascii: "\n")) {
            guard line.count > 66, line.dropFirst(64).starts(with: Array("  ".utf8)) else { return nil }
            found.append(
                (
                    path: String(decoding: line.dropFirst(66), as: UTF8.self),
                    sha256: String(decoding: line.prefix(64), as: UTF8.self)
                ))
        }
        return found
    }

    /// Removes all that a run wrote here, so that it begins anew; what others put here stays.
    ///
    /// Checkpoints go first, then the status is replaced: what a crash leaves begins anew too, is always known for a run,
    /// and has no record of results that are gone.
    ///
    /// Only what has a name of ours is removed: a person may have named a folder with other things in it.
    ///
    /// - Parameter status: Of the run that begins.
    public func removeOutput(beginning status: JobStatus) throws(StorageError) {
        try remove(.checkpoints)
        try storage.synchronizeDirectory(path)
        try status.save(statusFile, on: storage)
        for file in JobFolderFile.allCases where ![.checkpoints, .status, .lock].contains(file) { try remove(file) }
        try storage.synchronizeDirectory(path)
    }

    private func remove(_ file: JobFolderFile) throws(StorageError) {
        let path = path.appending(file)
        try storage.discard(path.partial)
        switch try storage.status(of: path)?.kind {
        case nil: return
        case .directory: try storage.removeTree(path)
        default: try storage.discard(path)
        }
    }

    func exists(_ file: FilePath) -> Bool { (try? storage.status(of: file)) != nil }
}

extension Storage {
    /// The checksum of a file's contents, and how many bytes they are.
    func sha256(of file: any StorageFile) throws(StorageError) -> (sha256: String, bytes: Int) {
        var hasher = SHA256()
        var position = 0
        while true {
            let piece = try file.read(at: position, count: 1 << 20)
            if piece.isEmpty { break }
            hasher.update(data: piece)
            position += piece.count
        }
        return (hasher.finalize().hexadecimal, position)
    }
}
