import CharnnEngine

// The order of the way back; its memory is described in `BackwardBuffers.swift`, its kernels in `Kernels/`.
//
// Layers run side by side, a branch of the device each, from the top and from the last chunk of time steps on: a layer
// begins with a chunk when the one above has ended with it. The weights' gradients, for which nothing waits, come
// aside, all on one branch, where they share the memory for split sums. All of it can be captured in a graph.

/// The way back through a batch: the gradient of the summed loss, times the step's scale, in ``ParameterLayout``.
final class BackwardPass {
    let buffers: BackwardBuffers
    private let forward: ForwardBuffers
    private let sizes: Sizes
    private let weights: CUDAWeights
    private var device: CUDADevice { weights.device }

    init(_ forward: ForwardBuffers) throws(EngineError) {
        buffers = try BackwardBuffers(forward)
        self.forward = forward
        sizes = forward.sizes
        weights = forward.weights
    }

    /// What the top layer gets of a chunk's losses.
    func enqueueHead(_ chunk: Range<Int>) throws(EngineError) {
        try multiplyBack(
            buffers.logits(from: chunk.lowerBound), chunk, k: sizes.symbols, forward.packed?.head, .headWeight,
            into: Operand(buffers.above(chunk.lowerBound), stride: sizes.units))
        try drop(buffers.above, below: sizes.layers, chunk)
    }

    /// Everything behind that.
    func enqueue() throws(EngineError) {
        let chunks = sizes.chunks(of: sizes.steps)
        let streams = device.streams
        try streams.fork(sizes.layers) { () throws(EngineError) in
            try streams.on(.aside, headGradients)
            for chunk in chunks.reversed() {
                var above: CUDAStreams.Mark?
                for layer in (0..<sizes.layers).reversed() {
                    try streams.on(.urgent(layer)) { () throws(EngineError) in
                        if let above {
                            try streams.wait(for: above)
                            try handDown(from: layer + 1, chunk)
                        }
                        for t in chunk.reversed() { try device.backwardStep(buffers, layer: layer, at: t) }
                        above = try streams.mark()
                    }
                    guard chunk == chunks.first, let above else { continue }
                    try streams.on(.aside) { () throws(EngineError) in
                        try streams.wait(for: above)
                        try recurrentGradients(layer)
                        if layer == 0, forward.looksUpInput { return try tableGradients() }
                        try inputGradients(layer)
                        if layer == 0 { try embeddingGradients() }
                    }
                }
            }
        }
    }

    // MARK: - From layer to layer

    /// `[rows, n] = d [rows, k] W [k, n]` of a chunk's rows, where `n` is the result's stride.
    private func multiplyBack(
        _ d: Operand, _ chunk: Range<Int>, k: Int, _ packed: PackedWeights.Matrix?, _ role: ParameterRole,
        into result: Operand
    ) throws(EngineError) {
        let (rows, n) = (forward.rows(chunk), result.stride)
        if let packed {
            try device.multiply(
                .halfNT, m: rows, n: n, k: k, d, Operand(packed.transposed, stride: sizes.stride(k)), into: result)
        } else {
            try device.multiply(
                .floatNN, m: rows, n: n, k: k, d, Operand(weights.address(role), stride: n), into: result)
        }
    }

    /// The gradient of what a layer reads, or the head behind the last: nothing of it where that was dropped.
    private func drop(_ gradient: DeviceBuffer, below layer: Int, _ chunk: Range<Int>) throws(EngineError) {
        guard forward.drops(below: layer) else { return }
        try device.dropOutGradient(gradient, forward, below: layer, chunk)
    }

    /// What a layer hands to the one below, of a chunk.
    private func handDown(from layer: Int, _ chunk: Range<Int>) throws(EngineError) {
        try multiplyBack(
            buffers.gates(layer, chunk.lowerBound), chunk, k: sizes.gateUnits, forward.packed?.input(layer),
            .inputWeight(layer: layer), into: Operand(buffers.above(chunk.lowerBound), stride: sizes.units))
        try drop(buffers.above, below: layer, chunk)
    }

    // MARK: - The weights' gradients

    /// `[m, n] = d^T [m, N] x [N, n]`, the gradient of a weight matrix.
    private func weightGradient(
        _ role: ParameterRole, m: Int, n: Int, _ d: Operand, _ x: Operand, _ plan: ProductPlan
    ) throws(EngineError) {
        try device.multiply(
            sizes.precision == .fp16 ? .halfTN : .floatTN, m: m, n: n, k: sizes.rows, d, x, plan: plan,
            partial: buffers.partial, into: Operand(buffers.gradient(role), stride: n))
    }

