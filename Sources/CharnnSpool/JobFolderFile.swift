public import SystemPackage

/// The files and folders of `jobs/NAME/`, by their names.
///
/// Whoever reads or writes one names it by this table, on whatever floor; the rights to do so, and in what order, are
/// theirs who write it.
public enum JobFolderFile: String, Sendable, CaseIterable {
    /// The job file as it was when its worker was started: what the worker reads.
    case jobFile = "job.yaml"
    /// Every value as used.
    case resolved = "resolved.yaml"
    /// ``JobStatus``.
    case status = "status.json"
    /// What the journal got for this job.
    case log = "log.txt"
    /// Losses by step.
    case metrics = "metrics.csv"
    /// The encoded text, frozen.
    case corpus = "corpus.bin"
    /// What is needed to go on.
    case checkpoints = "checkpoints"
    /// The best weights by validation so far.
    case model = "model.safetensors"
    /// What scoring needs of that model that learns from a text as it goes.
    case statistics = "adapt.safetensors"
    /// The weights of the last step.
    case lastModel = "last.safetensors"
    /// The best weights of the newest checkpoint, until the next one is written.
    case modelOfCheckpoint = ".model-of-checkpoint.safetensors"
    /// Texts written while training.
    case samples = "samples"
    /// Texts asked for by `generate`.
    case generated = "generated"
    /// What `evaluate` found.
    case evaluation = "evaluation.json"
    /// How far an evaluation is.
    case partialEvaluation = ".evaluation.bin"
    /// The same of those that learn as they go, a file each.
    case partialAdaptation = ".adaptation"
    /// The model beside n-grams and xz.
    case comparison = "comparison.json"
    /// How much of the texts is copied from the training text.
    case copies = "copies.json"
    /// The job's page.
    case page = "report.html"
    /// The checksums of many results, as `sha256sum` has them.
    case manifest = "manifest.sha256"
    /// Losses for TensorBoard.
    case events = "events.out.tfevents.charnnd"
    /// Held locked by the one worker of a job, which takes it before it touches anything else in the folder.
    case lock = ".lock"
    /// ``ProcessIdentity`` of who holds that lock, in the folder of a run outside the queue.
    case process = ".process.json"
}

extension FilePath {
    /// The path of a file in a job's folder.
    public func appending(_ file: JobFolderFile) -> FilePath { appending(file.rawValue) }
}
