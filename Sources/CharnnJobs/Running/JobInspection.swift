import CharnnCorpus
public import CharnnEngine
public import CharnnModel
public import CharnnSpool
public import CharnnStorage
public import CharnnTraining
import SystemPackage

/// What can be told of a job before it takes its hours: all that it reads is looked at, and nothing is written.
///
/// `charnn check` tells all of it; `charnn run` and a worker refuse by the same, so that what is wrong with the last
/// section of a job is told before its first has taken a night. Nothing that is found ends the looking: each mistake is
/// noted, and what depends on something that could not be read is passed over.
///
/// Three kinds are kept apart, since they have different consequences. A mistake is one whatever happens. What is
/// awaited may come: the queue waits for it, a run in the foreground does not. A note changes nothing.
public struct JobInspection {
    /// What is wrong, with its place in the job file.
    public private(set) var mistakes: [JobError] = []
    /// What is not there yet and may come, each a sentence without its full stop.
    public private(set) var awaited: [String] = []
    /// What does nothing, likewise.
    public private(set) var notes: [String] = []
    /// What is likely a mistake in a text, likewise; whoever reads the text again tells it again.
    public private(set) var textNotes: [String] = []

    private let job: JobFile
    private let environment: JobEnvironment
    private let storage: any Storage
    private let engines: any EngineProvider
    private let shouldStop: () -> Bool
    /// What was read of models so far; nil: it could not be.
    private var models: [ModelReference: Model?] = [:]

    /// - Parameter shouldStop: Asked while texts are read; what was not read then counts as a mistake, which nobody is
    ///   to be told.
    public init(
        _ job: JobFile, _ environment: JobEnvironment, storage: any Storage, engines: any EngineProvider,
        shouldStop: @escaping () -> Bool = { false }
    ) {
        self.job = job
        self.environment = environment
        self.storage = storage
        self.engines = engines
        self.shouldStop = shouldStop
    }

    /// Looks at all of the job.
    ///
    /// - Parameter queue: Where predecessors are looked for.
    /// - Returns: What its training comes to, where that can be told.
    ///
    /// Called once: what is found is added to what was found before.
    public mutating func inspect(in queue: SpoolClient) -> TrainingOutline? {
        lookForPredecessors(in: queue)
        let outline = job.train.flatMap { inspectTraining($0) }
        inspectReadings(trained: outline.map { Alphabet($0.vocabulary, $0.encoding) })
        return outline
    }

    /// Throws all that is wrong, as one error; what is not there counts as wrong.
    ///
    /// Does nothing where all is well.
    public func refuse() throws(JobError) {
        let all = mistakes + awaited.map { JobError(.noInput, $0) }
        guard let first = all.first else { return }
        // What may be better later does not become better where something is wrong for good.
        let bad = all.filter { $0.exit != .temporary }
        guard bad.count > 1 else { throw bad.first ?? first }
        throw JobError(bad[0].exit, bad.map(\.description).joined(separator: "; "))
    }

    /// - Parameter place: The key in the job file; nil: the error says it itself.
    private mutating func take(_ error: any Error, at place: String?) {
        let error = JobError(error)
        let words = place.map { "\($0): \(error.description)" } ?? error.description
        mistakes.append(JobError(error.exit, words, waitingFor: error.wait))
    }

    // MARK: - Predecessors, devices, files

    /// Looks for the jobs that must have succeeded first.
    public mutating func lookForPredecessors(in queue: SpoolClient) {
        for name in job.after {
            do {
                if try queue.find(name) == nil { awaited.append("after: there is no job \(name)") }
            } catch {
                take(error, at: "after")
            }
        }
    }

    /// Tries whether device and precision are there.
    ///
    /// That it is not is noted as a mistake.
    private mutating func hasEngine(_ precision: PrecisionChoice) -> Bool {
        do {
            try engines.probe(environment.engineChoice(job, precision))
            return true
        } catch {
            take(error, at: nil)
            return false
        }
    }

    /// The files of a text, if all are there.
    private mutating func files(_ paths: [String], at place: String) -> [CorpusFile]? {
        var files: [CorpusFile] = []
        for path in paths {
            do {
                let found = try environment.corpusFiles([path], in: storage)
                if try found.allSatisfy({ try storage.status(of: $0.path) != nil }) {
                    files += found
                } else {
                    awaited.append("\(place): the text \(path) does not exist; put it there, or mend the path")
                }
            } catch {
                take(error, at: place)
            }
        }
        return files.count == paths.count ? files : nil
    }

    /// A model without its weights; nil: it could not be read, or is not there yet, which was noted. One that was read
    /// is kept.
    private mutating func model(_ reference: ModelReference, at place: String) -> Model? {
        if let known = models[reference] { return known }
        var model: Model?
        do {
            if case .job(let name) = reference, try !environment.hasModel(name, in: storage) {
                awaited.append(
                    "\(place): there is no model of a job \(name); name a job that has trained, or a model file")
            } else {
                let file = try environment.modelFile(reference, in: storage)
                if try isAwaited(reference, file.path, at: place) { return nil }
                model = try Model(reading: file.path, beneath: file.root, expecting: file.found, in: storage)
            }
        } catch {
            take(error, at: place)
        }
        // The weights say nothing here and may be large.
        model?.parameters = []
        models[reference] = .some(model)
        return model
    }

