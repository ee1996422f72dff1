public import CharnnEngine
import Glibc

/// The parameters a network starts from, distributed as PyTorch's modules initialise theirs.
///
/// `nn.Embedding`: normal(0, 1). `nn.RNN`, `nn.GRU`, `nn.LSTM`: uniform(−1/√H, 1/√H) for all weights and biases.
/// `nn.Linear`: uniform(−1/√H, 1/√H) for weight and bias. Each number has its own place in a counter-based generator,
/// so that a parameter does not depend on how many others there are before it in the same tensor.
public enum Initialisation {
    /// All parameters of `architecture` in ``ParameterLayout``, each as its tensor in ``NetworkPlan`` says, drawn with
    /// `seed`.
    ///
    /// - Parameter forgetBias: Added to the input biases of a forget gate, where the cell has one: what a cell state
    ///   holds is kept longer from the beginning.
    public static func parameters(of architecture: Architecture, seed: UInt64, forgetBias: Double = 0) -> [Float] {
        let plan = NetworkPlan(architecture)
        let layout = ParameterLayout(plan)
        var parameters = [Float](repeating: 0, count: layout.count)
        for (index, slot) in layout.slots.enumerated() {
            for element in 0..<slot.count {
                parameters[slot.offset + element] = draw(
                    from: slot.tensor.initialisation, tensor: index, element: element, seed: seed)
            }
        }
        for layer in 0..<architecture.layerCount {
            let bias = layout[.inputBias(layer: layer)].offset
            for row in plan.forgetRows { parameters[bias + row] += Float(forgetBias) }
        }
        return parameters
    }

    /// One element of one tensor.
    ///
    /// - Parameters:
    ///   - tensor: The tensor's index in the layout.
    ///   - element: The element's row-major index in the tensor.
    static func draw(
        from distribution: ParameterDistribution, tensor: Int, element: Int, seed: UInt64
    ) -> Float {
        let random = Philox(key: seed)
        let stream = UInt32(truncatingIfNeeded: tensor)
        switch distribution {
        case .normal:
            // Box and Muller's transform; 1 - u lies in (0, 1], where the logarithm is finite.
            let radius = (-2 * log(1 - random.uniform(.initialisation, stream: stream, index: UInt64(2 * element))))
                .squareRoot()
            let angle = 2 * Double.pi * random.uniform(.initialisation, stream: stream, index: UInt64(2 * element + 1))
            return Float(radius * cos(angle))
        case .uniform(let bound):
            let uniform = random.uniform(.initialisation, stream: stream, index: UInt64(element))
            return Float((2 * uniform - 1) * bound)
        }
    }
}
