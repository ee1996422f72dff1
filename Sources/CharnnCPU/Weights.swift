import CCharnnKernels
import CharnnEngine

/// The parameters, and what is derived from them once whenever they have changed.
final class Weights {
    let dimensions: Dimensions
    /// In ``ParameterLayout``. Whoever writes calls ``touch()``.
    let parameters: Buffer<Float>
    /// `[L, gH]`: both biases added; gates that stand apart have the input's alone.
    let bias: Buffer<Float>
    /// `[V, gH]`: the first layer's input product for every symbol. Allocated when first asked for.
    private(set) var table: Buffer<Float>?
    /// The weights as right operands, by how many numbers a word of theirs holds.
    private var packed: [Int: PackedWeights] = [:]
    /// Counts changes of the parameters.
    private(set) var generation = 0
    private var isBiasCurrent = false
    private var isTableCurrent = false

    init(_ dimensions: Dimensions) throws(EngineError) {
        self.dimensions = dimensions
        parameters = try Buffer(dimensions.parameterCount)
        bias = try Buffer(dimensions.layerCount * dimensions.gateUnits)
    }

    /// Tells that the parameters have changed.
    func touch() {
        isBiasCurrent = false
        isTableCurrent = false
        generation += 1
    }

    /// Brings biases and, where it is needed, the table up to date.
    func prepare(table needsTable: Bool, _ compute: Compute) throws(EngineError) {
        if !isBiasCurrent {
            prepareBias()
            isBiasCurrent = true
        }
        guard needsTable, !isTableCurrent else { return }
        let d = dimensions
        if self.table == nil { self.table = try Buffer(d.symbols * d.gateUnits) }
        guard let table else { return }
        let (base, columns) = (parameters.base, 256)
        compute.pool.run((d.gateUnits + columns - 1) / columns) { task in
            let first = task * columns
            compute.blas.multiply(
                d.symbols, min(columns, d.gateUnits - first), d.embedding, .plain(base, stride: d.embedding),
                .transposed(base + d.layers[0].inputWeight + first * d.embedding, stride: d.embedding),
                into: table.base + first, stride: d.gateUnits)
        }
        isTableCurrent = true
    }

    /// The weights as right operands, brought up to date.
    ///
    /// - Parameters:
    ///   - table: Whether the first layer's input product is looked up.
    ///   - backward: Whether those of the way back are needed too.
    func packed(
        for kernels: CharnnProductKernels, table: Bool, backward: Bool, _ pool: ThreadPool
    ) throws(EngineError) -> PackedWeights {
        let weights = packed[kernels.depth] ?? PackedWeights(dimensions)
        packed[kernels.depth] = weights
        try PackedOperand.pack(
            weights.operands(backward: backward, table: table), from: parameters, generation: generation, kernels, pool)
        return weights
    }

    private func prepareBias() {
        let d = dimensions
        for (l, layer) in d.layers.enumerated() {
            for j in 0..<d.gateUnits {
                let recurrent = j < d.addedUnits ? parameters.base[layer.recurrentBias + j] : 0
                bias.base[l * d.gateUnits + j] = parameters.base[layer.inputBias + j] + recurrent
            }
        }
    }

    /// The recurrent bias of the gates that stand apart, such as a GRU's n; nil: there are none.
    func candidateBias(_ layer: Int) -> UnsafePointer<Float>? {
        guard !dimensions.apartUnits.isEmpty else { return nil }
        return UnsafePointer(parameters.base + dimensions.layers[layer].recurrentBias + dimensions.addedUnits)
    }
}

/// What computes: kernels, the library and the threads.
struct Compute {
    let kernels: CharnnKernels
    let blas: OpenBLAS
    let pool: ThreadPool
    /// The large products on kernels of our own; nil: the library's, which may know instructions that the plain kernels
    /// do not.
    let products: CharnnProductKernels?
    /// Bytes of weights from which on a thread takes part in a lone stream's product.
    let leastShare: Int

    /// Measured: two threads are no faster for 4 MiB (512 units) and a sixth faster for 16 MiB (1,024 units).
    static let leastShare = 4 << 20

    /// - Parameters: As for ``CPUEngine``.
    init(
        threads: Int?, kernels: KernelLevel?, usesLibraryOnly: Bool, leastShare: Int = Self.leastShare
    ) throws(EngineError) {
        self.leastShare = leastShare
        // The kernels are chosen before the library is opened, because the library chooses when it is opened.
        let level = kernels ?? KernelLevel.available.last ?? .plain
        self.kernels = try level.kernels()
        blas = try OpenBLAS.load()
        pool = ThreadPool(count: max(1, threads ?? usableProcessorCount()))
        products = level == .plain || usesLibraryOnly ? nil : self.kernels.products
    }

    /// The kernels in use, such as `avx512 + OpenBLAS 0.3.21 SkylakeX`.
    var name: String { "\(String(cString: kernels.name)) + \(blas.name)\(products == nil ? " (all products)" : "")" }

    /// `c = a w^T` for `a [m, k]` and weights `w [n, k]`, both packed.
    ///
    /// A few rows are cheaper without the library, which rearranges the weights at each call.
    func product(
        _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, weights w: UnsafePointer<Float>,
        into c: UnsafeMutablePointer<Float>
    ) {
        if m <= 4 {
            kernels.matrixVector(c, w, a, n, k, m, n)
        } else {
            blas.multiply(m, n, k, .plain(a, stride: k), .transposed(w, stride: k), into: c, stride: n)
        }
    }
}
