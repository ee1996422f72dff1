import CharnnEngine
import CharnnModel
import CharnnTraining

/// The largest number that stands for a size; what really fits is decided by the memory that it would take.
private let large = 1_000_000_000

extension TrainSection: KeyedSection {
    static let section = Section<TrainSection>(
        name: "train", place: "under train", about: "Trains a model, `model.safetensors` in the job's folder.",
        keys: text + network + batches + optimisation + start + occasions)

    private static let text: [Key<TrainSection>] = [
        Key(
            "corpus", \.corpus, .paths, need: .always("name the text to train on"),
            identity: .otherRunAs(place: 1) { $0.corpus.joined(separator: " + ") },
            """
            A path or a list of paths; relative ones begin in the spool's `corpora/`, for `charnn check`, `run` and \
            `submit` beside the job file first. `charnn submit` copies what lies there, under another name where \
            another text has its own. Needed.
            """),
        Key(
            "encoding", \.encoding, .choice, identity: .otherRun(place: 3),
            """
            `utf-8`, `latin-1`, `windows-1252`, `utf-16` (with a byte order mark or without) or `bytes` (256 symbols, \
            nothing changed). What a text looks like is told where it is not what was said. Texts that are written are \
            UTF-8, but with `latin-1` and `bytes` they have those.
            """),
        Key(
            "strip_gutenberg", \.stripGutenberg, .boolean, identity: .otherRun(place: 2),
            """
            Cut Project Gutenberg's header and licence, also the small print of the nineties. Where there is none, \
            check and log say so.
            """),
        Key(
            "max_chars", optional: \.maxChars, .integer(in: 1...Int.max), default: .words("all"),
            identity: .otherRun(place: 4), "Only the first so many characters."),
        Key(
            "val_fraction", \.valFraction, .number(.fraction), identity: .otherRun(place: 5),
            "The part at the end that is kept for validation; 0 turns validation off."),
        Key(
            "val_max_chars", optional: \.valMaxChars, .integer(in: 2...Int.max), default: .words("all"),
            "At most so many characters of it."),
    ]

    private static let network: [Key<TrainSection>] = [
        Key("cell", \.cell, .choice, identity: .otherRun(place: 6), "\(alternatives(Cell.self))."),
        Key(
            "nonlinearity", \.nonlinearity, .choice, identity: .otherRun(place: 7),
            "\(alternatives(Nonlinearity.self)); for `rnn` only."),
        Key("hidden_size", \.hiddenSize, .integer(in: 1...large), identity: .otherRun(place: 8), "Units of a layer."),
        Key("num_layers", \.numLayers, .integer(in: 1...1000), identity: .otherRun(place: 9), "Layers."),
        Key(
            "embedding_size", optional: \.embeddingSize, .integer(in: 1...large),
            default: .words("that of `hidden_size`"),
            identity: .otherRun(place: 10), "Width of the embedding."),
        Key(
            "dropout", \.dropout, .number(.fraction),
            "Between layers, from 0 up to, not including, 1."),
        Key(
            "dropout_input", \.dropoutInput, .number(.fraction), default: .written("0"),
            identity: .otherRun(place: 20), before: "0.0", "Below the first layer, of the numbers of the embedding."),
        Key(
            "dropout_output", \.dropoutOutput, .number(.fraction), default: .written("0"),
            identity: .otherRun(place: 21), before: "0.0", "Above the last layer, before the head."),
        Key(
            "dropout_mask", \.dropoutMask, .choice, identity: .otherRun(place: 22), before: "character",
            """
            Of all three: `character` drops anew for each character, `sequence` the same numbers for all characters of a \
            stream's sequence, anew in each step.
            """),
        Key(
            "forget_bias", \.forgetBias, .number(.between(0, 100)), default: .written("0"),
            identity: .otherRun(place: 18), before: "0.0",
            """
            Added to the initial bias of the forget gate, `rnn.bias_ih_l…`; for `lstm` only. 1 lets a cell keep what it has \
            from the first step on.
            """),
    ]

    private static let batches: [Key<TrainSection>] = [
        Key(
            "epochs", chosen: \.epochs, .integer(in: 1...1_000_000), before: "2",
            """
            How often the text is gone through. `auto`: from the length of the text, see below; the rate then falls as a \
            cosine, and training ends early where nothing gets better.
            """),
        Key(
            "max_steps", optional: \.maxSteps, .integer(in: 1...Int.max), default: .words("none"),
            "The most steps, whatever `epochs` come to."),
        Key(
            "budget", optional: \.budget, .duration, default: .words("none"),
            """
            As many steps as fit into this time, such as `6h`, with their evaluations and samples; waiting does not count. It is \
            measured by 40 steps before the first and kept as `max_steps`; where `epochs` come to fewer they count.
            """),
        Key(
            "seq_length", \.settings.sequenceLength, .integer(in: 1...large), identity: .otherRun(place: 11),
            "Characters of a sequence, over which gradients flow back."),
        Key(
            "batch_size", chosen: \.batchSize, .integer(in: 1...large), identity: .otherRun(place: 12), before: "64",
            "Sequences side by side. `auto`: 64, and less for short texts."),
        Key(
            "batching", \.settings.batching, .choice, identity: .otherRun(place: 13),
            "`stream`: the state is carried along the text; `windows`: independent windows."),
        Key(
            "stride", \.settings.stride, .integer(in: 1...large),
            identity: .otherRunAs(place: 14) {
                $0.settings.batching == .windows ? String($0.settings.stride) : "-"
            }, "Characters from one window to the next; `windows` only."),
    ]

