/// What a network consists of and what a step of it takes: quantities, from which engines, model files, estimates and
/// checkpoints derive what they need. How a thing lies in memory is each engine's own.
///
/// Which cell a network has is asked here, in the reference's formulas, in kernels with their dispatch tables, and where
/// foreign formats name cells; nowhere else.
public struct NetworkPlan: Hashable, Sendable {
    /// A parameter tensor.
    public struct Tensor: Hashable, Sendable {
        /// By which engines find it.
        public let role: ParameterRole
        /// Row-major; the last dimension is contiguous.
        public let shape: [Int]
        /// What PyTorch's `state_dict()` calls it in a module with the members `embedding`, `rnn` and `fc`; so it is
        /// called in model files.
        public let name: String
        /// What its numbers are drawn from.
        public let initialisation: ParameterDistribution
        /// Whether weight decay applies to it.
        public var decays: Bool
    }

    /// A part of the recurrent state, `[L, B, width]` between two sequences.
    public struct State: Hashable, Sendable {
        /// As ``EngineState`` has it.
        public let name: EngineBuffer
        /// Numbers of a layer and stream.
        public let width: Int
    }

    /// What a layer's forward pass keeps of each stream and time step for the way back, beside its states.
    public struct Saved: Hashable, Sendable {
        /// What there is to keep.
        public enum Name: Hashable, Sendable {
            /// The activated gates; the input product before them, their gradients after them.
            case gates
            /// The recurrent sums of the gates that keep them apart.
            case candidate
        }

        /// Each at most once in a plan.
        public let name: Name
        /// In `H`.
        public let width: Int
    }

    /// A dropout.
    public struct Mask: Hashable, Sendable {
        /// Where numbers are dropped.
        public enum Place: Hashable, Sendable {
            /// On the numbers of the embedding.
            case input
            /// On what a layer hands to the one above, or the last one to the head.
            case output(layer: Int)
        }

        /// Each at most once in a plan.
        public let place: Place
        /// Numbers of a stream and time step.
        public let width: Int
        /// That a number is dropped, above 0 and below 1; the others are multiplied by `1 / (1 - probability)`.
        public let probability: Double
        /// By which the generator of random numbers tells the masks of a step apart; 16 bits.
        public let counter: Int
        /// Whether all time steps of a sequence have the same mask, that of a stream.
        public let isLocked: Bool
    }

    /// A product of the forward pass, `[m, n] = [m, k] W^T [k, n]`. The way back has two of the same size for it.
    public struct Product: Hashable, Sendable {
        /// How often it is made.
        public enum Cadence: Hashable, Sendable {
            /// Needs the state before it: `m` is `B`.
            case eachStep
            /// Can be made of all time steps at once: `m` is `B T`.
            case once
        }

        /// `W [n, k]`.
        public let weight: ParameterRole
        /// Columns of the result.
        public let n: Int
        /// The summed dimension.
        public let k: Int
        /// Whether it waits for the state.
        public let cadence: Cadence
        /// Whether its left operand has no more different rows than there are symbols, so that the product can be made
        /// once for each and looked up.
        public let isLookedUp: Bool

        /// Rows of a single product of `streams` streams and `steps` time steps.
        public func m(streams: Int, steps: Int) -> Int { cadence == .eachStep ? streams : streams * steps }

        /// Floating-point operations over all time steps, `2 m n k` each time.
        func operations(streams: Int, steps: Int) -> Double {
            let times = cadence == .eachStep ? steps : 1
            return 2 * Double(times) * Double(m(streams: streams, steps: steps)) * Double(n) * Double(k)
        }
    }

    /// What the plan is of.
    public let architecture: Architecture
    /// The number of gates `g`: how many rows of `[H]` a layer's weight matrices stack.
    public let gates: Int
    /// Gates whose recurrent sum stands inside a product of its own, as that of a GRU's `n` in `r * (W h + b)`: the
    /// recurrent bias cannot be added to the input's, and the recurrent weights get another gradient than the input
    /// weights. Always the last ones; empty: there are none.
    public let gatesApart: Range<Int>
    /// Whether a part of the hidden state goes from a step to the next past the weights.
    public let passesHidden: Bool
    /// The rows, of the `gH`, of the gate by which a cell state is kept or forgotten; empty: the cell has none.
    public let forgetRows: Range<Int>
    /// In the order of the flat parameter buffer.
    public var tensors: [Tensor]
    /// The hidden state first.
    public let state: [State]
    /// Of each layer.
    public let saved: [Saved]
    /// In the order of their counters.
    public let masks: [Mask]
    /// In the order in which they are made.
    public let products: [Product]

