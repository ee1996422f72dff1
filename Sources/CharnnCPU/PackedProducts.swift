import CCharnnKernels
import CharnnEngine

/// The large products of a step, with operands of fp32 or bf16 and fp32 sums, on kernels of our own.
///
/// Everything between them (cells, loss, gradients, moments, the weights that are updated) is fp32, and so are the
/// products of the table and of the gradient of the head's weights, which are small.
///
/// A class, since it is asked for in every time step: as a value all that it refers to would be counted each time.
final class PackedProducts {
    let kernels: CharnnProductKernels
    let weights: PackedWeights
    let workspace: PackedWorkspace
    /// Whose threads share a product where there is one shard alone, which else has one thread; nil: there are others.
    private let sharing: Compute?

    init(kernels: CharnnProductKernels, weights: PackedWeights, workspace: PackedWorkspace, sharing: Compute?) {
        (self.kernels, self.weights, self.workspace, self.sharing) = (kernels, weights, workspace, sharing)
    }

    /// `c = a w` or `c += a w` for a left operand `a [rows, columns]`, whose rows are `stride` apart.
    func multiply(
        _ a: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int, by w: PackedOperand,
        into c: UnsafeMutablePointer<Float>, accumulates: Bool = false, shard: Int
    ) {
        guard let packed = w.words else { preconditionFailure("an operand is used before it is packed") }
        let words = kernels.words(columns)
        for first in Swift.stride(from: 0, to: rows, by: PackedWorkspace.chunkRows) {
            let count = min(PackedWorkspace.chunkRows, rows - first)
            var left = UnsafeRawPointer(a + first * stride)
            var rowStride = stride
            if let round = kernels.round {
                let rounded = workspace.rounded[shard].base
                round(rounded, a + first * stride, count, columns, stride)
                (left, rowStride) = (UnsafeRawPointer(rounded), words)
            }
            let product = CharnnProduct(
                m: count, n: w.n, words: words, a: left, aTileStride: kernels.tileRows * rowStride,
                aRowStride: rowStride, aWordStride: 1, packed: packed.base,
                panelStride: w.panelStride(kernels), c: c + first * w.n, cStride: w.n,
                accumulates: accumulates ? 1 : 0)
            multiply(product)
        }
    }

    /// A product, its columns shared among threads where they have nothing else to do.
    ///
    /// A column's sum does not depend on which others are computed with it.
    private func multiply(_ product: CharnnProduct) {
        let panels = roundedUp(product.n, to: kernels.panel) / kernels.panel
        let bytes = panels * product.panelStride * MemoryLayout<UInt32>.stride
        guard let sharing, min(sharing.pool.count, panels, bytes / sharing.leastShare) > 1 else {
            var product = product
            return kernels.multiply(&product)
        }
        let parts = min(sharing.pool.count, panels, bytes / sharing.leastShare)
        sharing.pool.run(parts) { part in
            let (first, end) = (panels * part / parts, panels * (part + 1) / parts)
            let column = first * kernels.panel
            var own = product
            own.n = min(product.n, end * kernels.panel) - column
            own.packed += first * product.panelStride * MemoryLayout<UInt32>.stride
            own.c += column
            kernels.multiply(&own)
        }
    }

    /// Packs the right operands of the gradients of a layer's weights.
    func packGradients(_ layer: Int, _ pass: Pass, _ place: Pass.Place) {
        let d = pass.d
        let rows = pass.workspace.steps * place.rows
        let own = workspace.layers[layer]
        func pack(_ source: UnsafePointer<Float>, _ columns: Int, into target: Buffer<UInt32>) {
            let width = roundedUp(columns, to: kernels.panel)
            kernels.pack(
                target.base + workspace.firstWords[place.index] * width, source, rows, columns, columns, 1,
                kernels.panel, kernels.words(rows) * kernels.panel, 0, width / kernels.panel)
        }
        pack(pass.workspace.layers[layer].hidden.base + place.firstState * d.units, d.units, into: own.hidden)
        if own.input.count > 0 { pack(pass.input(layer, place), d.layers[layer].inputSize, into: own.input) }
    }

    /// A weight gradient to be made of a left operand.
    struct Gradient {
        /// Packed, with so many columns.
        let right: Buffer<UInt32>
        let columns: Int
        /// `[rows, columns]`
        let target: UnsafeMutablePointer<Float>
    }

    /// Rows of weight gradients, `left^T right` summed over all shards in order.
    ///
    /// - Parameters:
    ///   - left: `[B T, leftColumns]`
    ///   - rows: Which of its columns; at most a block's.
    func weightGradients(
        _ left: Buffer<Float>, leftColumns: Int, rows: Range<Int>, _ gradients: [Gradient], _ pass: Pass
    ) {
        workspace.blocks.withBuffer { block in
            for index in pass.workspace.shards.indices {
                let place = pass.place(index)
                let sum = pass.workspace.steps * place.rows
                for first in stride(from: 0, to: sum, by: PackedWorkspace.block.rows) {
                    let count = min(PackedWorkspace.block.rows, sum - first)
                    let words = kernels.words(count)
                    kernels.pack(
                        block.base, left.base + (place.first + first) * leftColumns + rows.lowerBound, count,
                        rows.count, leftColumns, 1, kernels.tileRows, kernels.tileRows * words, 0,
                        roundedUp(rows.count, to: kernels.tileRows) / kernels.tileRows)
                    for gradient in gradients {
                        let shard = workspace.firstWords[index] * roundedUp(gradient.columns, to: kernels.panel)
                        var product = CharnnProduct(
                            m: rows.count, n: gradient.columns, words: words, a: block.base,
                            aTileStride: kernels.tileRows * words, aRowStride: 1, aWordStride: kernels.tileRows,
                            packed: gradient.right.base + shard + first / kernels.depth * kernels.panel,
                            panelStride: kernels.words(sum) * kernels.panel, c: gradient.target,
                            cStride: gradient.columns, accumulates: index == 0 && first == 0 ? 0 : 1)
                        kernels.multiply(&product)
                    }
                }
            }
        }
    }
}
