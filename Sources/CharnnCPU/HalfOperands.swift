import CCharnnKernels
import CharnnEngine

/// A matrix of weights as the right operand of a product with bf16 operands, packed anew whenever it has changed.
struct HalfOperand {
    /// Where element (row, column) of the operand `[k, n]` stands in the parameters.
    let offset: Int
    let k: Int
    let n: Int
    let rowStride: Int
    let columnStride: Int
    let words: Buffer<UInt32>

    private init(
        offset: Int, k: Int, n: Int, rowStride: Int, columnStride: Int, _ kernels: CharnnHalfKernels
    ) throws(EngineError) {
        (self.offset, self.k, self.n, self.rowStride, self.columnStride) = (offset, k, n, rowStride, columnStride)
        words = try Buffer((k + 1) / 2 * roundedUp(n, to: kernels.panel))
    }

    /// Weights `[rows, columns]` for `a w^T`, forward, where their rows are the operand's columns.
    static func transposed(
        _ offset: Int, rows: Int, columns: Int, _ kernels: CharnnHalfKernels
    ) throws(EngineError) -> HalfOperand {
        try HalfOperand(offset: offset, k: columns, n: rows, rowStride: 1, columnStride: columns, kernels)
    }

    /// Weights `[rows, columns]` for `a w`, backward.
    static func plain(
        _ offset: Int, rows: Int, columns: Int, _ kernels: CharnnHalfKernels
    ) throws(EngineError) -> HalfOperand {
        try HalfOperand(offset: offset, k: rows, n: columns, rowStride: columns, columnStride: 1, kernels)
    }

    func panels(_ kernels: CharnnHalfKernels) -> Int { roundedUp(n, to: kernels.panel) / kernels.panel }

    func pack(panel: Int, from parameters: UnsafePointer<Float>, _ kernels: CharnnHalfKernels) {
        kernels.pack(
            words.base, parameters + offset, k, n, rowStride, columnStride, kernels.panel,
            (k + 1) / 2 * kernels.panel, panel, 1)
    }
}

/// The weights of a layer that training with bf16 operands multiplies by.
struct HalfWeights {
    let recurrentForward: HalfOperand
    let recurrentBackward: HalfOperand
    let inputForward: HalfOperand
    let inputBackward: HalfOperand

    init(_ layer: Dimensions.Layer, _ d: Dimensions, _ kernels: CharnnHalfKernels) throws(EngineError) {
        let (H, gH, width) = (d.units, d.gateUnits, layer.inputSize)
        recurrentForward = try .transposed(layer.recurrentWeight, rows: gH, columns: H, kernels)
        recurrentBackward = try .plain(layer.recurrentWeight, rows: gH, columns: H, kernels)
        inputForward = try .transposed(layer.inputWeight, rows: gH, columns: width, kernels)
        inputBackward = try .plain(layer.inputWeight, rows: gH, columns: width, kernels)
    }

    /// Those that are needed; the input's are not where its product is looked up.
    func operands(withInput: Bool) -> [HalfOperand] {
        [recurrentForward, recurrentBackward] + (withInput ? [inputForward, inputBackward] : [])
    }
}

/// What the products of weight gradients read, rounded and packed shard by shard: pairs of rows of `[B T, ...]`.
struct HalfWorkspace {
    struct Layer {
        /// Left operands, in tiles: the gradients of the gates and, for a GRU, of n's recurrent part.
        let gates: Buffer<UInt32>
        let candidate: Buffer<UInt32>?
        /// Right operands, in panels: the hidden states before each step, and the layer's input.
        let hidden: Buffer<UInt32>
        let input: Buffer<UInt32>
    }

    let layers: [Layer]
    /// Of each shard, its first pair of rows.
    let firstPairs: [Int]
    /// Of each shard, the rows at hand of a left operand.
    let rounded: [Buffer<UInt32>]
    /// How many rows are rounded at a time.
    static let chunkRows = 128

    init(
        _ d: Dimensions, shards: [Shard], capacity: Int, usesTable: Bool, _ kernels: CharnnHalfKernels
    ) throws(EngineError) {
        var pairs = 0
        var firstPairs: [Int] = []
        for shard in shards {
            firstPairs.append(pairs)
            pairs += (shard.count * capacity + 1) / 2
        }
        self.firstPairs = firstPairs
        func operand(_ columns: Int, _ width: Int) throws(EngineError) -> Buffer<UInt32> {
            try Buffer(pairs * roundedUp(columns, to: width))
        }
        var layers: [Layer] = []
        for (index, layer) in d.layers.enumerated() {
            let looksUp = index == 0 && usesTable
            layers.append(
                Layer(
                    gates: try operand(d.gateUnits, kernels.tileRows),
                    candidate: d.architecture.cell == .gru ? try operand(d.units, kernels.tileRows) : nil,
                    hidden: try operand(d.units, kernels.panel),
                    input: try operand(looksUp ? 0 : layer.inputSize, kernels.panel)))
        }
        self.layers = layers
        let width = max(d.gateUnits, d.embedding) + 1
        var rounded: [Buffer<UInt32>] = []
        for shard in shards { rounded.append(try Buffer(max(shard.count, Self.chunkRows) * (width + 1) / 2)) }
        self.rounded = rounded
    }
}

func roundedUp(_ count: Int, to multiple: Int) -> Int { (count + multiple - 1) / multiple * multiple }
