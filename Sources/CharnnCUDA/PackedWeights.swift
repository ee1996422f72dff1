import CharnnEngine

// fp16 copies of weights for training. They own one piece of memory, in which zeros stand between columns and stride,
// and are made anew in each step from the parameters.

/// The weights of the large products as fp16, as they are for the way there and transposed for the way back.
final class PackedWeights {
    /// A matrix `[rows, columns]` and its transpose, rows padded with zeros to a stride.
    struct Matrix {
        let role: ParameterRole
        let rows: Int
        let columns: Int
        /// `[rows, stride(columns)]`
        let plain: DeviceAddress
        /// `[columns, stride(rows)]`
        let transposed: DeviceAddress
    }

    /// Of the layers whose input products are not looked up.
    private let inputs: [Matrix]
    let recurrent: [Matrix]
    let head: Matrix
    private let buffer: DeviceBuffer
    private let weights: CUDAWeights
    private let sizes: Sizes

    /// Bytes in all.
    static func bytes(_ sizes: Sizes) -> Int {
        func bytes(_ rows: Int, _ columns: Int) -> Int {
            2 * (rows * sizes.stride(columns) + columns * sizes.stride(rows))
        }
        let first = sizes.network.looksUpInput ? 0 : bytes(sizes.gateUnits, sizes.embedding)
        return first + (2 * sizes.layers - 1) * bytes(sizes.gateUnits, sizes.units) + bytes(sizes.symbols, sizes.units)
    }

    init(_ weights: CUDAWeights, _ sizes: Sizes) throws(EngineError) {
        let buffer = try DeviceBuffer(weights.device, bytes: Self.bytes(sizes))
        var next = buffer.address
        func take(_ role: ParameterRole, _ rows: Int, _ columns: Int) -> Matrix {
            let transposed = next + UInt64(2 * rows * sizes.stride(columns))
            defer { next = transposed + UInt64(2 * columns * sizes.stride(rows)) }
            return Matrix(role: role, rows: rows, columns: columns, plain: next, transposed: transposed)
        }
        inputs = ((sizes.network.looksUpInput ? 1 : 0)..<max(1, sizes.layers)).map {
            take(.inputWeight(layer: $0), sizes.gateUnits, sizes.architecture.inputSize(ofLayer: $0))
        }
        recurrent = (0..<sizes.layers).map { take(.recurrentWeight(layer: $0), sizes.gateUnits, sizes.units) }
        head = take(.headWeight, sizes.symbols, sizes.units)
        self.buffer = buffer
        self.weights = weights
        self.sizes = sizes
    }

    /// The input weights of a layer whose product is not looked up.
    func input(_ layer: Int) -> Matrix { inputs[layer - (sizes.network.looksUpInput ? 1 : 0)] }

    /// Makes all of them anew from the parameters.
    func enqueuePacking() throws(EngineError) {
        for matrix in inputs + recurrent + [head] {
            try weights.device.pack(
                weights.address(matrix.role), rows: matrix.rows, columns: matrix.columns,
                to: Operand(matrix.plain, stride: sizes.stride(matrix.columns)),
                transposed: Operand(matrix.transposed, stride: sizes.stride(matrix.rows)))
        }
    }
}
