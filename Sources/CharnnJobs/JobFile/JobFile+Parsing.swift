import CharnnEngine
import CharnnModel
import CharnnReports
import CharnnSpool
import CharnnTraining
import CharnnWords
import Yams

extension JobFile {
    /// Reads and checks a job file; all problems are told at once.
    ///
    /// - Parameters:
    ///   - bytes: The file's contents, at most 1 MiB.
    ///   - fileName: How the file is called in messages.
    ///   - memory: The most memory the job may need; nil: what the machine has.
    ///
    /// The defaults of all keys are those of the values that are read into: ``JobFile``, ``TrainSection``,
    /// ``TrainingSettings`` and so on, and nowhere else. A key is known because it is asked for here; so a key that is
    /// added needs one line, and is then also offered where somebody misspells it.
    ///
    /// Daemon, worker, `check` and `submit` all read a job file by this one function. It opens no other file: whether a
    /// text is there is looked at later.
    ///
    /// - Throws: All that is wrong with the file, in the order of its lines; nothing of it is used then.
    public static func parse(
        _ bytes: [UInt8], fileName: String, memory: MemoryBound? = nil
    ) throws(JobFileError) -> JobFile {
        let root = SectionReader(try YAMLDocument.mapping(bytes, fileName: fileName), fileName: fileName)
        var job = JobFile()
        root.read("priority", &job.priority, in: -1_000_000...1_000_000)
        if let after = root.strings("after", allowed: "a job's name or a list of names") {
            // Each is looked up by the queue, which must not take long over any one file.
            if after.count > mostEntries {
                root.report(key: "after", "found \(after.count) names; allowed: at most \(mostEntries)")
            }
            job.after = after
        }
        root.read("share", &job.share)
        if let device = root.choice("device", DeviceChoice.self) { job.device = device }
        job.threads = root.integer("threads", in: 1...4096)
        if let seed = root.seed("seed") { job.seed = seed }
        job.timeLimit = root.duration("time_limit")
        job.judge = root.boolean("judge") ?? job.judge

        let known = ["train", "generate", "evaluate"]
        let train = root.section("train")
        if let train { job.train = TrainSection(train, seed: job.seed, memory: memory ?? Machine.memory) }
        let generate = root.sections("generate", atMost: mostEntries)
        job.generate = generate.map { GenerateSection($0, besideTrain: train != nil) }
        let evaluate = root.section("evaluate")
        job.evaluate = evaluate.map { EvaluateSection($0, besideTrain: train != nil) }
        for key in known where root.isEmpty(key) {
            job.notes.append("\(key): is empty and does nothing; give it the keys it needs, or take it out")
        }
        if root.given.isDisjoint(with: known) {
            root.report(root.line, "a job needs at least one of the sections train, generate and evaluate")
        }
        // Last, when all keys have been asked for: what is left was meant for another section, or is misspelt.
        let places = keyPlaces(root)
        for section in [train, evaluate].compactMap(\.self) + generate {
            section.finish(elsewhere: places)
            root.take(section.problems)
        }
        root.finish(elsewhere: places)
        guard root.problems.isEmpty else {
            throw JobFileError(problems: root.problems.sorted { $0.line < $1.line }.map(\.text))
        }
        return job
    }
}

extension JobFile {
    /// Which keys there are where, to say of a key in the wrong place where it belongs: what the sections ask for.
    ///
    /// Found by reading an empty section of each kind, so that no second list of keys has to be kept.
    private static func keyPlaces(_ root: SectionReader) -> [(place: String, keys: Set<String>)] {
        func keys(_ read: (SectionReader) -> Void) -> Set<String> {
            let reader = SectionReader(Node.Mapping([]), fileName: "")
            read(reader)
            return Set(reader.known)
        }
        return [
            ("at the top of the file", Set(root.known)),
            ("under train", keys { _ = TrainSection($0, seed: 1, memory: MemoryBound(.max)) }),
            ("under generate", keys { _ = GenerateSection($0, besideTrain: true) }),
            ("under evaluate", keys { _ = EvaluateSection($0, besideTrain: true) }),
        ]
    }
}

