import CCharnnKernels
import CharnnEngine
import Synchronization

/// A matrix of weights as the right operand of products, packed anew whenever it has changed.
final class PackedOperand {
    /// Where element (row, column) of the operand `[k, n]` stands in the parameters.
    let offset: Int
    let k: Int
    let n: Int
    let rowStride: Int
    let columnStride: Int
    /// Allocated when first packed.
    private(set) var words: Buffer<UInt32>?
    /// Which change of the parameters it was packed after.
    private var generation = -1

    private init(offset: Int, k: Int, n: Int, rowStride: Int, columnStride: Int) {
        (self.offset, self.k, self.n, self.rowStride, self.columnStride) = (offset, k, n, rowStride, columnStride)
    }

    /// Weights `[rows, columns]` for `a w^T`, forward, where their rows are the operand's columns.
    static func transposed(_ offset: Int, rows: Int, columns: Int) -> PackedOperand {
        PackedOperand(offset: offset, k: columns, n: rows, rowStride: 1, columnStride: columns)
    }

    /// Weights `[rows, columns]` for `a w`, backward.
    static func plain(_ offset: Int, rows: Int, columns: Int) -> PackedOperand {
        PackedOperand(offset: offset, k: rows, n: columns, rowStride: columns, columnStride: 1)
    }

    /// Packs those of `operands` that are older than the parameters.
    static func pack(
        _ operands: [PackedOperand], from parameters: Buffer<Float>, generation: Int,
        _ kernels: CharnnProductKernels, _ pool: ThreadPool
    ) throws(EngineError) {
        var tasks: [(operand: PackedOperand, words: Buffer<UInt32>, panel: Int)] = []
        for operand in operands where operand.generation != generation {
            let panels = roundedUp(operand.n, to: kernels.panel) / kernels.panel
            let words: Buffer<UInt32>
            if let own = operand.words {
                words = own
            } else {
                words = try Buffer(operand.panelStride(kernels) * panels)
            }
            operand.words = words
            operand.generation = generation
            for panel in 0..<panels { tasks.append((operand, words, panel)) }
        }
        pool.run(tasks.count) { number in
            let (operand, words, panel) = tasks[number]
            kernels.pack(
                words.base, parameters.base + operand.offset, operand.k, operand.n, operand.rowStride,
                operand.columnStride, kernels.panel, operand.panelStride(kernels), panel, 1)
        }
    }

    func panelStride(_ kernels: CharnnProductKernels) -> Int { kernels.words(k) * kernels.panel }
}

/// The weights that a step multiplies by.
struct PackedWeights {
    let layers: [PackedLayer]
    let headForward: PackedOperand
    let headBackward: PackedOperand

    init(_ d: Dimensions) {
        layers = d.layers.map { PackedLayer($0, d) }
        headForward = .transposed(d.headWeight, rows: d.symbols, columns: d.units)
        headBackward = .plain(d.headWeight, rows: d.symbols, columns: d.units)
    }

    /// Those that are needed.
    ///
    /// - Parameter table: Whether the first layer's input product is looked up.
    func operands(backward: Bool, table: Bool) -> [PackedOperand] {
        let head = backward ? [headForward, headBackward] : [headForward]
        return layers.enumerated().flatMap { $1.operands(backward: backward, input: $0 > 0 || !table) } + head
    }
}

/// The same of one layer. A class, since a predictor asks for it at each character.
final class PackedLayer {
    let recurrentForward: PackedOperand
    let recurrentBackward: PackedOperand
    /// The rows of gates that stand apart, which the ones above are without: another gradient passes through them.
    let apartBackward: PackedOperand?
    let inputForward: PackedOperand
    let inputBackward: PackedOperand

    init(_ layer: Dimensions.Layer, _ d: Dimensions) {
        let (H, gH, width) = (d.units, d.gateUnits, layer.inputSize)
        recurrentForward = .transposed(layer.recurrentWeight, rows: gH, columns: H)
        recurrentBackward = .plain(layer.recurrentWeight, rows: d.addedUnits, columns: H)
        apartBackward =
            d.apartUnits.isEmpty
            ? nil : .plain(layer.recurrentWeight + d.addedUnits * H, rows: d.apartUnits.count, columns: H)
        inputForward = .transposed(layer.inputWeight, rows: gH, columns: width)
        inputBackward = .plain(layer.inputWeight, rows: gH, columns: width)
    }

