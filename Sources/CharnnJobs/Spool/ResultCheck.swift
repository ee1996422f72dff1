import CharnnCheckpoint
import CharnnCorpus
import CharnnModel
public import CharnnSpool
public import CharnnStorage
import CharnnTraining
import SystemPackage

/// Reads every result, model, checkpoint and encoded text of a spool and compares it with its checksum.
///
/// It changes nothing: a finding may come with a repair, which `charnn fsck --repair` makes. Results are never removed;
/// what a run can make again is set aside. Folders of jobs at work are passed over, since their files change.
public struct ResultCheck {
    private let storage: any Storage
    /// In the order of folders; empty: all is as it was written.
    public private(set) var findings: [SpoolFinding] = []
    /// How many files of each kind were read.
    public private(set) var results = 0
    /// Those that no result record lists: of jobs that were stopped, and in `corpora/`.
    public private(set) var models = 0
    /// Of all jobs, those of ended ones included.
    public private(set) var checkpoints = 0
    /// Encoded ones; a job's own copy of what it learns.
    public private(set) var texts = 0

    /// Reads all of them.
    ///
    /// - Throws: Only where a directory or a lock cannot be looked at; a file that cannot be read is a finding.
    public init(_ layout: SpoolLayout, storage: any Storage) throws(StorageError) {
        self.storage = storage
        for directory in [layout.jobs, layout.runs] where try storage.status(of: directory)?.kind == .directory {
            for name in try storage.list(directory).sorted() where !name.hasPrefix(".") {
                let folder = directory.appending(name)
                guard try storage.status(of: folder)?.kind == .directory else { continue }
                try lookAt(JobFolder(folder, in: storage), isRun: directory == layout.runs)
            }
        }
        guard try storage.status(of: layout.corpora)?.kind == .directory else { return }
        for name in try storage.list(layout.corpora).sorted() where name.hasSuffix(".safetensors") {
            lookAtModel(layout.corpora.appending(name), setAside: false)
        }
    }

    private mutating func tell(_ path: FilePath, _ what: String, _ repair: SpoolRepair? = nil) {
        findings.append(SpoolFinding(.damage, path, what, repair))
    }

    /// Compares what a job's record lists, and opens what it does not.
    private mutating func lookAt(_ folder: JobFolder, isRun: Bool) throws(StorageError) {
        let status = isRun ? statusOfRun(folder) : folder.status()
        let isFormerRun = !isRun && status?.isOfRun == true
        let remedy =
            isRun
            ? RunFolders.beginningAnew
            : isFormerRun
                ? "`charnn run` with its job file makes it again" : "drop the job again under another name"
        // A worker changes these files; each is whole when it is there, but none stays.
        if status?.state == .active, try storage.isLocked(folder.path.appending(.lock)) { return }
        // Of a job that goes on the record says what was, and files have changed since.
        let isResult = status?.state == .done || status?.state == .failed
        var compared: Set<FilePath> = []
        for result in isResult ? status?.results ?? [] : [] {
            let path = folder.path.pushing(FilePath(result.path))
            compared.insert(path)
            lookAt(result, at: path, in: folder.path, remedy)
            guard path == folder.manifest else { continue }
            let listed = (try? storage.contents(of: path)).flatMap { $0 }.flatMap(JobFolder.listed)
            guard let listed else {
                tell(path, "it does not list the job's other results, each with its checksum")
                continue
            }
            for (name, sha256) in listed {
                lookAt(
                    JobStatus.Result(path: name, sha256: sha256, bytes: -1), at: folder.path.pushing(FilePath(name)),
                    in: folder.path, remedy)
            }
        }
        for path in [folder.model, folder.lastModel] where !compared.contains(path) && folder.exists(path) {
            lookAtModel(path, setAside: !isResult)
        }
        if folder.exists(folder.corpus) {
            texts += 1
            do {
                _ = try EncodedCorpus(reading: folder.corpus, in: storage)
            } catch {
                tell(folder.corpus, error.description, .setAside(folder.corpus))
            }
        }
        try lookAt(folder.checkpoints)
    }

    /// The status of a run outside the queue, of which the check of the spool knows nothing.
    private mutating func statusOfRun(_ folder: JobFolder) -> JobStatus? {
        do throws(StorageError) {
            return try JobStatus.read(folder.statusFile, on: storage)
        } catch {
            tell(folder.statusFile, "it cannot be read (\(error)); \(RunFolders.beginningAnew)")
            return nil
        }
    }

    /// - Parameter remedy: How the result is made again.
    private mutating func lookAt(
        _ result: JobStatus.Result, at path: FilePath, in folder: FilePath, _ remedy: String
    ) {
        results += 1
        let advice = "take it from a copy of the spool, or \(remedy)"
        do throws(StorageError) {
            let file = try storage.open(path, beneath: folder)
            let size = try file.status().size
            // A manifest does not tell it.
            guard size == result.bytes || result.bytes < 0 else {
                return tell(path, "the result has \(size) bytes and had \(result.bytes); \(advice)")
            }
            guard try storage.sha256(of: file).sha256 == result.sha256 else {
                return tell(path, "the result is not what its checksum says; \(advice)")
            }
        } catch {
            tell(path, "the result cannot be read (\(error)); \(advice)")
        }
    }

    /// Reads it as a whole; there is no checksum to compare with.
    ///
    /// - Parameter setAside: Whether a run writes it anew if it is not there.
    private mutating func lookAtModel(_ path: FilePath, setAside: Bool) {
        models += 1
        do {
            _ = try Model(reading: path, in: storage)
        } catch {
            let isRead = error.code != .unreadable && error.code != .readFailed
            tell(path, error.description, setAside && isRead ? .setAside(path) : nil)
        }
    }

    /// Each has its checksum in itself. A damaged one is passed over by the run, too, so that setting it aside loses
    /// nothing.
    private mutating func lookAt(_ folder: CheckpointFolder) throws(StorageError) {
        guard try storage.status(of: folder.path)?.kind == .directory else { return }
        for step in try folder.steps() {
            let path = folder.file(step: step)
            checkpoints += 1
            do {
                let found = try Checkpoint(reading: path, in: storage).state.progress.step
                if found != step { tell(path, "it is the checkpoint of step \(found)", .setAside(path)) }
            } catch {
                tell(path, error.description, error.code == .damaged ? .setAside(path) : nil)
            }
        }
        for name in try storage.list(folder.path).sorted() where name.hasPrefix(".") && name.hasSuffix(".partial") {
            let path = folder.path.appending(name)
            findings.append(SpoolFinding(.note, path, "a crash left it half written", .discard(path)))
        }
    }
}