extension SectionReader {
    /// These leave a value as it is, that is at its default, where the key is missing or has been reported.
    fileprivate func read(_ key: String, _ value: inout Int, in range: ClosedRange<Int>) {
        if let read = integer(key, in: range) { value = read }
    }

    fileprivate func read(_ key: String, _ value: inout Double, _ allowed: String, where isAllowed: (Double) -> Bool) {
        if let read = number(key, allowed: allowed, where: isAllowed) { value = read }
    }

    fileprivate func read<Choice: RawRepresentable & CaseIterable>(_ key: String, _ value: inout Choice)
    where Choice.RawValue == String {
        if let read = choice(key, Choice.self) { value = read }
    }
}

/// The largest number that stands for a size; what really fits is decided by the memory that it would take.
private let large = 1_000_000_000
/// The longest list of jobs or sections.
private let mostEntries = 1000

extension TrainSection {
    /// - Parameters:
    ///   - seed: The job's, which keys the training too.
    ///   - memory: What must hold the least that any engine needs.
    fileprivate init(_ reader: SectionReader, seed: UInt64, memory: MemoryBound) {
        self.init()
        given = reader.given
        corpus = reader.paths("corpus") ?? []
        if corpus.isEmpty || corpus.contains("") { reader.report(key: "corpus", "name the text to train on") }
        reader.read("encoding", &encoding)
        stripGutenberg = reader.boolean("strip_gutenberg") ?? stripGutenberg
        maxChars = reader.integer("max_chars", in: 1...Int.max)
        reader.read("val_fraction", &valFraction, "a number from 0 up to, not including, 1") { (0..<1).contains($0) }
        valMaxChars = reader.integer("val_max_chars", in: 2...Int.max)
        reader.read("cell", &cell)
        reader.read("nonlinearity", &nonlinearity)
        reader.read("hidden_size", &hiddenSize, in: 1...large)
        reader.read("num_layers", &numLayers, in: 1...1000)
        embeddingSize = reader.integer("embedding_size", in: 1...large)
        reader.read("dropout", &dropout, "a number from 0 up to, not including, 1") { (0..<1).contains($0) }
        reader.read("precision", &precision)
        from = reader.path("from").map(ModelReference.init)
        reader.read("keep_checkpoints", &keepCheckpoints, in: 1...1000)
        settings = TrainingSettings(reader, seed: seed)
        check(reader, memory: memory)
    }

    /// Bytes of memory that it needs whatever the text is.
    ///
    /// For one symbol only: the vocabulary is known when the text has been read. With `from:` the sizes of the file do
    /// not count at all.
    var leastMemory: Double {
        MemoryEstimate.least(
            architecture(vocabularySize: 1), batchSize: settings.batchSize, sequenceLength: settings.sequenceLength)
    }

    /// What no key can tell alone.
    ///
    /// A network of impossible size is refused here, when the file is dropped, and not when its turn comes at night.
    private func check(_ reader: SectionReader, memory: MemoryBound) {
        if nonlinearity == .relu, !cell.hasNonlinearity, from == nil {
            reader.report(key: "nonlinearity", "relu is for cell: rnn only; found cell: \(cell.rawValue)")
        }
        if settings.leastLearningRate > settings.learningRate {
            reader.report(key: "lr_min", "must not be above lr")
        }
        if valFraction == 0 {
            for key in ["early_stop", "eval_every"] where given.contains(key) {
                reader.report(key: key, "needs validation, but val_fraction is 0")
            }
            if settings.schedule == .plateau {
                reader.report(key: "lr_schedule", "plateau needs validation, but val_fraction is 0")
            }
        }
        // The vocabulary is not known before the corpus was read; the weights of the layers are the larger part.
        let needed = leastMemory
        if needed > Double(memory.bytes), from == nil {
            let key = ["hidden_size", "embedding_size", "batch_size", "seq_length"].first { given.contains($0) }
            reader.report(
                key: key ?? "hidden_size",
                "the job would need at least \(byteCount(needed)) of memory, and there are "
                    + "\(memory.words); make the network, batch_size or seq_length smaller")
        }
    }
}

