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
        let place = try ReadableFolders(roots: nil).place(of: FilePath(named), relativeTo: folder, in: storage)
        switch place {
        case .file(let path, _): return try storage.status(of: path.real)?.kind == .regular ? path.real : nil
        case .ambiguous(let path):
            throw Failure(
                "\(path): there are several files whose names differ only in how their letters are composed; rename all but "
                    + "one", status: Failure.usage)
        case .outside, .tooDeep: return nil
        }
    }

    /// Whether something lies where a relative path leads in a folder.
    private func lies(_ path: FilePath, in folder: FilePath) throws -> Bool {
        let place = try ReadableFolders(roots: [folder]).place(of: path, relativeTo: folder, in: storage)
        guard case .file(let found, _) = place else { return true }
        return try storage.status(of: found) != nil
    }

    /// As messages call it.
    enum Kind: String { case text, model }

    /// Whether a relative path that names nothing beside the job file may name something in the spool.
    ///
    /// - Parameter predecessors: Jobs that will have ended: what lies in their folders may come with them.
    func mayLieInSpool(
        _ path: FilePath, _ kind: Kind, after predecessors: [String], _ layout: SpoolLayout
    ) throws -> Bool {
        // What leads out of corpora/ is the daemon's to judge.
        if try lies(path, in: layout.corpora) { return true }
        guard kind == .model else { return false }
        return try lies(path, in: layout.jobs) || path.isBelowJob(of: predecessors)
    }

    /// The job with the paths of what lies beside its file; the others stay as they are.
    func located(_ job: JobFile) throws -> JobFile {
        func located(_ path: String) throws -> String {
            try find(path)?.string ?? (FilePath(path).isAbsolute ? FilePath(path).real.string : path)
        }
        return try job.replacingPaths(text: located, model: located)
    }
}
