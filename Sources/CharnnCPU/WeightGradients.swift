import CCharnnKernels
import CharnnEngine

/// The gradients of the weights from those of the gates, as tasks that write to different places.
///
/// A task's sum runs over the shards in order, so it does not matter which thread runs it. The list depends on the
/// architecture alone.
struct WeightGradients {
    enum Task {
        /// Rows of a layer's weights, the recurrent and the input's; either of gates that stand apart or of the others.
        case layer(Int, rows: Range<Int>)
        case biases
        /// Rows of the head's weights.
        case head(rows: Range<Int>)
        /// Columns of the embeddings, which wait for the tasks above.
        case embedding(columns: Range<Int>)
    }

    let independent: [Task]
    let last: [Task]

    init(_ d: Dimensions) {
        var tasks: [Task] = []
        for layer in (0..<d.layerCount).reversed() {
            for part in [0..<d.addedUnits, d.apartUnits] {
                tasks += pieces(of: part, by: PackedWorkspace.block.columns).map { .layer(layer, rows: $0) }
            }
        }
        tasks += pieces(of: 0..<d.symbols, by: 256).map { .head(rows: $0) }
        tasks.append(.biases)
        independent = tasks
        last = pieces(of: 0..<d.embedding, by: 64).map { .embedding(columns: $0) }
    }
}

func pieces(of range: Range<Int>, by length: Int) -> [Range<Int>] {
    stride(from: range.lowerBound, to: range.upperBound, by: length).map {
        $0..<min($0 + length, range.upperBound)
    }
}

extension Pass {
    /// Writes all gradients to `gradient`, in ``ParameterLayout``.
    func weightGradients(_ tasks: WeightGradients, into gradient: UnsafeMutablePointer<Float>) {
        compute.pool.run(tasks.independent.count) { run(tasks.independent[$0], gradient) }
        compute.pool.run(tasks.last.count) { run(tasks.last[$0], gradient) }
    }

    private func run(_ task: WeightGradients.Task, _ gradient: UnsafeMutablePointer<Float>) {
        switch task {
        case .layer(let layer, let rows):
            if let packed {
                packedGradients(packed, layer, rows, gradient)
            } else {
                libraryGradients(layer, rows, gradient)
            }
            if looksUp(layer) { tableGradient(rows, gradient) }
        case .biases:
            biasGradients(gradient)
        case .head(let rows):
            let units = d.units
            let target = gradient + d.headWeight + rows.lowerBound * units
            for (index, scratch) in workspace.scratch.enumerated() {
                let source = scratch.headWeightGradient.base + rows.lowerBound * units
                if index == 0 {
                    target.update(from: source, count: rows.count * units)
                } else {
                    kernels.add(target, source, rows.count * units)
                }
            }
        case .embedding(let columns):
            embeddingGradient(columns, gradient)
        }
    }

    /// Whether a layer's input product is looked up, so that its weights' gradient comes from the table's.
    private func looksUp(_ layer: Int) -> Bool { layer == 0 && workspace.usesTable }

    /// What the gradients of so many rows of the recurrent weights are products of: columns of the gates' gradients, but
    /// of the recurrent part for gates that stand apart.
    private func recurrentOperand(_ layer: Int, _ rows: Range<Int>) -> (Buffer<Float>, columns: Int, Range<Int>) {
        let buffers = workspace.layers[layer]
        let first = d.addedUnits
        guard let candidate = buffers.candidate, rows.lowerBound >= first else {
            return (buffers.gates, d.gateUnits, rows)
        }
        return (candidate, d.apartUnits.count, rows.lowerBound - first..<rows.upperBound - first)
    }

    private func packedGradients(
        _ packed: PackedProducts, _ layer: Int, _ rows: Range<Int>, _ gradient: UnsafeMutablePointer<Float>
    ) {
        let (H, place, own) = (d.units, d.layers[layer], packed.workspace.layers[layer])
        let recurrent = PackedProducts.Gradient(
            right: own.hidden, columns: H, target: gradient + place.recurrentWeight + rows.lowerBound * H)
        let input = PackedProducts.Gradient(
            right: own.input, columns: place.inputSize,
            target: gradient + place.inputWeight + rows.lowerBound * place.inputSize)
        let inputs = looksUp(layer) ? [] : [input]
        let gates = workspace.layers[layer].gates
        let (left, columns, range) = recurrentOperand(layer, rows)
        if left === gates {
            packed.weightGradients(gates, leftColumns: columns, rows: rows, [recurrent] + inputs, self)
        } else {
            packed.weightGradients(left, leftColumns: columns, rows: range, [recurrent], self)
            packed.weightGradients(gates, leftColumns: d.gateUnits, rows: rows, inputs, self)
        }
    }

