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
        let scored = try Scoring.score(
            files, encoding: section.encoding, unknown: section.unknown, with: loaded.model,
            engine: try context.engine(for: loaded.model), storage: context.storage, in: context.folder.path,
            shouldStop: {
                context.keeper.update { _ in }
                return context.shouldPause
            }, note: { context.keeper.warn("\($0).") })
        guard let scored else { throw context.paused() }
        // The paths are the job file's, and not where they lead: others read the file.
        let report = scored.report(model: loaded.name, corpus: section.corpus)
        try context.storage.replace(context.folder.evaluation, with: report)
        context.keeper.update(force: true) { $0.evaluationLoss = scored.score.loss }
        if let warning = scored.warning { context.keeper.warn("\(warning).") }
        context.keeper.event(
            .scored, .notice,
            "\(loaded.name) scores \(fixed(scored.score.bitsPerCharacter, 4)) bits per character on "
                + "\(scored.extent)\(section.corpus.joined(separator: ", ")).",
            ["LOSS": fixed(scored.score.loss, 6)])
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
            } ?? "")
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
    ///   - note: Told what is likely a mistake, a sentence without its full stop.
    /// - Returns: nil if it was stopped.
    ///
    /// The text is encoded with the model's vocabulary into a file and mapped from there, so that a text larger than
    /// memory can be scored.
    public static func score(
        _ files: [CorpusFile], encoding: TextEncoding?, unknown policy: UnknownPolicy, with model: Model,
        engine: any Engine, storage: any Storage, in folder: FilePath, shouldStop: @escaping () -> Bool = { false },
        note: @escaping (String) -> Void = { _ in }
    ) throws -> ScoredText? {
        let origin = CorpusOrigin(scoring: files, encoding ?? model.encoding)
        let encoder = CorpusEncoder(files, origin: origin, storage: storage, shouldStop: shouldStop, note: note)
        let path = folder.appending(.partialEvaluation)
        let unknown: CorpusEncoder.Unknown
        let corpus: EncodedCorpus
        do {
            unknown = try encoder.encode(to: path, with: model.vocabulary, unknown: policy)
            corpus = try EncodedCorpus(reading: path, in: storage, shouldStop: shouldStop)
            // A mapping outlives its name; a crash from now on leaves nothing behind.
            try? storage.discard(path)
        } catch {
            try? storage.discard(path)
            if error.code == .interrupted { return nil }
            throw error
        }
        let text = corpus.text
        let evaluator = Evaluator(
            text, range: 0..<text.count, leavingOut: unknown.count > 0 && policy == .replace ? unknown.replaced : nil)
        guard evaluator.count > 0 else {
            throw EvaluateSection.nothingToScore(in: origin.paths)
        }
        let temperature = model.fittedTemperature
        let found = try evaluator.score(
            with: engine, temperatures: temperature.map { [$0] } ?? [], shouldStop: shouldStop)
        guard let score = found else { return nil }
        return ScoredText(
            score: score, unknownCount: unknown.count,
            fitted: temperature.map { ($0, (score.halves[0][0] + score.halves[1][0]) / Double(score.count)) })
    }
}