    /// What some models can read together; nil: not all of them could be read, which was noted.
    private mutating func alphabet(_ references: [ModelReference], at place: String, trained: Alphabet?) -> Alphabet? {
        guard !references.isEmpty else { return trained }
        var found: [(String, Alphabet)] = []
        for reference in references {
            if let model = model(reference, at: place) { found.append((reference.description, Alphabet(model))) }
        }
        guard found.count == references.count else { return nil }
        do {
            return try Alphabet(of: found)
        } catch {
            take(error, at: place)
            return nil
        }
    }

    /// Whether a path leads to no file and will do so later: what lies in the folder of a job that is waited for comes with
    /// it.
    private mutating func isAwaited(_ reference: ModelReference, _ found: FilePath, at place: String) throws -> Bool {
        guard case .path(let path) = reference, try storage.status(of: found) == nil else { return false }
        guard FilePath(path).isBelowJob(of: job.after) else {
            throw JobError(
                .noInput,
                "\(path): there is no such model beside the job file, in \(environment.corpora) or \(environment.jobs); put it "
                    + "there, or mend the path")
        }
        awaited.append("\(place): there is no model \(path)")
        return true
    }

    /// What one reading of a text tells; nil: it could not be read, which was noted.
    private mutating func measured(
        _ files: [CorpusFile], _ origin: CorpusOrigin, with known: Vocabulary?, at place: String
    ) -> CorpusEncoder.Measure? {
        var told: [String] = []
        defer { textNotes += told }
        do {
            return try CorpusEncoder(
                files, origin: origin, storage: storage, shouldStop: shouldStop, note: { told.append($0) }
            ).measure(with: known)
        } catch {
            take(error, at: place)
            return nil
        }
    }

    // MARK: - Training

    /// What its training comes to.
    private mutating func inspectTraining(_ section: TrainSection) -> TrainingOutline? {
        let hasEngine = hasEngine(section.precision)
        let base = section.from.flatMap { model($0, at: "train.from") }
        if let base, let from = section.from {
            for conflict in section.conflicts(with: base, from) { take(JobError(.badJob, conflict), at: nil) }
        }
        // Without the model that it goes on from, neither sizes nor vocabulary can be told; the text is looked at all
        // the same.
        let isKnown = section.from == nil || base != nil
        guard let files = files(section.corpus, at: "train.corpus"),
            let text = measured(files, section.origin(base), with: nil, at: "train.corpus"), isKnown
        else { return nil }
        let vocabulary = base?.vocabulary.growing(by: text.vocabulary.codePoints) ?? text.vocabulary
        let split = ValidationSplit(
            count: text.characters, validationFraction: section.valFraction, validationLimit: section.valMaxChars)
        let architecture = section.architecture(base, vocabularySize: vocabulary.count)
        do {
            try section.requireValidation(split, of: text.characters)
            let chosen = try section.choosing(characters: split.training.count)
            let plan = try BatchPlan(count: split.training.count, settings: chosen.settings)
            var outline = TrainingOutline(
                characters: text.characters, vocabulary: vocabulary, encoding: section.origin(base).encoding,
                split: split, stepsPerEpoch: plan.stepsPerEpoch, steps: plan.totalSteps, architecture: architecture,
                settings: chosen.settings, isChosen: section.epochs == nil)
            notes += section.notes(
                steps: outline.steps, layers: architecture.layerCount, characters: split.training.count)
            if hasEngine { (outline.choice, outline.memory) = room(chosen, architecture) }
            return outline
        } catch {
            take(error, at: "train")
            return nil
        }
    }

    /// Which engine a network gets, and how much of the machine's memory it takes there.
    private mutating func room(_ section: TrainSection, _ architecture: Architecture) -> (EngineChoice?, UInt64) {
        let (batch, length) = (section.settings.batchSize, section.settings.sequenceLength)
        let wanted = environment.engineChoice(job, section.precision)
        do {
            let (choice, reason) = try engines.resolve(
                wanted, architecture: architecture, batchSize: batch, sequenceLength: length)
            if let reason { notes.append(reason) }
            let needed = engines.predictedBytes(
                choice, architecture: architecture, batchSize: batch, sequenceLength: length)
            if let refusal = environment.refusal(ofMemory: needed) { take(refusal, at: nil) }
            return (choice, needed)
        } catch {
            take(error, at: nil)
            return (nil, 0)
        }
    }

    // MARK: - Writing and scoring

