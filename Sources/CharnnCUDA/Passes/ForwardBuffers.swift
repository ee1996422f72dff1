import CCharnnCUDA
import CharnnEngine

// The memory of a forward pass and where each thing lies in it; what is done with it stands in `ForwardPass.swift`.
//
// These buffers own their memory, live as long as this object, and have one size each: `B` streams, at most `T` time
// steps, `N = B T` rows. Rows are time-major: stream `b` at time `t` is row `t B + b`, so that a chunk of time steps is
// one piece. Operands have the type of the products' (fp32 or fp16) and a stride of their own, and what lies between
// columns and stride stays zero; all else is fp32 without gaps. What only training needs is nil elsewhere, and its
// address 0.

/// What the forward pass of a batch needs, and what it leaves.
final class ForwardBuffers {
    let sizes: Sizes
    let weights: CUDAWeights

    /// ``CharnnStep`` with the starts behind it; what changes from step to step.
    let step: DeviceBuffer
    /// `[T, B]` of 32 bits.
    let inputs: DeviceBuffer
    let targets: DeviceBuffer
    /// `[L, B, H]` fp32: the recurrent state while the sequence runs.
    let hiddenState: DeviceBuffer
    let cellState: DeviceBuffer?
    /// Operands `[L, T + 1, B, stride]`: hidden states; those of time 0 are the state before.
    let hidden: DeviceBuffer
    /// Operands `[N, stride(H)]` for each layer of whose output something is dropped: what the layer above or the head reads.
    private let dropped: DeviceBuffer?
    /// Operands `[N, stride(E)]`: what the first layer reads, where something is dropped of it; else that is looked up.
    private let embedded: DeviceBuffer?
    /// fp32 `[N, gH]`: input products that are not looked up, one layer after the other: the rows of a chunk are a layer's
    /// until the layer above begins with that chunk.
    private let projected: DeviceBuffer?
    /// fp32 `[N, V]`
    private let logitsBuffer: DeviceBuffer
    /// How the time steps are done, and fp32 `[L, splits, B, gH or H]` for their products.
    let plan: StepPlan
    private let stepSums: DeviceBuffer?
    /// fp32 `[N]`, nats.
    let losses: DeviceBuffer
    /// For the way back: operands `[L, N, stride]`, `[L, N, H]`, fp32 `[L, T + 1, B, H]`, operands `[N, stride]`.
    ///
    /// The gates' gradients take the place of the gates, once those are not needed any more.
    let gates: DeviceBuffer?
    let candidates: DeviceBuffer?
    let cells: DeviceBuffer?
    let logitGradient: DeviceBuffer?
    /// The weights as fp16; nil with fp32.
    let packed: PackedWeights?

    /// - Parameter isTraining: Whether what the way back needs is kept.
    init(_ weights: CUDAWeights, _ sizes: Sizes, isTraining: Bool) throws(EngineError) {
        let device = weights.device
        self.sizes = sizes
        self.weights = weights
        let bytes = Bytes(sizes, isTraining: isTraining, multiprocessors: device.multiprocessors)
        plan = bytes.plan
        func optional(_ count: Int) throws(EngineError) -> DeviceBuffer? {
            count == 0 ? nil : try DeviceBuffer(device, bytes: count)
        }
        step = try DeviceBuffer(device, bytes: bytes.step)
        inputs = try DeviceBuffer(device, bytes: bytes.symbols)
        targets = try DeviceBuffer(device, bytes: bytes.symbols)
        hiddenState = try DeviceBuffer(device, bytes: bytes.state)
        cellState = sizes.network.has(.cell) ? try DeviceBuffer(device, bytes: bytes.state) : nil
        hidden = try DeviceBuffer(device, bytes: bytes.hidden)
        dropped = try optional(bytes.dropped)
        embedded = try optional(bytes.embedded)
        projected = try optional(bytes.projected)
        logitsBuffer = try DeviceBuffer(device, bytes: bytes.logits)
        losses = try DeviceBuffer(device, bytes: bytes.losses)
        stepSums = try optional(bytes.stepSums)
        gates = try optional(bytes.gates)
        candidates = try optional(bytes.candidates)
        cells = try optional(bytes.cells)
        logitGradient = try optional(bytes.logitGradient)
        packed = sizes.precision == .fp16 ? try PackedWeights(weights, sizes) : nil
    }

    /// Bytes of the buffers.
    struct Bytes {
        let step, symbols, state, hidden, dropped, embedded, projected, logits, losses: Int
        let gates, candidates, cells, logitGradient, stepSums: Int
        let plan: StepPlan

