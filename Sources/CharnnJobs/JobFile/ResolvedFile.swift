import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTraining
import SystemPackage

/// `resolved.yaml`: every value as used, defaults filled in, choices of `auto` pinned. It is itself a job file.
///
/// It is written at the start of each attempt's training, for people and for the pages; `JudgementJob` reads in it what
/// another job was trained on, and ``ResumeNotes`` what this one was made with before. Run as a job file, it asks for
/// the
/// same.
struct ResolvedFile {
    private var lines: [String] = []

    /// - Parameters:
    ///   - section: Of the steps that were or will be made, which may not be the job file's: see ``ResumeNotes``.
    ///   - engine: What `auto` came to.
    init(_ job: JobFile, _ section: TrainSection, engine: EngineConfiguration, architecture: Architecture) {
        lines = [
            "# What this job ran with. Computed on \(engine.deviceName) with \(engine.method).",
            "priority: \(job.priority)",
            "after: \(Self.list(job.after))",
            "share: \(job.share.rawValue)",
            "device: \(engine.device)",
            "threads: \(engine.threads)",
            "seed: \(job.seed)",
            "time_limit: \(job.timeLimit.map(Self.seconds) ?? "null")",
            "judge: \(job.judge)",
            "train:",
        ]
        lines += Self.values(of: section, architecture, precision: engine.precision).map { "  \($0.0): \($0.1)" }
        if !job.generate.isEmpty { lines.append("generate:") }
        for section in job.generate { lines += Self.lines(of: section) }
        if let section = job.evaluate { lines += Self.lines(of: section) }
    }

    /// The keys of a `train` section with their values as used.
    ///
    /// One line a key: pages read them by lines.
    private static func values(
        of section: TrainSection, _ architecture: Architecture, precision: String
    ) -> [(String, String)] {
        let settings = section.settings
        let interval =
            switch settings.checkpointEvery {
            case .steps(let steps): String(steps)
            case .seconds(let seconds): Self.seconds(seconds)
            }
        return [
            ("corpus", Self.list(section.corpus)), ("encoding", section.encoding.rawValue),
            ("strip_gutenberg", String(section.stripGutenberg)), ("max_chars", Self.optional(section.maxChars)),
            ("val_fraction", String(section.valFraction)), ("val_max_chars", Self.optional(section.valMaxChars)),
            ("cell", architecture.cell.rawValue), ("nonlinearity", architecture.nonlinearity.rawValue),
            ("hidden_size", String(architecture.hiddenSize)), ("num_layers", String(architecture.layerCount)),
            ("embedding_size", String(architecture.embeddingSize)), ("dropout", String(architecture.dropout)),
            ("epochs", String(settings.epochs)), ("seq_length", String(settings.sequenceLength)),
            ("batch_size", String(settings.batchSize)), ("batching", settings.batching.rawValue),
            ("stride", String(settings.stride)), ("optimizer", settings.optimizer.kind.rawValue),
            ("betas", "[\(settings.optimizer.beta1), \(settings.optimizer.beta2)]"),
            ("eps", String(settings.optimizer.epsilon)),
            ("momentum", String(settings.optimizer.momentum)),
            ("weight_decay", String(settings.optimizer.weightDecay)),
            ("lr", String(settings.learningRate)), ("lr_schedule", settings.schedule.rawValue),
            ("warmup_steps", String(settings.warmupSteps)), ("lr_min", String(settings.leastLearningRate)),
            ("lr_step_every", String(settings.learningRateStepEvery)),
            ("lr_gamma", String(settings.learningRateGamma)), ("lr_patience", String(settings.learningRatePatience)),
            ("clip_norm", String(settings.clipNorm)), ("precision", precision),
            ("from", section.from.map { Self.quoted($0.description) } ?? "null"),
            ("eval_every", Self.optional(settings.evaluateEvery)),
            ("sample_every", Self.optional(settings.sampleEvery)), ("log_every", String(settings.logEvery)),
            ("checkpoint_every", interval), ("keep_checkpoints", String(section.keepCheckpoints)),
            ("early_stop", Self.optional(settings.earlyStop)),
        ]
    }

    /// The settings of training in which a section differs from an earlier one: `lr 0.001 (was 0.002)`.
    ///
    /// What follows from the model or the device is the same on both sides and so no change.
    static func changes(
        from former: TrainSection, to section: TrainSection, architecture: Architecture
    ) -> [String] {
        zip(values(of: former, architecture, precision: ""), values(of: section, architecture, precision: ""))
            .filter { $0.1 != $1.1 }.map { "\($1.0) \($1.1) (was \($0.1))" }
    }

    func write(to path: FilePath, in storage: any Storage) throws(StorageError) {
        try storage.replace(path, with: [UInt8]((lines.joined(separator: "\n") + "\n").utf8))
    }

    private static func lines(of section: GenerateSection) -> [String] {
        let request = section.request
        return [
            "  - model: \(section.model.map { quoted($0.description) } ?? "null")",
            "    prompt: \(quoted(request.prompt))", "    length: \(request.length)",
            "    temperature: \(request.sampler.temperature)", "    top_k: \(request.sampler.topK)",
            "    top_p: \(request.sampler.topP)", "    count: \(request.count)", "    seed: \(request.seed)",
            "    stop: \(request.stop.map(quoted) ?? "null")", "    echo: \(request.echo)",
            "    unknown: \(request.unknown.rawValue)",
        ]
    }

    private static func lines(of section: EvaluateSection) -> [String] {
        [
            "evaluate:", "  model: \(section.model.map { quoted($0.description) } ?? "null")",
            "  corpus: \(list(section.corpus))", "  encoding: \(section.encoding?.rawValue ?? "null")",
            "  unknown: \(section.unknown.rawValue)",
        ]
    }

    private static func optional(_ value: Int?) -> String { value.map(String.init) ?? "null" }

    private static func seconds(_ value: Double) -> String { "\(value)s" }

    private static func list(_ values: [String]) -> String { "[\(values.map(quoted).joined(separator: ", "))]" }

    /// A double-quoted YAML scalar.
    ///
    /// Always quoted, so that no name or prompt can be taken for something else by any YAML parser.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                result += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