    private static let optimisation: [Key<TrainSection>] = [
        Key(
            "optimizer", \.settings.optimizer.kind, .choice, identity: .otherRun(place: 15),
            "\(alternatives(OptimizerKind.self))."),
        Key(
            "betas", \.settings.optimizer.betas, .betas,
            "Of `adam` and `adamw`; the second also of `rmsprop`, its alpha."),
        Key(
            "eps", \.settings.optimizer.epsilon, .number(.from(1e-30, written: "1e-30")), default: .written("1e-8"),
            "Of `adam`, `adamw` and `rmsprop`."),
        Key(
            "momentum", \.settings.optimizer.momentum, .number(.fraction), default: .written("0"),
            "Of `rmsprop` and `sgd`."),
        Key(
            "weight_decay", \.settings.optimizer.weightDecay, .number(.notNegative), default: .written("0"),
            "Of all optimisers."),
        Key(
            "decay", \.decay, .choice, identity: .otherRun(place: 19), before: "all",
            """
            What `weight_decay` applies to: `all`, as in PyTorch, or `weights`, the matrices of inputs, recurrence and head, \
            but neither the embedding nor biases.
            """),
        Key(
            "lr", \.settings.learningRate, .number(.positive),
            """
            The learning rate. A run that ends above the loss of guessing, the logarithm of the number of characters, \
            by more than 0.5 nats has diverged, as one that becomes infinite has: the job fails, with its best model \
            kept.
            """),
        Key(
            "lr_schedule", chosen: \.schedule, .choice, before: "constant",
            """
            `constant`, `cosine` (ends at the last step), `step` or `plateau`. `auto`: `cosine` where `epochs` are chosen, \
            else `constant`.
            """),
        Key(
            "warmup_steps", \.settings.warmupSteps, .integer(in: 0...large),
            "Steps over which the rate rises to `lr`."),
        Key(
            "lr_min", \.settings.leastLearningRate, .number(.notNegative), default: .written("0"),
            "Below which the rate does not fall."),
        Key(
            "lr_step_every", \.settings.learningRateStepEvery, .integer(in: 1...large),
            "Epochs between two steps of the schedule `step`."),
        Key(
            "lr_gamma", \.settings.learningRateGamma, .number(.share), "By what `step` and `plateau` multiply the rate."
        ),
        Key(
            "lr_patience", \.settings.learningRatePatience, .integer(in: 1...large),
            "Evaluations without a better loss before `plateau` does."),
        Key(
            "clip_norm", \.settings.clipNorm, .number(.from(0, written: "0", note: " (0: off)")),
            "The largest global norm of the gradient; 0: off."),
        Key(
            "weight_average", \.settings.weightAverage, .number(.fraction),
            identity: .otherRun(place: 17), before: "0.0",
            """
            How slowly an average of the weights follows them. It is validated beside them, and the better of the two is \
            the model; without validation the average is. 0: off.
            """),
    ]

    private static let start: [Key<TrainSection>] = [
        Key(
            "precision", \.precision, .choice,
            """
            `auto`, `fp32`, `bf16` (a CPU with AVX-512 BF16; on AMD's what `auto` takes for training), or `fp16` (a \
            GPU, likewise).
            """),
        Key(
            "from", optional: \.from, .model, default: .words("none"),
            """
            Fine-tune: a job's name or a model file, as `model` of `generate`. Sizes and vocabulary come from it; new \
            characters are added.
            """),
    ]

    private static let occasions: [Key<TrainSection>] = [
        Key(
            "eval_every", optional: \.settings.evaluateEvery, .integer(in: 1...large), default: .words("each epoch"),
            "Steps between two validations. Where `epochs` are chosen there are at most about 40 of them."),
        Key(
            "sample_every", optional: \.settings.sampleEvery, .integer(in: 0...large), default: .words("each epoch"),
            "Steps between two samples; 0: never."),
        Key(
            "log_every", \.settings.logEvery, .integer(in: 1...large), "Steps between two rows of `metrics.csv`."),
        Key(
            "checkpoint_every", \.settings.checkpointEvery, .checkpointInterval, default: .written("5m"),
            "A duration, or a number of steps."),
        Key("keep_checkpoints", \.keepCheckpoints, .integer(in: 1...1000), "So many are kept."),
        Key(
            "early_stop", optional: \.earlyStop, .integer(in: 0...large),
            default: .words("none, or `8` where `epochs` are chosen"),
            "End after so many evaluations without a better validation loss; 0: never."),
        Key(
            "early_stop_after", optional: \.earlyStopAfter, .number(.fraction),
            default: .words("`0`, or `0.6` where `early_stop` is chosen"),
            "The part of all steps before which no evaluation counts for `early_stop`."),
    ]
}

/// `betas` of a job file.
struct Betas: Sendable {
    var first: Double
    var second: Double
}

extension Optimizer {
    fileprivate var betas: Betas {
        get { Betas(first: beta1, second: beta2) }
        set { (beta1, beta2) = (newValue.first, newValue.second) }
    }
}