        init(_ s: Sizes, isTraining: Bool, multiprocessors: Int) {
            plan = StepPlan(s, multiprocessors: multiprocessors)
            stepSums = s.layers * plan.sums * 4
            step = MemoryLayout<CharnnStep>.stride + s.streams * 8
            symbols = s.rows * 4
            state = s.state * 4
            hidden = s.layers * s.hiddenLayer * s.operandBytes
            dropped = isTraining ? s.droppedOutputs * s.rows * s.stride(s.units) * s.operandBytes : 0
            embedded =
                isTraining && !s.network.looksUpInput ? s.rows * s.stride(s.embedding) * s.operandBytes : 0
            projected = s.layers > 1 || embedded > 0 ? s.rows * s.gateUnits * 4 : 0
            logits = s.rows * s.symbols * 4
            losses = s.rows * 4
            let candidate = s.network.width(ofSaved: .candidate) * s.units
            gates = isTraining ? s.layers * s.rows * s.stride(s.gateUnits) * s.operandBytes : 0
            candidates = isTraining ? s.layers * s.rows * candidate * s.operandBytes : 0
            cells =
                isTraining && s.network.has(.cell) ? s.layers * (s.steps + 1) * s.streams * s.units * 4 : 0
            logitGradient = isTraining ? s.rows * s.stride(s.symbols) * s.operandBytes : 0
        }

        var total: Int {
            step + 2 * symbols + 2 * state + hidden + dropped + embedded + projected + logits + losses + gates
                + candidates + cells + logitGradient + stepSums
        }
    }

    /// fp32 `[streams, V]` of a time step.
    func logits(at t: Int) -> DeviceAddress { logitsBuffer.address + UInt64(t * sizes.streams * sizes.symbols * 4) }

    /// The hidden states of a layer from time `t` on, of which 0 is before the sequence.
    func hidden(_ layer: Int, _ t: Int) -> DeviceAddress {
        hidden.address + UInt64((layer * sizes.hiddenLayer + t * sizes.hiddenStep) * sizes.operandBytes)
    }

    /// Whether the first layer's input products are looked up in the weights' table.
    var looksUpInput: Bool { embedded == nil }

    /// Whether something is dropped of what a layer reads, or the head behind the last.
    func drops(below layer: Int) -> Bool {
        layer == 0 ? !looksUpInput : dropped != nil && sizes.droppedOutput(layer - 1) != nil
    }

    /// What a layer reads, or the head behind the last, `[N, stride]`; of the first layer only where it is not looked up.
    func input(_ layer: Int) -> Operand {
        if layer == 0 { return Operand(place(embedded, 0), stride: sizes.stride(sizes.embedding)) }
        let stride = sizes.stride(sizes.units)
        guard let dropped, let number = sizes.droppedOutput(layer - 1) else {
            return Operand(hidden(layer - 1, 1), stride: stride)
        }
        return Operand(dropped.address + UInt64(number * sizes.rows * stride * sizes.operandBytes), stride: stride)
    }

    /// The same from time `t` on.
    func input(_ layer: Int, _ t: Int) -> Operand {
        let all = input(layer)
        return Operand(
            all.address + UInt64(t * sizes.streams * all.stride * sizes.operandBytes), stride: all.stride)
    }

    func gates(_ layer: Int, _ t: Int) -> DeviceAddress {
        place(gates, (layer * sizes.rows + t * sizes.streams) * sizes.stride(sizes.gateUnits) * sizes.operandBytes)
    }

    func candidates(_ layer: Int, _ t: Int) -> DeviceAddress {
        let width = sizes.network.width(ofSaved: .candidate) * sizes.units
        return place(candidates, (layer * sizes.rows + t * sizes.streams) * width * sizes.operandBytes)
    }

    /// The cell states of a layer from time `t` on, of which 0 is before the sequence.
    func cells(_ layer: Int, _ t: Int) -> DeviceAddress {
        place(cells, (layer * (sizes.steps + 1) + t) * sizes.streams * sizes.units * 4)
    }

    /// The input products of a layer from time `t` on, where they are not looked up.
    func projected(_ t: Int) -> DeviceAddress { place(projected, t * sizes.streams * sizes.gateUnits * 4) }

    /// The products of a layer's time steps, ``StepPlan/sums`` numbers.
    func stepSums(_ layer: Int) -> DeviceAddress { place(stepSums, layer * plan.sums * 4) }

    /// The gradient of the logits from time `t` on; 0 where there is none.
    func logitGradient(_ t: Int) -> DeviceAddress {
        place(logitGradient, t * sizes.streams * sizes.stride(sizes.symbols) * sizes.operandBytes)
    }

    private func place(_ buffer: DeviceBuffer?, _ bytes: Int) -> DeviceAddress {
        buffer.map { $0.address + UInt64(bytes) } ?? 0
    }

    /// The rows of a chunk.
    func rows(_ chunk: Range<Int>) -> Int { chunk.count * sizes.streams }

    /// Writes what changes from step to step.
    func write(_ values: CharnnStep, starts: [Int64]) throws(EngineError) {
        precondition(starts.count == sizes.streams)
        var bytes = withUnsafeBytes(of: values) { Array($0) }
        starts.withUnsafeBytes { bytes.append(contentsOf: $0) }
        try step.write(bytes)
    }
}
