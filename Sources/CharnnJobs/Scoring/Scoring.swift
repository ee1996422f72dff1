public import CharnnCorpus
public import CharnnEngine
public import CharnnModel
import CharnnSpool
public import CharnnStorage
import CharnnTexts
import CharnnTraining
import Glibc
public import SystemPackage

/// A model that scores a text, alone or beside others.
public struct ScoringMember: Sendable {
    /// What it is called by.
    public var name: String
    public var model: Model
    /// How it learns from the text as it goes, besides being scored as it is; nil: not at all. All members do, or none.
    public var adaptation: Adaptation?

    public init(name: String, model: Model, adaptation: Adaptation? = nil) {
        (self.name, self.model, self.adaptation) = (name, model, adaptation)
    }
}

/// Scores texts with a model, or with the mean of several models' probabilities.
///
/// A job's `evaluate` and `charnn evaluate` are this. The order of things:
///
/// ```
/// 1. encode   the text, with the symbols of all members, into a file that is mapped and has no name any more
/// 2. static   each member after the other scores it as it is, at its own fitted temperature beside others
/// 3. adapted  each likewise while it learns from the text, where that was asked for
/// 4. n-grams  count the training text, then read along and are mixed in
/// ```
///
/// One engine is there at a time. Where members are averaged or n-grams mixed in, a character's probability is kept for
/// each of the two ways to score, 8 bytes each; else a text larger than memory can be scored.
public struct Scoring {
    private let members: [ScoringMember]
    private let storage: any Storage
    private let folder: FilePath
    private let makeEngine: (Model) throws -> any Engine
    /// nil: the members'.
    public var encoding: TextEncoding?
    /// What becomes of characters that no member's vocabulary has.
    public var unknown = UnknownPolicy.error
    /// What n-grams count before they read along; nil: there are none.
    public var training: [TrainingText]?
    /// Told what is likely a mistake, a sentence without its full stop.
    public var note: (String) -> Void = { _ in }
    public var shouldStop: () -> Bool = { false }
    /// Where the adapting of a member is kept, by the SHA-256 of the encoded text; nil: nowhere.
    var kept: (_ member: Int, _ text: String) -> KeptAdaptation? = { _, _ in nil }
    /// Does something that gives no sign of life for a while.
    var vouch: (() -> Int?) -> Int? = { $0() }

    /// - Parameters:
    ///   - members: At least one.
    ///   - folder: Where the encoded text is kept meanwhile.
    ///   - makeEngine: Makes one that drops nothing, with a model's weights.
    public init(
        with members: [ScoringMember], on storage: any Storage, in folder: FilePath,
        makeEngine: @escaping (Model) throws -> any Engine
    ) {
        (self.members, self.storage, self.folder, self.makeEngine) = (members, storage, folder, makeEngine)
    }

    /// Scores some files read as one text, of whatever size.
    ///
    /// - Returns: nil if it was stopped.
    /// - Throws: ``JobError``, or what reading a file and an engine throw.
    public func score(_ files: [CorpusFile]) throws -> ScoredText? {
        let alphabet = try Alphabet(of: members.map { ($0.name, Alphabet($0.model)) })
        let encoded = try Self.encode(
            files, encoding: encoding ?? alphabet.encoding, unknown: unknown, with: alphabet.vocabulary,
            storage: storage, in: folder, shouldStop: shouldStop, note: note)
        guard let (corpus, found) = encoded else { return nil }
        let leftOut = found.count > 0 && unknown == .replace ? found.replaced : nil
        let range = 0..<corpus.text.count
        let text = Text(
            corpus: corpus, range: range, vocabulary: alphabet.vocabulary, leftOut: leftOut,
            count: Evaluator(corpus.text, range: range, leavingOut: leftOut).count)
        guard text.count > 0 else { throw EvaluateSection.nothingToScore(in: corpus.origin.paths) }
        return try score(text, unknownCount: found.count)
    }

    /// A text in the symbols of all members.
    private struct Text {
        let corpus: EncodedCorpus
        let range: Range<Int>
        let vocabulary: Vocabulary
        let leftOut: PositionSet?
        /// Characters that are predicted and count.
        let count: Int

