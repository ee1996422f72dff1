public import CharnnCorpus
public import CharnnEngine
public import CharnnModel
import CharnnReports
import CharnnSpool
public import CharnnStorage
public import CharnnTraining
import CharnnWords
import Glibc
public import SystemPackage

/// The `evaluate` section of a job at work: `evaluation.json`.
///
/// Run by ``JobRunner`` when all texts are written; it keeps nothing from one attempt to the next, and an interrupted
/// one begins anew.
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
        let loaded = try context.load(section.model, trained: trained)
        let files = try context.environment.corpusFiles(section.corpus, in: context.storage)
        let adaptation = try adaptation(of: loaded)
        let scored = try Scoring.score(
            files, encoding: section.encoding, unknown: section.unknown, with: loaded.model,
            engine: try context.engine(for: loaded.model), storage: context.storage, in: context.folder.path,
            adapting: adaptation?.asked, keeping: { adaptation?.kept(of: $0) },
            shouldStop: {
                context.keeper.update { _ in }
                return context.shouldPause
            }, note: { context.keeper.warn("\($0).") })
        guard let scored else { throw context.paused() }
        // The paths are the job file's, and not where they lead: others read the file.
        let report = scored.report(model: loaded.name, corpus: section.corpus)
        try context.storage.replace(context.folder.evaluation, with: report)
        // What an interrupted one has kept is of no use any more.
        try context.storage.discard(context.folder.path.appending(.partialAdaptation))
        context.keeper.update(force: true) { $0.evaluationLoss = scored.score.loss }
        if let warning = scored.warning { context.keeper.warn("\(warning).") }
        context.keeper.event(
            .scored, .notice,
            "\(loaded.name) scores \(fixed(scored.score.bitsPerCharacter, 4)) bits per character on "
                + "\(scored.extent)\(section.corpus.joined(separator: ", ")).",
            ["LOSS": fixed(scored.score.loss, 6)])
        if let words = scored.wordsOfAdaptation {
            context.keeper.event(
                .scored, .notice, "\(words).", ["LOSS": fixed(scored.adapted?.score.loss ?? .nan, 6)])
        }
        if let place = scored.adapted?.frozenAt {
            context.keeper.warn(
                "Adapting ended at character \(grouped(place)), where a segment's loss or gradient was not finite; the rest was "
                    + "scored with the model as it is. Try a smaller adapt_rate.")
        }
    }

    /// What the section asks the model to learn on the way, with what that needs; nil: nothing.
    private func adaptation(of loaded: LoadedModel) throws -> JobAdaptation? {
        guard section.adapt != .none else { return nil }
        let storage = context.storage
        let file: CorpusFile
        if let reference = section.model {
            file = try context.environment.modelFile(reference, in: storage)
        } else {
            file = CorpusFile(path: context.folder.model)
        }
        let sha256 = try storage.sha256(of: try storage.open(file.path, beneath: file.root)).sha256
        let statistics = try GradientStatistics(
            reading: file.path.removingLastComponent().appending(.statistics), beneath: file.root, of: loaded.model,
            sha256: sha256, name: loaded.name, in: storage)
        let rule = section.rule(hiddenSize: loaded.model.architecture.hiddenSize)
        return JobAdaptation(
            context: context, asked: Adaptation(section.adapt, rule: rule, statistics: statistics),
            model: sha256)
    }
}

/// A job's dynamic evaluation, which goes on where it was interrupted.
private struct JobAdaptation {
    let context: JobContext
    let asked: Adaptation
    /// The SHA-256 of the model's file.
    let model: String

    /// - Parameter text: The SHA-256 of the encoded text.
    func kept(of text: String) -> KeptAdaptation {
        KeptAdaptation(
            context.folder.path.appending(.partialAdaptation), in: context.storage,
            identity: "\(model) \(text) \(asked.mode.rawValue) \(asked.rule)", now: context.clock.monotonic)
    }
}

/// How well a model predicts a text.
///
/// A job and `charnn evaluate` tell the same figures, for both are made here.
public struct ScoredText: Sendable {
    /// Of the characters that the vocabulary has.
    public var score: EvaluationScore
    /// Characters that the vocabulary lacks: how many there were.
    public var unknownCount: Int
    /// The temperature that fitted the model's validation text, and the loss of this one at it, nats a character; nil: the
    /// model knows of none.
    public var fitted: (temperature: Double, loss: Double)?
    /// What the model needs that learns from the text as it goes; nil: it was not asked to.
    public var adapted: AdaptedScore?

    /// From this share of unknown characters on a score says little of its text.
    private static let warningShare = 0.1

    /// `exp` of the loss.
    public var perplexity: Double { exp(score.loss) }

    /// For people, three lines, and a fourth where a temperature was fitted to the model.
    public var summary: String {
        "\(fixed(score.loss, 4)) nats per character\n\(fixed(score.bitsPerCharacter, 4)) bits per character\n"
            + "perplexity \(fixed(perplexity, 4)) over \(grouped(score.count)) characters"
            + (unknownCount > 0 ? "; \(grouped(unknownCount)) outside the vocabulary are left out" : "")
            + (fitted.map { fitted in
                "\n\(fixed(fitted.loss, 4)) nats per character at the temperature \(fixed(fitted.temperature, 3)), which was "
                    + "fitted to the model's validation text"
            } ?? "") + (wordsOfAdaptation.map { "\n\($0)" } ?? "")
    }

    /// What learning on the way brought, a sentence without its full stop.
    var wordsOfAdaptation: String? {
        adapted.map { adapted in
            "Learning from the \(adapted.mode == .tune ? "second half of the text" : "text") as it goes, at the rate "
                + "\(adapted.rule.rate), it needs \(fixed(adapted.score.loss, 4)) nats, "
                + "\(fixed(adapted.score.bitsPerCharacter, 4)) bits per character"
        }
    }

