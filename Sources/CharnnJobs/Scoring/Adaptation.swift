import CharnnEngine
public import CharnnModel
import CharnnStorage
public import CharnnTraining
import FoundationEssentials
import SystemPackage

/// What a scoring learns from its text.
public enum AdaptMode: String, Sendable, CaseIterable, Codable {
    /// Nothing: the model stays as it is.
    case none
    /// From each segment that was scored.
    case dynamic
    /// Likewise, at the best of five rates on the first half of the text; only the second half is reported.
    case tune
}

/// A dynamic evaluation as it was asked for.
public struct Adaptation: Sendable {
    /// Not ``AdaptMode/none``.
    public var mode: AdaptMode
    /// With the rate about which `tune` looks.
    public var rule: AdaptationRule
    public var statistics: GradientStatistics

    public init(_ mode: AdaptMode, rule: AdaptationRule, statistics: GradientStatistics) {
        (self.mode, self.rule, self.statistics) = (mode, rule, statistics)
    }

    /// As a model does best that learns from a text to write on.
    public init(to model: Model, _ statistics: GradientStatistics) {
        self.init(
            .dynamic, rule: AdaptationRule(hiddenSize: model.architecture.hiddenSize), statistics: statistics)
    }

    /// What `tune` multiplies the rate by.
    private static let rates = [0.25, 0.5, 1, 2, 4]

    /// Scores a text.
    ///
    /// - Parameters:
    ///   - engine: With the model's weights, which are lost; it drops nothing.
    ///   - kept: Where an interrupted one is gone on from; nil: it is not kept.
    ///   - keepsEnd: Whether one that has come to its end is kept as well.
    ///   - observer: Told of each character by itself, also of those of the first half where `tune` counts none of them.
    /// - Returns: nil if it was stopped.
    func score(
        with engine: any Engine, _ text: SymbolText, leavingOut leftOut: PositionSet?, keeping kept: KeptAdaptation?,
        keepingEnd keepsEnd: Bool = false, observer: ((_ position: Int, _ logarithm: Float) -> Void)? = nil,
        shouldStop: () -> Bool
    ) throws -> AdaptedScore? {
        let base = EngineState(parameters: try engine.parameters())
        func begin(
            _ rule: AdaptationRule, _ range: Range<Int>, from state: (EngineState, DynamicEvaluation.Progress)? = nil
        ) throws -> DynamicEvaluation {
            try engine.install(base)
            return try DynamicEvaluation(
                engine, text, range: range, leavingOut: leftOut, statistics: statistics, rule: rule,
                goingOnFrom: state)
        }
        let middle = text.count / 2
        let found = kept?.read().flatMap { found in
            (try? found.state.requireFit(NetworkPlan(engine.architecture))).map { found }
        }
        var rule = found?.rule ?? self.rule
        if mode == .tune, found == nil {
            var best: Double?
            for factor in Self.rates {
                var tried = self.rule
                tried.rate *= factor
                guard let score = try begin(tried, 0..<middle + 1).score(shouldStop: shouldStop) else { return nil }
                if score.loss < best ?? .infinity { (best, rule) = (score.loss, tried) }
            }
        }
        let evaluation = try begin(rule, 0..<text.count, from: found.map { ($0.state, $0.progress) })
        // By places in the text; of one that is gone on from they are told again.
        var logarithms = found?.logarithms ?? []
        if let observer {
            for (position, logarithm) in logarithms.enumerated() where !logarithm.isNaN {
                observer(position, logarithm)
            }
            evaluation.observer = { position, logarithm in
                if kept != nil {
                    logarithms += [Float](repeating: .nan, count: position - logarithms.count) + [logarithm]
                }
                observer(position, logarithm)
            }
        }
        // Of the first half nothing is told where the rate was chosen by it.
        var before = found?.before ?? DynamicEvaluation.Progress()
        let score = try evaluation.score {
            if mode == .tune, evaluation.progress.done <= middle { before = evaluation.progress }
            guard let kept else { return shouldStop() }
            let stops = shouldStop()
            if stops || kept.isDue {
                let state = KeptAdaptation.State(rule: rule, progress: evaluation.progress, before: before)
                // What cannot be kept is only done again.
                try? kept.write(state, evaluation.snapshot(), logarithms)
            }
            return stops
        }
        guard score != nil else { return nil }
        if keepsEnd, found?.progress != evaluation.progress {
            let state = KeptAdaptation.State(rule: rule, progress: evaluation.progress, before: before)
            try? kept?.write(state, evaluation.snapshot(), logarithms)
        }
        let progress = evaluation.progress
        return AdaptedScore(
            score: EvaluationScore(nats: progress.nats - before.nats, count: progress.count - before.count),
            rule: rule, mode: mode, frozenAt: progress.frozenAt, first: before.done)
    }
}