    /// The plan is a function of the architecture, and of what decays.
    ///
    /// - Parameters:
    ///   - architecture: ``Architecture/isConceivable``.
    ///   - decay: What a run's weight decay applies to.
    public init(_ architecture: Architecture, decay: WeightDecayScope = .all) {
        let (H, layers) = (architecture.hiddenSize, 0..<architecture.layerCount)
        let cell = architecture.cell.traits
        self.architecture = architecture
        gates = cell.gates
        gatesApart = cell.gatesApart
        passesHidden = cell.passesHidden
        forgetRows = cell.forgetGate.map { $0 * H..<($0 + 1) * H } ?? 0..<0
        tensors = Self.tensors(architecture, rows: cell.gates * H, decay)
        state = cell.state.map { State(name: $0, width: H) }
        saved =
            [Saved(name: .gates, width: cell.gates)]
            + (cell.gatesApart.isEmpty ? [] : [Saved(name: .candidate, width: cell.gatesApart.count)])
        let masks = Self.masks(architecture)
        let looksUpInput = !masks.contains { $0.place == .input }
        self.masks = masks
        products =
            layers.flatMap { layer in
                [
                    Product(
                        weight: .inputWeight(layer: layer), n: cell.gates * H,
                        k: architecture.inputSize(ofLayer: layer), cadence: .once,
                        isLookedUp: layer == 0 && looksUpInput),
                    Product(
                        weight: .recurrentWeight(layer: layer), n: cell.gates * H, k: H, cadence: .eachStep,
                        isLookedUp: false),
                ]
            } + [
                Product(
                    weight: .headWeight, n: architecture.vocabularySize, k: H, cadence: .once, isLookedUp: false)
            ]
    }

    private static func masks(_ architecture: Architecture) -> [Mask] {
        let isLocked = architecture.dropoutMask == .sequence
        let last = architecture.layerCount - 1
        let outputs = (0...last).map { layer in
            Mask(
                place: .output(layer: layer), width: architecture.hiddenSize,
                probability: layer == last ? architecture.dropoutOutput : architecture.dropout, counter: layer,
                isLocked: isLocked)
        }
        let input = Mask(
            place: .input, width: architecture.embeddingSize, probability: architecture.dropoutInput,
            counter: DropoutMask.input, isLocked: isLocked)
        return (outputs + [input]).filter { $0.probability > 0 }
    }

    /// `embedding [V,E]`, then for each layer `inputWeight [gH,in]`, `recurrentWeight [gH,H]`, `inputBias [gH]`,
    /// `recurrentBias [gH]`, then `headWeight [V,H]`, `headBias [V]`; distributed as PyTorch's modules start.
    private static func tensors(_ architecture: Architecture, rows: Int, _ decay: WeightDecayScope) -> [Tensor] {
        let (V, H) = (architecture.vocabularySize, architecture.hiddenSize)
        let uniform = ParameterDistribution.uniform(bound: 1 / Double(H).squareRoot())
        func tensor(_ role: ParameterRole, _ shape: Int..., name: String) -> Tensor {
            Tensor(
                role: role, shape: shape, name: name, initialisation: role == .embedding ? .normal : uniform,
                decays: decay == .all || (shape.count == 2 && role != .embedding))
        }
        return [tensor(.embedding, V, architecture.embeddingSize, name: "embedding.weight")]
            + (0..<architecture.layerCount).flatMap { layer in
                [
                    tensor(
                        .inputWeight(layer: layer), rows, architecture.inputSize(ofLayer: layer),
                        name: "rnn.weight_ih_l\(layer)"),
                    tensor(.recurrentWeight(layer: layer), rows, H, name: "rnn.weight_hh_l\(layer)"),
                    tensor(.inputBias(layer: layer), rows, name: "rnn.bias_ih_l\(layer)"),
                    tensor(.recurrentBias(layer: layer), rows, name: "rnn.bias_hh_l\(layer)"),
                ]
            } + [tensor(.headWeight, V, H, name: "fc.weight"), tensor(.headBias, V, name: "fc.bias")]
    }
}

