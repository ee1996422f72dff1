import CharnnEngine
import CharnnTraining
import CharnnWords

extension JobFile {
    /// Reads and checks a job file; all problems are told at once.
    ///
    /// - Parameters:
    ///   - bytes: The file's contents, at most 1 MiB.
    ///   - fileName: How the file is called in messages.
    ///   - memory: The most memory the job may need; nil: what the machine has.
    ///
    /// What the keys are is declared in `Keys/`, each once (``Key``); here stands what they say together.
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
        section.read(root, into: &job)
        let train = root.section(TrainSection.section.name)
        if let train { job.train = TrainSection(train, seed: job.seed, memory: memory ?? Machine.memory) }
        let generate = root.sections(GenerateSection.section.name, atMost: mostEntries)
        job.generate = generate.map { GenerateSection.section.value($0, besideTraining: train != nil) }
        let evaluate = root.section(EvaluateSection.section.name)
        job.evaluate = evaluate.map { EvaluateSection.section.value($0, besideTraining: train != nil) }
        let known = sections.map(\.name)
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
    /// Which keys there are where, to say of a key in the wrong place where it belongs.
    ///
    /// - Parameter root: Has been asked for the sections too.
    private static func keyPlaces(_ root: SectionReader) -> [(place: String, keys: Set<String>)] {
        [(section.place, Set(root.known))] + sections.map { ($0.place, Set($0.keys.map(\.name))) }
    }
}

extension TrainSection {
    /// - Parameters:
    ///   - seed: The job's, which keys the training too.
    ///   - memory: What must hold the least that any engine needs.
    fileprivate init(_ reader: SectionReader, seed: UInt64, memory: MemoryBound) {
        self.init()
        given = reader.given
        Self.section.read(reader, into: &self)
        settings.seed = seed
        useWhatIsGiven()
        check(reader, memory: memory)
    }

    /// Bytes of memory that it needs whatever the text is.
    ///
    /// For one symbol only: the vocabulary is known when the text has been read. With `from:` the sizes of the file do
    /// not count at all.
    var leastMemory: Double {
        MemoryEstimate.least(
            architecture(vocabularySize: 1), batchSize: batchSize ?? 1, sequenceLength: settings.sequenceLength)
    }

    /// What no key can tell alone.
    ///
    /// A network of impossible size is refused here, when the file is dropped, and not when its turn comes at night.
    private func check(_ reader: SectionReader, memory: MemoryBound) {
        if nonlinearity == .relu, !cell.hasNonlinearity, from == nil {
            reader.report(key: "nonlinearity", "relu is for cell: rnn only; found cell: \(cell.rawValue)")
        }
        if forgetBias != 0, !cell.hasForgetGate, from == nil {
            reader.report(key: "forget_bias", "is for cell: lstm only; found cell: \(cell.rawValue)")
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