    /// The sums of the columns of `d [N, columns]`, the gradient of a bias, and of a second one if it is given.
    private func biasGradient(
        _ d: Operand, columns: Int, into result: DeviceAddress, and second: DeviceAddress = 0
    ) throws(EngineError) {
        let splits = max(1, min(BackwardBuffers.Bytes.columnSplits, sizes.rows / 64))
        try device.sumColumns(
            d, sizes.precision, rows: sizes.rows, columns: columns, partial: buffers.partial, splits: splits)
        try device.reduce(
            buffers.partial, splits: splits, rows: 1, columns: columns, into: Operand(result, stride: columns),
            and: second)
    }

    /// Where the recurrent bias has the same gradient as the input bias, unless gates stand apart.
    private func sharedBias(_ layer: Int) -> DeviceAddress {
        !sizes.network.gatesApart.isEmpty ? 0 : buffers.gradient(.recurrentBias(layer: layer))
    }

    private func headGradients() throws(EngineError) {
        let d = buffers.logits(from: 0)
        try weightGradient(
            .headWeight, m: sizes.symbols, n: sizes.units, d, forward.input(sizes.layers), buffers.headPlan)
        try biasGradient(d, columns: sizes.symbols, into: buffers.gradient(.headBias))
    }

    private func recurrentGradients(_ layer: Int) throws(EngineError) {
        let d = buffers.recurrentGates(layer, 0)
        let before = Operand(forward.hidden(layer, 0), stride: sizes.stride(sizes.units))
        try weightGradient(
            .recurrentWeight(layer: layer), m: sizes.gateUnits, n: sizes.units, d, before, buffers.recurrentPlan)
        if !sizes.network.gatesApart.isEmpty {
            try biasGradient(d, columns: sizes.gateUnits, into: buffers.gradient(.recurrentBias(layer: layer)))
        }
    }

    private func inputGradients(_ layer: Int) throws(EngineError) {
        let d = buffers.gates(layer, 0)
        try weightGradient(
            .inputWeight(layer: layer), m: sizes.gateUnits, n: sizes.architecture.inputSize(ofLayer: layer), d,
            forward.input(layer), layer == 0 ? buffers.embeddedPlan : buffers.inputPlan)
        try biasGradient(
            d, columns: sizes.gateUnits, into: buffers.gradient(.inputBias(layer: layer)), and: sharedBias(layer))
    }

    /// The embedding, from the gradient of what the first layer read.
    private func embeddingGradients() throws(EngineError) {
        guard let embedded = buffers.embedded else { return }
        let (all, d) = (0..<sizes.steps, Operand(embedded.address, stride: sizes.embedding))
        try multiplyBack(
            buffers.gates(0, 0), all, k: sizes.gateUnits, forward.packed?.input(0), .inputWeight(layer: 0), into: d)
        try drop(embedded, below: 0, all)
        try device.sumBySymbol(
            d, .fp32, rows: sizes.rows, columns: sizes.embedding, symbols: forward.inputs, vocabulary: sizes.symbols,
            partial: buffers.partial, splits: buffers.symbolSplits)
        try device.reduce(
            buffers.partial, splits: buffers.symbolSplits, rows: sizes.symbols, columns: sizes.embedding,
            into: Operand(buffers.gradient(.embedding), stride: sizes.embedding))
    }

    /// The first layer's input weights, bias and the embedding, through the table of all symbols' input products.
    private func tableGradients() throws(EngineError) {
        guard let table = buffers.table else { return }
        let (partial, splits) = (buffers.partial, buffers.symbolSplits)
        try device.sumBySymbol(
            buffers.gates(0, 0), sizes.precision, rows: sizes.rows, columns: sizes.gateUnits, symbols: forward.inputs,
            vocabulary: sizes.symbols, partial: partial, splits: splits)
        let d = Operand(table.address, stride: sizes.gateUnits)
        try device.reduce(partial, splits: splits, rows: sizes.symbols, columns: sizes.gateUnits, into: d)
        try device.sumColumns(
            d, .fp32, rows: sizes.symbols, columns: sizes.gateUnits, partial: partial, splits: 1)
        try device.reduce(
            partial, splits: 1, rows: 1, columns: sizes.gateUnits,
            into: Operand(buffers.gradient(.inputBias(layer: 0)), stride: sizes.gateUnits), and: sharedBias(0))
        // fp32 in either precision: little work, and sums of many rows that fp16 might not hold.
        try device.multiply(
            .floatTN, m: sizes.gateUnits, n: sizes.embedding, k: sizes.symbols, d,
            Operand(weights.address(.embedding), stride: sizes.embedding),
            into: Operand(buffers.gradient(.inputWeight(layer: 0)), stride: sizes.embedding))
        try device.multiply(
            .floatNN, m: sizes.symbols, n: sizes.embedding, k: sizes.gateUnits, d,
            Operand(weights.address(.inputWeight(layer: 0)), stride: sizes.embedding),
            into: Operand(buffers.gradient(.embedding), stride: sizes.embedding))
    }
}
