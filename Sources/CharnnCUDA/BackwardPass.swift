import CCharnnCUDA
import CharnnEngine

/// The way back through a batch: the gradient of the summed loss, times the step's scale, in ``ParameterLayout``.
final class BackwardPass {
    private let forward: ForwardPass
    private let sizes: Sizes
    private let weights: CUDAWeights
    private var device: CUDADevice { weights.device }
    /// fp32, ``ParameterLayout``.
    let gradient: DeviceBuffer
    /// fp32 `[N, H]`: the gradient of what a layer hands up.
    private let above: DeviceBuffer
    /// fp32 `[L, B, H]`: what a time step hands back beside the weights' product.
    private let carried: DeviceBuffer
    /// Operands `[L, N, stride(gH)]`: the gates' gradients as a GRU's recurrent product gets them. All else finds them where the
    /// gates were.
    private let recurrentGates: DeviceBuffer?
    /// fp32 `[V, gH]`: the first layer's gates, summed over the rows of each symbol.
    private let table: DeviceBuffer
    /// fp32: sums that were split.
    private let partial: DeviceBuffer
    private let inputPlan: ProductPlan
    private let recurrentPlan: ProductPlan
    private let headPlan: ProductPlan
    private let symbolSplits: Int

    init(_ forward: ForwardPass) throws(EngineError) {
        self.forward = forward
        sizes = forward.sizes
        weights = forward.weights
        let (device, s) = (forward.device, forward.sizes)
        let bytes = Bytes(s, multiprocessors: device.multiprocessors)
        gradient = try DeviceBuffer(device, bytes: bytes.gradient)
        above = try DeviceBuffer(device, bytes: bytes.above)
        carried = try DeviceBuffer(device, bytes: bytes.carried)
        recurrentGates = bytes.recurrentGates == 0 ? nil : try DeviceBuffer(device, bytes: bytes.recurrentGates)
        table = try DeviceBuffer(device, bytes: bytes.table)
        partial = try DeviceBuffer(device, bytes: bytes.partial)
        inputPlan = bytes.input
        recurrentPlan = bytes.recurrent
        headPlan = bytes.head
        symbolSplits = bytes.symbolSplits
    }

    /// Bytes of the buffers, and how sums are split.
    struct Bytes {
        let gradient, above, carried, recurrentGates, table, partial: Int
        let input, recurrent, head: ProductPlan
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
            symbolSplits = max(1, min(8, s.rows / 256))
            gradient = s.layout.count * 4
            above = s.rows * s.units * 4
            carried = s.state * 4
            recurrentGates =
                s.architecture.cell == .gru ? s.layers * s.rows * s.stride(s.gateUnits) * s.operandBytes : 0
            table = s.symbols * s.gateUnits * 4
            let products = max(
                input.splits * s.gateUnits * s.units, recurrent.splits * s.gateUnits * s.units,
                head.splits * s.symbols * s.units)
            let sums = max(symbolSplits * s.symbols * s.gateUnits, Self.columnSplits * max(s.gateUnits, s.symbols))
            partial = max(products, sums) * 4
            total = gradient + above + carried + recurrentGates + table + partial
        }

        /// Parts into which rows are cut whose columns are summed.
        static let columnSplits = 32

