import CCharnnKernels
import CharnnEngine

/// The gradients of the weights from those of the gates, as tasks that write to different places.
///
/// A task's sum runs over the shards in order, so it does not matter which thread runs it. The list depends on the
/// architecture alone.
struct WeightGradients {
    enum Task {
        /// Rows of a layer's recurrent weights; of a GRU either within r and z or within n.
        case recurrent(layer: Int, rows: Range<Int>)
        /// Rows of a layer's input weights; of the first layer with a table, those columns of the table first.
        case input(layer: Int, rows: Range<Int>)
        case biases
        /// Rows of the head's weights.
        case head(rows: Range<Int>)
        /// Columns of the embeddings, which wait for the tasks above.
        case embedding(columns: Range<Int>)
    }

    let independent: [Task]
    let last: [Task]

    init(_ d: Dimensions) {
        let (H, gH) = (d.units, d.gateUnits)
        var tasks: [Task] = []
        for layer in (0..<d.layerCount).reversed() {
            let parts = d.architecture.cell == .gru ? [0..<2 * H, 2 * H..<gH] : [0..<gH]
            for part in parts { tasks += pieces(of: part, by: 256).map { .recurrent(layer: layer, rows: $0) } }
            tasks += pieces(of: 0..<gH, by: 256).map { .input(layer: layer, rows: $0) }
        }
        tasks += pieces(of: 0..<d.symbols, by: 256).map { .head(rows: $0) }
        tasks.append(.biases)
        independent = tasks
        last = pieces(of: 0..<d.embedding, by: 64).map { .embedding(columns: $0) }
    }
}

private func pieces(of range: Range<Int>, by length: Int) -> [Range<Int>] {
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
        let (H, gH) = (d.units, d.gateUnits)
        switch task {
        case .recurrent(let layer, let rows):
            let target = gradient + d.layers[layer].recurrentWeight + rows.lowerBound * H
            if let half { return halfRecurrent(half, layer, rows, into: target) }
            let buffers = workspace.layers[layer]
            for index in workspace.shards.indices {
                let place = place(index)
                let hidden = buffers.hidden.base + place.firstState * H
                let gates: OpenBLAS.Operand
                if let candidate = buffers.candidate, rows.lowerBound >= 2 * H {
                    gates = .transposed(candidate.base + place.first * H + rows.lowerBound - 2 * H, stride: H)
                } else {
                    gates = .transposed(buffers.gates.base + place.first * gH + rows.lowerBound, stride: gH)
                }
                compute.blas.multiply(
                    rows.count, H, workspace.steps * place.rows, gates, .plain(hidden, stride: H),
                    beta: index == 0 ? 0 : 1, into: target, stride: H)
            }
        case .input(0, let rows) where workspace.usesTable:
            tableGradient(rows, gradient)
        case .input(let layer, let rows):
            let width = d.layers[layer].inputSize
            let target = gradient + d.layers[layer].inputWeight + rows.lowerBound * width
            if let half {
                let own = half.workspace.layers[layer]
                return half.weightGradient(
                    own.gates, leftColumns: gH, rows: rows, own.input, rightColumns: width, self, into: target)
            }
            for index in workspace.shards.indices {
                let place = place(index)
                let gates = workspace.layers[layer].gates.base + place.first * gH + rows.lowerBound
                compute.blas.multiply(
                    rows.count, width, workspace.steps * place.rows, .transposed(gates, stride: gH),
                    .plain(input(layer, place), stride: width), beta: index == 0 ? 0 : 1, into: target, stride: width)
            }
        case .biases:
            biasGradients(gradient)
        case .head(let rows):
            let target = gradient + d.headWeight + rows.lowerBound * H
            for (index, scratch) in workspace.scratch.enumerated() {
                let source = scratch.headWeightGradient.base + rows.lowerBound * H
                if index == 0 {
                    target.update(from: source, count: rows.count * H)
                } else {
                    kernels.add(target, source, rows.count * H)
                }
            }
        case .embedding(let columns):
            embeddingGradient(columns, gradient)
        }
    }

    private func halfRecurrent(
        _ half: HalfPass, _ layer: Int, _ rows: Range<Int>, into target: UnsafeMutablePointer<Float>
    ) {
        let own = half.workspace.layers[layer]
        if let candidate = own.candidate, rows.lowerBound >= 2 * d.units {
            let rows = rows.lowerBound - 2 * d.units..<rows.upperBound - 2 * d.units
            half.weightGradient(
                candidate, leftColumns: d.units, rows: rows, own.hidden, rightColumns: d.units, self, into: target)
        } else {
            half.weightGradient(
                own.gates, leftColumns: d.gateUnits, rows: rows, own.hidden, rightColumns: d.units, self, into: target)
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
        let (H, V, gH) = (d.units, d.symbols, d.gateUnits)
        for (l, layer) in d.layers.enumerated() {
            let target = gradient + layer.inputBias
            target.update(repeating: 0, count: gH)
            for scratch in workspace.scratch { kernels.add(target, scratch.biasGradient.base + l * gH, gH) }
            (gradient + layer.recurrentBias).update(from: target, count: gH)
            guard d.architecture.cell == .gru else { continue }
            let candidate = gradient + layer.recurrentBias + 2 * H
            candidate.update(repeating: 0, count: H)
            for scratch in workspace.scratch { kernels.add(candidate, scratch.candidateBiasGradient.base + l * H, H) }
        }
        (gradient + d.headBias).update(repeating: 0, count: V)
        for scratch in workspace.scratch { kernels.add(gradient + d.headBias, scratch.headBiasGradient.base, V) }
    }
}
