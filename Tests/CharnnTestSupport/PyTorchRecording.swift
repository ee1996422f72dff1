public import CharnnEngine
import CharnnModel
import CharnnTraining
import Foundation

/// Runs of PyTorch, as `Fixtures/record_pytorch.py` and `Fixtures/record_regularisation.py` recorded them.
public struct PyTorchRecording: Decodable, Sendable {
    struct Rule: Decodable {
        var learningRate, beta1, beta2, epsilon, momentum, weightDecay: Double
    }
    struct Batch: Decodable {
        var starts: [Int]
        var resetsState: Bool
    }
    struct Run: Decodable {
        var optimizer: OptimizerKind
        var batching: String
        var rule: Rule
        var batches: [Batch]
        var losses, norms: [Double]
        var last: String
        var average: String?
    }
    struct Dynamic: Decodable {
        var starts: [[Int]]
        var meanSquares, last: String
        var losses: [Double]
        var rate, decay, epsilon: Double
        var segment: Int
    }
    struct CellRuns: Decodable {
        var name: String?
        var cell, first: String
        var network: Network?
        var runs: [Run]
        var dynamic: Dynamic?
    }
    /// What a network has otherwise than those of the same recording.
    struct Network: Decodable {
        var layerCount: Int
        var dropout, dropoutInput, dropoutOutput, forgetBias: Double?
        var dropoutMask: MaskSpan?
        var decay: WeightDecayScope?
    }

    var vocabularySize, embeddingSize, hiddenSize, layerCount, sequenceLength: Int
    var clipNorm, weightAverage: Double
    var seed: UInt64?
    var text: [Int32]
    var cells: [CellRuns]

    /// The names of the recorded cells.
    public static let cells = ["rnn-tanh", "rnn-relu", "gru", "lstm"]

    private static let shared = read("pytorch")
    private static let regularisation = read("regularisation")

    private static func read(_ name: String) -> PyTorchRecording? {
        guard let path = Bundle.module.path(forResource: "Fixtures/\(name)", ofType: "json"),
            let data = try? Data(contentsOf: URL(filePath: path))
        else { return nil }
        return try? JSONDecoder().decode(PyTorchRecording.self, from: data)
    }

    /// The names of the recorded runs with dropout, groups of what decays, and forget biases.
    public static let regularised: [String] =
        regularisation?.cells.compactMap(\.name) ?? ["Fixtures/regularisation.json, which cannot be read"]

    /// Makes the recorded 50 steps with an engine, in both batchings.
    ///
    /// - Parameters:
    ///   - tolerance: The largest relative difference of any loss or norm, and of the weights at the end.
    ///   - make: Makes the engine.
    /// - Returns: What differs, one line each; empty for an engine that does as PyTorch does.
    public static func differences(
        cell: String, optimizer: OptimizerKind, tolerance: Double = 1e-3,
        _ make: (Architecture, [Float]) throws -> any Engine
    ) throws -> [String] {
        guard let shared, let recorded = shared.cells.first(where: { $0.cell == cell }) else {
            return ["there is no recording of \(cell)"]
        }
        let runs = recorded.runs.filter { $0.optimizer == optimizer }
        guard Set(runs.map(\.batching)) == ["stream", "windows"] else { return ["a batching is missing"] }
        return try runs.flatMap { run in
            let engine = try make(shared.architecture(cell), floats(recorded.first))
            return try shared.differences(engine, run, tolerance).map { "\(run.batching): \($0)" }
        }
    }

    /// Makes the steps of one of ``regularised``.
    ///
    /// - Parameters: As above.
    public static func differences(
        regularised name: String, tolerance: Double = 1e-3, _ make: (NetworkPlan, [Float]) throws -> any Engine
    ) throws -> [String] {
        guard let regularisation, let recorded = regularisation.cells.first(where: { $0.name == name }),
            let network = recorded.network
        else { return ["there is no recording of \(name)"] }
        let architecture = regularisation.architecture(recorded.cell, network)
        func initial(_ forgetBias: Double) -> [Float] {
            Initialisation.parameters(of: architecture, seed: 1, forgetBias: forgetBias)
        }
        // What a forget bias adds to the weights of a network, whatever they are.
        let raised = zip(initial(network.forgetBias ?? 0), initial(0)).map { $0 - $1 }
        let first = zip(floats(recorded.first), raised).map { $0 + $1 }
        return try recorded.runs.flatMap { run in
            let engine = try make(NetworkPlan(architecture, decay: network.decay ?? .all), first)
            return try regularisation.differences(engine, run, tolerance)
        }
    }

