import CCharnnCUDA
import CharnnEngine

/// Scores several streams of text side by side, some time steps at a time, in fp32.
final class CUDAScorer: Scorer {
    let streams: Int
    private let engine: CUDAEngine
    private let sequence: Sequence
    private var texts = TextStore()
    /// Whether the state in the sequence is to be taken for zero.
    private var isFresh = true

    init(engine: CUDAEngine, streams: Int) throws(EngineError) {
        self.engine = engine
        self.streams = streams
        try engine.device.enter()
        // Enough rows for the products to be large, few enough for little memory.
        let steps = max(1, min(128, 8192 / streams))
        sequence = try Sequence(
            engine.weights, Sizes(engine.architecture, .fp32, streams: streams, steps: steps), isTraining: false)
    }

    func reset() { isFresh = true }

    func score(_ text: SymbolText, starts: [Int], length: Int) throws(EngineError) -> [Double] {
        guard starts.count == streams else {
            throw EngineError(.mismatch, "\(starts.count) starts were given for \(streams) streams.")
        }
        let device = engine.device
        try device.enter()
        let size = engine.architecture.vocabularySize
        try text.check(
            starts: starts, length: length + 1, vocabularySize: size,
            isKnownToFit: texts.fits(text, vocabularySize: size, device))
        try engine.weights.prepare()
        var sums = [Double](repeating: 0, count: streams)
        for first in stride(from: 0, to: length, by: sequence.sizes.steps) {
            let steps = min(sequence.sizes.steps, length - first)
            let place = try texts.place(text, starts: starts.map { $0 + first }, length: steps + 1, on: device)
            try sequence.write(CharnnStep(reading: place), starts: place.starts)
            try sequence.gather(steps: steps)
            try sequence.begin(from: isFresh ? nil : (sequence.hiddenState, sequence.cellState), mayReset: false)
            try sequence.forward(steps: steps) { chunk throws(EngineError) in try sequence.loss(chunk) }
            isFresh = false
            let losses = try sequence.losses.read(Float.self, count: steps * streams)
            for row in losses.indices { sums[row % streams] += Double(losses[row]) }
        }
        return sums
    }
}

/// Predicts symbol after symbol in fp32: one recorded launch, symbols in and logits out.
///
/// A stream's sums do not depend on how many streams there are; several streams share the reading of the weights.
final class CUDAPredictor: Predictor {
    let streams: Int
    private let engine: CUDAEngine
    private let sequence: Sequence
    private let work: RepeatedWork

    init(engine: CUDAEngine, streams: Int) throws(EngineError) {
        self.engine = engine
        self.streams = streams
        try engine.device.enter()
        sequence = try Sequence(
            engine.weights,
            // Fused whatever the number of streams, on which otherwise a stream's sums would depend.
            Sizes(
                engine.architecture, .fp32, streams: streams, steps: 1,
                tuning: Tuning(steps: StepPlan.Ways(forward: .fused, backward: .fused))),
            isTraining: false)
        work = RepeatedWork(on: engine.device)
    }

    // The state is cleared at the next call, which can tell an error.
    private var isFresh = true

    func reset() { isFresh = true }

    func advance(_ symbols: [Int32], logits: inout [Float]) throws(EngineError) {
        let size = engine.architecture.vocabularySize
        guard symbols.count == streams, logits.count == streams * size,
            symbols.allSatisfy({ $0 >= 0 && $0 < size })
        else {
            throw EngineError(.mismatch, "The symbols or logits do not fit \(streams) streams and \(size) symbols.")
        }
        let device = engine.device
        try device.enter()
        try engine.weights.prepare()
        if isFresh {
            try sequence.hiddenState.clear()
            try sequence.cellState?.clear()
            isFresh = false
        }
        try sequence.inputs.write(symbols)
        try work.run { () throws(EngineError) in
            try sequence.begin(from: (sequence.hiddenState, sequence.cellState), mayReset: false)
            try sequence.forward(steps: 1)
        }
        let place = sequence.logits(at: 0)
        let result = logits.withUnsafeMutableBytes { target in
            Result<Void, EngineError> { () throws(EngineError) in try device.read(place, into: target) }
        }
        try result.get()
    }
}

extension CharnnStep {
    /// What reading without training needs.
    init(reading text: TextStore.Place) {
        self.init()
        self.text = text.address
        textWidth = Int32(text.width)
        lossScale = 1
    }
}
