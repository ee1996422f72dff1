import CCharnnKernels
import CharnnEngine

/// The products of a training step with bf16 operands and fp32 sums. Everything between them (cells, loss, gradients,
/// moments, the weights that are updated) stays fp32, and so do the small products of head and table.
struct HalfPass {
    let kernels: CharnnHalfKernels
    let weights: [HalfWeights]
    let workspace: HalfWorkspace

    /// `c = a w` or `c += a w` for a left operand `a [rows, columns]`, whose rows are `stride` apart.
    ///
    /// - Parameter firstRow: The row of `w` that the first column of `a` belongs to; even.
    func multiply(
        _ a: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int, by w: HalfOperand, firstRow: Int = 0,
        into c: UnsafeMutablePointer<Float>, accumulates: Bool = false, shard: Int
    ) {
        let pairs = (columns + 1) / 2
        let rounded = workspace.rounded[shard].base
        for first in Swift.stride(from: 0, to: rows, by: HalfWorkspace.chunkRows) {
            let count = min(HalfWorkspace.chunkRows, rows - first)
            kernels.round(rounded, a + first * stride, count, columns, stride)
            var product = CharnnHalfProduct(
                m: count, n: w.n, pairs: pairs, a: rounded, aTileStride: kernels.tileRows * pairs, aRowStride: pairs,
                aPairStride: 1, packed: w.words.base + firstRow / 2 * kernels.panel,
                panelStride: (w.k + 1) / 2 * kernels.panel, c: c + first * w.n, cStride: w.n,
                accumulates: accumulates ? 1 : 0)
            kernels.multiply(&product)
        }
    }

    /// Packs what the gradients of a layer's weights are products of.
    func packGradients(_ layer: Int, _ pass: Pass, _ place: Pass.Place) {
        let d = pass.d
        let rows = pass.workspace.steps * place.rows
        let buffers = pass.workspace.layers[layer]
        let own = workspace.layers[layer]
        func pack(_ source: UnsafePointer<Float>, _ columns: Int, width: Int, into target: Buffer<UInt32>) {
            kernels.pack(
                target.base + workspace.firstPairs[place.index] * roundedUp(columns, to: width), source, rows, columns,
                columns, 1, width, (rows + 1) / 2 * width, 0, roundedUp(columns, to: width) / width)
        }
        pack(
            buffers.gates.base + place.first * d.gateUnits, d.gateUnits, width: kernels.tileRows, into: own.gates)
        if let source = buffers.candidate, let target = own.candidate {
            pack(source.base + place.first * d.units, d.units, width: kernels.tileRows, into: target)
        }
        pack(buffers.hidden.base + place.firstState * d.units, d.units, width: kernels.panel, into: own.hidden)
        if own.input.count > 0 {
            pack(pass.input(layer, place), d.layers[layer].inputSize, width: kernels.panel, into: own.input)
        }
    }

    /// Rows of a weight gradient, `left^T right` summed over all shards in order.
    ///
    /// - Parameters:
    ///   - left: With so many `leftColumns`, of which `rows` are taken; the first is a multiple of the tile's rows.
    ///   - target: `[rows, rightColumns]`
    func weightGradient(
        _ left: Buffer<UInt32>, leftColumns: Int, rows: Range<Int>, _ right: Buffer<UInt32>, rightColumns: Int,
        _ pass: Pass, into target: UnsafeMutablePointer<Float>
    ) {
        for (index, shard) in pass.workspace.shards.enumerated() {
            let pairs = (pass.workspace.steps * shard.count + 1) / 2
            let first = workspace.firstPairs[index]
            var product = CharnnHalfProduct(
                m: rows.count, n: rightColumns, pairs: pairs,
                a: left.base + first * roundedUp(leftColumns, to: kernels.tileRows) + rows.lowerBound * pairs,
                aTileStride: kernels.tileRows * pairs, aRowStride: 1, aPairStride: kernels.tileRows,
                packed: right.base + first * roundedUp(rightColumns, to: kernels.panel),
                panelStride: pairs * kernels.panel, c: target, cStride: rightColumns, accumulates: index == 0 ? 0 : 1)
            kernels.multiply(&product)
        }
    }
}