    /// Looks at all that the job reads but for the text that it trains on.
    ///
    /// - Parameter trained: Of the model that the job trains; nil: it is not known.
    mutating func inspectReadings(trained: Alphabet?) {
        if job.train == nil { _ = hasEngine(.fp32) }
        for (index, section) in job.generate.enumerated() {
            let place = job.generate.count == 1 ? "generate" : "generate[\(index + 1)]"
            guard let alphabet = alphabet(section.models, at: "\(place).model", trained: trained) else { continue }
            if !section.adaptTo.isEmpty {
                inspect(section.adaptTo, alphabet.encoding, alphabet, section.request.unknown, at: "\(place).adapt_to")
                lookForStatistics(of: section.models, at: place)
            }
            do {
                _ = try Generator(section.request, vocabulary: alphabet.vocabulary, encoding: alphabet.encoding)
            } catch {
                take(error, at: "\(place).prompt")
            }
            if let note = section.request.note(ofStopIn: alphabet.vocabulary, alphabet.encoding) { notes.append(note) }
        }
        if let section = job.evaluate { inspect(section, trained: trained) }
    }

    /// Reads the text that is to be scored. In which encoding, only the model may know.
    private mutating func inspect(_ section: EvaluateSection, trained: Alphabet?) {
        let alphabet = alphabet(section.models, at: "evaluate.model", trained: trained)
        let place = "evaluate.corpus"
        if section.adapt != .none { lookForStatistics(of: section.models, at: "evaluate") }
        if section.ngrams {
            look(for: .corpus, of: section.models, at: "evaluate.ngrams") { _ in
                "the text that it learned from is not there; n-grams need it in the folder of the job that trained the model"
            }
        }
        guard let encoding = section.encoding ?? alphabet?.encoding else {
            _ = files(section.corpus, at: place)
            return
        }
        inspect(section.corpus, encoding, alphabet, section.unknown, at: place)
    }

    /// Reads a text with a model's symbols.
    private mutating func inspect(
        _ paths: [String], _ encoding: TextEncoding, _ alphabet: Alphabet?, _ policy: UnknownPolicy, at place: String
    ) {
        guard let files = files(paths, at: place),
            let text = measured(files, CorpusOrigin(scoring: files, encoding), with: alphabet?.vocabulary, at: place)
        else { return }
        do {
            try text.unknown.refuse(under: policy)
            if text.characters - text.unknown.count < 2 { throw EvaluateSection.nothingToScore(in: paths) }
        } catch {
            take(error, at: place)
        }
    }

    /// What adapting needs; that it is of the very model is looked at when it is used.
    private mutating func lookForStatistics(of references: [ModelReference], at place: String) {
        look(for: .statistics, of: references, at: place) { name in
            "there are no gradient statistics of \(name), which adapting needs; `charnn adapt-statistics \(name) TEXT` makes "
                + "them from the text that it was trained on"
        }
    }

    /// Looks for a file beside models that are there by now.
    private mutating func look(
        for file: JobFolderFile, of references: [ModelReference], at place: String, _ words: (String) -> String
    ) {
        for reference in references {
            do {
                let model = try environment.modelFile(reference, in: storage).path
                let beside = model.removingLastComponent().appending(file)
                guard try storage.status(of: model) != nil, try storage.status(of: beside) == nil else { continue }
                take(JobError(.noInput, words(reference.description)), at: place)
            } catch {
                // That the model cannot be read is told where it is.
                continue
            }
        }
    }
}

/// What a training comes to.
///
/// It is told from the text and the job file, before an engine is made.
public struct TrainingOutline: Sendable {
    /// Of the whole text, validation included.
    public let characters: Int
    /// With `from`, that model's and behind it what the text adds.
    public let vocabulary: Vocabulary
    public let encoding: TextEncoding
    /// Which characters are trained on, and which are kept for validation.
    public let split: ValidationSplit
    public let stepsPerEpoch: Int
    /// Of all epochs; early stopping may end it before.
    public let steps: Int
    /// With `from`, that model's, grown to the vocabulary.
    public let architecture: Architecture
    /// With all chosen that the job file leaves open.
    public let settings: TrainingSettings
    /// Whether the steps were.
    public let isChosen: Bool
    /// Said where hardly any model learns words in so few steps, a sentence without its full stop.
    public var noteOfFewSteps: String? { isChosen ? nil : FewSteps.note(steps: steps, perEpoch: stepsPerEpoch) }

    public init(
        characters: Int, vocabulary: Vocabulary, encoding: TextEncoding, split: ValidationSplit, stepsPerEpoch: Int,
        steps: Int, architecture: Architecture, settings: TrainingSettings, isChosen: Bool = false
    ) {
        self.settings = settings
        self.isChosen = isChosen
        self.characters = characters
        self.vocabulary = vocabulary
        self.encoding = encoding
        self.split = split
        self.stepsPerEpoch = stepsPerEpoch
        self.steps = steps
        self.architecture = architecture
    }

    /// The engine that the training gets, with the device that `auto` comes to; nil: there is none that has the room.
    public internal(set) var choice: EngineChoice?
    /// Bytes of the machine's memory that it takes there.
    public internal(set) var memory: UInt64 = 0
}
