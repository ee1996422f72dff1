import CharnnJobs
import CharnnSpool
import CharnnStorage
import SystemPackage

/// The texts and models beside a job file, where a person's own commands look for them first.
///
/// A person who names `kjv.txt` means the one beside the file. For the daemon the same name begins in `corpora/`; so
/// `run` and `check` look here first, and `submit` copies what it finds here.
struct FilesBeside {
    /// The job file's folder.
    var folder: FilePath
    var storage: any Storage

    /// The file that a job file names, with links followed, for they are the person's own; nil where there is none.
    func find(_ named: String) throws -> FilePath? {
        let path = folder.pushing(FilePath(named)).lexicallyNormalized().real
        return try storage.status(of: path)?.kind == .regular ? path : nil
    }

    /// As messages call it.
    enum Kind: String { case text, model }

    /// Whether a relative path that names nothing beside the job file may name something in the spool.
    func mayLieInSpool(_ path: FilePath, _ kind: Kind, _ layout: SpoolLayout) throws -> Bool {
        switch kind {
        case .text:
            let target = layout.corpora.pushing(path).lexicallyNormalized()
            // What leads out of corpora/ is the daemon's to judge.
            return try !target.starts(with: layout.corpora) || storage.status(of: target) != nil
        case .model:
            let target = SpoolLayout.model(at: path, jobs: layout.jobs, corpora: layout.corpora, on: storage)
            // What lies in a job's folder may come with the job.
            return try path.components.count > 1 || storage.status(of: target) != nil
        }
    }

    /// The job with the paths of what lies beside its file; the others stay as they are.
    func located(_ job: JobFile) throws -> JobFile {
        func located(_ path: String) throws -> String {
            try find(path)?.string ?? (FilePath(path).isAbsolute ? FilePath(path).real.string : path)
        }
        return try job.replacingPaths(text: located, model: located)
    }
}