        let total: Int
    }

    /// What the top layer gets of a chunk's losses.
    func enqueueHead(_ chunk: Range<Int>) throws(EngineError) {
        try multiplyBack(
            logits(from: chunk.lowerBound), chunk, k: sizes.symbols, forward.packed?.head, .headWeight)
    }

    /// Everything behind that.
    ///
    /// A layer has a branch of the device for itself and follows the one above at a chunk's distance. The weights' gradients, for
    /// which nothing waits, come aside.
    func enqueue() throws(EngineError) {
        let chunks = sizes.chunks(of: sizes.steps)
        try device.streams.fork(sizes.layers) { () throws(EngineError) in
            try device.streams.on(.aside, headGradients)
            for chunk in chunks.reversed() {
                var above: CUDAStreams.Mark?
                for layer in (0..<sizes.layers).reversed() {
                    try device.streams.on(.urgent(layer)) { () throws(EngineError) in
                        if let above {
                            try device.streams.wait(for: above)
                            try handDown(from: layer + 1, chunk)
                        }
                        for t in chunk.reversed() { try step(layer, t) }
                        above = try device.streams.mark()
                    }
                    guard chunk == chunks.first, let above else { continue }
                    try device.streams.on(.aside) { () throws(EngineError) in
                        try device.streams.wait(for: above)
                        try recurrentGradients(layer)
                        if layer > 0 { try inputGradients(layer) } else { try tableGradients() }
                    }
                }
            }
        }
    }

    private var half: Bool { sizes.precision == .fp16 }
    private var transposing: ProductKind { half ? .halfTN : .floatTN }

    private func slot(_ role: ParameterRole) -> DeviceAddress { weights.address(role, in: gradient) }

    /// The gradient of the logits from time `t` on.
    private func logits(from t: Int) -> Operand {
        Operand(forward.logitGradient(t), stride: sizes.stride(sizes.symbols))
    }

    /// The gradients of a layer's gates from time `t` on: as the input product gets them, and as the recurrent product does.
    private func gates(_ layer: Int, _ t: Int) -> Operand {
        Operand(forward.gates(layer, t), stride: sizes.stride(sizes.gateUnits))
    }

    private func recurrentGates(_ layer: Int, _ t: Int) -> Operand {
        guard let recurrentGates else { return gates(layer, t) }
        let stride = sizes.stride(sizes.gateUnits)
        let row = layer * sizes.rows + t * sizes.streams
        return Operand(forward.place(recurrentGates, row * stride * sizes.operandBytes), stride: stride)
    }

    private func headGradients() throws(EngineError) {
        let d = logits(from: 0)
        let top = Operand(forward.hidden(sizes.layers - 1, 1), stride: sizes.stride(sizes.units))
        try device.multiply(
            transposing, m: sizes.symbols, n: sizes.units, k: sizes.rows, d, top, plan: headPlan,
            partial: partial,
            into: Operand(slot(.headWeight), stride: sizes.units))
        try sumColumns(d, rows: sizes.rows, columns: sizes.symbols, into: slot(.headBias))
    }

    /// `above [rows, H] = d [rows, k] W [k, H]` of a chunk's rows.
    private func multiplyBack(
        _ d: Operand, _ chunk: Range<Int>, k: Int, _ packed: PackedWeights.Matrix?, _ role: ParameterRole
    ) throws(EngineError) {
        let rows = forward.rows(chunk)
        let result = Operand(above(chunk.lowerBound), stride: sizes.units)
        if let packed {
            try device.multiply(
                .halfNT, m: rows, n: sizes.units, k: k, d, Operand(packed.transposed, stride: sizes.stride(k)),
                into: result)
        } else {
            try device.multiply(
                .floatNN, m: rows, n: sizes.units, k: k, d, Operand(weights.address(role), stride: sizes.units),
                into: result)
        }
    }

    private func above(_ t: Int) -> DeviceAddress { forward.place(above, t * sizes.streams * sizes.units * 4) }

    /// What a layer hands to the one below, of a chunk.
    private func handDown(from layer: Int, _ chunk: Range<Int>) throws(EngineError) {
        try multiplyBack(
            gates(layer, chunk.lowerBound), chunk, k: sizes.gateUnits, forward.packed?.input(layer),
            .inputWeight(layer: layer))
        guard forward.dropped != nil else { return }
        try device.dropOut(
            .dropoutGradient, sizes, step: forward.step, below: layer, chunk, from: above.address, to: above.address,
            stride: sizes.units)
    }

    private func step(_ layer: Int, _ t: Int) throws(EngineError) {
        let (s, cell) = (sizes, sizes.architecture.cell)
        let after = recurrentGates(layer, t + 1)
        let isLast = t + 1 == s.steps
        let weight = Operand(
            forward.packed?.recurrent[layer].transposed ?? weights.address(.recurrentWeight(layer: layer)),
            stride: half ? s.stride(s.gateUnits) : s.units)
        let step = CharnnBackwardStep(
            gradientAfter: isLast ? 0 : after.address, weight: weight.address, above: above(t),
            gates: forward.gates(layer, t), candidate: forward.candidates(layer, t),
            hiddenBefore: forward.hidden(layer, t), hidden: forward.hidden(layer, t + 1),
            cellBefore: forward.cells(layer, t), cell: forward.cells(layer, t + 1),
            carried: forward.place(carried, layer * s.streams * s.units * 4), gradient: gates(layer, t).address,
            recurrentGradient: recurrentGates(layer, t).address, batch: Int32(s.streams), units: Int32(s.units),
            hiddenStride: Int32(s.stride(s.units)), gateStride: Int32(after.stride),
            weightStride: Int32(weight.stride), isRelu: s.architecture.nonlinearity == .relu ? 1 : 0)
        guard let product = forward.plan.backward else {
            return try device.launch(
                .backward(cell, s.precision),
                grid: (pieces(s.units, of: CharnnBackwardUnits), pieces(s.streams, of: CharnnStepRows), 1), step)
        }
        let sums = forward.stepSums(layer)
        if !isLast {
            try device.multiply(
                half ? .halfNT : .floatNN, m: s.streams, n: s.units, k: s.gateUnits, after, weight, plan: product,
                into: Operand(sums, stride: s.units))
        }
        try device.launch(
            .backwardCell(cell, s.precision), grid: forward.cellGrid,
            CharnnBackwardCell(step: step, sums: sums, splits: isLast ? 0 : Int32(product.splits), reserved: 0))
    }

    private func recurrentGradients(_ layer: Int) throws(EngineError) {
        let d = recurrentGates(layer, 0)
        try device.multiply(
            transposing, m: sizes.gateUnits, n: sizes.units, k: sizes.rows, d,
            Operand(forward.hidden(layer, 0), stride: sizes.stride(sizes.units)), plan: recurrentPlan,
            partial: partial, into: Operand(slot(.recurrentWeight(layer: layer)), stride: sizes.units))
        if sizes.architecture.cell == .gru {
            try sumColumns(d, rows: sizes.rows, columns: sizes.gateUnits, into: slot(.recurrentBias(layer: layer)))
        }
    }

    /// Where the other cells' recurrent bias has the same gradient as the input bias.
    private func sharedBias(_ layer: Int) -> DeviceAddress {
        sizes.architecture.cell == .gru ? 0 : slot(.recurrentBias(layer: layer))
    }

    private func inputGradients(_ layer: Int) throws(EngineError) {
        let d = gates(layer, 0)
        try device.multiply(
            transposing, m: sizes.gateUnits, n: sizes.units, k: sizes.rows, d, forward.input(layer),
            plan: inputPlan,
            partial: partial, into: Operand(slot(.inputWeight(layer: layer)), stride: sizes.units))
        try sumColumns(
            d, rows: sizes.rows, columns: sizes.gateUnits, into: slot(.inputBias(layer: layer)), and: sharedBias(layer))
    }

    /// The first layer's input weights, bias and the embedding, through the table of all symbols' input products.
    private func tableGradients() throws(EngineError) {
        try device.launch(
            half ? .symbolSumHalf : .symbolSumFloat,
            grid: (sizes.symbols, pieces(sizes.gateUnits, of: CharnnSumColumns), symbolSplits),
            CharnnSymbolSum(
                values: gates(0, 0).address, symbols: forward.inputs.address, partial: partial.address,
                rows: Int32(sizes.rows),
                columns: Int32(sizes.gateUnits), stride: Int32(sizes.stride(sizes.gateUnits)),
                vocabulary: Int32(sizes.symbols),
                splits: Int32(symbolSplits), reserved: 0))
        let d = Operand(table.address, stride: sizes.gateUnits)
        try device.reduce(partial, splits: symbolSplits, rows: sizes.symbols, columns: sizes.gateUnits, into: d)
        try device.launch(
            .columnSumFloat, grid: (pieces(sizes.gateUnits, of: CharnnSumColumns), 1, 1),
            CharnnColumnSum(
                values: table.address, partial: partial.address, rows: Int32(sizes.symbols),
                columns: Int32(sizes.gateUnits),
                stride: Int32(sizes.gateUnits), splits: 1))
        try device.reduce(
            partial, splits: 1, rows: 1, columns: sizes.gateUnits,
            into: Operand(slot(.inputBias(layer: 0)), stride: sizes.gateUnits),
            and: sharedBias(0))
        // fp32 in either precision: little work, and sums of many rows that fp16 might not hold.
        try device.multiply(
            .floatTN, m: sizes.gateUnits, n: sizes.embedding, k: sizes.symbols, d,
            Operand(weights.address(.embedding), stride: sizes.embedding),
            into: Operand(slot(.inputWeight(layer: 0)), stride: sizes.embedding))
        try device.multiply(
            .floatNN, m: sizes.symbols, n: sizes.embedding, k: sizes.gateUnits, d,
            Operand(weights.address(.inputWeight(layer: 0)), stride: sizes.embedding),
            into: Operand(slot(.embedding), stride: sizes.embedding))
    }

    private func sumColumns(
        _ values: Operand, rows: Int, columns: Int, into result: DeviceAddress, and second: DeviceAddress = 0
    ) throws(EngineError) {
        let splits = max(1, min(Bytes.columnSplits, rows / 64))
        try device.launch(
            half ? .columnSumHalf : .columnSumFloat, grid: (pieces(columns, of: CharnnSumColumns), splits, 1),
            CharnnColumnSum(
                values: values.address, partial: partial.address, rows: Int32(rows), columns: Int32(columns),
                stride: Int32(values.stride), splits: Int32(splits)))
        try device.reduce(
            partial, splits: splits, rows: 1, columns: columns, into: Operand(result, stride: columns), and: second)
    }
}
