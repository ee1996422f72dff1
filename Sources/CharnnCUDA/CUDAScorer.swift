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
    /// fp32 `[temperatures, N]`; made anew for another number of temperatures.
    private var losses: (buffer: DeviceBuffer, count: Int)?
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

    func score(
        _ text: SymbolText, starts: [Int], length: Int, temperatures: [Double], observe: (([Float]) -> Void)?
    ) throws(EngineError) -> [[Double]] {
        try require(starts: starts, temperatures: temperatures)
        let device = weights.device
        try device.enter()
        let size = weights.architecture.vocabularySize
        try text.check(
            starts: starts, length: length + 1, vocabularySize: size,
            isKnownToFit: texts.fits(text, vocabularySize: size, device))
        try weights.prepare()
        let (losses, inverses, count) = try results(of: temperatures)
        var sums = temperatures.map { _ in [Double](repeating: 0, count: streams) }
        for first in stride(from: 0, to: length, by: buffers.sizes.steps) {
            let steps = min(buffers.sizes.steps, length - first)
            let place = try texts.place(text, starts: starts.map { $0 + first }, length: steps + 1, on: device)
            try buffers.write(CharnnStep(reading: place), starts: place.starts)
            try device.gather(buffers, steps: steps)
            try device.begin(
                buffers, from: isFresh ? nil : (buffers.hiddenState, buffers.cellState), mayReset: false)
            try pass.run(steps: steps) { chunk throws(EngineError) in
                try device.scores(buffers, chunk, inverses: inverses, temperatures: count, into: losses)
            }
            isFresh = false
            // `[temperatures, steps of the buffers, streams]`
            let all = try losses.read(Float.self, count: count * buffers.sizes.rows)
            for index in temperatures.indices {
                let own = all.dropFirst(index * buffers.sizes.rows).prefix(steps * streams)
                for (row, loss) in own.enumerated() { sums[index][row % streams] += Double(loss) }
            }
            observe?(all.prefix(steps * streams).map { -$0 })
        }
        return sums
    }

    /// Where the losses at so many temperatures go, and the temperatures' inverses on the device.
    private func results(
        of temperatures: [Double]
    ) throws(EngineError) -> (losses: DeviceBuffer, inverses: DeviceBuffer, count: Int) {
        let (count, device) = (temperatures.count, weights.device)
        let inverses = try DeviceBuffer(device, bytes: count * 4)
        try inverses.write(temperatures.map { Float(1 / $0) })
        if let last = losses, last.count == count { return (last.buffer, inverses, count) }
        losses = nil  // Freed before the new one is allocated.
        let new = try DeviceBuffer(device, bytes: count * buffers.sizes.rows * 4)
        losses = (new, count)
        return (new, inverses, count)
    }
}