/// What a dynamic evaluation found.
public struct AdaptedScore: Sendable {
    /// Every character scored before the weights saw it; of `tune` the second half of the text.
    public var score: EvaluationScore
    /// With the rate that was chosen.
    public var rule: AdaptationRule
    public var mode: AdaptMode
    /// Behind which character nothing was learned, since a segment was not finite; nil: all of them taught.
    public var frozenAt: Int?
    /// The place of the last character that does not count: 0, and of `tune` about the middle.
    var first = 0
}

/// How far a dynamic evaluation of a job is: weights, state, place and sums, kept every five minutes and when it stops.
final class KeptAdaptation {
    private let path: FilePath
    private let storage: any Storage
    /// Of model, text and numbers: what was kept of another evaluation is none.
    private let identity: String
    private let now: () -> Double
    private var last: Double

    static let interval = 300.0

    struct State: Codable {
        var rule: AdaptationRule
        var progress: DynamicEvaluation.Progress
        var before: DynamicEvaluation.Progress
    }

    init(_ path: FilePath, in storage: any Storage, identity: String, now: @escaping () -> Double) {
        (self.path, self.storage, self.identity, self.now) = (path, storage, identity, now)
        last = now()
    }

    var isDue: Bool { now() - last >= Self.interval }

    private static let buffers: [(name: String, buffer: EngineBuffer)] = [
        ("anchor", .firstMoment), ("roots", .secondMoment), ("hidden", .hidden), ("cell", .cell),
    ]

    /// - Parameter logarithms: Of the characters' probabilities so far, if anybody asks for them.
    func write(_ state: State, _ engine: EngineState, _ logarithms: [Float]) throws {
        let json = String(decoding: try JSONEncoder().encode(state), as: UTF8.self)
        var sources = [
            SafeTensors.Source(name: "weights", shape: [engine.parameters.count], values: engine.parameters[...])
        ]
        for (name, buffer) in Self.buffers {
            sources.append(
                SafeTensors.Source(name: name, shape: [engine[buffer].count], values: engine[buffer][...]))
        }
        sources.append(
            SafeTensors.Source(name: "logarithms", shape: [logarithms.count], values: logarithms[...]))
        try storage.createDirectories(path.removingLastComponent(), mode: 0o750)
        try SafeTensors.write(sources, metadata: ["identity": identity, "state": json], to: path, in: storage)
        last = now()
    }

    /// nil: there is nothing of this evaluation, or it cannot be read; it then begins anew.
    func read() -> (
        rule: AdaptationRule, progress: DynamicEvaluation.Progress, before: DynamicEvaluation.Progress,
        state: EngineState, logarithms: [Float]
    )? {
        guard let file = try? SafeTensors(path, in: storage), file.metadata["identity"] == identity,
            let json = file.metadata["state"],
            let state = try? JSONDecoder().decode(State.self, from: Data(json.utf8)),
            let weights = try? file.floats("weights"), let logarithms = try? file.floats("logarithms")
        else { return nil }
        var engine = EngineState(parameters: weights)
        for (name, buffer) in Self.buffers {
            guard let values = try? file.floats(name) else { return nil }
            engine[buffer] = values
        }
        return (state.rule, state.progress, state.before, engine, logarithms)
    }
}
