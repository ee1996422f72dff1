/// A buffer that an engine keeps between steps beside the parameters.
public enum EngineBuffer: String, Sendable, CaseIterable {
    /// In ``ParameterLayout``: Adam's mean, or the momentum buffer of RMSprop and SGD.
    case firstMoment = "first_moment"
    /// In ``ParameterLayout``: Adam's and RMSprop's mean square.
    case secondMoment = "second_moment"
    /// In ``ParameterLayout``: the average of the weights over the steps, of runs that keep one.
    case average
    /// `[L, B, H]`, the training streams' hidden state.
    case hidden
    /// `[L, B, H]`, the training streams' cell state, where the cell has one.
    case cell

    /// Adam's names for what an optimiser keeps.
    public static let moments: [EngineBuffer] = [.firstMoment, .secondMoment]
    /// Those in ``ParameterLayout``; the others are of the recurrent state.
    public static let ofParameters: [EngineBuffer] = moments + [.average]

    /// In an error, in the plural.
    fileprivate var words: String { rawValue.replacing("_", with: " ") + "s" }
}

/// All that an engine remembers between steps.
public struct EngineState: Sendable, Equatable {
    /// In ``ParameterLayout``.
    public var parameters: [Float]
    /// Those that are not zero.
    private var buffers: [EngineBuffer: [Float]]

    /// - Parameter buffers: An empty one is zero, as is one that is not there.
    public init(parameters: [Float], _ buffers: [EngineBuffer: [Float]] = [:]) {
        self.parameters = parameters
        self.buffers = buffers.filter { !$0.value.isEmpty }
    }

    /// A buffer; empty: zero, a recurrent state of zero for any `B`, an average that has not begun.
    public subscript(buffer: EngineBuffer) -> [Float] {
        get { buffers[buffer] ?? [] }
        set { buffers[buffer] = newValue.isEmpty ? nil : newValue }
    }
}

extension EngineState {
    /// Refuses a state of another network.
    ///
    /// - Throws: ``EngineError/Code/mismatch``.
    public func requireFit(_ plan: NetworkPlan) throws(EngineError) {
        let layout = ParameterLayout(plan)
        try layout.requireCount(parameters.count, of: "parameters")
        for buffer in EngineBuffer.ofParameters where !self[buffer].isEmpty {
            try layout.requireCount(self[buffer].count, of: buffer.words)
        }
        let streams = streams(of: plan)
        let fits = EngineBuffer.allCases.allSatisfy { buffer in
            if EngineBuffer.ofParameters.contains(buffer) { return true }
            let width = plan.state.first { $0.name == buffer }?.width ?? 0
            return self[buffer].count == plan.architecture.layerCount * streams * width
        }
        guard fits else { throw EngineError(.mismatch, "The recurrent state does not fit the architecture.") }
    }

    /// For whoever asks for the average where there is none.
    public static var hasNoAverage: EngineError {
        EngineError(.mismatch, "There is no average of the weights: no step has asked for one.")
    }

    /// The streams of the recurrent state; 0: it is zero for any number of them.
    public func streams(of plan: NetworkPlan) -> Int {
        self[.hidden].count / (plan.architecture.layerCount * plan.architecture.hiddenSize)
    }
}
