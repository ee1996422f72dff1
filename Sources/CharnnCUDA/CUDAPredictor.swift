import CharnnEngine

// Prediction is a forward pass of one step, which is a graph after its first run: symbols are written before it and
// logits read after it, outside the graph. The state stays in the pass's working copies, where the next step begins.

/// Predicts symbol after symbol in fp32: one recorded launch, symbols in and logits out.
///
/// A stream's sums do not depend on how many streams there are; several streams share the reading of the weights.
final class CUDAPredictor: Predictor {
    let streams: Int
    private let weights: CUDAWeights
    private let pass: ForwardPass
    private var buffers: ForwardBuffers { pass.buffers }
    private let work: RepeatedWork

    init(_ weights: CUDAWeights, streams: Int) throws(EngineError) {
        self.weights = weights
        self.streams = streams
        try weights.device.enter()
        pass = try ForwardPass(
            weights,
            // Fused whatever the number of streams, on which otherwise a stream's sums would depend.
            Sizes(
                weights.network, .fp32, streams: streams, steps: 1,
                tuning: Tuning(steps: StepWays(forward: .fused, backward: .fused))),
            isTraining: false)
        work = RepeatedWork(on: weights.device)
    }

    // The state is cleared at the next call, which can tell an error.
    private var isFresh = true

    func reset() { isFresh = true }

    func advance(_ symbols: [Int32], logits: inout [Float]) throws(EngineError) {
        let size = weights.architecture.vocabularySize
        guard symbols.count == streams, logits.count == streams * size,
            symbols.allSatisfy({ $0 >= 0 && $0 < size })
        else {
            throw EngineError(.mismatch, "The symbols or logits do not fit \(streams) streams and \(size) symbols.")
        }
        let device = weights.device
        try device.enter()
        try weights.prepare()
        if isFresh {
            try buffers.hiddenState.clear()
            try buffers.cellState?.clear()
            isFresh = false
        }
        try buffers.inputs.write(symbols)
        try work.run { () throws(EngineError) in
            try device.begin(buffers, from: (buffers.hiddenState, buffers.cellState), mayReset: false)
            try pass.run(steps: 1)
        }
        let place = buffers.logits(at: 0)
        let result = logits.withUnsafeMutableBytes { target in
            Result<Void, EngineError> { () throws(EngineError) in try device.read(place, into: target) }
        }
        try result.get()
    }
}
