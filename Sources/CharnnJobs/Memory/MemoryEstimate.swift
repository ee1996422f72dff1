public import CharnnEngine

/// Memory of a job before any engine was asked.
///
/// It is a lower bound, to refuse what can never fit, and no prediction: that is an engine's
/// (``EngineProvider/predictedBytes(_:architecture:batchSize:sequenceLength:)``).
public enum MemoryEstimate {
    /// The number of parameters, near enough; floating point, so that absurd sizes do not overflow.
    public static func parameters(_ architecture: Architecture) -> Double {
        let (h, e) = (Double(architecture.hiddenSize), Double(architecture.embeddingSize))
        let gates = Double(architecture.cell.gates)
        return gates * h * (e + h) + (Double(architecture.layerCount) - 1) * gates * h * 2 * h
            + Double(architecture.vocabularySize) * (e + h)
    }

    /// The least that any engine needs, bytes: weights, gradient and two moments, and the gates of all time steps.
    ///
    /// Floating point, so that absurd sizes do not overflow.
    ///
    /// Four copies of the parameters, and for each character of a step the gates and the output of each layer; four
    /// bytes each.
    static func least(_ architecture: Architecture, batchSize: Int, sequenceLength: Int) -> Double {
        let layers = Double(architecture.layerCount)
        let width = (Double(architecture.cell.gates) + 1) * Double(architecture.hiddenSize)
        return 4 * (4 * parameters(architecture) + Double(batchSize) * Double(sequenceLength) * layers * width)
    }
}
