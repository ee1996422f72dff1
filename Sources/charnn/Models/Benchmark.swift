import CharnnCPU
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnSpool
import Glibc

/// Times whole training steps and generation of one network on random text.
///
/// Used by `bench`, and by `check` to foretell how long a job takes. Random text will do: which symbols there are has
/// little to do with how long a step takes.
struct Benchmark {
    var architecture: Architecture
    var batchSize: Int
    var sequenceLength: Int
    var choice: EngineChoice
    /// nil: the best this processor has.
    var kernels: KernelLevel?
    var usesLibraryOnly = false

    /// How long a training step takes, whole: from its batch to its changed weights.
    struct Training {
        /// The median, and the least.
        var secondsPerStep: Double
        var leastSecondsPerStep: Double
        /// What all threads together took of the processors, the mean.
        var processorSecondsPerStep: Double
        var engine: EngineConfiguration
    }

    /// As a job would get it; the CPU's with certain kernels where they were asked for.
    func makeEngine() throws -> any Engine {
        let parameters = Initialisation.parameters(of: architecture, seed: 1)
        guard kernels != nil || usesLibraryOnly else {
            return try Engines().makeEngine(choice, architecture: architecture, parameters: parameters)
        }
        return try CPUEngine(
            architecture: architecture, parameters: parameters, threads: choice.threads, kernels: kernels,
            usesLibraryOnly: usesLibraryOnly)
    }

    /// What the processor can do at most; nil for another device.
    func processor() throws -> ProcessorMeasurements? {
        // With kernels of one's own choice it is the CPU that is measured, whatever the device.
        let isOwn = kernels != nil || usesLibraryOnly
        guard try isOwn || Engines.device(for: choice) == .cpu else { return nil }
        return try ProcessorMeasurements(threads: choice.threads, kernels: kernels, usesLibraryOnly: usesLibraryOnly)
    }

    /// Times whole steps: forward, backward, clipping, Adam, with dropout as the architecture says.
    ///
    /// - Parameter seconds: For how long; at least three steps are timed after two that are not.
    func training(seconds: Double) throws -> Training {
        let engine = try makeEngine()
        try engine.findPlan(streams: batchSize, sequenceLength: sequenceLength, measuring: .notKept)
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
        var processorStart = 0.0
        while times.count < 5 || now() - start < seconds {
            // The first two rounds fill caches and let the processor find its clock.
            if times.count == 2 { processorStart = processorSeconds() }
            let began = now()
            // As many together as the trainer would wait for.
            for _ in 0..<engine.stepsInFlight {
                number += 1
                try engine.submit(
                    TrainingStep(
                        number: number,
                        starts: (0..<batchSize).map { $0 * (text.count - sequenceLength - 1) / batchSize },
                        sequenceLength: sequenceLength, resetsState: number == 1,
                        optimizer: OptimizerStep(learningRate: 0.002, clipNorm: 5, updateNumber: number), seed: 1),
                    of: text)
            }
            _ = try engine.drain()
            times.append((now() - began) / Double(engine.stepsInFlight))
        }
        // The median is not moved by what else the machine does now and then, the least shows what it could do alone.
        let measured = times.dropFirst(2)
        return Training(
            secondsPerStep: Self.median(measured), leastSecondsPerStep: measured.min() ?? 0,
            processorSecondsPerStep: (processorSeconds() - processorStart)
                / Double(measured.count * engine.stepsInFlight),
            engine: engine.configuration)
    }

    /// Characters a second that some texts, written side by side, get together, sampling included; the median of five times.
    ///
    /// - Parameter characters: Of each text.
    func generation(
        characters: Int, texts: Int
    ) throws -> (charactersPerSecond: Double, engine: EngineConfiguration) {
        let engine = try makeEngine()
        // Any different code points will do: nobody reads the text.
        let vocabulary = Vocabulary.bytes.growing(
            by: (0..<UInt32(max(0, architecture.vocabularySize - 256))).map { $0 + 256 })
        guard vocabulary.count == architecture.vocabularySize || architecture.vocabularySize < 256,
            let own = Vocabulary(codePoints: Array(vocabulary.codePoints.prefix(architecture.vocabularySize)))
        else { return (0, engine.configuration) }
        let predictor = try engine.makePredictor(streams: texts)
        let writer = try Generator(GenerationRequest(length: characters), vocabulary: own, encoding: .utf8)
        let now = SpoolClock.system.monotonic
        // The first characters pay for memory that is then there.
        _ = try Generator(GenerationRequest(length: 20), vocabulary: own, encoding: .utf8)
            .write(0..<texts, with: predictor, emit: { _, _ in })
        var times: [Double] = []
        for _ in 0..<5 {
            let began = now()
            _ = try writer.write(0..<texts, with: predictor, emit: { _, _ in })
            times.append(now() - began)
        }
        return (Double(characters * texts) / Self.median(times[...]), engine.configuration)
    }

    /// Floating-point operations of a training step that no way of computing can leave out: the products of all
    /// layers and of the head, forward and twice backward. The first layer's input product is a table look-up, unless
    /// something is dropped below it.
    var neededOperations: Double {
        let plan = NetworkPlan(architecture)
        return 3 * plan.operations(streams: batchSize, steps: sequenceLength)
    }

    /// Bytes of the weights that are read for every character that is written.
    var generationBytes: Int {
        NetworkPlan(architecture.withoutDropout).products.filter { !$0.isLookedUp }.reduce(0) { $0 + 4 * $1.n * $1.k }
    }

    /// Of an even number the upper of the two in the middle.
    private static func median(_ values: ArraySlice<Double>) -> Double {
        let sorted = values.sorted()
        return sorted[sorted.count / 2]
    }
}

/// What this process has had of the processors so far.
private func processorSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

/// The most memory that this process has occupied so far, bytes.
func peakMemory() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) * 1024
}