    /// Of how many characters the score is, where it is not of all: words before the text's name.
    fileprivate var extent: String {
        unknownCount > 0
            ? "\(grouped(score.count)) characters, without \(grouped(unknownCount)) outside its vocabulary, of " : ""
    }

    /// What to beware of, a sentence without its full stop; nil: nothing.
    public var warning: String? {
        let share = Double(unknownCount) / Double(max(1, score.count + unknownCount))
        guard share > Self.warningShare else { return nil }
        return
            "\(fixed(share * 100, 0)) % of the characters are outside the model's vocabulary and left out, so that the score "
            + "says little of the text"
    }

    /// `evaluation.json`.
    ///
    /// - Parameters:
    ///   - model: What the model is called by.
    ///   - corpus: The texts as they were named.
    public func report(model: String, corpus: [String]) -> [UInt8] {
        EvaluationRecord(
            model: model, corpus: corpus, characters: score.count, unknownCharacters: unknownCount,
            natsPerCharacter: score.loss, natsPerCharacterFitted: fitted?.loss,
            natsPerCharacterAdapted: adapted?.score.loss, adapt: adapted?.mode.rawValue, adaptRate: adapted?.rule.rate,
            bitsPerCharacter: score.bitsPerCharacter, perplexity: perplexity, warning: warning
        ).bytes
    }
}

/// Scores texts with a model.
public enum Scoring {
    /// Scores some files read as one text, of whatever size.
    ///
    /// - Parameters:
    ///   - encoding: nil: the model's.
    ///   - folder: Where the encoded text is kept meanwhile; it has no name there any more once it is mapped.
    ///   - adapting: How the model is to learn from the text as it goes, besides being scored as it is.
    ///   - note: Told what is likely a mistake, a sentence without its full stop.
    /// - Returns: nil if it was stopped.
    ///
    /// The text is encoded with the model's vocabulary into a file and mapped from there, so that a text larger than
    /// memory can be scored.
    public static func score(
        _ files: [CorpusFile], encoding: TextEncoding?, unknown policy: UnknownPolicy, with model: Model,
        engine: any Engine, storage: any Storage, in folder: FilePath, adapting: Adaptation? = nil,
        shouldStop: @escaping () -> Bool = { false }, note: @escaping (String) -> Void = { _ in }
    ) throws -> ScoredText? {
        try score(
            files, encoding: encoding, unknown: policy, with: model, engine: engine, storage: storage, in: folder,
            adapting: adapting, keeping: { _ in nil }, shouldStop: shouldStop, note: note)
    }

    /// The same, where a dynamic evaluation is kept.
    ///
    /// - Parameter kept: By the SHA-256 of the encoded text.
    static func score(
        _ files: [CorpusFile], encoding: TextEncoding?, unknown policy: UnknownPolicy, with model: Model,
        engine: any Engine, storage: any Storage, in folder: FilePath, adapting: Adaptation?,
        keeping kept: (String) -> KeptAdaptation?, shouldStop: @escaping () -> Bool,
        note: @escaping (String) -> Void
    ) throws -> ScoredText? {
        let encoded = try encode(
            files, encoding: encoding, unknown: policy, with: model, storage: storage, in: folder,
            shouldStop: shouldStop,
            note: note)
        guard let (corpus, unknown) = encoded else { return nil }
        let text = corpus.text
        let leftOut = unknown.count > 0 && policy == .replace ? unknown.replaced : nil
        let evaluator = Evaluator(
            text, range: 0..<text.count, leavingOut: leftOut)
        guard evaluator.count > 0 else {
            throw EvaluateSection.nothingToScore(in: corpus.origin.paths)
        }
        let temperature = model.fittedTemperature
        let found = try evaluator.score(
            with: engine, temperatures: temperature.map { [$0] } ?? [], shouldStop: shouldStop)
        guard let score = found else { return nil }
        var scored = ScoredText(
            score: score, unknownCount: unknown.count,
            fitted: temperature.map { ($0, (score.halves[0][0] + score.halves[1][0]) / Double(score.count)) })
        if let adapting {
            scored.adapted = try adapting.score(
                with: engine, text, leavingOut: leftOut, keeping: kept(corpus.sha256), shouldStop: shouldStop)
            guard scored.adapted != nil else { return nil }
        }
        return scored
    }

    /// Encodes some files, read as one text, with a model's vocabulary.
    ///
    /// - Returns: nil if it was stopped.
    public static func encode(
        _ files: [CorpusFile], encoding: TextEncoding?, unknown policy: UnknownPolicy, with model: Model,
        storage: any Storage, in folder: FilePath, shouldStop: @escaping () -> Bool = { false },
        note: @escaping (String) -> Void = { _ in }
    ) throws -> (corpus: EncodedCorpus, unknown: CorpusEncoder.Unknown)? {
        let origin = CorpusOrigin(scoring: files, encoding ?? model.encoding)
        let encoder = CorpusEncoder(files, origin: origin, storage: storage, shouldStop: shouldStop, note: note)
        let path = folder.appending(.partialEvaluation)
        do {
            let unknown = try encoder.encode(to: path, with: model.vocabulary, unknown: policy)
            let corpus = try EncodedCorpus(reading: path, in: storage, shouldStop: shouldStop)
            // A mapping outlives its name; a crash from now on leaves nothing behind.
            try? storage.discard(path)
            return (corpus, unknown)
        } catch {
            try? storage.discard(path)
            if error.code == .interrupted { return nil }
            throw error
        }
    }
}
