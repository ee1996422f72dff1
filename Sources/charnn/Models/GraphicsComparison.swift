import CharnnCPU
import CharnnCUDA
import CharnnEngine
import CharnnModel

/// Compares what the GPU computes with what the CPU does, on a small network of each cell.
///
/// For `doctor`: a test of this very card and driver. Sizes do not divide evenly, for that is where kernels go wrong.
enum GraphicsComparison {
    /// The largest difference of a gradient in fp32, relative to its Euclidean norm; nil where the CPU engine does not work.
    static func largestDifference() throws(EngineError) -> Double? {
        var largest = 0.0
        let text = SymbolText((0..<400).map { Int32($0 * $0 % 29) })
        for cell in Cell.allCases {
            let architecture = Architecture(
                cell: cell, vocabularySize: 29, embeddingSize: 19, hiddenSize: 45, layerCount: 2, dropout: 0.3)
            let parameters = Initialisation.parameters(of: architecture, seed: 1)
            guard let processor = try? CPUEngine(architecture: architecture, parameters: parameters) else { return nil }
            let graphics = try CUDAEngine(NetworkPlan(architecture), parameters: parameters, precision: .fp32)
            let step = TrainingStep(
                number: 1, starts: (0..<35).map { $0 * 9 }, sequenceLength: 17, resetsState: true,
                optimizer: OptimizerStep(learningRate: 0, updateNumber: 1), seed: 1)
            let (expected, found) = (
                try processor.gradient(of: step, of: text).gradient, try graphics.gradient(of: step, of: text).gradient
            )
            func norm(_ x: some Sequence<Float>) -> Double { x.reduce(0) { $0 + Double($1 * $1) }.squareRoot() }
            let difference = norm(zip(expected, found).map { $0 - $1 }) / norm(expected)
            // Written so that NaN is the largest.
            largest = difference <= largest ? largest : difference
        }
        return largest
    }
}