    private func libraryGradients(_ layer: Int, _ rows: Range<Int>, _ gradient: UnsafeMutablePointer<Float>) {
        let (H, gH, width) = (d.units, d.gateUnits, d.layers[layer].inputSize)
        let (left, columns, range) = recurrentOperand(layer, rows)
        for index in workspace.shards.indices {
            let place = place(index)
            let (sum, beta) = (workspace.steps * place.rows, Float(index == 0 ? 0 : 1))
            compute.blas.multiply(
                rows.count, H, sum,
                .transposed(left.base + place.first * columns + range.lowerBound, stride: columns),
                .plain(workspace.layers[layer].hidden.base + place.firstState * H, stride: H), beta: beta,
                into: gradient + d.layers[layer].recurrentWeight + rows.lowerBound * H, stride: H)
            guard !looksUp(layer) else { continue }
            compute.blas.multiply(
                rows.count, width, sum,
                .transposed(
                    workspace.layers[layer].gates.base + place.first * gH + rows.lowerBound, stride: gH),
                .plain(input(layer, place), stride: width), beta: beta,
                into: gradient + d.layers[layer].inputWeight + rows.lowerBound * width, stride: width)
        }
    }

    /// Columns of the table's gradient, then with them the rows of the first layer's input weights.
    private func tableGradient(_ columns: Range<Int>, _ gradient: UnsafeMutablePointer<Float>) {
        let (gH, E, V) = (d.gateUnits, d.embedding, d.symbols)
        let table = workspace.tableGradient.base + columns.lowerBound
        for symbol in 0..<V { (table + symbol * gH).update(repeating: 0, count: columns.count) }
        for index in workspace.shards.indices {
            let place = place(index)
            kernels.scatterAdd(
                table, workspace.layers[0].gates.base + place.first * gH + columns.lowerBound,
                workspace.inputs.base + place.first, workspace.steps * place.rows, columns.count, gH)
        }
        compute.blas.multiply(
            columns.count, E, V, .transposed(table, stride: gH), .plain(weights.parameters.base, stride: E),
            into: gradient + d.layers[0].inputWeight + columns.lowerBound * E, stride: E)
    }

    /// Columns of the embeddings' gradient: through the table, or by adding the rows of each symbol.
    private func embeddingGradient(_ columns: Range<Int>, _ gradient: UnsafeMutablePointer<Float>) {
        let (gH, E, V) = (d.gateUnits, d.embedding, d.symbols)
        let target = gradient + columns.lowerBound
        if workspace.usesTable {
            compute.blas.multiply(
                V, columns.count, gH, .plain(workspace.tableGradient.base, stride: gH),
                .plain(weights.parameters.base + d.layers[0].inputWeight + columns.lowerBound, stride: E),
                into: target, stride: E)
            return
        }
        for symbol in 0..<V { (target + symbol * E).update(repeating: 0, count: columns.count) }
        for index in workspace.shards.indices {
            let place = place(index)
            kernels.scatterAdd(
                target, outputGradient(place) + columns.lowerBound,
                workspace.inputs.base + place.first, workspace.steps * place.rows, columns.count, E)
        }
    }

    private func biasGradients(_ gradient: UnsafeMutablePointer<Float>) {
        let (V, gH, apart) = (d.symbols, d.gateUnits, d.apartUnits)
        for (l, layer) in d.layers.enumerated() {
            let target = gradient + layer.inputBias
            target.update(repeating: 0, count: gH)
            for scratch in workspace.scratch { kernels.add(target, scratch.biasGradient.base + l * gH, gH) }
            (gradient + layer.recurrentBias).update(from: target, count: gH)
            let candidate = gradient + layer.recurrentBias + apart.lowerBound
            candidate.update(repeating: 0, count: apart.count)
            for scratch in workspace.scratch {
                kernels.add(candidate, scratch.candidateBiasGradient.base + l * apart.count, apart.count)
            }
        }
        (gradient + d.headBias).update(repeating: 0, count: V)
        for scratch in workspace.scratch { kernels.add(gradient + d.headBias, scratch.headBiasGradient.base, V) }
    }
}
