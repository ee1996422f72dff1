import ArgumentParser
import CharnnCorpus
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import CharnnTraining
import SystemPackage

/// `charnn evaluate`: the same as a job's `evaluate`, by the same code.
struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Score a text with a model: nats and bits per character, perplexity.",
        discussion: """
            Example:
              cp /usr/share/common-licenses/GPL-2 old.txt
              charnn evaluate demo old.txt --unknown replace
              charnn evaluate demo old.txt --unknown replace --adapt dynamic --ngrams
            """)

    @OptionGroup var models: ModelsArgument

    @Argument(help: ArgumentHelp("The texts, read as one.", valueName: "text"), completion: .file())
    var texts: [String]

    @Option(name: .long, help: "\(TextEncoding.list). Default: the model's.")
    var encoding: TextEncoding?

    @Option(
        name: .long, help: "Characters outside the vocabulary, which are left out of the score: error, skip or replace."
    )
    var unknown = UnknownPolicy.error

    @Option(
        name: .long,
        help: """
            What the model learns from the text as it goes: none, dynamic, or tune, which tries five rates on the first half \
            and tells of the second.
            """)
    var adapt = AdaptMode.none

    @Option(name: .long, help: "How much it learns from a segment. Default: by the model's size.")
    var adaptRate: Double?

    @Flag(name: .long, help: "Mix in n-grams, which count the text that the model learned from and then this one.")
    var ngrams = false

    @Flag(name: .long, help: "Print JSON, as in evaluation.json.")
    var json = false

    func validate() throws {
        if let adaptRate, !(adaptRate > 0 && adaptRate.isFinite) {
            throw ValidationError("--adapt-rate: \(adaptRate) is not above 0")
        }
    }

    /// What a model is to learn; nil: nothing.
    private func adaptation(of found: ModelsArgument.Found, _ storage: any Storage) throws -> Adaptation? {
        guard adapt != .none else { return nil }
        let statistics = try found.statistics(storage)
        var rule = AdaptationRule(hiddenSize: found.model.architecture.hiddenSize)
        rule.rate = adaptRate ?? rule.rate
        return Adaptation(adapt, rule: rule, statistics: statistics)
    }

    /// What the models learned from, each text once; nil: nobody asks.
    private func training(of models: [ModelsArgument.Found], _ storage: any Storage) throws -> [TrainingText]? {
        guard ngrams else { return nil }
        var seen: Set<String?> = []
        return try models.filter { seen.insert($0.model.corpusSHA256).inserted }.map { found in
            try TrainingText(
                in: found.path.removingLastComponent(), of: found.model, name: found.name, on: storage)
        }
    }

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let models = try models.load(storage)
            let folder = try TemporaryFolder()
            var scoring = Scoring(
                with: try models.map { found in
                    ScoringMember(
                        name: found.name, model: found.model, adaptation: try adaptation(of: found, storage))
                }, on: storage, in: folder.path
            ) { model in
                try Engines().makeEngine(
                    EngineChoice(precision: .fp32), architecture: model.architecture.withoutDropout,
                    parameters: model.parameters)
            }
            (scoring.encoding, scoring.unknown) = (encoding, unknown)
            scoring.training = try training(of: models, storage)
            scoring.note = { Terminal.error("charnn: warning: \($0)") }
            guard let scored = try scoring.score(texts.map { CorpusFile(path: FilePath($0).absolute.real) }) else {
                return
            }
            if let warning = scored.warning { Terminal.error("charnn: warning: \(warning)") }
            if json {
                let name = self.models.names.joined(separator: ", ")
                Terminal.write(String(decoding: scored.report(model: name, corpus: texts), as: UTF8.self))
            } else {
                Terminal.line(scored.summary)
            }
        }
    }
}
