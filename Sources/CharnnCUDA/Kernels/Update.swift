import CCharnnCUDA
import CharnnEngine

// Names, arguments and launches of those kernels of `CCharnnCUDA/Kernels/Update.h` that end a step: the gradient's
// norm, the decision, the optimiser, the state.
//
// The decision is made on the device and lies in its status, so that nothing waits for the host: what comes after it
// changes nothing where the step does not apply, and neither do the steps behind it.

extension Kernel where Arguments == CharnnNorm {
    static var gradientNorm: Self { Kernel("gradient_norm", threads: CharnnRowThreads) }
}

extension Kernel where Arguments == CharnnConclusion {
    static var conclude: Self { Kernel("conclude", threads: CharnnConcludeThreads) }
}

extension Kernel where Arguments == CharnnParameterUpdate {
    static var update: Self { Kernel("update", threads: CharnnRowThreads) }
}

extension Kernel where Arguments == CharnnExchange {
    static var exchange: Self { Kernel("exchange", threads: CharnnRowThreads) }
}

extension Kernel where Arguments == CharnnCommit {
    static var commit: Self { Kernel("commit", threads: CharnnRowThreads) }
}

extension CUDADevice {
    /// `norms` fp64 `[CharnnNormBlocks]`: the sums of squares of the mean loss's gradient, a part each.
    ///
    /// - Parameters:
    ///   - gradient: fp32 `[count]`, of the summed loss times the step's scale.
    ///   - rows: How many losses were summed.
    func gradientNorm(
        of gradient: DeviceBuffer, count: Int, rows: Int, step: DeviceBuffer, norms: DeviceBuffer
    ) throws(EngineError) {
        try launch(
            .gradientNorm, grid: (CharnnNormBlocks, 1, 1),
            CharnnNorm(
                step: step.address, gradient: gradient.address, partial: norms.address, count: Int64(count),
                scale: Float(1 / Double(rows)), reserved: 0))
    }

    /// Decides from losses fp32 `[rows]` and norms what becomes of the step: into ``CharnnStatus``, and the step's slot
    /// of the outcomes.
    ///
    /// - Parameter isScaled: Whether a gradient that is not finite may be the scale's fault.
    func conclude(
        step: DeviceBuffer, status: DeviceBuffer, outcomes: DeviceBuffer, losses: DeviceBuffer, norms: DeviceBuffer,
        rows: Int, isScaled: Bool
    ) throws(EngineError) {
        // A single block, whose sums run in one order.
        try launch(
            .conclude, grid: (1, 1, 1),
            CharnnConclusion(
                step: step.address, status: status.address, outcomes: outcomes.address, losses: losses.address,
                norms: norms.address, rows: Int32(rows), isScaled: isScaled ? 1 : 0))
    }

    /// The optimiser on parameters, gradient and moments, and the average of the parameters, fp32 in the layout each; a
    /// moment that the rule has not is nil, as is an average that is not kept.
    func update(
        _ parameters: DeviceBuffer, gradient: DeviceBuffer, first: DeviceBuffer?, second: DeviceBuffer?,
        average: DeviceBuffer?, _ layout: ParameterLayout, step: DeviceBuffer, status: DeviceBuffer
    ) throws(EngineError) {
        for (range, decays) in layout.decayRanges {
            let place = UInt64(range.lowerBound * 4)
            try launch(
                .update, grid: Kernel.update.grid(covering: range.count),
                CharnnParameterUpdate(
                    step: step.address, status: status.address, parameters: parameters.address + place,
                    gradient: gradient.address + place, first: first.map { $0.address + place } ?? 0,
                    second: second.map { $0.address + place } ?? 0,
                    average: average.map { $0.address + place } ?? 0, count: Int64(range.count),
                    decays: decays ? 1 : 0, reserved: 0))
        }
    }

    /// Exchanges the contents of two buffers of fp32 `[count]`.
    func exchange(_ first: DeviceBuffer, _ second: DeviceBuffer, count: Int) throws(EngineError) {
        try launch(
            .exchange, grid: Kernel.exchange.grid(covering: count),
            CharnnExchange(first: first.address, second: second.address, count: Int64(count)))
    }

    /// Takes the working state over, `[L, B, H]` each, `count` numbers.
    func commit(
        from working: (hidden: DeviceBuffer, cell: DeviceBuffer?),
        to state: (hidden: DeviceBuffer, cell: DeviceBuffer?), count: Int, status: DeviceBuffer
    ) throws(EngineError) {
        try launch(
            .commit, grid: Kernel.commit.grid(covering: count),
            CharnnCommit(
                status: status.address, fromHidden: working.hidden.address, fromCell: working.cell?.address ?? 0,
                toHidden: state.hidden.address, toCell: state.cell?.address ?? 0, count: Int32(count), reserved: 0))
    }
}
