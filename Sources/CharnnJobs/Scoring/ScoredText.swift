import CharnnReports
public import CharnnTraining
import CharnnWords
import Glibc

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
    /// What it needs, adapted if it was, with n-grams mixed in; nil: there were none.
    public var ngrams: ScoredNGrams?
    /// How many models' probabilities were averaged.
    public var members = 1

    /// From this share of unknown characters on a score says little of its text.
    private static let warningShare = 0.1

    /// `exp` of the loss.
    public var perplexity: Double { exp(score.loss) }

    /// For people, three lines, and one for each thing more that was asked for or is known.
    public var summary: String {
        "\(fixed(score.loss, 4)) nats per character\n\(fixed(score.bitsPerCharacter, 4)) bits per character\n"
            + "perplexity \(fixed(perplexity, 4)) over \(grouped(score.count)) characters"
            + (unknownCount > 0 ? "; \(grouped(unknownCount)) outside the vocabulary are left out" : "")
            + (fitted.map { fitted in
                "\n\(fixed(fitted.loss, 4)) nats per character at the temperature \(fixed(fitted.temperature, 3)), which was "
                    + "fitted to the model's validation text"
            } ?? "") + [wordsOfAdaptation, wordsOfNGrams].compactMap(\.self).map { "\n\($0)" }.joined()
    }

    /// What learning on the way brought, a sentence without its full stop.
    var wordsOfAdaptation: String? {
        adapted.map { adapted in
            "Learning from the \(adapted.mode == .tune ? "second half of the text" : "text") as it goes, at the rate "
                + "\(adapted.rule.rate), \(needs) \(fixed(adapted.score.loss, 4)) nats, "
                + "\(fixed(adapted.score.bitsPerCharacter, 4)) bits per character"
        }
    }

    /// What n-grams brought, likewise.
    var wordsOfNGrams: String? {
        ngrams.map { ngrams in
            "With n-grams mixed in \(needs) \(fixed(ngrams.score.loss, 4)) nats, "
                + "\(fixed(ngrams.score.bitsPerCharacter, 4)) bits per character; n-grams alone need "
                + "\(fixed(bits(ngrams.aloneNats / Double(ngrams.score.count)), 4)) bits"
                + (ngrams.xzBytes.map { ", xz -9 \(fixed(perCharacter($0), 4))" } ?? "")
        }
    }

    private var needs: String { members > 1 ? "they need" : "it needs" }

    /// Bits of each character of the text, that many bytes in all.
    private func perCharacter(_ bytes: Int) -> Double { Double(bytes * 8) / Double(score.count + 1) }

    /// Of how many characters the score is, where it is not of all: words before the text's name.
    var extent: String {
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
            natsPerCharacterWithNgrams: ngrams?.score.loss,
            ngramBitsPerCharacter: ngrams.map { bits($0.aloneNats / Double($0.score.count)) },
            xzBitsPerCharacter: ngrams?.xzBytes.map(perCharacter), bitsPerCharacter: score.bitsPerCharacter,
            perplexity: perplexity, warning: warning
        ).bytes
    }
}

/// What n-grams that go on counting come to beside a model.
public struct ScoredNGrams: Sendable {
    /// Of both mixed; of `tune` for the second half of the text.
    public var score = EvaluationScore(nats: 0, count: 0)
    /// Of n-grams alone on the same characters, nats.
    public var aloneNats = 0.0
    /// How many characters of the training text they have counted.
    public var trainingCharacters = 0
    /// What `xz -9` needs for the text where the training text stands before it, bytes; nil: it could not be told.
    public var xzBytes: Int?
}
