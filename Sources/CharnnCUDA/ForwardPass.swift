import CCharnnCUDA
import CharnnEngine

/// A batch on a device on its way through the network: what the forward pass needs, and what it leaves.
///
/// Rows are time-major: stream `b` at time `t` is row `t B + b`.
final class ForwardPass {
    let sizes: Sizes
    let weights: CUDAWeights
    var device: CUDADevice { weights.device }
    /// Whether what the way back needs is kept.
    let isTraining: Bool

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
    /// Operands `[L - 1, N, stride]`: what the upper layers read, where dropout makes it another thing.
    let dropped: DeviceBuffer?
    /// fp32 `[N, gH]`: the upper layers' input products, one layer after the other.
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

    init(_ weights: CUDAWeights, _ sizes: Sizes, isTraining: Bool) throws(EngineError) {
        let device = weights.device
        let architecture = sizes.architecture
        self.sizes = sizes
        self.weights = weights
        self.isTraining = isTraining
        let bytes = Bytes(sizes, isTraining: isTraining, multiprocessors: device.multiprocessors)
        plan = bytes.plan
        func optional(_ count: Int) throws(EngineError) -> DeviceBuffer? {
            count == 0 ? nil : try DeviceBuffer(device, bytes: count)
        }
        step = try DeviceBuffer(device, bytes: bytes.step)
        inputs = try DeviceBuffer(device, bytes: bytes.symbols)
        targets = try DeviceBuffer(device, bytes: bytes.symbols)
        hiddenState = try DeviceBuffer(device, bytes: bytes.state)
        cellState = architecture.hasCellState ? try DeviceBuffer(device, bytes: bytes.state) : nil
        hidden = try DeviceBuffer(device, bytes: bytes.hidden)
        dropped = try optional(bytes.dropped)
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
        let step, symbols, state, hidden, dropped, projected, logits, losses: Int
        let gates, candidates, cells, logitGradient, stepSums: Int
        let plan: StepPlan

        init(_ s: Sizes, isTraining: Bool, multiprocessors: Int) {
            let upper = s.layers - 1
            plan = StepPlan(s, multiprocessors: multiprocessors)
            stepSums = s.layers * plan.sums * 4
            step = MemoryLayout<CharnnStep>.stride + s.streams * 8
            symbols = s.rows * 4
            state = s.state * 4
            hidden = s.layers * s.hiddenLayer * s.operandBytes
            dropped = isTraining && s.hasDropout ? upper * s.rows * s.stride(s.units) * s.operandBytes : 0
            projected = upper > 0 ? s.rows * s.gateUnits * 4 : 0
            logits = s.rows * s.symbols * 4
            losses = s.rows * 4
            let cell = s.architecture.cell
            gates = isTraining ? s.layers * s.rows * s.stride(s.gateUnits) * s.operandBytes : 0
            candidates = isTraining && cell == .gru ? s.layers * s.rows * s.units * s.operandBytes : 0
            cells = isTraining && cell == .lstm ? s.layers * (s.steps + 1) * s.streams * s.units * 4 : 0
            logitGradient = isTraining ? s.rows * s.stride(s.symbols) * s.operandBytes : 0
        }

        var total: Int {
            step + 2 * symbols + 2 * state + hidden + dropped + projected + logits + losses + gates + candidates + cells
                + logitGradient + stepSums
        }
    }

    /// fp32 `[streams, V]` of a time step.
    func logits(at t: Int) -> DeviceAddress { logitsBuffer.address + UInt64(t * sizes.streams * sizes.symbols * 4) }

    /// The hidden states of a layer from time `t` on, of which 0 is before the sequence.
    func hidden(_ layer: Int, _ t: Int) -> DeviceAddress {
        hidden.address + UInt64((layer * sizes.hiddenLayer + t * sizes.hiddenStep) * sizes.operandBytes)
    }

    /// What a layer above the first reads, `[N, stride]`.
    func input(_ layer: Int) -> Operand {
        let stride = sizes.stride(sizes.units)
        guard let dropped else { return Operand(hidden(layer - 1, 1), stride: stride) }
        return Operand(
            dropped.address + UInt64((layer - 1) * sizes.rows * stride * sizes.operandBytes), stride: stride)
    }

    func gates(_ layer: Int, _ t: Int) -> DeviceAddress {
        place(gates, (layer * sizes.rows + t * sizes.streams) * sizes.stride(sizes.gateUnits) * sizes.operandBytes)
    }

    func candidates(_ layer: Int, _ t: Int) -> DeviceAddress {
        place(candidates, (layer * sizes.rows + t * sizes.streams) * sizes.units * sizes.operandBytes)
    }

    /// The cell states of a layer from time `t` on, of which 0 is before the sequence.
    func cells(_ layer: Int, _ t: Int) -> DeviceAddress {
        place(cells, (layer * (sizes.steps + 1) + t) * sizes.streams * sizes.units * 4)
    }

    func place(_ buffer: DeviceBuffer?, _ bytes: Int) -> DeviceAddress {
        buffer.map { $0.address + UInt64(bytes) } ?? 0
    }