extension TrainingSettings {
    fileprivate init(_ reader: SectionReader, seed: UInt64) {
        self.init()
        self.seed = seed
        reader.read("epochs", &epochs, in: 1...1_000_000)
        reader.read("seq_length", &sequenceLength, in: 1...large)
        reader.read("batch_size", &batchSize, in: 1...large)
        reader.read("batching", &batching)
        reader.read("stride", &stride, in: 1...large)
        reader.read("optimizer", &optimizer.kind)
        if let betas = reader.strings("betas", allowed: "two numbers such as [0.9, 0.999]") {
            let numbers = betas.compactMap(Double.init).filter { (0..<1).contains($0) }
            if betas.count == 2, numbers.count == 2 {
                (optimizer.beta1, optimizer.beta2) = (numbers[0], numbers[1])
            } else {
                reader.report(key: "betas", "found \(betas); allowed: two numbers from 0 up to, not including, 1")
            }
        }
        let notNegative = "a number from 0"
        let positive = "a number above 0"
        reader.read("eps", &optimizer.epsilon, "a number from 1e-30") { $0 >= 1e-30 }
        reader.read("momentum", &optimizer.momentum, "a number from 0 up to, not including, 1") { (0..<1).contains($0) }
        reader.read("weight_decay", &optimizer.weightDecay, notNegative) { $0 >= 0 }
        reader.read("lr", &learningRate, positive) { $0 > 0 }
        reader.read("lr_schedule", &schedule)
        reader.read("warmup_steps", &warmupSteps, in: 0...large)
        reader.read("lr_min", &leastLearningRate, notNegative) { $0 >= 0 }
        reader.read("lr_step_every", &learningRateStepEvery, in: 1...large)
        reader.read("lr_gamma", &learningRateGamma, "a number above 0 and at most 1") { $0 > 0 && $0 <= 1 }
        reader.read("lr_patience", &learningRatePatience, in: 1...large)
        reader.read("clip_norm", &clipNorm, "a number from 0 (0: off)") { $0 >= 0 }
        evaluateEvery = reader.integer("eval_every", in: 1...large)
        sampleEvery = reader.integer("sample_every", in: 0...large)
        reader.read("log_every", &logEvery, in: 1...large)
        earlyStop = reader.integer("early_stop", in: 1...large)
        if let text = reader.string("checkpoint_every") {
            // A number alone is of steps; with a unit it is of time.
            if let steps = Int(text), steps >= 1 {
                checkpointEvery = .steps(steps)
            } else if let seconds = Duration.seconds(of: text), seconds > 0 {
                checkpointEvery = .seconds(seconds)
            } else {
                reader.report(
                    key: "checkpoint_every",
                    "found \(YAMLDocument.quoted(text)); allowed: a number of steps, or a duration such as 5m")
            }
        }
    }
}

extension GenerateSection {
    /// - Parameter besideTrain: Whether the job trains a model, which is then the one that is meant.
    fileprivate init(_ reader: SectionReader, besideTrain: Bool) {
        self.init()
        model = reader.path("model").map(ModelReference.init)
        if model == nil, !besideTrain { reader.report(key: "model", "name a job or a model file") }
        request.prompt = reader.string("prompt") ?? ""
        reader.read("length", &request.length, in: 0...Int.max)
        reader.read("temperature", &request.sampler.temperature, "a number from 0") { $0 >= 0 }
        reader.read("top_k", &request.sampler.topK, in: 0...Int.max)
        reader.read("top_p", &request.sampler.topP, "a number above 0 and at most 1") { $0 > 0 && $0 <= 1 }
        reader.read("count", &request.count, in: 1...1_000_000)
        request.seed = reader.seed("seed") ?? request.seed
        request.stop = reader.string("stop")
        request.echo = reader.boolean("echo") ?? request.echo
        reader.read("unknown", &request.unknown)
    }
}

extension EvaluateSection {
    fileprivate init(_ reader: SectionReader, besideTrain: Bool) {
        self.init()
        model = reader.path("model").map(ModelReference.init)
        if model == nil, !besideTrain { reader.report(key: "model", "name a job or a model file") }
        corpus = reader.paths("corpus") ?? []
        if corpus.isEmpty || corpus.contains("") { reader.report(key: "corpus", "name the text to score") }
        encoding = reader.choice("encoding", TextEncoding.self)
        reader.read("unknown", &unknown)
    }
}
