import CCharnnCUDA
import CharnnEngine

// Names, arguments and launches of the kernels of `CCharnnCUDA/Kernels/Steps.h`: one time step of one layer, there and
// back, for each kind of cell.
//
// A step is done in one of two ways (``StepWay``): by one kernel, or by a product of `Products.swift` and a kernel for
// the cells, which adds up the splits of the product itself. Both kernels get the same arguments.

extension Kernel {
    fileprivate static func name(_ family: String, _ cell: Cell, _ precision: CUDAPrecision) -> String {
        "\(family)_\(cell.rawValue)_\(precision.kernelSuffix)"
    }
}

extension Kernel where Arguments == CharnnForwardStep {
    static func forward(_ cell: Cell, _ precision: CUDAPrecision) -> Self {
        Kernel(name("forward", cell, precision), threads: CharnnForwardThreads)
    }
}

extension Kernel where Arguments == CharnnForwardCell {
    static func forwardCell(_ cell: Cell, _ precision: CUDAPrecision) -> Self {
        Kernel(name("forward_cell", cell, precision), threads: CharnnRowThreads)
    }
}

extension Kernel where Arguments == CharnnBackwardStep {
    static func backward(_ cell: Cell, _ precision: CUDAPrecision) -> Self {
        Kernel(name("backward", cell, precision), threads: CharnnBackwardThreads)
    }
}

extension Kernel where Arguments == CharnnBackwardCell {
    static func backwardCell(_ cell: Cell, _ precision: CUDAPrecision) -> Self {
        Kernel(name("backward_cell", cell, precision), threads: CharnnRowThreads)
    }
}

// MARK: - Forward

extension CUDADevice {
    /// Time step `t` of a layer: `[B, H]` states from those of the step before, and in training what the way back
    /// needs.
    ///
    /// - Parameter b: Whose input products of that layer and time are there: those that are looked up in the weights' table,
    ///   the others in `projected`.
    func forwardStep(_ b: ForwardBuffers, layer: Int, at t: Int) throws(EngineError) {
        let sizes = b.sizes
        let cell = sizes.architecture.cell
        let step = forwardArguments(b, layer: layer, at: t)
        guard let product = b.plan.forward else {
            let units = StepPlan.forwardUnits(sizes)
            return try launch(
                .forward(cell, sizes.precision),
                grid: (pieces(sizes.units, of: units), pieces(sizes.streams, of: CharnnStepRows), 1), step)
        }
        let sums = b.stepSums(layer)
        try multiply(
            sizes.precision == .fp16 ? .halfNT : .floatNT, m: sizes.streams, n: sizes.gateUnits, k: sizes.units,
            Operand(step.hiddenBefore, stride: sizes.stride(sizes.units)),
            Operand(step.weight, stride: sizes.stride(sizes.units)), plan: product,
            into: Operand(sums, stride: sizes.gateUnits))
        let kernel = Kernel.forwardCell(cell, sizes.precision)
        try launch(
            kernel, grid: kernel.grid(covering: sizes.streams * sizes.units),
            CharnnForwardCell(step: step, sums: sums, splits: Int32(product.splits), reserved: 0))
    }

    private func forwardArguments(_ b: ForwardBuffers, layer: Int, at t: Int) -> CharnnForwardStep {
        let (sizes, weights) = (b.sizes, b.weights)
        let plane = UInt64(layer * sizes.streams * sizes.units * 4)
        let looksUp = layer == 0 && b.looksUpInput
        return CharnnForwardStep(
            hiddenBefore: b.hidden(layer, t),
            weight: b.packed?.recurrent[layer].plain ?? weights.address(.recurrentWeight(layer: layer)),
            input: looksUp ? weights.table.address : b.projected(t),
            symbols: looksUp ? b.inputs.address + UInt64(t * sizes.streams) * 4 : 0,
            recurrentBias: weights.address(.recurrentBias(layer: layer)),
            hiddenState: b.hiddenState.address + plane, cellState: b.cellState.map { $0.address + plane } ?? 0,
            hidden: b.hidden(layer, t + 1), gates: b.gates(layer, t), candidate: b.candidates(layer, t),
            cell: b.cells(layer, t + 1), batch: Int32(sizes.streams), units: Int32(sizes.units),
            hiddenStride: Int32(sizes.stride(sizes.units)), gateStride: Int32(sizes.stride(sizes.gateUnits)),
            weightStride: Int32(sizes.stride(sizes.units)),
            isRelu: sizes.architecture.nonlinearity == .relu ? 1 : 0)
    }
}

// MARK: - Backward

extension CUDADevice {
    /// Time step `t` of a layer on the way back: the gradients of its gates `[B, gH]`, from what the layer above and
    /// the step after hand back.
    func backwardStep(_ b: BackwardBuffers, layer: Int, at t: Int) throws(EngineError) {
        let sizes = b.forward.sizes
        let cell = sizes.architecture.cell
        let step = backwardArguments(b, layer: layer, at: t)
        guard let product = b.forward.plan.backward else {
            return try launch(
                .backward(cell, sizes.precision),
                grid: (pieces(sizes.units, of: CharnnBackwardUnits), pieces(sizes.streams, of: CharnnStepRows), 1), step
            )
        }
        // Nothing comes after the last step: there is no product, and no split of it.
        let isLast = t + 1 == sizes.steps
        let sums = b.forward.stepSums(layer)
        if !isLast {
            try multiply(
                sizes.precision == .fp16 ? .halfNT : .floatNN, m: sizes.streams, n: sizes.units, k: sizes.gateUnits,
                b.recurrentGates(layer, t + 1), Operand(step.weight, stride: Int(step.weightStride)), plan: product,
                into: Operand(sums, stride: sizes.units))
        }
        let kernel = Kernel.backwardCell(cell, sizes.precision)
        try launch(
            kernel, grid: kernel.grid(covering: sizes.streams * sizes.units),
            CharnnBackwardCell(step: step, sums: sums, splits: isLast ? 0 : Int32(product.splits), reserved: 0))
    }

    private func backwardArguments(_ b: BackwardBuffers, layer: Int, at t: Int) -> CharnnBackwardStep {
        let (f, sizes) = (b.forward, b.forward.sizes)
        let after = b.recurrentGates(layer, t + 1)
        // fp16 lies transposed, as the products want it; fp32 is read as it is.
        let weight =
            f.packed.map { Operand($0.recurrent[layer].transposed, stride: sizes.stride(sizes.gateUnits)) }
            ?? Operand(f.weights.address(.recurrentWeight(layer: layer)), stride: sizes.units)
        return CharnnBackwardStep(
            gradientAfter: t + 1 == sizes.steps ? 0 : after.address, weight: weight.address, above: b.above(t),
            gates: f.gates(layer, t), candidate: f.candidates(layer, t), hiddenBefore: f.hidden(layer, t),
            hidden: f.hidden(layer, t + 1), cellBefore: f.cells(layer, t), cell: f.cells(layer, t + 1),
            carried: b.carried(layer), gradient: b.gates(layer, t).address,
            recurrentGradient: b.recurrentGates(layer, t).address, batch: Int32(sizes.streams),
            units: Int32(sizes.units), hiddenStride: Int32(sizes.stride(sizes.units)),
            gateStride: Int32(after.stride), weightStride: Int32(weight.stride),
            isRelu: sizes.architecture.nonlinearity == .relu ? 1 : 0)
    }
}
