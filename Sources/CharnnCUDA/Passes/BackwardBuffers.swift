import CharnnEngine

// The memory of the way back, and where each thing lies in it; what is done with it stands in `BackwardPass.swift`.
//
// The gates' gradients have no memory of their own: they take the place of the gates in the forward pass's buffers,
// step by step, once a step's gates are not needed any more. `N = B T` rows are time-major, as in
// `ForwardBuffers.swift`.

/// What the way back through a batch needs, and the gradient that it leaves.
final class BackwardBuffers {
    /// What the forward pass left; its gates, and the gradient of its logits, are used up.
    let forward: ForwardBuffers
    private var sizes: Sizes { forward.sizes }
    /// fp32, ``ParameterLayout``.
    let gradient: DeviceBuffer
    /// fp32 `[N, H]`: the gradient of what a layer hands up; the rows of a chunk are a layer's until it hands its own
    /// down.
    let above: DeviceBuffer
    /// fp32 `[L, B, H]`: what a time step hands back beside the weights' product.
    private let carried: DeviceBuffer
    /// Operands `[L, N, stride(gH)]`: the gates' gradients as the recurrent product gets them where gates stand apart.
    /// All else finds them where the gates were.
    private let recurrentGates: DeviceBuffer?
    /// fp32 `[V, gH]`: the first layer's gates, summed over the rows of each symbol, where its products are looked up.
    let table: DeviceBuffer?
    /// fp32 `[N, E]`, where they are not: the gradient of what the first layer reads.
    let embedded: DeviceBuffer?
    /// fp32: sums that were split. Used by one sum after another, all on the same branch.
    let partial: DeviceBuffer
    /// How the sums over all rows are split: those of the weights' gradients, and those by symbol.
    let inputPlan: ProductPlan
    let embeddedPlan: ProductPlan
    let recurrentPlan: ProductPlan
    let headPlan: ProductPlan
    let symbolSplits: Int

    init(_ forward: ForwardBuffers) throws(EngineError) {
        self.forward = forward
        let device = forward.weights.device
        let bytes = Bytes(forward.sizes, multiprocessors: device.multiprocessors)
        gradient = try DeviceBuffer(device, bytes: bytes.gradient)
        above = try DeviceBuffer(device, bytes: bytes.above)
        carried = try DeviceBuffer(device, bytes: bytes.carried)
        func optional(_ count: Int) throws(EngineError) -> DeviceBuffer? {
            count == 0 ? nil : try DeviceBuffer(device, bytes: count)
        }
        recurrentGates = try optional(bytes.recurrentGates)
        table = try optional(bytes.table)
        embedded = try optional(bytes.embedded)
        partial = try DeviceBuffer(device, bytes: bytes.partial)
        inputPlan = bytes.input
        embeddedPlan = bytes.embeddedPlan
        recurrentPlan = bytes.recurrent
        headPlan = bytes.head
        symbolSplits = bytes.symbolSplits
    }

    /// Bytes of the buffers, and how sums are split.
    struct Bytes {
        let gradient, above, carried, recurrentGates, table, embedded, partial: Int
        let input, embeddedPlan, recurrent, head: ProductPlan
        let symbolSplits: Int

        init(_ s: Sizes, multiprocessors: Int) {
            func plan(_ m: Int, _ n: Int) -> ProductPlan {
                ProductPlan(
                    m: m, n: n, k: s.rows, isHalf: s.precision == .fp16, multiprocessors: multiprocessors,
                    summing: .kernel, launchCost: s.tuning.launchCost)
            }
            (input, recurrent, head) = (
                plan(s.gateUnits, s.units), plan(s.gateUnits, s.units), plan(s.symbols, s.units)
            )
            embeddedPlan = plan(s.gateUnits, s.embedding)
            symbolSplits = max(1, min(8, s.rows / 256))
            gradient = s.layout.count * 4
            above = s.rows * s.units * 4
            carried = s.state * 4
            recurrentGates =
                !s.network.gatesApart.isEmpty ? s.layers * s.rows * s.stride(s.gateUnits) * s.operandBytes : 0
            let looksUp = s.network.looksUpInput
            table = looksUp ? s.symbols * s.gateUnits * 4 : 0
            embedded = looksUp ? 0 : s.rows * s.embedding * 4
            let products = max(
                input.splits * s.gateUnits * s.units, recurrent.splits * s.gateUnits * s.units,
                head.splits * s.symbols * s.units, looksUp ? 0 : embeddedPlan.splits * s.gateUnits * s.embedding)
            let sums = max(
                symbolSplits * s.symbols * (looksUp ? s.gateUnits : s.embedding),
                Self.columnSplits * max(s.gateUnits, s.symbols))
            partial = max(products, sums) * 4
            total = gradient + above + carried + recurrentGates + table + embedded + partial
        }

        /// Parts into which rows are cut whose columns are summed.
        static let columnSplits = 32

        let total: Int
    }

    /// The gradient of a parameter tensor.
    func gradient(_ role: ParameterRole) -> DeviceAddress { forward.weights.address(role, in: gradient) }

    /// The gradient of what a layer hands up from time `t` on, `[B, H]` each.
    func above(_ t: Int) -> DeviceAddress { above.address + UInt64(t * sizes.streams * sizes.units * 4) }

    /// What a layer's time steps hand back, `[B, H]`.
    func carried(_ layer: Int) -> DeviceAddress { carried.address + UInt64(layer * sizes.streams * sizes.units * 4) }

    /// The gradient of the logits from time `t` on, Op `[rows, V]`.
    func logits(from t: Int) -> Operand { Operand(forward.logitGradient(t), stride: sizes.stride(sizes.symbols)) }

    /// The gradients of a layer's gates from time `t` on, Op `[rows, gH]`, as the input product gets them.
    func gates(_ layer: Int, _ t: Int) -> Operand {
        Operand(forward.gates(layer, t), stride: sizes.stride(sizes.gateUnits))
    }

    /// The same as the recurrent product gets them.
    func recurrentGates(_ layer: Int, _ t: Int) -> Operand {
        guard let recurrentGates else { return gates(layer, t) }
        let stride = sizes.stride(sizes.gateUnits)
        let row = layer * sizes.rows + t * sizes.streams
        return Operand(recurrentGates.address + UInt64(row * stride * sizes.operandBytes), stride: stride)
    }
}
