public import CharnnEngine

extension ParameterRole {
    /// The tensor's name in a model file: what PyTorch's `state_dict()` calls it in a module with the members
    /// `embedding`, `rnn` and `fc`.
    public var name: String {
        switch self {
        case .embedding: "embedding.weight"
        case .inputWeight(let layer): "rnn.weight_ih_l\(layer)"
        case .recurrentWeight(let layer): "rnn.weight_hh_l\(layer)"
        case .inputBias(let layer): "rnn.bias_ih_l\(layer)"
        case .recurrentBias(let layer): "rnn.bias_hh_l\(layer)"
        case .headWeight: "fc.weight"
        case .headBias: "fc.bias"
        }
    }
}
