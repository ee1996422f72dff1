import CharnnEngine

// The order of a forward pass; its memory is described in `ForwardBuffers.swift`, its kernels in `Kernels/`.
//
// Layers run side by side, a branch of the device each: a layer begins with a chunk of time steps when the one below
// has ended with it. Nothing here waits for the host or allocates, so that all but ``ForwardBuffers/write(_:starts:)``
// can be captured in a graph.

/// A batch on its way through the network.
final class ForwardPass {
    let buffers: ForwardBuffers
    private var device: CUDADevice { buffers.weights.device }
    private var sizes: Sizes { buffers.sizes }

    /// - Parameter isTraining: Whether what the way back needs is kept.
    init(_ weights: CUDAWeights, _ sizes: Sizes, isTraining: Bool) throws(EngineError) {
        buffers = try ForwardBuffers(weights, sizes, isTraining: isTraining)
    }

    /// All layers over `steps` time steps, the logits, and what `then` makes of those.
    ///
    /// - Parameters:
    ///   - steps: At most as many as the buffers have room for.
    ///   - then: What comes next for the rows of each chunk, on the head's branch.
    func run(
        steps: Int, then: (_ chunk: Range<Int>) throws(EngineError) -> Void = { _ in }
    ) throws(EngineError) {
        func work(_ layer: Int, _ chunk: Range<Int>) throws(EngineError) {
            if layer == sizes.layers {
                try head(chunk)
                try then(chunk)
            } else {
                if layer > 0 || !buffers.looksUpInput { try project(layer, chunk) }
                for t in chunk { try device.forwardStep(buffers, layer: layer, at: t) }
            }
        }
        let chunks = sizes.chunks(of: steps)
        // With a single one nothing is side by side, and a single step is not worth the ado.
        guard chunks.count > 1 else {
            for chunk in chunks { for layer in 0...sizes.layers { try work(layer, chunk) } }
            return
        }
        let streams = device.streams
        try streams.fork(sizes.layers + 1) { () throws(EngineError) in
            for chunk in chunks {
                var below: CUDAStreams.Mark?
                // Behind the last layer comes the head.
                for layer in 0...sizes.layers {
                    try streams.on(.urgent(layer)) { () throws(EngineError) in
                        if let below { try streams.wait(for: below) }
                        try work(layer, chunk)
                        below = try streams.mark()
                    }
                }
            }
        }
    }

    /// The logits of a chunk: `[rows, V] = [rows, H] W^T [H, V] + bias`.
    private func head(_ chunk: Range<Int>) throws(EngineError) {
        let (b, stride) = (buffers, sizes.stride(sizes.units))
        if b.drops(below: sizes.layers) { try device.dropOut(b, below: sizes.layers, chunk) }
        try device.multiply(
            sizes.precision == .fp16 ? .halfNT : .floatNT, m: b.rows(chunk), n: sizes.symbols, k: sizes.units,
            b.input(sizes.layers, chunk.lowerBound),
            b.packed.map { Operand($0.head.plain, stride: stride) }
                ?? Operand(b.weights.address(.headWeight), stride: sizes.units),
            bias: b.weights.address(.headBias), into: Operand(b.logits(at: chunk.lowerBound), stride: sizes.symbols))
    }

    /// The input product of a layer, of all rows of a chunk at once: `[rows, gH] = [rows, in] W^T [in, gH] + bias`.
    private func project(_ layer: Int, _ chunk: Range<Int>) throws(EngineError) {
        let (b, width) = (buffers, sizes.architecture.inputSize(ofLayer: layer))
        if layer == 0 { try device.embed(b, chunk) }
        if b.drops(below: layer) { try device.dropOut(b, below: layer, chunk) }
        try device.multiply(
            sizes.precision == .fp16 ? .halfNT : .floatNT, m: b.rows(chunk), n: sizes.gateUnits, k: width,
            b.input(layer, chunk.lowerBound),
            b.packed.map { Operand($0.input(layer).plain, stride: sizes.stride(width)) }
                ?? Operand(b.weights.address(.inputWeight(layer: layer)), stride: width),
            bias: b.weights.bias(ofLayer: layer),
            into: Operand(b.projected(chunk.lowerBound), stride: sizes.gateUnits))
    }
}
