import CharnnEngine

/// The sizes of a network and of what a pass over a batch of it takes, in numbers unless said otherwise.
///
/// `B` streams, `T` time steps, `N = B T` rows; the other letters as in ``Architecture``.
struct Sizes {
    let network: NetworkPlan
    let layout: ParameterLayout
    let precision: CUDAPrecision
    let streams: Int
    let steps: Int
    let tuning: Tuning
    /// Time steps that a layer does before the next one begins with them.
    let chunkSteps: Int

    init(
        _ network: NetworkPlan, _ precision: CUDAPrecision, streams: Int, steps: Int,
        tuning: Tuning = Tuning()
    ) {
        self.network = network
        self.layout = ParameterLayout(network)
        self.precision = precision
        self.streams = streams
        self.steps = steps
        self.tuning = tuning
        // Layers wait for each other's first chunk: few steps make a short wait, few rows make a poor product.
        self.chunkSteps =
            tuning.chunkSteps ?? max(pieces(steps, of: Self.chunks), pieces(Self.leastChunkRows, of: streams))
    }

    private static let chunks = 8
    private static let leastChunkRows = 256

    /// The chunks of so many time steps, in their order.
    func chunks(of steps: Int) -> [Range<Int>] {
        (0..<pieces(steps, of: chunkSteps)).map { $0 * chunkSteps..<min(($0 + 1) * chunkSteps, steps) }
    }

    var architecture: Architecture { network.architecture }

    /// `V`
    var symbols: Int { architecture.vocabularySize }
    /// `E`
    var embedding: Int { architecture.embeddingSize }
    /// `H`
    var units: Int { architecture.hiddenSize }
    /// `L`
    var layers: Int { architecture.layerCount }
    /// `gH`
    var gateUnits: Int { network.gateUnits }
    /// `N`
    var rows: Int { streams * steps }

    /// Bytes of a number of the products' operands.
    var operandBytes: Int { precision == .fp16 ? 2 : 4 }

    /// The distance of rows of `columns` operands: the fp16 products read pieces of 32.
    func stride(_ columns: Int) -> Int { precision == .fp16 ? pieces(columns, of: 32) * 32 : columns }

    /// Numbers between one time step's hidden states and the next's; between those of one layer and the next's.
    var hiddenStep: Int { streams * stride(units) }
    var hiddenLayer: Int { (steps + 1) * hiddenStep }

    /// The state of all layers, `[L, B, H]`.
    var state: Int { layers * streams * units }

    /// Whether anything is dropped in training.
    var hasDropout: Bool { !network.masks.isEmpty }

    /// Layers of whose outputs something is dropped in training, so that what is read of them is another buffer than what
    /// they wrote.
    var droppedOutputs: Int { network.masks.count { $0.place != .input } }

    /// Which of them a layer is; nil: none.
    func droppedOutput(_ layer: Int) -> Int? { network.masks.firstIndex { $0.place == .output(layer: layer) } }
}