    /// Those that are needed; the input's are not where its product is looked up.
    func operands(backward: Bool, input: Bool) -> [PackedOperand] {
        var operands = [recurrentForward]
        if input { operands.append(inputForward) }
        if backward { operands += [recurrentBackward, apartBackward].compactMap(\.self) }
        if backward && input { operands.append(inputBackward) }
        return operands
    }
}

/// What products need beside the weights.
struct PackedWorkspace {
    /// For training, the right operands of weight gradients, packed shard by shard: rows of `[B T, ...]`.
    struct Layer {
        /// The hidden states before each step.
        let hidden: Buffer<UInt32>
        /// The layer's input.
        let input: Buffer<UInt32>
    }

    /// Empty without training.
    let layers: [Layer]
    /// Of each shard, its first word in a column.
    let firstWords: [Int]
    /// Of each shard, the rows at hand of a left operand; empty where words are the numbers themselves.
    let rounded: [Buffer<UInt32>]
    /// Room for blocks of weight gradients' left operands, one for every thread.
    let blocks: BufferPool<UInt32>
    /// How many rows are multiplied at a time, so that they stay in the cache.
    static let chunkRows = 32
    /// A block of a left operand of weight gradients, which stays in the cache: along the summed dimension (even), and
    /// across.
    static let block = (rows: 800, columns: 128)

    init(
        _ d: Dimensions, shards: [Shard], capacity: Int, usesTable: Bool, isTraining: Bool,
        _ kernels: CharnnProductKernels, threads: Int
    ) throws(EngineError) {
        var words = 0
        var firstWords: [Int] = []
        for shard in shards {
            firstWords.append(words)
            words += kernels.words(shard.count * capacity)
        }
        self.firstWords = firstWords
        func operand(_ columns: Int, _ width: Int) throws(EngineError) -> Buffer<UInt32> {
            try Buffer(words * roundedUp(columns, to: width))
        }
        var layers: [Layer] = []
        for (index, layer) in d.layers.enumerated() where isTraining {
            let looksUp = index == 0 && usesTable
            layers.append(
                Layer(
                    hidden: try operand(d.units, kernels.panel),
                    input: try operand(looksUp ? 0 : layer.inputSize, kernels.panel)))
        }
        self.layers = layers
        let width = kernels.words(max(d.gateUnits, d.embedding, d.symbols) + 1)
        var rounded: [Buffer<UInt32>] = []
        for shard in shards where kernels.round != nil {
            rounded.append(try Buffer(max(shard.count, Self.chunkRows) * width))
        }
        self.rounded = rounded
        blocks = try BufferPool(
            isTraining ? threads : 0,
            of: kernels.words(Self.block.rows) * roundedUp(Self.block.columns, to: kernels.tileRows))
    }
}

/// Buffers that tasks take for as long as they run.
final class BufferPool<Element: BitwiseCopyable> {
    private let buffers: [Buffer<Element>]
    private let free: Mutex<[Int]>

    /// - Parameter count: At least as many as there are tasks at a time.
    init(_ count: Int, of size: Int) throws(EngineError) {
        var buffers: [Buffer<Element>] = []
        for _ in 0..<count { buffers.append(try Buffer(size)) }
        self.buffers = buffers
        free = Mutex(Array(0..<count))
    }

    func withBuffer(_ body: (Buffer<Element>) -> Void) {
        guard let number = free.withLock({ $0.popLast() }) else {
            preconditionFailure("more tasks run at a time than there are buffers")
        }
        body(buffers[number])
        free.withLock { $0.append(number) }
    }
}

extension CharnnProductKernels {
    /// The words that so many neighbours along the summed dimension take.
    func words(_ count: Int) -> Int { (count + depth - 1) / depth }
}

func roundedUp(_ count: Int, to multiple: Int) -> Int { (count + multiple - 1) / multiple * multiple }