        func counts(_ position: Int) -> Bool { leftOut?.contains(position) != true }
    }

    private func score(_ text: Text, unknownCount: Int) throws -> ScoredText? {
        let keepsAll = members.count > 1 || training != nil
        var (still, moving) = (
            Mean(text.range, keepsAll, of: members.count), Mean(text.range, keepsAll, of: members.count)
        )
        var scored: ScoredText?
        for (index, member) in members.enumerated() {
            let reading = Reading(member.model, of: text.corpus.text, in: text.vocabulary, without: text.leftOut)
            let engine = try makeEngine(member.model)
            let temperature = member.model.fittedTemperature
            let evaluator = Evaluator(reading.text, range: text.range, leavingOut: reading.leftOut)
            let score = try evaluator.score(
                with: engine, temperatures: temperature.map { [$0] } ?? [],
                observer: keepsAll ? .init(at: temperature ?? 1) { still.add($1, at: $0) } : nil,
                shouldStop: shouldStop)
            // A member that knows none of the text says nothing of it.
            guard let score = score ?? (evaluator.count == 0 ? EvaluationScore(nats: 0, count: 0) : nil) else {
                return nil
            }
            if members.count == 1 {
                scored = ScoredText(
                    score: score, unknownCount: unknownCount,
                    fitted: temperature.map {
                        ($0, (score.halves[0][0] + score.halves[1][0]) / Double(score.count))
                    })
            }
            guard let adaptation = member.adaptation else { continue }
            let adapted = try adaptation.score(
                with: engine, reading.text, leavingOut: reading.leftOut, keeping: kept(index, text.corpus.sha256),
                keepingEnd: members.count > 1,
                observer: keepsAll ? { moving.add($1, at: $0) } : nil, shouldStop: shouldStop)
            guard let adapted else { return nil }
            moving.first = max(moving.first, adapted.first)
            moving.adapted.append(adapted)
            scored?.adapted = adapted
        }
        return try finish(scored, text, unknownCount, still, moving)
    }

    /// What all members come to together, with n-grams where they were asked for.
    private func finish(
        _ alone: ScoredText?, _ text: Text, _ unknownCount: Int, _ still: Mean, _ moving: Mean
    ) throws -> ScoredText? {
        var scored = alone ?? ScoredText(score: still.score(text.counts), unknownCount: unknownCount)
        scored.members = members.count
        if alone == nil, var adapted = moving.adapted.first {
            adapted.score = moving.score(text.counts)
            adapted.frozenAt = moving.adapted.compactMap(\.frozenAt).min()
            scored.adapted = adapted
        }
        guard let training else { return scored }
        guard let mixed = try mix(scored.adapted == nil ? still : moving, text, training) else { return nil }
        scored.ngrams = mixed
        return scored
    }

    // MARK: - N-grams

    private func mix(_ mean: Mean, _ text: Text, _ training: [TrainingText]) throws -> ScoredNGrams? {
        var (ngrams, mixture) = (
            AdaptiveNGrams(alphabet: text.vocabulary.count), ExpertMixture(kinds: AdaptiveNGrams.contextKinds)
        )
        var found = ScoredNGrams()
        for source in training {
            // What the vocabulary lacks never comes, and is counted as one more character.
            let symbols = source.corpus.vocabulary.codePoints.map {
                text.vocabulary.index(of: $0) ?? Int32(text.vocabulary.count)
            }
            let counted = ngrams.count(
                source.range, reserving: text.range.count, symbol: { symbols[Int(source.corpus.text[$0])] },
                shouldStop: shouldStop)
            guard let counted else { return nil }
            found.trainingCharacters += counted.count
            if counted.count < source.range.count {
                note(
                    "n-grams were counted in the last \(counted.count) of \(source.range.count) characters of the training text: "
                        + "more take more than the \(AdaptiveNGrams.mostMemory >> 30) GiB that there are for them")
            }
        }
        for position in text.range {
            if position & 0xFFF == 0, shouldStop() { return nil }
            guard text.counts(position) else {
                ngrams.beginText()
                continue
            }
            let symbol = text.corpus.text[position]
            if position > text.range.lowerBound {
                let (probability, context) = ngrams.probability(of: symbol)
                let both = mixture.mix(mean.probability(at: position), probability, context: context)
                if position > mean.first {
                    found.score.nats -= log(both)
                    found.aloneNats -= log(probability)
                    found.score.count += 1
                }
            }
            ngrams.count(symbol)
        }
        if let compressor = Compressor() {
            let longest = training.max { $0.range.count < $1.range.count }
            found.xzBytes = compressedSize(of: text, after: longest, compressor)
        }
        return found
    }