    /// Repeats the recorded dynamic evaluation with an engine.
    ///
    /// - Returns: As ``differences(cell:optimizer:tolerance:_:)``.
    public static func differencesOfDynamicEvaluation(
        cell: String, tolerance: Double = 1e-3, _ make: (Architecture, [Float]) throws -> any Engine
    ) throws -> [String] {
        guard let shared, let recorded = shared.cells.first(where: { $0.cell == cell }), let run = recorded.dynamic
        else { return ["there is no recording of \(cell)"] }
        let text = SymbolText(shared.text)
        let engine = try make(shared.architecture(cell), floats(recorded.first))
        var squares = [Float](repeating: 0, count: floats(recorded.first).count)
        for starts in run.starts {
            let step = TrainingStep(
                number: 1, starts: starts, sequenceLength: shared.sequenceLength, resetsState: true,
                optimizer: OptimizerStep(learningRate: 0, updateNumber: 1), seed: 1)
            let gradient = try engine.gradient(of: step, of: text).gradient
            squares = zip(squares, gradient).map { $0 + $1 * $1 / Float(run.starts.count) }
        }
        var rule = AdaptationRule(rate: run.rate)
        (rule.decay, rule.segment, rule.epsilon) = (run.decay, run.segment, run.epsilon)
        let evaluation = try DynamicEvaluation(
            engine, text, range: 200..<397, statistics: GradientStatistics(meanSquares: floats(run.meanSquares)),
            rule: rule)
        var (losses, before): ([Double], DynamicEvaluation.Progress) = ([], evaluation.progress)
        var isFirst = true
        _ = try evaluation.score {
            if !isFirst {
                losses.append((evaluation.progress.nats - before.nats) / Double(evaluation.progress.done - before.done))
            }
            (isFirst, before) = (false, evaluation.progress)
            return false
        }
        losses.append((evaluation.progress.nats - before.nats) / Double(evaluation.progress.done - before.done))
        let expected = floats(run.last)
        func norm(_ x: [Float]) -> Double { x.reduce(0) { $0 + Double($1 * $1) }.squareRoot() }
        func difference(_ a: [Float], _ b: [Float]) -> Double { norm(zip(a, b).map { $0 - $1 }) }
        let moved = difference(expected, floats(recorded.first))
        let found = [
            ("mean squares", difference(squares, floats(run.meanSquares)) / norm(floats(run.meanSquares))),
            ("losses", largestRelativeDifference(losses, run.losses)),
            // Of how far they went, not of the weights.
            ("weights", difference(try engine.parameters(), expected) / moved),
        ]
        return found.filter { !($0.1 < tolerance) }.map { "\($0.0) differ by \($0.1)" }
    }

    private func architecture(_ cell: String, _ network: Network? = nil) -> Architecture {
        let parts = cell.split(separator: "-").map { String($0) }
        return Architecture(
            cell: Cell(rawValue: parts[0]) ?? .lstm,
            nonlinearity: parts.count > 1 ? Nonlinearity(rawValue: parts[1]) ?? .tanh : .tanh,
            vocabularySize: vocabularySize, embeddingSize: embeddingSize, hiddenSize: hiddenSize,
            layerCount: network?.layerCount ?? layerCount, dropout: network?.dropout ?? 0,
            dropoutInput: network?.dropoutInput ?? 0, dropoutOutput: network?.dropoutOutput ?? 0,
            dropoutMask: network?.dropoutMask ?? .character)
    }

    private static func floats(_ text: String) -> [Float] {
        guard let data = Data(base64Encoded: text) else { return [] }
        return stride(from: 0, to: data.count, by: 4).map { place in
            Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(data[place + $1]) << (8 * $1) })
        }
    }

    private func differences(_ engine: any Engine, _ run: Run, _ tolerance: Double) throws -> [String] {
        let text = SymbolText(text)
        let rule = run.rule
        var settings = TrainingSettings()
        settings.weightAverage = weightAverage
        for (index, batch) in run.batches.enumerated() {
            let optimizer = OptimizerStep(
                Optimizer(
                    run.optimizer, beta1: rule.beta1, beta2: rule.beta2, epsilon: rule.epsilon,
                    momentum: rule.momentum, weightDecay: rule.weightDecay),
                learningRate: rule.learningRate, clipNorm: clipNorm, updateNumber: index + 1,
                averageRate: settings.averageRate(step: index + 1))
            try engine.submit(
                TrainingStep(
                    number: index + 1, starts: batch.starts, sequenceLength: sequenceLength,
                    resetsState: batch.resetsState, optimizer: optimizer, seed: seed ?? 1), of: text)
        }
        let outcomes = try engine.drain()
        let (last, expected) = (try engine.parameters(), Self.floats(run.last))
        guard last.count == expected.count else { return ["\(last.count) weights instead of \(expected.count)"] }
        func norm(_ x: [Float]) -> Double { x.reduce(0) { $0 + Double($1 * $1) }.squareRoot() }
        let average = try engine.snapshot()[.average]
        var found = [
            ("losses", Self.largestRelativeDifference(outcomes.map(\.loss), run.losses)),
            ("norms", Self.largestRelativeDifference(outcomes.map(\.gradientNorm), run.norms)),
            ("weights", norm(zip(last, expected).map { $0 - $1 }) / norm(expected)),
        ]
        if let recorded = run.average.map(Self.floats) {
            // Of its distance from the weights, not of the average: the two are near each other.
            let distance = norm(zip(recorded, expected).map { $0 - $1 })
            let difference = norm(zip(average, recorded).map { $0 - $1 })
            found.append(("averages", average.count == recorded.count ? difference / distance : .infinity))
        }
        // Written so that NaN fails.
        return found.filter { !($0.1 < tolerance) }.map { "\($0.0) differ by \($0.1)" }
    }

    private static func largestRelativeDifference(_ a: [Double], _ b: [Double]) -> Double {
        guard a.count == b.count else { return .infinity }
        // NaN must not be lost in a maximum.
        return zip(a, b).map { abs($0 - $1) / abs($1) }.reduce(0) { $1 <= $0 ? $0 : $1 }
    }
}
