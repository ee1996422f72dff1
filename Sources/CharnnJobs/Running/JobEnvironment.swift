import CharnnCorpus
import CharnnModel
import CharnnSpool
public import CharnnStorage
import Glibc
public import SystemPackage

/// Where a job may look: which folders relative paths begin in, and which it may not leave.
///
/// There are two kinds. A job of the queue runs with the daemon's rights, so that it may read what the daemon can,
/// below ``roots`` only, and only what its ``submitter`` could read: everything else would be a way to read other
/// people's files. A person's own command runs with that person's rights; the kernel decides, and ``roots`` is nil.
///
/// What may not be read and what is not there are told in the same words, so that nobody learns of files by asking.
public struct JobEnvironment: Sendable {
    /// Relative corpora begin here.
    public var corpora: FilePath
    /// The folder of all jobs' output folders, for models that are named by their job.
    public var jobs: FilePath
    /// The folder of a person's runs outside the queue, for models that a run of theirs names; nil: none are looked at, as
    /// by jobs of the queue.
    public var runs: FilePath?
    /// How a person begins anew whose file asks for another run than the checkpoints are of.
    public var startingAnew = "drop the file under another name (with from: to begin with these weights)"
    /// What a person does to have the job go on, once that is mended which ended it.
    public var tryingAgain = "retry"
    /// Folders that corpora and models must lie below; nil: anywhere, as for a person's own command.
    public var roots: [FilePath]?
    /// The numeric user id of who dropped the job. Where there are ``roots`` and nobody knows it, nothing is read.
    public var submitter: UInt32?
    /// Of it what concerns a job: device, threads, memory, roots and caps.
    public var configuration: ServiceConfiguration

    /// - Parameters:
    ///   - roots: nil only for a person's own command.
    ///   - submitter: nil: nobody knows, and below roots nothing is read.
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
    ///
    /// They are opened later, each as the file that was looked at here.
    func corpusFiles(_ paths: [String], in storage: any Storage) throws(JobError) -> [CorpusFile] {
        var files: [CorpusFile] = []
        for path in paths.map({ FilePath($0) }) {
            files.append(try allowed(path, at: path, what: "text", in: storage))
        }
        return files
    }

    /// The file of a model and the folder it must lie below.
    func modelFile(_ reference: ModelReference, in storage: any Storage) throws(JobError) -> CorpusFile {
        switch reference {
        case .job(let name):
            let (path, isThere) = try modelPath(of: name, in: storage)
            guard isThere else {
                throw JobError(
                    .noInput,
                    "there is no model of a job \(name) (\(path)); name a job that has trained, or a model file")
            }
            // The folder of a job may be shut for others than its owner.
            return try allowed(path, at: path, what: "model", in: storage)
        case .path(let text):
            let path = SpoolLayout.model(at: FilePath(text), jobs: jobs, corpora: corpora, on: storage)
            return try allowed(FilePath(text), at: path, what: "model", in: storage)
        }
    }

    /// All texts and models that a job reads, where they lie.
    public func files(readBy job: JobFile, in storage: any Storage) throws(JobError) -> [FilePath] {
        var files = try corpusFiles(job.textPaths, in: storage)
        for reference in job.modelReferences { files.append(try modelFile(reference, in: storage)) }
        return files.map(\.path)
    }

    /// Whether a job has a model by now.
    func hasModel(_ job: String, in storage: any Storage) throws(JobError) -> Bool {
        try modelPath(of: job, in: storage).isThere
    }

    /// The model of a job of the queue, else of a person's run. A name in both is the queue's, whether that job has a model
    /// yet or not: nothing else is ever taken in its place.
    private func modelPath(
        of name: String, in storage: any Storage
    ) throws(JobError) -> (path: FilePath, isThere: Bool) {
        let ofJob = jobs.appending(SpoolLayout.bornName(of: name, in: jobs, on: storage))
        var path = ofJob.appending(.model)
        guard FilePath.Component(name) != nil else { return (path, false) }
        // One that cannot be read is a job's.
        let known = (try? JobStatus.read(ofJob.appending(.status), on: storage)) ?? nil
        guard roots == nil || known?.isOfRun != true else {
            throw JobError(
                .noInput,
                "\(name) is a run outside the queue (\(ofJob)), and jobs refer to jobs; submit its job file, or name the "
                    + "file \(path)")
        }
        do throws(StorageError) {
            if let runs, try storage.status(of: ofJob) == nil {
                path = runs.appending(SpoolLayout.bornName(of: name, in: runs, on: storage)).appending(.model)
            }
            return (path, try storage.status(of: path) != nil)
        } catch {
            if error.isTransient { throw JobError(error) }
            return (path, false)
        }
    }

    /// The engine that a job asks for, completed by what the administrator says.
    func engineChoice(_ job: JobFile, _ precision: PrecisionChoice) -> EngineChoice {
        EngineChoice(
            device: job.device == .auto ? configuration.device : job.device, precision: precision,
            threads: job.threads ?? configuration.threads)
    }

    /// - Parameters:
    ///   - given: As the job file has it.
    ///   - path: What it leads to; a relative one begins in ``corpora``.
    ///
    /// Where a file may be read, it comes with its status as it was looked at: who opens it makes sure that it is still
    /// that one.
    private func allowed(
        _ given: FilePath, at path: FilePath, what: String, in storage: any Storage
    ) throws(JobError) -> CorpusFile {
        let (path, found) = try place(of: path, as: given, what: what, in: storage)
        guard let root = found else { return CorpusFile(path: path) }
        guard let submitter else {
            throw JobError(
                .noInput,
                "the \(what) \(given) is not read, for who submitted the job is not known any more (its status was "
                    + "lost); drop the job file again")
        }
        // What one's own process may read the kernel decides when it opens the file.
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
        case .missing, .refused:
            // Which of the two, only those are told who may look there.
            throw JobError(
                .noInput,
                "the \(what) \(given) does not exist, or may not be read by the user who submitted the job; put it there, mend "
                    + "the path, or give them the right to")
        }
    }

    /// Where a file lies, and the folder below which rights count.
    private func place(
        of path: FilePath, as given: FilePath, what: String, in storage: any Storage
    ) throws(JobError) -> (FilePath, root: FilePath?) {
        let place: ReadableFolders.Location
        do throws(StorageError) {
            place = try ReadableFolders(roots: roots).place(of: path, relativeTo: corpora, in: storage)
        } catch {
            throw JobError(
                error.isTransient ? .temporary : .noInput, "cannot look for the \(what) \(given): \(error)")
        }
        let told = PlainText.line("\(given)", atMost: 200)
        switch place {
        case .file(let path, let root): return (path, root)
        case .tooDeep:
            throw JobError(
                .noInput,
                "the \(what) \(told) lies below more than \(Reader.mostComponents) folders; put it nearer to \(corpora)"
            )
        case .outside:
            let roots = (roots ?? []).map(\.string).joined(separator: ", ")
            throw JobError(
                .noInput,
                "the \(what) \(told) lies outside the folders that jobs may read (\(roots)); put it there, or have the "
                    + "administrator add its folder to corpus_roots")
        case .ambiguous(let path):
            throw JobError(
                .noInput,
                "there is no \(what) \(told), but there are several at \(path) whose names differ only in how their letters are "
                    + "composed; rename all but one")
        }
    }
}
