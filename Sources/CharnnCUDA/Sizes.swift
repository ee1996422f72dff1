import CCharnnCUDA
import CharnnEngine

/// The sizes of a network and of what a pass over a batch of it takes, in numbers unless said otherwise.
///
/// `B` streams, `T` time steps, `N = B T` rows; the other letters as in ``Architecture``.
struct Sizes {
    let architecture: Architecture
    let layout: ParameterLayout
    let precision: CUDAEngine.Precision
    let streams: Int
    let steps: Int
    /// Time steps that a layer does before the next one begins with them.
    let chunkSteps: Int

    /// - Parameter chunkSteps: nil: as many as suit the sizes. The results are the same, to the bit.
    init(
        _ architecture: Architecture, _ precision: CUDAEngine.Precision, streams: Int, steps: Int,
        chunkSteps: Int? = nil
    ) {
        self.architecture = architecture
        self.layout = ParameterLayout(architecture)
        self.precision = precision
        self.streams = streams
        self.steps = steps
        // Layers wait for each other's first chunk: few steps make a short wait, few rows make a poor product.
        self.chunkSteps = chunkSteps ?? max(pieces(steps, of: Self.chunks), pieces(Self.leastChunkRows, of: streams))
    }

    private static let chunks = 8
    private static let leastChunkRows = 256

    /// The chunks of so many time steps, in their order.
    func chunks(of steps: Int) -> [Range<Int>] {
        (0..<pieces(steps, of: chunkSteps)).map { $0 * chunkSteps..<min(($0 + 1) * chunkSteps, steps) }
    }

    /// `V`
    var symbols: Int { architecture.vocabularySize }
    /// `E`
    var embedding: Int { architecture.embeddingSize }
    /// `H`
    var units: Int { architecture.hiddenSize }
    /// `L`
    var layers: Int { architecture.layerCount }
    /// `gH`
    var gateUnits: Int { architecture.cell.gates * units }
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

    /// Whether what a layer reads is another buffer than what the layer below wrote.
    var hasDropout: Bool { architecture.dropout > 0 && layers > 1 }
}

/// A product for the weights' gradients, whose sum over many rows is split so that the whole device has work.
struct Splitting {
    let splits: Int
    /// Rows of a split, a multiple of the products' depth.
    let perSplit: Int
    /// Whether wide tiles are taken.
    let isWide: Bool

    /// Whether an fp16 product takes wide tiles: they read less memory, but are few.
    static func prefersWide(m: Int, n: Int, multiprocessors: Int) -> Bool {
        let tile = CharnnWideProductTile
        return min(m, n) >= tile && pieces(m, of: tile) * pieces(n, of: tile) >= multiprocessors
    }

    /// The least depth that makes a split worth its sum.
    private static let leastDepth = 256

    init(m: Int, n: Int, k: Int, precision: CUDAEngine.Precision, multiprocessors: Int) {
        isWide = precision == .fp16 && Self.prefersWide(m: m, n: n, multiprocessors: multiprocessors)
        let tile = isWide ? CharnnWideProductTile : CharnnProductTile
        let count = pieces(m, of: tile) * pieces(n, of: tile)
        let wanted = min(max(1, 2 * multiprocessors / count), max(1, k / Self.leastDepth))
        perSplit = pieces(pieces(k, of: wanted), of: 32) * 32
        splits = pieces(k, of: perSplit)
    }
}