    /// What `xz -9` needs more for both texts than for the training text alone, bytes.
    private func compressedSize(of text: Text, after known: TrainingText?, _ compressor: Compressor) -> Int? {
        let count = text.range.count
        guard count <= Compressor.dictionary / 4 else { return nil }
        let own = text.corpus.bytes(text.range)
        let before = known.map { known in
            known.corpus.bytes(known.range.suffix(Compressor.dictionary / 4))
        }
        return Compressor.size(of: own, after: before ?? []) { bytes in
            shouldStop() ? nil : vouch { compressor.compressedSize(of: bytes) }
        }
    }

    // MARK: - Encoding

    /// Encodes some files, read as one text, with a vocabulary.
    ///
    /// - Returns: nil if it was stopped.
    public static func encode(
        _ files: [CorpusFile], encoding: TextEncoding, unknown policy: UnknownPolicy, with vocabulary: Vocabulary,
        storage: any Storage, in folder: FilePath, shouldStop: @escaping () -> Bool = { false },
        note: @escaping (String) -> Void = { _ in }
    ) throws -> (corpus: EncodedCorpus, unknown: CorpusEncoder.Unknown)? {
        let origin = CorpusOrigin(scoring: files, encoding)
        let encoder = CorpusEncoder(files, origin: origin, storage: storage, shouldStop: shouldStop, note: note)
        let path = folder.appending(.partialEvaluation)
        do {
            let unknown = try encoder.encode(to: path, with: vocabulary, unknown: policy)
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

/// The mean of some models' probabilities, character by character.
private struct Mean {
    /// `[position]`, summed over the models; empty where nobody asks for it.
    private var sums: [Double] = []
    private let models: Double
    /// The last position that does not count.
    var first = 0
    var adapted: [AdaptedScore] = []

    init(_ range: Range<Int>, _ isKept: Bool, of models: Int) {
        self.models = Double(models)
        if isKept { sums = [Double](repeating: 0, count: range.upperBound) }
    }

    mutating func add(_ logarithm: Float, at position: Int) { sums[position] += exp(Double(logarithm)) }

    func probability(at position: Int) -> Double { sums[position] / models }

    /// - Parameter counts: Whether a position does.
    func score(_ counts: (Int) -> Bool) -> EvaluationScore {
        var score = EvaluationScore(nats: 0, count: 0)
        for position in sums.indices.dropFirst(first + 1) where counts(position) {
            score.nats -= log(probability(at: position))
            score.count += 1
        }
        return score
    }
}

/// A text as one of several models reads it.
struct Reading {
    /// In its own symbols; others stand where it has none.
    let text: SymbolText
    /// Where they do, and where no model has any: there its probability is 0.
    let leftOut: PositionSet?

    init(_ model: Model, of text: SymbolText, in vocabulary: Vocabulary, without leftOut: PositionSet?) {
        guard model.vocabulary != vocabulary else {
            (self.text, self.leftOut) = (text, leftOut)
            return
        }
        let own = vocabulary.codePoints.map { model.vocabulary.index(of: $0) }
        var symbols: [Int32] = []
        symbols.reserveCapacity(text.count)
        var lacking = leftOut ?? PositionSet()
        for position in 0..<text.count {
            let symbol = own[Int(text[position])]
            if symbol == nil { lacking.insert(position) }
            symbols.append(symbol ?? model.vocabulary.replacement)
        }
        (self.text, self.leftOut) = (SymbolText(symbols), lacking)
    }
}
