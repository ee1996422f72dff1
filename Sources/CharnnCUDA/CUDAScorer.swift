import CCharnnCUDA
import CharnnEngine

// Scoring takes the forward pass in fp32, without a graph: the last piece of a text has fewer steps than the others.

/// Scores several streams of text side by side, some time steps at a time, in fp32.
final class CUDAScorer: Scorer {
    let streams: Int
    private let weights: CUDAWeights
    private let pass: ForwardPass
    private var buffers: ForwardBuffers { pass.buffers }
    private var texts = TextStore()
    /// Whether the state in the sequence is to be taken for zero.
    private var isFresh = true

    init(_ weights: CUDAWeights, streams: Int) throws(EngineError) {
        self.weights = weights
        self.streams = streams
        try weights.device.enter()
        // Enough rows for the products to be large, few enough for little memory.
        let steps = max(1, min(128, 8192 / streams))
        pass = try ForwardPass(
            weights, Sizes(weights.network, .fp32, streams: streams, steps: steps), isTraining: false)
    }

    func reset() { isFresh = true }

    func score(_ text: SymbolText, starts: [Int], length: Int) throws(EngineError) -> [Double] {
        guard starts.count == streams else {
            throw EngineError(.mismatch, "\(starts.count) starts were given for \(streams) streams.")
        }
        let device = weights.device
        try device.enter()
        let size = weights.architecture.vocabularySize
        try text.check(
            starts: starts, length: length + 1, vocabularySize: size,
            isKnownToFit: texts.fits(text, vocabularySize: size, device))
        try weights.prepare()
        var sums = [Double](repeating: 0, count: streams)
        for first in stride(from: 0, to: length, by: buffers.sizes.steps) {
            let steps = min(buffers.sizes.steps, length - first)
            let place = try texts.place(text, starts: starts.map { $0 + first }, length: steps + 1, on: device)
            try buffers.write(CharnnStep(reading: place), starts: place.starts)
            try device.gather(buffers, steps: steps)
            try device.begin(
                buffers, from: isFresh ? nil : (buffers.hiddenState, buffers.cellState), mayReset: false)
            try pass.run(steps: steps) { chunk throws(EngineError) in try device.loss(buffers, chunk) }
            isFresh = false
            let losses = try buffers.losses.read(Float.self, count: steps * streams)
            for row in losses.indices { sums[row % streams] += Double(losses[row]) }
        }
        return sums
    }
}
