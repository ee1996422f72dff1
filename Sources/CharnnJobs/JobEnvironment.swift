import CharnnCorpus
import CharnnModel
import CharnnSpool
import CharnnStorage
import Glibc
public import SystemPackage

/// Where a job may look: which folders relative paths begin in, and which it may not leave.
public struct JobEnvironment: Sendable {
    /// Relative corpora begin here.
    public var corpora: FilePath
    /// The folder of all jobs' output folders, for models that are named by their job.
    public var jobs: FilePath
    /// Folders that corpora and models must lie below; nil: anywhere, as for a person's own command.
    public var roots: [FilePath]?
    /// The numeric user id of who dropped the job. Where there are ``roots`` and nobody knows it, nothing is read.
    public var submitter: UInt32?
    public var configuration: ServiceConfiguration

    public init(
        corpora: FilePath, jobs: FilePath, roots: [FilePath]?, submitter: UInt32? = nil,
        configuration: ServiceConfiguration = ServiceConfiguration()
    ) {
        self.corpora = corpora
        self.jobs = jobs
        self.roots = roots
        self.submitter = submitter
        self.configuration = configuration
    }

    /// The files of a text, each checked to be one that this job may read.
    func corpusFiles(_ paths: [String], in storage: any Storage) throws(JobError) -> [CorpusFile] {
        var files: [CorpusFile] = []
        for path in paths { files.append(try allowed(FilePath(path), relativeTo: corpora, what: "text", in: storage)) }
        return files
    }

    /// The file of a model and the folder it must lie below.
    func modelFile(_ reference: ModelReference, in storage: any Storage) throws(JobError) -> CorpusFile {
        switch reference {
        case .job(let name):
            let path = modelPath(of: name, in: storage)
            guard try hasModel(name, in: storage) else {
                throw JobError(
                    .noInput,
                    "there is no model of a job \(name) (\(path)); name a job that has trained, or a model file")
            }
            // The folder of a job may be shut for others than its owner.
            return try allowed(path, relativeTo: jobs, what: "model", in: storage)
        case .path(let text):
            return try allowed(FilePath(text), relativeTo: jobs, what: "model", in: storage)
        }
    }

    /// Whether a job has a model by now.
    func hasModel(_ job: String, in storage: any Storage) throws(JobError) -> Bool {
        guard FilePath.Component(job) != nil else { return false }
        do {
            return try storage.status(of: modelPath(of: job, in: storage)) != nil
        } catch {
            if error.isTransient { throw JobError(error) }
            return false
        }
    }

    private func modelPath(of job: String, in storage: any Storage) -> FilePath {
        jobs.appending(SpoolLayout.bornName(of: job, in: jobs, on: storage)).appending(.model)
    }

    /// The engine that a job asks for, completed by what the administrator says.
    func engineChoice(_ job: JobFile, _ precision: PrecisionChoice) -> EngineChoice {
        EngineChoice(
            device: job.device == .auto ? configuration.device : job.device, precision: precision,
            threads: job.threads ?? configuration.threads)
    }

    private func allowed(
        _ given: FilePath, relativeTo base: FilePath, what: String, in storage: any Storage
    ) throws(JobError) -> CorpusFile {
        let path = (given.isAbsolute ? given : base.appending(given.components)).lexicallyNormalized()
        guard let roots else { return CorpusFile(path: path) }
        // Each folder is looked at for each text, while others wait.
        guard path.components.count <= Reader.mostComponents else {
            throw JobError(
                .noInput,
                "the \(what) \(PlainText.line("\(given)", atMost: 200)) lies below more than \(Reader.mostComponents) folders; put "
                    + "it nearer to \(base)")
        }
        guard let root = roots.first(where: { path.starts(with: $0) && path != $0 }) else {
            throw JobError(
                .noInput,
                "the \(what) \(given) lies outside the folders that jobs may read "
                    + "(\(roots.map(\.string).joined(separator: ", "))); put it there, or have the administrator add "
                    + "its folder to corpus_roots")
        }
        guard let submitter else {
            throw JobError(
                .noInput,
                "the \(what) \(given) is not read, for who submitted the job is not known any more (its status was "
                    + "lost); drop the job file again")
        }
        guard submitter != getuid(), submitter != 0 else { return CorpusFile(path: path, root: root) }
        let access: Reader.Access
        do throws(StorageError) {
            access = try Reader(user: submitter).access(to: path, below: root, in: storage)
        } catch {
            throw JobError(
                error.isTransient ? .temporary : .noInput,
                "cannot look at the rights of the \(what) \(given): \(error)")
        }
        switch access {
        case .allowed(let found): return CorpusFile(path: path, root: root, found: found)
        case .missing:
            throw JobError(.noInput, "the \(what) \(given) does not exist; put it there, or mend the path")
        case .refused:
            throw JobError(
                .noInput,
                "the \(what) \(given) may not be read by the user who submitted the job; give them the right to")
        }
    }
}
