import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnSpool

/// Times whole training steps and generation of one network on random text.
struct Benchmark {
    var architecture: Architecture
    var batchSize: Int
    var sequenceLength: Int
    var choice: EngineChoice

    struct Training {
        /// The median.
        var secondsPerStep: Double
        var engine: EngineConfiguration
    }

    private func makeEngine() throws -> any Engine {
        try Engines().makeEngine(
            choice, architecture: architecture, parameters: Initialisation.parameters(of: architecture, seed: 1))
    }

    /// Times whole steps: forward, backward, clipping, Adam, with dropout as the architecture says.
    ///
    /// - Parameter seconds: For how long; at least three steps are timed after two that are not.
    func training(seconds: Double) throws -> Training {
        let engine = try makeEngine()
        let random = Philox(key: 1)
        let text = SymbolText(
            (0..<(batchSize * (sequenceLength + 1) * 4)).map { index in
                Int32(
                    random.uniform(.batchOrder, stream: 0, index: UInt64(index)) * Double(architecture.vocabularySize))
            })
        let now = SpoolClock.system.monotonic
        var times: [Double] = []
        var number = 0
        let start = now()
        while times.count < 5 || now() - start < seconds {
            number += 1
            let began = now()
            try engine.submit(
                TrainingStep(
                    number: number,
                    starts: (0..<batchSize).map { $0 * (text.count - sequenceLength - 1) / batchSize },
                    sequenceLength: sequenceLength, resetsState: number == 1,
                    optimizer: OptimizerStep(learningRate: 0.002, clipNorm: 5, updateNumber: number), seed: 1),
                of: text)
            _ = try engine.drain()
            times.append(now() - began)
        }
        return Training(secondsPerStep: Self.median(times.dropFirst(2)), engine: engine.configuration)
    }

    /// Characters a second that one stream writes, sampling included.
    func generation(characters: Int) throws -> Double {
        let engine = try makeEngine()
        let vocabulary = Vocabulary.bytes.growing(
            by: (0..<UInt32(max(0, architecture.vocabularySize - 256))).map { $0 + 256 })
        guard vocabulary.count == architecture.vocabularySize || architecture.vocabularySize < 256,
            let own = Vocabulary(codePoints: Array(vocabulary.codePoints.prefix(architecture.vocabularySize)))
        else { return 0 }
        let predictor = try engine.makePredictor(streams: 1)
        let writer = try TextWriter(TextRequest(length: characters), vocabulary: own, encoding: .utf8)
        let now = SpoolClock.system.monotonic
        _ = try TextWriter(TextRequest(length: 20), vocabulary: own, encoding: .utf8)
            .write(0..<1, with: predictor, emit: { _, _ in })
        let began = now()
        _ = try writer.write(0..<1, with: predictor, emit: { _, _ in })
        return Double(characters) / (now() - began)
    }

    /// Floating-point operations of a training step that no way of computing can leave out: the products of all
    /// layers and of the head, forward and twice backward. The first layer's input product is a table look-up.
    var neededOperations: Double {
        let (h, v) = (Double(architecture.hiddenSize), Double(architecture.vocabularySize))
        let gates = Double(architecture.cell.gates)
        let layers = Double(architecture.layerCount)
        let characters = Double(batchSize * sequenceLength)
        return 3 * ((2 * layers - 1) * 2 * characters * gates * h * h + 2 * characters * h * v)
    }

    private static func median(_ values: ArraySlice<Double>) -> Double {
        let sorted = values.sorted()
        return sorted[sorted.count / 2]
    }
}
