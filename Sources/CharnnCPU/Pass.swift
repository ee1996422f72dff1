import CCharnnKernels
import CharnnEngine

/// One sequence through the network: the work of one shard forward and backward, and the gradients of the weights.
///
/// Shards share nothing that is written, so a shard runs from the first layer's first step to the last gradient of its
/// own without waiting for another; the gradients of the weights follow, split by rows of the weights.
struct Pass {
    let compute: Compute
    let weights: Weights
    let workspace: Workspace
    /// Dropout's key and step number; nil: no dropout.
    var dropout: (seed: UInt64, step: UInt64)?
    /// The large products on kernels of our own; nil: the library's.
    var packed: PackedProducts?
    /// What is told of the targets; nil: what training needs.
    var scoring: Scoring?

    /// Losses at several temperatures.
    struct Scoring {
        let inverseTemperatures: [Float]
        /// `[temperatures, B T]`, in the order of rows.
        let losses: Buffer<Float>
    }

    /// Brings all that is derived from the weights up to date.
    ///
    /// - Parameter products: What the workspace was made for.
    init(
        _ compute: Compute, _ weights: Weights, _ workspace: Workspace, _ products: CharnnProductKernels?,
        isTraining: Bool
    ) throws(EngineError) {
        (self.compute, self.weights, self.workspace) = (compute, weights, workspace)
        try weights.prepare(table: workspace.usesTable, compute)
        guard let products, let buffers = workspace.packed else { return }
        packed = PackedProducts(
            kernels: products,
            weights: try weights.packed(
                for: products, table: workspace.usesTable, backward: isTraining, compute.pool),
            workspace: buffers, sharing: workspace.shards.count == 1 ? compute : nil)
    }

    var d: Dimensions { weights.dimensions }
    var kernels: CharnnKernels { compute.kernels }

    /// A shard's place in the buffers.
    struct Place {
        let index: Int
        let shard: Shard
        /// Rows of a time step.
        let rows: Int
        /// The first row in `[B T, ...]` and in `[B (T + 1), ...]`.
        let first: Int
        let firstState: Int
    }

    func place(_ index: Int) -> Place {
        let shard = workspace.shards[index]
        return Place(
            index: index, shard: shard, rows: shard.count, first: shard.first * workspace.capacity,
            firstState: shard.first * (workspace.capacity + 1))
    }

    /// What a layer reads, of a shard, `[T R, in]`; or the head, as the one above the last layer.
    func input(_ layer: Int, _ place: Place) -> UnsafePointer<Float> {
        if layer == 0 { return UnsafePointer(workspace.embedded.base + place.first * d.embedding) }
        let below = workspace.layers[layer - 1]
        if dropout != nil, let dropped = below.dropped {
            return UnsafePointer(dropped.base + place.first * d.units)
        }
        return UnsafePointer(below.hidden.base + (place.firstState + place.rows) * d.units)
    }

    /// The shard's part of the gradient of a layer's output; of whatever width, it starts at the same place, so that
    /// shards at different layers do not meet.
    func outputGradient(_ place: Place) -> UnsafeMutablePointer<Float> {
        let width = workspace.usesTable ? d.units : max(d.units, d.embedding)
        return workspace.outputGradient.base + place.first * width
    }

    // MARK: - Forward

    /// All layers over all time steps for one shard.
    func forward(_ index: Int) {
        let place = place(index)
        for layer in 0..<d.layerCount { forward(layer, place) }
    }

    private func forward(_ layer: Int, _ place: Place) {
        let (H, gH, R) = (d.units, d.gateUnits, place.rows)
        let buffers = workspace.layers[layer]
        let gates = buffers.gates.base + place.first * gH
        let hidden = buffers.hidden.base + place.firstState * H
        let scratch = workspace.scratch[place.index]
        let table = layer == 0 && workspace.usesTable ? weights.table : nil
        if table == nil {
            if layer == 0 { embed(place) }
            inputProduct(layer, place, into: gates)
        }
        let advance = kernels.forward(d.architecture)
        var step = CharnnCellForward(
            rows: R, units: H, input: gates, symbols: nil, recurrent: scratch.recurrent.base,
            bias: weights.bias.base + layer * gH, candidateBias: nil, gates: gates, candidate: nil,
            hiddenBefore: hidden, cellBefore: nil, hidden: hidden, cell: nil)
        step.candidateBias = weights.candidateBias(layer)
        for t in 0..<workspace.steps {
            let before = hidden + t * R * H
            recurrentProduct(layer, place, before, into: scratch.recurrent.base)
            step.gates = gates + t * R * gH
            step.input = UnsafePointer(step.gates)
            if let table {
                step.input = UnsafePointer(table.base)
                step.symbols = UnsafePointer(workspace.inputs.base + place.first + t * R)
            }
            step.candidate = buffers.candidate.map { $0.base + (place.first + t * R) * d.apartUnits.count }
            if let cell = buffers.cell {
                step.cellBefore = UnsafePointer(cell.base + (place.firstState + t * R) * H)
                step.cell = cell.base + (place.firstState + (t + 1) * R) * H
            }
            step.hiddenBefore = UnsafePointer(before)
            step.hidden = before + R * H
            advance(&step)
            if let dropped = buffers.dropped {
                drop(step.hidden, into: dropped.base + (place.first + t * R) * H, below: layer + 1, time: t, place)
            }
        }
    }

