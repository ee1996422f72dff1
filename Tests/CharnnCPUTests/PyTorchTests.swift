import CharnnCPU
import CharnnEngine
import Foundation
import Testing

/// Runs of PyTorch, as `Fixtures/record_pytorch.py` recorded them.
struct PyTorchRecording: Decodable {
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
    }
    struct CellRuns: Decodable {
        var cell, first: String
        var runs: [Run]
    }

    var vocabularySize, embeddingSize, hiddenSize, layerCount, sequenceLength: Int
    var clipNorm: Double
    var text: [Int32]
    var cells: [CellRuns]

    static let shared: PyTorchRecording? = {
        guard let path = Bundle.module.path(forResource: "Fixtures/pytorch", ofType: "json"),
            let data = try? Data(contentsOf: URL(filePath: path))
        else { return nil }
        return try? JSONDecoder().decode(PyTorchRecording.self, from: data)
    }()

    func architecture(_ cell: String) -> Architecture {
        let parts = cell.split(separator: "-").map { String($0) }
        return Architecture(
            cell: Cell(rawValue: parts[0]) ?? .lstm,
            nonlinearity: parts.count > 1 ? Nonlinearity(rawValue: parts[1]) ?? .tanh : .tanh,
            vocabularySize: vocabularySize, embeddingSize: embeddingSize, hiddenSize: hiddenSize,
            layerCount: layerCount)
    }

    static func floats(_ text: String) -> [Float] {
        guard let data = Data(base64Encoded: text) else { return [] }
        return stride(from: 0, to: data.count, by: 4).map { place in
            Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(data[place + $1]) << (8 * $1) })
        }
    }
}

@Suite struct PyTorchTests {
    @Test(arguments: ["rnn-tanh", "rnn-relu", "gru", "lstm"], OptimizerKind.allCases)
    func `50 steps equal those of PyTorch`(cell: String, optimizer: OptimizerKind) throws {
        let recording = try #require(PyTorchRecording.shared)
        let cellRuns = try #require(recording.cells.first { $0.cell == cell })
        let architecture = recording.architecture(cell)
        let runs = cellRuns.runs.filter { $0.optimizer == optimizer }
        #expect(Set(runs.map(\.batching)) == ["stream", "windows"])
        for run in runs {
            let first = PyTorchRecording.floats(cellRuns.first)
            var engines: [any Engine] = [
                try ReferenceEngine<Double>(architecture: architecture, parameters: first.map { Double($0) }),
                try CPUEngine(architecture: architecture, parameters: first, usesLibraryOnly: true),
            ]
            for level in KernelLevel.available {
                engines.append(try CPUEngine(architecture: architecture, parameters: first, kernels: level))
            }
            for engine in engines { try compare(engine, run, recording) }
        }
    }

    private func compare(_ engine: any Engine, _ run: PyTorchRecording.Run, _ recording: PyTorchRecording) throws {
        let text = SymbolText(recording.text)
        let rule = run.rule
        for (index, batch) in run.batches.enumerated() {
            let optimizer = OptimizerStep(
                kind: run.optimizer, learningRate: rule.learningRate, beta1: rule.beta1, beta2: rule.beta2,
                epsilon: rule.epsilon, momentum: rule.momentum, weightDecay: rule.weightDecay,
                clipNorm: recording.clipNorm, updateNumber: index + 1)
            try engine.submit(
                TrainingStep(
                    number: index + 1, starts: batch.starts, sequenceLength: recording.sequenceLength,
                    resetsState: batch.resetsState, optimizer: optimizer, seed: 1), of: text)
        }
        let outcomes = try engine.drain()
        #expect(largestRelativeDifference(outcomes.map(\.loss), run.losses) < 1e-3)
        #expect(largestRelativeDifference(outcomes.map(\.gradientNorm), run.norms) < 1e-3)
        let (last, expected) = (try engine.parameters(), PyTorchRecording.floats(run.last))
        try #require(last.count == expected.count)
        let difference = zip(last, expected).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }.squareRoot()
        let size = expected.reduce(0.0) { $0 + Double($1 * $1) }.squareRoot()
        #expect(difference < 1e-3 * size)
    }

    private func largestRelativeDifference(_ a: [Double], _ b: [Double]) -> Double {
        guard a.count == b.count else { return .infinity }
        // NaN must not be lost in a maximum.
        return zip(a, b).map { abs($0 - $1) / abs($1) }.reduce(0) { $1 <= $0 ? $0 : $1 }
    }
}