    // MARK: - Forward

    /// Writes what changes from step to step.
    func write(_ values: CharnnStep, starts: [Int64]) throws(EngineError) {
        precondition(starts.count == sizes.streams)
        var bytes = withUnsafeBytes(of: values) { Array($0) }
        starts.withUnsafeBytes { bytes.append(contentsOf: $0) }
        try step.write(bytes)
    }

    /// Takes the symbols of the batch out of the text that the step names.
    func gather(steps: Int) throws(EngineError) {
        try device.launch(
            .gather, grid: (pieces(sizes.streams * (steps + 1), of: Kernel.gather.threads), 1, 1),
            CharnnGather(
                step: step.address, inputs: inputs.address, targets: targets.address, batch: Int32(sizes.streams),
                length: Int32(steps)))
    }

    /// Sets the state before the sequence.
    ///
    /// - Parameters:
    ///   - state: `[L, B, H]` each; nil: zero.
    ///   - mayReset: Whether the step says if it is zero after all.
    func begin(from state: (hidden: DeviceBuffer, cell: DeviceBuffer?)?, mayReset: Bool) throws(EngineError) {
        try device.launch(
            sizes.precision == .fp16 ? .beginHalf : .beginFloat,
            grid: (pieces(sizes.state, of: Kernel.beginFloat.threads), 1, 1),
            CharnnBegin(
                step: mayReset ? step.address : 0, fromHidden: state?.hidden.address ?? 0,
                fromCell: state?.cell?.address ?? 0, toHidden: hiddenState.address, toCell: cellState?.address ?? 0,
                hidden: hidden.address, cell: cells?.address ?? 0, hiddenLayer: Int64(sizes.hiddenLayer),
                cellLayer: Int64((sizes.steps + 1) * sizes.streams * sizes.units), layers: Int32(sizes.layers),
                batch: Int32(sizes.streams), units: Int32(sizes.units), hiddenStride: Int32(sizes.stride(sizes.units))))
    }

    /// All layers over `steps` time steps, the logits, and what `then` makes of those.
    ///
    /// A layer has a branch of the device for itself and follows the one below at a chunk's distance; behind the last comes the head.
    ///
    /// - Parameter then: What comes next for the rows of each chunk, on the head's branch.
    func run(
        steps: Int, then: (_ chunk: Range<Int>) throws(EngineError) -> Void = { _ in }
    ) throws(EngineError) {
        func work(_ layer: Int, _ chunk: Range<Int>) throws(EngineError) {
            if layer == sizes.layers {
                try head(chunk)
                try then(chunk)
            } else {
                if layer > 0 { try project(layer, chunk) }
                for t in chunk { try forward(layer, t) }
            }
        }
        let chunks = sizes.chunks(of: steps)
        // With a single one nothing is side by side, and a single step is not worth the ado.
        guard chunks.count > 1 else {
            for chunk in chunks { for layer in 0...sizes.layers { try work(layer, chunk) } }
            return
        }
        try device.streams.fork(sizes.layers + 1) { () throws(EngineError) in
            for chunk in chunks {
                var below: CUDAStreams.Mark?
                for layer in 0...sizes.layers {
                    try device.streams.on(.urgent(layer)) { () throws(EngineError) in
                        if let below { try device.streams.wait(for: below) }
                        try work(layer, chunk)
                        below = try device.streams.mark()
                    }
                }
            }
        }
    }

    /// The rows of a chunk.
    func rows(_ chunk: Range<Int>) -> Int { chunk.count * sizes.streams }

    /// The logits of a chunk.
    private func head(_ chunk: Range<Int>) throws(EngineError) {
        let stride = sizes.stride(sizes.units)
        try device.multiply(
            sizes.precision == .fp16 ? .halfNT : .floatNT, m: rows(chunk), n: sizes.symbols, k: sizes.units,
            Operand(hidden(sizes.layers - 1, chunk.lowerBound + 1), stride: stride),
            packed.map { Operand($0.head.plain, stride: stride) }
                ?? Operand(weights.address(.headWeight), stride: sizes.units),
            bias: weights.address(.headBias), into: Operand(logits(at: chunk.lowerBound), stride: sizes.symbols))
    }

    /// The input product of a layer above the first, of all rows of a chunk at once.
    private func project(_ layer: Int, _ chunk: Range<Int>) throws(EngineError) {
        guard let projected else { return }
        let stride = sizes.stride(sizes.units)
        let first = chunk.lowerBound * sizes.streams
        if dropped != nil {
            try device.dropOut(
                sizes.precision == .fp16 ? .dropoutHalf : .dropoutFloat, sizes, step: step, below: layer, chunk,
                from: hidden(layer - 1, 1), to: input(layer).address, stride: stride)
        }
        try device.multiply(
            sizes.precision == .fp16 ? .halfNT : .floatNT, m: rows(chunk), n: sizes.gateUnits, k: sizes.units,
            Operand(input(layer).address + UInt64(first * stride * sizes.operandBytes), stride: stride),
            packed.map { Operand($0.input(layer).plain, stride: stride) }
                ?? Operand(weights.address(.inputWeight(layer: layer)), stride: sizes.units),
            bias: weights.bias(ofLayer: layer),
            into: Operand(place(projected, first * sizes.gateUnits * 4), stride: sizes.gateUnits))
    }

