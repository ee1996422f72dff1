import CharnnEngine

/// Memory of a job before any engine was asked.
///
/// It is a lower bound, to refuse what can never fit, and no prediction: that is an engine's
/// (``EngineProvider/predictedBytes(_:architecture:batchSize:sequenceLength:)``).
enum MemoryEstimate {
    /// The least that any engine needs, bytes: weights, gradient and two moments, and the gates of all time steps.
    ///
    /// Floating point, so that absurd sizes do not overflow.
    ///
    /// Four copies of the parameters, and for each character of a step the gates and the output of each layer; four
    /// bytes each.
    static func least(_ architecture: Architecture, batchSize: Int, sequenceLength: Int) -> Double {
        guard architecture.isConceivable else { return .infinity }
        let plan = NetworkPlan(architecture)
        let width = Double(plan.width(ofSaved: .gates) + 1) * Double(architecture.hiddenSize)
        let characters = Double(batchSize) * Double(sequenceLength)
        return 4 * (4 * plan.approximateParameterCount + characters * Double(architecture.layerCount) * width)
    }
}
