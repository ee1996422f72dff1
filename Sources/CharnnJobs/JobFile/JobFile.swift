public import CharnnEngine
public import CharnnModel
public import CharnnSpool
public import CharnnTraining

/// The devices a job may ask for.
public enum DeviceChoice: String, Sendable, CaseIterable, Codable {
    case auto
    case cpu
    case cuda
}

/// The precisions a job may ask for.
public enum PrecisionChoice: String, Sendable, CaseIterable, Codable {
    case auto
    case fp32
    case bf16
    case fp16
}

/// A job file that was read and found valid.
public struct JobFile: Sendable, Equatable {
    /// Higher runs first.
    public var priority = 0
    /// Names of jobs that must have succeeded first.
    public var after: [String] = []
    /// Who may read in a shared spool what the job makes.
    public var share = Share.auto
    public var device = DeviceChoice.auto
    /// nil: all cores the process may use.
    public var threads: Int?
    public var seed: UInt64 = 1
    /// Seconds; nil: none.
    public var timeLimit: Double?
    public var train: TrainSection?
    /// Whether the model is compared with simpler means, and its texts with the text learned from, when all is done.
    public var judge = true
    public var generate: [GenerateSection] = []
    public var evaluate: EvaluateSection?
    /// What in the file is allowed and does nothing: each a sentence without its full stop.
    public var notes: [String] = []

    public init() {}

    /// What stands at `model:` and `from:`.
    var modelReferences: [ModelReference] {
        [train?.from].compactMap(\.self) + generate.compactMap(\.model) + [evaluate?.model].compactMap(\.self)
    }

    /// Names that stand at `model:` or `from:` and are not paths: implicit predecessors if such jobs are not done.
    public var modelJobs: [String] {
        var seen: Set<String> = []
        return modelReferences.compactMap { reference in
            guard case .job(let name) = reference, seen.insert(name).inserted else { return nil }
            return name
        }
    }
}

/// How a job file names a model.
public enum ModelReference: Sendable, Hashable, CustomStringConvertible {
    /// The model of another job of the same spool.
    case job(String)
    case path(String)

    /// A path has a slash or ends in `.safetensors`; everything else is a job's name.
    public init(_ text: String) {
        self = text.contains("/") || text.hasSuffix(".safetensors") ? .path(text) : .job(text)
    }

    public var description: String {
        switch self {
        case .job(let name): name
        case .path(let path): path
        }
    }
}

/// What a job trains.
public struct TrainSection: Sendable, Equatable {
    /// As written; relative paths begin in the spool's `corpora/`.
    public var corpus: [String] = []
    public var encoding = TextEncoding.utf8
    public var stripGutenberg = false
    public var maxChars: Int?
    public var valFraction = 0.1
    public var valMaxChars: Int?
    public var cell = Cell.lstm
    public var nonlinearity = Nonlinearity.tanh
    public var hiddenSize = 512
    public var numLayers = 2
    public var embeddingSize: Int?
    public var dropout = 0.5
    public var settings = TrainingSettings()
    public var precision = PrecisionChoice.auto
    public var from: ModelReference?
    public var keepCheckpoints = 2
    /// The keys that the file gave a value, to tell a default from a wish.
    public var given: Set<String> = []

    public init() {}

    /// The network of this section for a vocabulary of that size.
    public func architecture(vocabularySize: Int) -> Architecture {
        Architecture(
            cell: cell, nonlinearity: nonlinearity, vocabularySize: vocabularySize, embeddingSize: embeddingSize,
            hiddenSize: hiddenSize, layerCount: numLayers, dropout: dropout)
    }
}

/// What a job writes with a model.
public struct GenerateSection: Sendable, Equatable {
    /// nil: the model that the same job trains.
    public var model: ModelReference?
    public var request = GenerationRequest()

    public init() {}
}

/// What a job scores.
public struct EvaluateSection: Sendable, Equatable {
    /// nil: the model that the same job trains.
    public var model: ModelReference?
    public var corpus: [String] = []
    /// nil: the model's.
    public var encoding: TextEncoding?
    public var unknown = UnknownPolicy.error

    public init() {}
}

/// What is wrong with a job file: every problem, each on a line of its own with file, line, key, what was found and
/// what is allowed.
public struct JobFileError: Error, Hashable, CustomStringConvertible {
    public var problems: [String]
    public init(problems: [String]) { self.problems = problems }
    public var description: String {
        let more = problems.count - Self.mostTold
        return problems.prefix(Self.mostTold).joined(separator: "\n") + (more > 0 ? "\nand \(more) more mistakes" : "")
    }
    /// More mistakes than anybody mends at once; a file can be made to have a million.
    private static let mostTold = 30
}