    private func forward(_ layer: Int, _ t: Int) throws(EngineError) {
        let architecture = sizes.architecture
        let plane = UInt64(layer * sizes.streams * sizes.units * 4)
        let rows = UInt64(t * sizes.streams)
        let stride = sizes.stride(sizes.units)
        let weight = packed?.recurrent[layer].plain ?? weights.address(.recurrentWeight(layer: layer))
        let step = CharnnForwardStep(
            hiddenBefore: hidden(layer, t), weight: weight,
            input: layer == 0 ? weights.table.address : place(projected, Int(rows) * sizes.gateUnits * 4),
            symbols: layer == 0 ? inputs.address + rows * 4 : 0,
            recurrentBias: weights.address(.recurrentBias(layer: layer)),
            hiddenState: hiddenState.address + plane, cellState: cellState.map { $0.address + plane } ?? 0,
            hidden: hidden(layer, t + 1), gates: gates(layer, t), candidate: candidates(layer, t),
            cell: cells(layer, t + 1), batch: Int32(sizes.streams), units: Int32(sizes.units),
            hiddenStride: Int32(stride), gateStride: Int32(sizes.stride(sizes.gateUnits)), weightStride: Int32(stride),
            isRelu: architecture.nonlinearity == .relu ? 1 : 0)
        guard let product = plan.forward else {
            return try device.launch(
                .forward(architecture.cell, sizes.precision),
                grid: (
                    pieces(sizes.units, of: StepPlan.forwardUnits(sizes)), pieces(sizes.streams, of: CharnnStepRows), 1
                ), step)
        }
        let sums = stepSums(layer)
        try device.multiply(
            sizes.precision == .fp16 ? .halfNT : .floatNT, m: sizes.streams, n: sizes.gateUnits, k: sizes.units,
            Operand(step.hiddenBefore, stride: stride), Operand(weight, stride: stride), plan: product,
            into: Operand(sums, stride: sizes.gateUnits))
        try device.launch(
            .forwardCell(architecture.cell, sizes.precision), grid: cellGrid,
            CharnnForwardCell(step: step, sums: sums, splits: Int32(product.splits), reserved: 0))
    }

    /// Of the kernels that do the cells apart.
    var cellGrid: (x: Int, y: Int, z: Int) {
        (pieces(sizes.streams * sizes.units, of: Kernel.forwardCellRNNFloat.threads), 1, 1)
    }

    /// The products of a layer's time steps, ``StepPlan/sums`` numbers.
    func stepSums(_ layer: Int) -> DeviceAddress { place(stepSums, layer * plan.sums * 4) }

    /// The losses of a chunk's rows and, in training, the gradient of the logits.
    func loss(_ chunk: Range<Int>) throws(EngineError) {
        let first = chunk.lowerBound * sizes.streams
        try device.launch(
            sizes.precision == .fp16 ? .lossHalf : .lossFloat,
            grid: (pieces(rows(chunk), of: Kernel.lossFloat.threads / 32), 1, 1),
            CharnnLoss(
                step: step.address, logits: logits(at: chunk.lowerBound), targets: targets.address + UInt64(first * 4),
                losses: losses.address + UInt64(first * 4), gradient: logitGradient(chunk.lowerBound),
                rows: Int32(rows(chunk)), symbols: Int32(sizes.symbols), stride: Int32(sizes.stride(sizes.symbols)),
                reserved: 0))
    }

    /// The gradient of the logits from time `t` on; 0 where there is none.
    func logitGradient(_ t: Int) -> DeviceAddress {
        place(logitGradient, t * sizes.streams * sizes.stride(sizes.symbols) * sizes.operandBytes)
    }
}

extension CUDADevice {
    /// Dropout between a layer and the one below, for the rows of a chunk.
    ///
    /// - Parameters:
    ///   - from: All rows, as `to` and `stride` in ``CharnnDropout``.
    func dropOut(
        _ kernel: Kernel, _ sizes: Sizes, step: DeviceBuffer, below layer: Int, _ chunk: Range<Int>,
        from: DeviceAddress, to: DeviceAddress, stride: Int
    ) throws(EngineError) {
        let (first, rows) = (chunk.lowerBound * sizes.streams, chunk.count * sizes.streams)
        let blocks = pieces((first + rows) * sizes.units, of: 4) - first * sizes.units / 4
        try launch(
            kernel, grid: (pieces(blocks, of: kernel.threads), 1, 1),
            CharnnDropout(
                step: step.address, from: from, to: to, firstRow: Int32(first), rows: Int32(rows),
                units: Int32(sizes.units), stride: Int32(stride), layer: Int32(layer - 1),
                threshold: DropoutMask.threshold(sizes.architecture.dropout),
                factor: Float(1 / (1 - sizes.architecture.dropout)), reserved: 0))
    }
}
