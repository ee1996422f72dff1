public import CharnnCorpus
public import CharnnEngine
public import CharnnModel
public import CharnnStorage
import CharnnTraining
public import SystemPackage

/// Models that write as one: what follows has the mean of their probabilities, each at the temperature that is asked for.
///
/// They may have learned from a text first, on which they then write on (``adapt(_:to:unknown:on:in:keeping:shouldStop:note:)``).
public struct Ensemble {
    private let members: [ScoringMember]
    /// All symbols of all members.
    public let vocabulary: Vocabulary
    public let encoding: TextEncoding
    /// What is asked of the one that they are.
    public private(set) var request: GenerationRequest
    private let temperature: Double

    /// The most characters at the end of a text that are read before something is written after it.
    private static let longestPrimer = 2000

    /// - Parameter members: At least one.
    /// - Throws: ``JobError`` where they are of different encodings.
    public init(_ members: [ScoringMember], _ request: GenerationRequest) throws(JobError) {
        self.members = members
        let alphabet = try Alphabet(of: members.map { ($0.name, Alphabet($0.model)) })
        (vocabulary, encoding) = (alphabet.vocabulary, alphabet.encoding)
        // The likeliest character is that of probabilities as they are.
        temperature = request.sampler.temperature > 0 ? request.sampler.temperature : 1
        self.request = request
        if members.count > 1, request.sampler.temperature > 0 { self.request.sampler.temperature = 1 }
    }

    /// - Parameter engines: Of the members, in order.
    public func predictor(_ engines: [any Engine], streams: Int) throws(EngineError) -> any Predictor {
        var predictors: [any Predictor] = []
        for engine in engines { predictors.append(try engine.makePredictor(streams: streams)) }
        guard predictors.count > 1 else { return predictors[0] }
        return EnsemblePredictor(
            zip(predictors, members).map { ($0, $1.model.vocabulary) }, vocabulary: vocabulary,
            temperature: temperature)
    }

    /// Encodes a text on which is to be written on, and from then on begins with its end.
    ///
    /// - Returns: The text; nil if it was stopped.
    public mutating func begin(
        with files: [CorpusFile], on storage: any Storage, in folder: FilePath,
        shouldStop: @escaping () -> Bool = { false }, note: @escaping (String) -> Void = { _ in }
    ) throws -> EncodedCorpus? {
        let encoded = try Scoring.encode(
            files, encoding: encoding, unknown: request.unknown, with: vocabulary, storage: storage, in: folder,
            shouldStop: shouldStop, note: note)
        guard let text = encoded?.corpus else { return nil }
        request.primer = text.text.symbols((0..<text.text.count).suffix(Self.longestPrimer))
        return text
    }

    /// Lets each member learn from the text as it reads it.
    ///
    /// - Parameters:
    ///   - engines: Of the members, in order; they have other weights then.
    ///   - kept: Where the learning of a member is kept; nil: nowhere.
    /// - Returns: What each needed for the text, nats a character; nil if it was stopped.
    public func adapt(_ engines: [any Engine], to text: EncodedCorpus, shouldStop: () -> Bool = { false }) throws
        -> [Double]?
    {
        try adapt(engines, to: text, keeping: { _ in nil }, shouldStop: shouldStop)
    }

    func adapt(
        _ engines: [any Engine], to text: EncodedCorpus, keeping kept: (_ member: Int) -> KeptAdaptation?,
        shouldStop: () -> Bool
    ) throws -> [Double]? {
        var losses: [Double] = []
        guard text.text.count > 1 else { return losses }
        for (index, member) in members.enumerated() {
            guard let adaptation = member.adaptation else { continue }
            let reading = Reading(member.model, of: text.text, in: vocabulary, without: nil)
            let score = try adaptation.score(
                with: engines[index], reading.text, leavingOut: reading.leftOut, keeping: kept(index), keepingEnd: true,
                shouldStop: shouldStop)
            guard let score else { return nil }
            losses.append(score.score.loss)
        }
        return losses
    }
}

extension SymbolText {
    /// Those at some places.
    fileprivate func symbols(_ range: Range<Int>) -> [Int32] { range.map { self[$0] } }
}
