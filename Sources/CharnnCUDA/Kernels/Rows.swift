import CCharnnCUDA
import CharnnEngine

// Names, arguments and launches of the kernels of `CCharnnCUDA/Kernels/Rows.h`: what is done row by row.
//
// `N` rows are time-major: stream `b` at time `t` is row `t B + b`. "Op" is the type of the products' operands, whose
// rows lie a stride apart; all else is fp32. A chunk is a range of time steps, whose rows lie together.

// MARK: - The batch

extension Kernel where Arguments == CharnnGather {
    static var gather: Self { Kernel("gather", threads: CharnnRowThreads) }
}

extension Kernel where Arguments == CharnnBegin {
    static func begin(_ precision: CUDAPrecision) -> Self {
        Kernel("begin_\(precision.kernelSuffix)", threads: CharnnRowThreads)
    }
}

extension CUDADevice {
    /// Takes the symbols of the batch out of the text that the step names: inputs and targets `[steps, B]`.
    func gather(_ buffers: ForwardBuffers, steps: Int) throws(EngineError) {
        let streams = buffers.sizes.streams
        // One more symbol a stream than there are steps: the last one's target.
        try launch(
            .gather, grid: Kernel.gather.grid(covering: streams * (steps + 1)),
            CharnnGather(
                step: buffers.step.address, inputs: buffers.inputs.address, targets: buffers.targets.address,
                batch: Int32(streams), length: Int32(steps)))
    }

    /// Sets the state before the sequence, of all layers: the working copies `[L, B, H]`, and the rows of time 0.
    ///
    /// - Parameters:
    ///   - state: `[L, B, H]` each; nil: zero.
    ///   - mayReset: Whether the step says if it is zero after all.
    func begin(
        _ buffers: ForwardBuffers, from state: (hidden: DeviceBuffer, cell: DeviceBuffer?)?, mayReset: Bool
    ) throws(EngineError) {
        let sizes = buffers.sizes
        let kernel = Kernel.begin(sizes.precision)
        try launch(
            kernel, grid: kernel.grid(covering: sizes.state),
            CharnnBegin(
                step: mayReset ? buffers.step.address : 0, fromHidden: state?.hidden.address ?? 0,
                fromCell: state?.cell?.address ?? 0, toHidden: buffers.hiddenState.address,
                toCell: buffers.cellState?.address ?? 0, hidden: buffers.hidden.address,
                cell: buffers.cells?.address ?? 0, hiddenLayer: Int64(sizes.hiddenLayer),
                cellLayer: Int64((sizes.steps + 1) * sizes.streams * sizes.units), layers: Int32(sizes.layers),
                batch: Int32(sizes.streams), units: Int32(sizes.units), hiddenStride: Int32(sizes.stride(sizes.units))))
    }
}

// MARK: - Dropout

extension Kernel where Arguments == CharnnDropout {
    static func dropout(_ precision: CUDAPrecision) -> Self {
        Kernel("dropout_\(precision.kernelSuffix)", threads: CharnnRowThreads)
    }

    static var dropoutGradient: Self { Kernel("dropout_gradient", threads: CharnnRowThreads) }
}

extension Kernel where Arguments == CharnnEmbed {
    static func embed(_ precision: CUDAPrecision) -> Self {
        Kernel("embed_\(precision.kernelSuffix)", threads: CharnnRowThreads)
    }
}

extension CUDADevice {
    /// What the first layer reads of a chunk where it is not looked up, before anything is dropped of it.
    func embed(_ buffers: ForwardBuffers, _ chunk: Range<Int>) throws(EngineError) {
        let (sizes, kernel) = (buffers.sizes, Kernel.embed(buffers.sizes.precision))
        let (first, rows) = (chunk.lowerBound * sizes.streams, buffers.rows(chunk))
        let result = buffers.input(0)
        try launch(
            kernel, grid: kernel.grid(covering: rows * sizes.embedding),
            CharnnEmbed(
                embedding: buffers.weights.address(.embedding), symbols: buffers.inputs.address + UInt64(first * 4),
                to: result.address + UInt64(first * result.stride * sizes.operandBytes), rows: Int32(rows),
                columns: Int32(sizes.embedding), stride: Int32(result.stride), reserved: 0))
    }

    /// What a layer, or the head behind the last, reads of the one below, of a chunk: Op `[N, stride]` to another such, or
    /// in place where that is the embedding.
    func dropOut(_ buffers: ForwardBuffers, below layer: Int, _ chunk: Range<Int>) throws(EngineError) {
        let result = buffers.input(layer)
        try dropOut(
            .dropout(buffers.sizes.precision), buffers, below: layer, chunk,
            from: layer == 0 ? result.address : buffers.hidden(layer - 1, 1), to: result)
    }

    /// The same mask on the gradient that is handed down, fp32 `[N, width]`, in place.
    func dropOutGradient(
        _ gradient: DeviceBuffer, _ buffers: ForwardBuffers, below layer: Int, _ chunk: Range<Int>
    ) throws(EngineError) {
        try dropOut(
            .dropoutGradient, buffers, below: layer, chunk, from: gradient.address,
            to: Operand(gradient.address, stride: 0))
    }

