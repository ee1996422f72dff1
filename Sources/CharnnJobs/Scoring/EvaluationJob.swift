import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTraining
import CharnnWords
import SystemPackage

/// The `evaluate` section of a job at work: `evaluation.json`.
///
/// Run by ``JobRunner`` when all texts are written; it keeps nothing from one attempt to the next but what models have
/// learned from the text so far, and an interrupted one begins anew.
struct EvaluationJob {
    private let context: JobContext
    private let section: EvaluateSection

    init(_ context: JobContext, _ section: EvaluateSection) {
        self.context = context
        self.section = section
    }

    /// - Parameter trained: The model that this job trained; nil: it trains none.
    /// - Throws: Also that the work has to pause.
    func run(_ trained: LoadedModel?) throws {
        context.keeper.enter("evaluating")
        let sources = try context.load(section.models, trained: trained)
        let adapting = try section.adapt == .none ? nil : sources.map(adaptation)
        let members = sources.enumerated().map { index, source in
            ScoringMember(name: source.name, model: source.model, adaptation: adapting?[index].asked)
        }
        var scoring = Scoring(
            with: members, on: context.storage, in: context.folder.path, makeEngine: context.engine(for:))
        scoring.encoding = section.encoding
        scoring.unknown = section.unknown
        if section.ngrams { scoring.training = try trainingTexts(of: sources) }
        scoring.kept = { member, text in adapting.map { $0[member].kept(of: text, member: member) } }
        scoring.vouch = { context.pulse.vouch(atMost: JudgementJob.patience, for: $0) }
        scoring.note = { context.keeper.warn("\($0).") }
        scoring.shouldStop = {
            context.keeper.update { _ in }
            return context.shouldPause
        }
        let files = try context.environment.corpusFiles(section.corpus, in: context.storage)
        guard let scored = try scoring.score(files) else { throw context.paused() }
        // The paths are the job file's, and not where they lead: others read the file.
        let name = members.map(\.name).joined(separator: ", ")
        let report = scored.report(model: name, corpus: section.corpus)
        try context.storage.replace(context.folder.evaluation, with: report)
        tell(scored, name)
    }

    private func tell(_ scored: ScoredText, _ name: String) {
        context.keeper.update(force: true) { $0.evaluationLoss = scored.score.loss }
        if let warning = scored.warning { context.keeper.warn("\(warning).") }
        context.keeper.event(
            .scored, .notice,
            "\(name) \(scored.members > 1 ? "together score" : "scores") \(fixed(scored.score.bitsPerCharacter, 4)) bits per "
                + "character on \(scored.extent)\(section.corpus.joined(separator: ", ")).",
            ["LOSS": fixed(scored.score.loss, 6)])
        for (words, loss) in [
            (scored.wordsOfAdaptation, scored.adapted?.score.loss), (scored.wordsOfNGrams, scored.ngrams?.score.loss),
        ] {
            if let words, let loss { context.keeper.event(.scored, .notice, "\(words).", ["LOSS": fixed(loss, 6)]) }
        }
        if let place = scored.adapted?.frozenAt {
            context.keeper.warn(
                "Adapting ended at character \(grouped(place)), where a segment's loss or gradient was not finite; the rest was "
                    + "scored with the model as it is. Try a smaller adapt_rate.")
        }
    }

    /// What a model is asked to learn on the way, with what that needs.
    private func adaptation(of source: LoadedModel) throws -> JobAdaptation {
        let statistics = try context.statistics(of: source)
        let rule = section.rule(hiddenSize: source.model.architecture.hiddenSize)
        return JobAdaptation(
            context: context, asked: Adaptation(section.adapt, rule: rule, statistics: statistics.statistics),
            identity: "\(statistics.model) \(section.ngrams || section.models.count > 1)")
    }

    /// What the models learned from, each text once.
    private func trainingTexts(of sources: [LoadedModel]) throws -> [TrainingText] {
        var found: [TrainingText] = []
        for source in sources where !found.contains(where: { $0.corpus.sha256 == source.model.corpusSHA256 }) {
            let folder = source.file.path.removingLastComponent()
            // What n-grams tell of a text is shown to whoever sees this job: nobody reads in another's text through it.
            if !section.models.isEmpty {
                _ = try context.environment.modelFile(.path(folder.appending(.corpus).string), in: context.storage)
            }
            found.append(
                try TrainingText(
                    in: folder, of: source.model, name: source.name, on: context.storage,
                    shouldStop: { context.shouldPause }))
        }
        return found
    }
}

extension JobContext {
    /// What adapting needs of a model, and the SHA-256 of the model's file.
    ///
    /// - Throws: ``JobError`` with the exit 66 where there is nothing of this model, and how to make it.
    func statistics(of source: LoadedModel) throws -> (statistics: GradientStatistics, model: String) {
        let file = source.file
        let sha256 = try storage.sha256(of: try storage.open(file.path, beneath: file.root)).sha256
        let statistics = try GradientStatistics(
            reading: file.path.removingLastComponent().appending(.statistics), beneath: file.root, of: source.model,
            sha256: sha256, name: source.name, in: storage)
        return (statistics, sha256)
    }

    /// Where what a model has learned so far is kept until the job ends.
    ///
    /// - Parameters:
    ///   - name: Of the file.
    ///   - identity: Of model, text and numbers.
    func keptAdaptation(_ name: String, identity: String) -> KeptAdaptation {
        KeptAdaptation(
            folder.path.appending(.partialAdaptation).appending("\(name).safetensors"), in: storage,
            identity: identity, now: clock.monotonic)
    }
}

/// A job's dynamic evaluation, which goes on where it was interrupted.
private struct JobAdaptation {
    let context: JobContext
    let asked: Adaptation
    /// Of the model's file, and of what is kept.
    let identity: String

    /// - Parameters:
    ///   - text: The SHA-256 of the encoded text.
    ///   - member: Which of several models.
    func kept(of text: String, member: Int) -> KeptAdaptation {
        context.keptAdaptation(
            "evaluate-\(member + 1)", identity: "\(identity) \(text) \(asked.mode.rawValue) \(asked.rule)")
    }
}