    /// The product of a layer's input at all time steps, `[T R, in]`, and its weights.
    private func inputProduct(_ layer: Int, _ place: Place, into result: UnsafeMutablePointer<Float>) {
        let (rows, width) = (workspace.steps * place.rows, d.layers[layer].inputSize)
        if let packed {
            packed.multiply(
                input(layer, place), rows: rows, columns: width, stride: width,
                by: packed.weights.layers[layer].inputForward,
                into: result, shard: place.index)
        } else {
            compute.product(
                rows, d.gateUnits, width, input(layer, place),
                weights: weights.parameters.base + d.layers[layer].inputWeight, into: result)
        }
    }

    /// The product of a hidden state, `[R, H]`, and a layer's recurrent weights.
    private func recurrentProduct(
        _ layer: Int, _ place: Place, _ hidden: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>
    ) {
        let (H, gH, rows) = (d.units, d.gateUnits, place.rows)
        if let packed {
            packed.multiply(
                hidden, rows: rows, columns: H, stride: H, by: packed.weights.layers[layer].recurrentForward,
                into: result,
                shard: place.index)
        } else {
            compute.product(
                rows, gH, H, hidden, weights: weights.parameters.base + d.layers[layer].recurrentWeight, into: result)
        }
    }

    /// Copies the embeddings of the shard's symbols, but for what is dropped of them.
    private func embed(_ place: Place) {
        let width = d.embedding
        for row in place.first..<place.first + workspace.steps * place.rows {
            let source = weights.parameters.base + Int(workspace.inputs.base[row]) * width
            (workspace.embedded.base + row * width).update(from: source, count: width)
        }
        drop(workspace.embedded.base + place.first * width, below: 0, place)
    }

    /// Drops of what a layer reads, or of its gradient, in place and at all time steps, `[T R, width]`.
    func drop(_ rows: UnsafeMutablePointer<Float>, below layer: Int, _ place: Place) {
        guard dropout != nil, let mask = d.masks[layer] else { return }
        for t in 0..<workspace.steps {
            let step = rows + t * place.rows * mask.width
            drop(step, into: step, below: layer, time: t, place)
        }
    }

    /// The same at one time step, `[R, width]`; in the layout of ``DropoutMask``.
    private func drop(
        _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, below layer: Int, time: Int,
        _ place: Place
    ) {
        guard let dropout, let mask = d.masks[layer] else { return }
        let stream = (mask.isLocked ? 0 : time * workspace.streams) + place.shard.first
        kernels.dropout(
            target, source, place.rows * mask.width, UInt64(stream * mask.width), dropout.seed,
            UInt32(truncatingIfNeeded: dropout.step),
            UInt32(truncatingIfNeeded: dropout.step >> 32) << 16 | UInt32(mask.counter),
            Philox.Purpose.dropout.rawValue, DropoutMask.threshold(mask.probability), Float(1 / (1 - mask.probability)))
    }

    // MARK: - Loss

    /// The loss of every row of one shard, chunk by chunk; but for scoring also the gradient of the top layer's output
    /// and the shard's part of the head's gradient.
    func head(_ index: Int) {
        let place = place(index)
        let (H, V) = (d.units, d.symbols)
        let scratch = workspace.scratch[index]
        let parameters = weights.parameters.base
        let top = input(d.layerCount, place)
        let total = workspace.steps * place.rows
        let scale = 1 / Float(workspace.steps * workspace.streams)
        if scoring == nil { scratch.headBiasGradient.base.update(repeating: 0, count: V) }
        for first in stride(from: 0, to: total, by: workspace.chunkRows) {
            let rows = min(workspace.chunkRows, total - first)
            let (hidden, logits) = (top + first * H, scratch.logits.base)
            headProduct(hidden, rows: rows, into: logits, index)
            let (row, bias) = (place.first + first, parameters + d.headBias)
            if let scoring {
                let count = scoring.inverseTemperatures.count
                kernels.scores(
                    logits, bias, workspace.targets.base + row, rows, V, scoring.inverseTemperatures, count,
                    scoring.losses.base + row, scoring.losses.count / count)
                continue
            }
            kernels.crossEntropy(
                logits, bias, workspace.targets.base + row, rows, V, scale, workspace.losses.base + row,
                scratch.headBiasGradient.base)
            if let packed {
                packed.multiply(
                    logits, rows: rows, columns: V, stride: V, by: packed.weights.headBackward,
                    into: outputGradient(place) + first * H, shard: index)
            } else {
                compute.blas.multiply(
                    rows, H, V, .plain(logits, stride: V), .plain(parameters + d.headWeight, stride: H),
                    into: outputGradient(place) + first * H, stride: H)
            }
            compute.blas.multiply(
                V, H, rows, .transposed(logits, stride: V), .plain(hidden, stride: H), beta: first == 0 ? 0 : 1,
                into: scratch.headWeightGradient.base, stride: H)
        }
        drop(outputGradient(place), below: d.layerCount, place)
    }

    private func headProduct(
        _ hidden: UnsafePointer<Float>, rows: Int, into logits: UnsafeMutablePointer<Float>, _ shard: Int
    ) {
        if let packed {
            packed.multiply(
                hidden, rows: rows, columns: d.units, stride: d.units, by: packed.weights.headForward, into: logits,
                shard: shard)
        } else {
            compute.product(
                rows, d.symbols, d.units, hidden, weights: weights.parameters.base + d.headWeight, into: logits)
        }
    }
}