extension NetworkPlan {
    /// `gH`, the rows of a layer's weights.
    public var gateUnits: Int { gates * architecture.hiddenSize }

    /// How many of the `gH` rows come before those of ``gatesApart``.
    public var rowsBeforeApart: Int { (gatesApart.isEmpty ? gates : gatesApart.lowerBound) * architecture.hiddenSize }

    /// Whether the recurrent state has such a part.
    public func has(_ name: EngineBuffer) -> Bool { state.contains { $0.name == name } }

    /// How wide something is that is kept for the way back, in `H`; 0: this network does not have it.
    public func width(ofSaved name: Saved.Name) -> Int { saved.first { $0.name == name }?.width ?? 0 }

    /// The dropout on what a layer reads, or the head as the one above the last; nil: there is none.
    public func mask(below layer: Int) -> Mask? {
        masks.first { $0.place == (layer == 0 ? .input : .output(layer: layer - 1)) }
    }

    /// Whether the first layer's input product can be made once for each symbol and looked up: not where what it reads
    /// is dropped.
    public var looksUpInput: Bool { mask(below: 0) == nil }

    /// Floating-point operations of a forward pass that no way of computing can leave out: of all products but those that
    /// are looked up.
    public func operations(streams: Int, steps: Int) -> Double {
        products.filter { !$0.isLookedUp }.reduce(0) { $0 + $1.operations(streams: streams, steps: steps) }
    }

    /// The number of parameters in floating point, so that absurd sizes do not overflow.
    public var approximateParameterCount: Double {
        tensors.reduce(0) { $0 + $1.shape.reduce(1) { $0 * Double($1) } }
    }
}

/// What weight decay applies to.
public enum WeightDecayScope: String, Sendable, CaseIterable, Codable {
    /// All parameters, as in PyTorch's optimisers without groups.
    case all
    /// The matrices of products: of the inputs, of the recurrence and of the head; neither embedding nor biases.
    case weights
}

/// What the numbers of a tensor are drawn from when a network starts.
public enum ParameterDistribution: Hashable, Sendable {
    /// Mean 0, standard deviation 1.
    case normal
    /// Between `-bound` and `bound`.
    case uniform(bound: Double)
}

/// What sets one kind of cell apart from another, but for its formulas.
private struct CellTraits {
    /// What PyTorch calls its module; nil: it has none.
    var pyTorchModule: String?
    /// Whether a job file may choose the nonlinearity.
    var hasNonlinearity = false
    var gates = 1
    var gatesApart = 0..<0
    var passesHidden = false
    var forgetGate: Int?
    var state: [EngineBuffer] = [.hidden]
}

extension Cell {
    /// Gate order is PyTorch's: `i, f, g, o` for LSTM; `r, z, n` for GRU, whose reset gate multiplies the recurrent
    /// product after its bias was added.
    fileprivate var traits: CellTraits {
        switch self {
        case .rnn: CellTraits(pyTorchModule: "RNN", hasNonlinearity: true)
        case .gru: CellTraits(pyTorchModule: "GRU", gates: 3, gatesApart: 2..<3, passesHidden: true)
        case .lstm: CellTraits(pyTorchModule: "LSTM", gates: 4, forgetGate: 1, state: [.hidden, .cell])
        }
    }

    /// The module of `torch.nn` that computes the same; nil: there is none.
    public var pyTorchModule: String? { traits.pyTorchModule }

    /// The cells whose weights stack so many gates.
    public static func having(gates: Int) -> [Cell] { allCases.filter { $0.traits.gates == gates } }

    /// Whether a job file may choose the nonlinearity.
    public var hasNonlinearity: Bool { traits.hasNonlinearity }

    /// Whether a job file may raise the bias of a gate by which a cell state is kept.
    public var hasForgetGate: Bool { traits.forgetGate != nil }
}
