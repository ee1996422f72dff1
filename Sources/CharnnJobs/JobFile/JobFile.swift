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
///
/// What the properties are initialised with are the defaults of the job file. Their names are mostly those of its keys
/// in camel case; the documentation explains each.
public struct JobFile: Sendable, Equatable {
    /// Higher runs first.
    public var priority = 0
    /// Jobs that must have succeeded first, or be over.
    public var predecessors: [PredecessorKey] = []
    /// Their names.
    public var after: [String] { predecessors.map(\.job) }
    /// Who may read in a shared spool what the job makes.
    public var share = Share.auto
    /// `auto`: what the administrator says, and if nothing, the GPU where there is one that has the room.
    public var device = DeviceChoice.auto
    /// nil: all cores the process may use.
    public var threads: Int?
    /// Of the training; each `generate` section has its own.
    public var seed: UInt64 = 1
    /// Seconds; nil: none.
    public var timeLimit: Double?
    /// nil: the job trains nothing, and its other sections name their models.
    public var train: TrainSection?
    /// Whether the model is compared with simpler means, and its texts with the text learned from, when all is done.
    public var judge = true
    /// In order: their texts are numbered through.
    public var generate: [GenerateSection] = []
    /// Done after all texts are written.
    public var evaluate: EvaluateSection?
    /// What in the file is allowed and does nothing: each a sentence without its full stop.
    public var notes: [String] = []

    public init() {}

    /// What stands at `model:` and `from:`.
    var modelReferences: [ModelReference] {
        [train?.from].compactMap(\.self) + generate.flatMap(\.models) + (evaluate?.models ?? [])
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

/// How a job file names a job that it waits for.
public struct PredecessorKey: Sendable, Equatable {
    /// What is waited for.
    public enum Moment: String, Sendable, CaseIterable {
        /// It has succeeded.
        case done
        /// It is over: done, failed, cancelled, rejected or removed.
        case ended
    }

    public var job = ""
    public var when = Moment.done

    public init() {}

    public init(job: String, when: Moment = .done) { (self.job, self.when) = (job, when) }
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

    /// As the file has it.
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
    /// Of the text's files. With `bytes` every byte is a symbol, and the vocabulary is always 256.
    public var encoding = TextEncoding.utf8
    /// Whether header and licence of Project Gutenberg are left out of each text.
    public var stripGutenberg = false
    /// Only so many characters of the joined texts; nil: all.
    public var maxChars: Int?
    /// The part at the text's end that is kept for validation; 0: there is no validation.
    public var valFraction = 0.1
    /// At most so many characters for validation; nil: all of that part.
    public var valMaxChars: Int?
    public var cell = Cell.lstm
    /// Of `rnn` alone; `relu` with another cell is refused.
    public var nonlinearity = Nonlinearity.tanh
    /// Units of each layer. With `from` it says nothing unless the file gives it, and then must be the model's; so do
    /// the other sizes.
    public var hiddenSize = 512
    public var numLayers = 2
    /// nil: as ``hiddenSize``.
    public var embeddingSize: Int?
    /// Between layers: with one layer it does nothing, and a note says so.
    public var dropout = 0.5
    /// Below the first layer and above the last.
    public var dropoutInput = 0.0
    public var dropoutOutput = 0.0
    /// Whether each character has masks of its own, or all characters of a sequence have the same.
    public var dropoutMask = MaskSpan.character
    /// Added to the initial biases of the forget gate, of `lstm` alone.
    public var forgetBias = 0.0
    /// What the optimiser's weight decay applies to.
    public var decay = WeightDecayScope.all
    /// nil: chosen when the length of the text is known.
    public var epochs: Int?
    /// Likewise.
    public var batchSize: Int?
    /// nil: as many as the epochs come to, or as the budget has time for.
    public var maxSteps: Int?
    /// Seconds; nil: none.
    public var budget: Double?
    /// nil: a cosine where the epochs are chosen, else constant.
    public var schedule: LearningRateSchedule?
    /// 0: never; nil: chosen where the epochs are, else never.
    public var earlyStop: Int?
    /// nil: chosen where ``earlyStop`` is, else 0.
    public var earlyStopAfter: Double?
    /// All other numbers of the training, and those above as they are used; its seed is the job's.
    public var settings = TrainingSettings()
    /// Of training; `generate` and `evaluate` compute in fp32.
    public var precision = PrecisionChoice.auto
    /// The model whose weights the run begins with; nil: new ones.
    public var from: ModelReference?
    /// At least 1; while one is written there is one more.
    public var keepCheckpoints = 2
    /// The keys that the file gave a value, to tell a default from a wish.
    public var given: Set<String> = []

    public init() {}

    /// The network of this section for a vocabulary of that size.
    public func architecture(vocabularySize: Int) -> Architecture {
        Architecture(
            cell: cell, nonlinearity: nonlinearity, vocabularySize: vocabularySize, embeddingSize: embeddingSize,
            hiddenSize: hiddenSize, layerCount: numLayers, dropout: dropout, dropoutInput: dropoutInput,
            dropoutOutput: dropoutOutput, dropoutMask: dropoutMask)
    }
}

/// What a job writes with a model.
public struct GenerateSection: Sendable, Equatable {
    /// Of several the probabilities are averaged; none: the model that the same job trains.
    public var models: [ModelReference] = []
    /// Texts, read as one, that the models learn from and write on; none: they write as they are.
    public var adaptTo: [String] = []
    /// What is written, and how.
    public var request = GenerationRequest()

    public init() {}
}

/// What a job scores.
public struct EvaluateSection: Sendable, Equatable {
    /// Of several the probabilities are averaged; none: the model that the same job trains.
    public var models: [ModelReference] = []
    /// As written in the file; read as one text.
    public var corpus: [String] = []
    /// nil: the model's.
    public var encoding: TextEncoding?
    /// What becomes of characters that the model's vocabulary lacks. Where they are not refused they are left out of
    /// the score.
    public var unknown = UnknownPolicy.error
    /// What is learned from the text on the way.
    public var adapt = AdaptMode.none
    /// nil: by the model's size.
    public var adaptRate: Double?
    /// See ``AdaptationRule``; likewise the others.
    public var adaptDecay = 1e-3
    public var adaptSegment = 20
    public var adaptEpsilon = 0.1
    /// Whether n-grams that count the training text, and then this one as it goes, are mixed in.
    public var ngrams = false

    public init() {}

    /// The numbers of a dynamic evaluation.
    ///
    /// - Parameter hiddenSize: The model's.
    func rule(hiddenSize: Int) -> AdaptationRule {
        var rule = AdaptationRule(hiddenSize: hiddenSize)
        rule.rate = adaptRate ?? rule.rate
        (rule.decay, rule.segment, rule.epsilon) = (adaptDecay, adaptSegment, adaptEpsilon)
        return rule
    }
}

/// What is wrong with a job file: every problem, each on a line of its own with file, line, key, what was found and
/// what is allowed.
public struct JobFileError: Error, Hashable, CustomStringConvertible {
    /// Each a line for people: file, line, key, what was found, what is allowed.
    public var problems: [String]
    public init(problems: [String]) { self.problems = problems }
    /// A line for each problem, the first thirty of them.
    public var description: String {
        let more = problems.count - Self.mostTold
        return problems.prefix(Self.mostTold).joined(separator: "\n") + (more > 0 ? "\nand \(more) more mistakes" : "")
    }
    /// More mistakes than anybody mends at once; a file can be made to have a million.
    private static let mostTold = 30
}
