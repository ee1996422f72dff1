import CCharnnKernels
import CharnnEngine

extension Pass {
    /// All layers backward through time for one shard: gates become their gradients.
    func backward(_ index: Int) {
        let place = place(index)
        let scratch = workspace.scratch[index]
        scratch.biasGradient.base.update(repeating: 0, count: scratch.biasGradient.count)
        scratch.candidateBiasGradient.base.update(repeating: 0, count: scratch.candidateBiasGradient.count)
        for layer in (0..<d.layerCount).reversed() {
            backwardThroughTime(layer, place)
            packed?.packGradients(layer, self, place)
            backwardToInput(layer, place)
        }
    }

    private func backwardThroughTime(_ layer: Int, _ place: Place) {
        let (H, gH, R) = (d.units, d.gateUnits, place.rows)
        let buffers = workspace.layers[layer]
        let scratch = workspace.scratch[place.index]
        let gates = buffers.gates.base + place.first * gH
        let hidden = buffers.hidden.base + place.firstState * H
        scratch.hiddenGradient.base.update(repeating: 0, count: R * H)
        scratch.cellGradient.base.update(repeating: 0, count: R * H)
        let retreat = kernels.backward(d.architecture)
        var step = CharnnCellBackward(
            rows: R, units: H, gates: gates, candidate: nil, hiddenBefore: hidden, hidden: hidden, cellBefore: nil,
            cell: nil, outputGradient: outputGradient(place), hiddenGradient: scratch.hiddenGradient.base,
            cellGradient: scratch.cellGradient.base, biasGradient: scratch.biasGradient.base + layer * gH,
            candidateBiasGradient: scratch.candidateBiasGradient.base + layer * d.apartUnits.count)
        for t in (0..<workspace.steps).reversed() {
            step.gates = gates + t * R * gH
            step.hiddenBefore = UnsafePointer(hidden + t * R * H)
            step.hidden = UnsafePointer(hidden + (t + 1) * R * H)
            step.outputGradient = UnsafePointer(outputGradient(place) + t * R * H)
            step.candidate = buffers.candidate.map { $0.base + (place.first + t * R) * d.apartUnits.count }
            if let cell = buffers.cell {
                step.cellBefore = UnsafePointer(cell.base + (place.firstState + t * R) * H)
                step.cell = UnsafePointer(cell.base + (place.firstState + (t + 1) * R) * H)
            }
            retreat(&step)
            if t > 0 { backwardToHidden(layer, place, step) }
        }
    }

    /// The gradient of the hidden state before a time step, from the gradient of its gates.
    private func backwardToHidden(_ layer: Int, _ place: Place, _ step: CharnnCellBackward) {
        // Where a part passes beside the weights, the kernel has left its gradient there.
        addToHidden(
            layer, place, step, step.gates, columns: 0..<d.addedUnits, stride: d.gateUnits,
            accumulates: d.passesHidden)
        guard let candidate = step.candidate else { return }
        // The gradient inside the product, such as that with a GRU's reset gate.
        addToHidden(
            layer, place, step, candidate, columns: d.apartUnits, stride: d.apartUnits.count, accumulates: true)
    }

    /// The product of gradients and those rows of the recurrent weights that belong to them.
    private func addToHidden(
        _ layer: Int, _ place: Place, _ step: CharnnCellBackward, _ gradient: UnsafePointer<Float>,
        columns: Range<Int>, stride: Int, accumulates: Bool
    ) {
        let (R, H) = (step.rows, d.units)
        if let packed {
            let layers = packed.weights.layers
            guard let operand = columns == d.apartUnits ? layers[layer].apartBackward : layers[layer].recurrentBackward
            else { preconditionFailure("gates stand apart, and their weights are not packed") }
            packed.multiply(
                gradient, rows: R, columns: columns.count, stride: stride, by: operand, into: step.hiddenGradient,
                accumulates: accumulates, shard: place.index)
        } else {
            let weight = weights.parameters.base + d.layers[layer].recurrentWeight + columns.lowerBound * H
            compute.blas.multiply(
                R, H, columns.count, .plain(gradient, stride: stride), .plain(weight, stride: H),
                beta: accumulates ? 1 : 0, into: step.hiddenGradient, stride: H)
        }
    }

    /// The gradient of a layer's input, over all time steps in one product; the first layer's only without a table.
    private func backwardToInput(_ layer: Int, _ place: Place) {
        if layer == 0 && workspace.usesTable { return }
        let (gH, width, R) = (d.gateUnits, d.layers[layer].inputSize, place.rows)
        let target = outputGradient(place)
        let gates = UnsafePointer(workspace.layers[layer].gates.base + place.first * gH)
        if let packed {
            packed.multiply(
                gates, rows: workspace.steps * R, columns: gH, stride: gH,
                by: packed.weights.layers[layer].inputBackward,
                into: target, shard: place.index)
        } else {
            compute.blas.multiply(
                workspace.steps * R, width, gH, .plain(gates, stride: gH),
                .plain(weights.parameters.base + d.layers[layer].inputWeight, stride: width), into: target,
                stride: width)
        }
        drop(target, below: layer, place)
    }
}
