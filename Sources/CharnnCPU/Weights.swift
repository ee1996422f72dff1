import CCharnnKernels
import CharnnEngine

/// The parameters, and what is derived from them once whenever they have changed.
final class Weights {
    let dimensions: Dimensions
    /// In ``ParameterLayout``. Whoever writes calls ``touch()``.
    let parameters: Buffer<Float>
    /// `[L, gH]`: both biases added; a GRU's n has the input's alone.
    let bias: Buffer<Float>
    /// `[V, gH]`: the first layer's input product for every symbol. Allocated when first asked for.
    private(set) var table: Buffer<Float>?
    /// The recurrent weights as right operands, packed: `[H, gH]` forward and `[gH, H]` backward, a layer each.
    private(set) var packed: [(forward: Buffer<Float>, backward: Buffer<Float>)] = []
    /// The same for bf16 operands, and the input weights beside them.
    private(set) var half: [HalfWeights] = []
    private var isHalfCurrent = false
    private var isPackedForward = false
    private var isPackedBackward = false
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
        isPackedForward = false
        isPackedBackward = false
        isHalfCurrent = false
    }

    /// Brings biases, the table where it is needed, and packed weights up to date.
    func prepare(
        table needsTable: Bool, forward: Bool, backward: Bool, _ compute: Compute
    ) throws(EngineError) {
        try pack(forward: forward, backward: backward, compute)
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

    private func pack(forward: Bool, backward: Bool, _ compute: Compute) throws(EngineError) {
        let (forward, backward) = (forward && !isPackedForward, backward && !isPackedBackward)
        guard compute.packsWeights, forward || backward else { return }
        let (d, kernels, (H, gH)) = (dimensions, compute.kernels, (dimensions.units, dimensions.gateUnits))
        while packed.count < d.layerCount {
            packed.append((try Buffer(kernels.packedCount(H, gH)), try Buffer(kernels.packedCount(gH, H))))
        }
        let (forwardPanels, backwardPanels) = ((gH - 1) / kernels.panel + 1, (H - 1) / kernels.panel + 1)
        let tasks = (forward ? forwardPanels : 0) + (backward ? backwardPanels : 0)
        compute.pool.run(tasks * d.layerCount) { task in
            let (layer, panel) = (task / tasks, task % tasks)
            let source = parameters.base + d.layers[layer].recurrentWeight
            if forward && panel < forwardPanels {
                kernels.pack(packed[layer].forward.base, source, H, gH, 1, H, panel, 1)
            } else {
                let panel = panel - (forward ? forwardPanels : 0)
                kernels.pack(packed[layer].backward.base, source, gH, H, H, 1, panel, 1)
            }
        }
        isPackedForward = isPackedForward || forward
        isPackedBackward = isPackedBackward || backward
    }

    /// Brings the weights for bf16 operands up to date.
    ///
    /// - Parameter table: Whether the first layer's input product is looked up.
    func prepareHalf(_ kernels: CharnnHalfKernels, table: Bool, _ pool: ThreadPool) throws(EngineError) {
        guard !isHalfCurrent else { return }
        if half.isEmpty {
            var layers: [HalfWeights] = []
            for layer in dimensions.layers { layers.append(try HalfWeights(layer, dimensions, kernels)) }
            half = layers
        }
        let operands = half.enumerated().flatMap { $1.operands(withInput: $0 > 0 || !table) }
        pool.run(operands.count) { task in
            for panel in 0..<operands[task].panels(kernels) {
                operands[task].pack(panel: panel, from: parameters.base, kernels)
            }
        }
        isHalfCurrent = true
    }

    private func prepareBias() {
        let d = dimensions
        let added = d.architecture.cell == .gru ? 2 * d.units : d.gateUnits
        for (l, layer) in d.layers.enumerated() {
            for j in 0..<d.gateUnits {
                let recurrent = j < added ? parameters.base[layer.recurrentBias + j] : 0
                bias.base[l * d.gateUnits + j] = parameters.base[layer.inputBias + j] + recurrent
            }
        }
    }

    /// `[H]`: the recurrent bias of a GRU's n.
    func candidateBias(_ layer: Int) -> UnsafePointer<Float> {
        UnsafePointer(parameters.base + dimensions.layers[layer].recurrentBias + 2 * dimensions.units)
    }
}

/// What computes: kernels, the library and the threads.
struct Compute {
    let kernels: CharnnKernels
    let blas: OpenBLAS
    let pool: ThreadPool
    /// Whether the recurrence runs on packed weights and kernels of our own; else on the library, which may know
    /// instructions that the plain kernels do not.
    let packsWeights: Bool

    /// - Parameters: As for ``CPUEngine``.
    init(threads: Int?, kernels: KernelLevel?, usesLibraryOnly: Bool) throws(EngineError) {
        // The kernels are chosen before the library is opened, because the library chooses when it is opened.
        let level = kernels ?? KernelLevel.available.last ?? .plain
        self.kernels = try level.kernels()
        blas = try OpenBLAS.load()
        pool = ThreadPool(count: max(1, threads ?? usableProcessorCount()))
        packsWeights = level != .plain && !usesLibraryOnly
    }

    /// The kernels in use, such as `avx512 + OpenBLAS 0.3.21 SkylakeX`.
    var name: String { "\(String(cString: kernels.name)) + \(blas.name)\(packsWeights ? "" : " (all products)")" }

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