    /// - Parameter from: All rows, as `to`; the chunk's are found by their numbers, which the mask depends on.
    private func dropOut(
        _ kernel: Kernel<CharnnDropout>, _ buffers: ForwardBuffers, below layer: Int, _ chunk: Range<Int>,
        from: DeviceAddress, to: Operand
    ) throws(EngineError) {
        let sizes = buffers.sizes
        guard let mask = sizes.network.mask(below: layer) else {
            preconditionFailure("nothing is dropped below layer \(layer)")
        }
        let first = chunk.lowerBound * sizes.streams
        // One that is locked is drawn for a time step's rows, and holds for those of all others.
        let rows = mask.isLocked ? sizes.streams : buffers.rows(chunk)
        let drawn = mask.isLocked ? 0 : first
        // A thread takes the four numbers of a block of the generator; chunks may begin within one.
        let blocks = pieces((drawn + rows) * mask.width, of: 4) - drawn * mask.width / 4
        try launch(
            kernel, grid: kernel.grid(covering: blocks),
            CharnnDropout(
                step: buffers.step.address, from: from, to: to.address, firstRow: Int32(first), rows: Int32(rows),
                units: Int32(mask.width), stride: Int32(to.stride), mask: Int32(mask.counter),
                threshold: DropoutMask.threshold(mask.probability),
                factor: Float(1 / (1 - mask.probability)), lockedSteps: mask.isLocked ? Int32(chunk.count) : 0))
    }
}

// MARK: - Loss

extension Kernel where Arguments == CharnnLoss {
    static func loss(_ precision: CUDAPrecision) -> Self {
        Kernel("loss_\(precision.kernelSuffix)", threads: CharnnRowThreads)
    }
}

extension Kernel where Arguments == CharnnScores {
    static var scores: Self { Kernel("scores", threads: CharnnRowThreads) }
}

extension CUDADevice {
    /// Of a chunk's logits `[rows, V]` the losses in nats at each temperature, into fp32 `[temperatures, N]`.
    ///
    /// - Parameter inverses: fp32 `[temperatures]`, of the temperatures.
    func scores(
        _ buffers: ForwardBuffers, _ chunk: Range<Int>, inverses: DeviceBuffer, temperatures: Int,
        into losses: DeviceBuffer
    ) throws(EngineError) {
        let sizes = buffers.sizes
        let (first, rows) = (UInt64(chunk.lowerBound * sizes.streams), buffers.rows(chunk))
        // A warp takes a row.
        try launch(
            .scores, grid: (pieces(rows, of: Kernel.scores.threads / 32), 1, 1),
            CharnnScores(
                logits: buffers.logits(at: chunk.lowerBound), targets: buffers.targets.address + first * 4,
                inverses: inverses.address, losses: losses.address + first * 4, rows: Int32(rows),
                symbols: Int32(sizes.symbols), temperatures: Int32(temperatures), lossStride: Int32(sizes.rows)))
    }

    /// Of a chunk's logits `[rows, V]` the losses in nats and the gradient of their sum times the step's
    /// scale, Op `[rows, stride(V)]`.
    func loss(_ buffers: ForwardBuffers, _ chunk: Range<Int>) throws(EngineError) {
        let sizes = buffers.sizes
        let kernel = Kernel.loss(sizes.precision)
        let (first, rows) = (UInt64(chunk.lowerBound * sizes.streams), buffers.rows(chunk))
        // A warp takes a row.
        try launch(
            kernel, grid: (pieces(rows, of: kernel.threads / 32), 1, 1),
            CharnnLoss(
                step: buffers.step.address, logits: buffers.logits(at: chunk.lowerBound),
                targets: buffers.targets.address + first * 4, losses: buffers.losses.address + first * 4,
                gradient: buffers.logitGradient(chunk.lowerBound), rows: Int32(rows), symbols: Int32(sizes.symbols),
                stride: Int32(sizes.stride(sizes.symbols)), reserved: 0))
    }
}

// MARK: - Sums over rows

extension Kernel where Arguments == CharnnSymbolSum {
    static func symbolSum(_ precision: CUDAPrecision) -> Self {
        Kernel("symbol_sum_\(precision.kernelSuffix)", threads: CharnnSumColumns)
    }
}

extension Kernel where Arguments == CharnnColumnSum {
    static func columnSum(_ precision: CUDAPrecision) -> Self {
        Kernel("column_sum_\(precision.kernelSuffix)", threads: CharnnSumColumns)
    }
}

extension CUDADevice {
    /// `partial [splits, V, columns]`: of each symbol the sum of the rows whose symbol it is.
    ///
    /// - Parameters:
    ///   - values: Op `[rows, columns]`.
    ///   - symbols: `[rows]` of 32 bits, each below `vocabulary`.
    func sumBySymbol(
        _ values: Operand, _ precision: CUDAPrecision, rows: Int, columns: Int, symbols: DeviceBuffer, vocabulary: Int,
        partial: DeviceBuffer, splits: Int
    ) throws(EngineError) {
        try launch(
            .symbolSum(precision), grid: (vocabulary, pieces(columns, of: CharnnSumColumns), splits),
            CharnnSymbolSum(
                values: values.address, symbols: symbols.address, partial: partial.address, rows: Int32(rows),
                columns: Int32(columns), stride: Int32(values.stride), vocabulary: Int32(vocabulary),
                splits: Int32(splits), reserved: 0))
    }

    /// `partial [splits, columns]`: the sums of the columns of Op `[rows, columns]`.
    func sumColumns(
        _ values: Operand, _ precision: CUDAPrecision, rows: Int, columns: Int, partial: DeviceBuffer, splits: Int
    ) throws(EngineError) {
        try launch(
            .columnSum(precision), grid: (pieces(columns, of: CharnnSumColumns), splits, 1),
            CharnnColumnSum(
                values: values.address, partial: partial.address, rows: Int32(rows), columns: Int32(columns),
                stride: Int32(values.stride), splits: Int32(splits)))
    }
}
