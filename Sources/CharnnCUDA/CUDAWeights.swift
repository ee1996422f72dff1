import CCharnnCUDA
import CharnnEngine

/// A network's parameters on a device, and what follows from them.
final class CUDAWeights {
    let device: CUDADevice
    let architecture: Architecture
    let layout: ParameterLayout
    /// In ``ParameterLayout``, fp32.
    let parameters: DeviceBuffer
    /// `[L, gH]`, what input products get as bias.
    private let bias: DeviceBuffer
    /// `[V, gH]`: the first layer's input product of every symbol, with its bias.
    let table: DeviceBuffer
    /// Counts changes of the parameters, for those who keep what follows from them.
    private(set) var generation = 0
    /// That of which `bias` and `table` are.
    private var preparedGeneration = -1

    init(_ device: CUDADevice, _ architecture: Architecture) throws(EngineError) {
        self.device = device
        self.architecture = architecture
        layout = ParameterLayout(architecture)
        let rows = architecture.cell.gates * architecture.hiddenSize
        parameters = try DeviceBuffer(device, bytes: layout.count * 4)
        bias = try DeviceBuffer(device, bytes: architecture.layerCount * rows * 4)
        table = try DeviceBuffer(device, bytes: architecture.vocabularySize * rows * 4)
    }

    /// Notes that the parameters have changed or may have.
    func touch() { generation += 1 }

    /// The address of a parameter tensor, or of its gradient or moment in another buffer of the same layout.
    func address(_ role: ParameterRole, in buffer: DeviceBuffer? = nil) -> DeviceAddress {
        (buffer ?? parameters).address + UInt64(layout[role].offset * 4)
    }

    /// The bias of a layer's input product, `[gH]`.
    func bias(ofLayer layer: Int) -> DeviceAddress {
        bias.address + UInt64(layer * architecture.cell.gates * architecture.hiddenSize * 4)
    }

    /// Brings bias and table up to date if they are not.
    func prepare() throws(EngineError) {
        guard preparedGeneration != generation else { return }
        try enqueuePreparation()
        preparedGeneration = generation
    }

    /// Works bias and table out anew.
    func enqueuePreparation() throws(EngineError) {
        let rows = architecture.cell.gates * architecture.hiddenSize
        for layer in 0..<architecture.layerCount {
            try device.launch(
                .bias, grid: (pieces(rows, of: Kernel.bias.threads), 1, 1),
                CharnnBias(
                    input: address(.inputBias(layer: layer)), recurrent: address(.recurrentBias(layer: layer)),
                    to: bias(ofLayer: layer), count: Int32(rows),
                    // The candidate's recurrent bias of a GRU lies inside the reset product.
                    both: Int32(architecture.cell == .gru ? 2 * architecture.hiddenSize : rows)))
        }
        try device.multiply(
            .floatNT, m: architecture.vocabularySize, n: rows, k: architecture.embeddingSize,
            Operand(address(.embedding), stride: architecture.embeddingSize),
            Operand(address(.inputWeight(layer: 0)), stride: architecture.embeddingSize),
            bias: bias(ofLayer: 0), into: Operand(table.address, stride: rows))
    }
}

/// A matrix on a device.
struct Operand {
    let address: DeviceAddress
    /// Numbers from row to row.
    let stride: Int

    init(_ address: DeviceAddress, stride: Int) {
        self.address = address
        self.stride = stride
    }
}

/// How the operands of a product lie, as ``CharnnMatrixProduct`` tells, and their type.
enum ProductKind {
    case halfNT, halfTN, floatNT, floatNN, floatTN

    func kernel(isWide: Bool) -> Kernel {
        switch self {
        case .halfNT: isWide ? .productHalfNTWide : .productHalfNT
        case .halfTN: isWide ? .productHalfTNWide : .productHalfTN
        case .floatNT: .productFloatNT
        case .floatNN: .productFloatNN
        case .floatTN: .productFloatTN
        }
    }

    var isHalf: Bool {
        switch self {
        case .halfNT, .halfTN: true
        case .floatNT, .floatNN, .floatTN: false
        }
    }
}

extension CUDADevice {
    /// `c [m, n] = a b + bias`, with fp32 results.
    func multiply(
        _ kind: ProductKind, m: Int, n: Int, k: Int, _ a: Operand, _ b: Operand, bias: DeviceAddress = 0,
        into c: Operand
    ) throws(EngineError) {
        let isWide = kind.isHalf && Splitting.prefersWide(m: m, n: n, multiprocessors: multiprocessors)
        try launchProduct(kind, m: m, n: n, k: k, a, b, bias: bias, into: c, isWide: isWide)
    }

    /// The same, its depth split and summed up again through `partial`, which has room for all splits.
    func multiply(
        _ kind: ProductKind, m: Int, n: Int, k: Int, _ a: Operand, _ b: Operand, splitting: Splitting,
        partial: DeviceBuffer, into c: Operand
    ) throws(EngineError) {
        guard splitting.splits > 1 else {
            return try launchProduct(kind, m: m, n: n, k: k, a, b, bias: 0, into: c, isWide: splitting.isWide)
        }
        try launchProduct(
            kind, m: m, n: n, k: k, a, b, bias: 0, into: Operand(partial.address, stride: n), isWide: splitting.isWide,
            splitting: splitting)
        try reduce(partial, splits: splitting.splits, rows: m, columns: n, into: c)
    }

    private func launchProduct(
        _ kind: ProductKind, m: Int, n: Int, k: Int, _ a: Operand, _ b: Operand, bias: DeviceAddress, into c: Operand,
        isWide: Bool, splitting: Splitting? = nil
    ) throws(EngineError) {
        let tile = !kind.isHalf ? CharnnFloatProductTile : isWide ? CharnnWideProductTile : CharnnProductTile
        try launch(
            kind.kernel(isWide: isWide), grid: (pieces(n, of: tile), pieces(m, of: tile), splitting?.splits ?? 1),
            CharnnMatrixProduct(
                a: a.address, b: b.address, c: c.address, bias: bias, m: Int32(m), n: Int32(n), k: Int32(k),
                aStride: Int32(a.stride), bStride: Int32(b.stride), cStride: Int32(c.stride),
                kPerSplit: Int32(splitting?.perSplit ?? pieces(k, of: 32) * 32), reserved: 0,
                splitStride: Int64(m * n)))
    }

    /// Sums `[splits, rows, columns]` over the splits.
    func reduce(
        _ partial: DeviceBuffer, splits: Int, rows: Int, columns: Int, into result: Operand,
        and second: DeviceAddress = 0
    ) throws(EngineError) {
        try launch(
            .reduce, grid: (pieces(rows * columns, of: Kernel.reduce.threads), 1, 1),
            CharnnReduction(
                partial: partial.address, result: result.address, second: second, count: Int32(rows * columns),
                splits: Int32(splits), stride: Int64(rows * columns), columns: Int32(columns),
                resultStride: Int32(result.stride)))
    }
}
