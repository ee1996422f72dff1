public import ArgumentParser
public import CharnnCPU
public import CharnnEngine
public import CharnnJobs
import CharnnReports
import CharnnWords
import FoundationEssentials

extension Cell: ExpressibleByArgument {}
extension MaskSpan: ExpressibleByArgument {}
extension KernelLevel: ExpressibleByArgument {}
extension DeviceChoice: ExpressibleByArgument {}
extension PrecisionChoice: ExpressibleByArgument {}

/// `charnn bench`: measures with ``Benchmark`` and puts the figures side by side with what the processor could do at
/// most. The keys of its JSON are read by the scripts that compare with PyTorch; one that is renamed breaks them.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure this machine: a whole training step (dropout 0.5, clipping, Adam) and generation.",
        discussion: """
            Example:
              charnn bench --cell lstm --hidden-size 256 --num-layers 2
              charnn bench --cell gru --hidden-size 512 --json
            """)

    @Option(name: .long, help: "rnn, gru or lstm.")
    var cell = Cell.lstm
    @Option(name: .long, parsing: .unconditional, help: "Units of a layer.")
    var hiddenSize = 512
    @Option(name: .long, parsing: .unconditional, help: "Layers.")
    var numLayers = 2
    @Option(name: .long, parsing: .unconditional, help: "Default: the hidden size.")
    var embeddingSize: Int?
    @Option(name: .long, parsing: .unconditional, help: "Streams in a batch.")
    var batchSize = 64
    @Option(name: .long, parsing: .unconditional, help: "Time steps of a sequence.")
    var seqLength = 100
    @Option(name: .long, parsing: .unconditional, help: "Different characters.")
    var vocabularySize = 90
    @Option(name: .long, parsing: .unconditional, help: "Dropout below the first layer.")
    var dropoutInput = 0.0
    @Option(name: .long, parsing: .unconditional, help: "Dropout above the last layer.")
    var dropoutOutput = 0.0
    @Option(name: .long, help: "What has a mask of its own, as in job files: character or sequence.")
    var dropoutMask = MaskSpan.character
    @Option(name: .long, help: "auto, cpu or cuda.")
    var device = DeviceChoice.auto
    @Option(name: .long, help: "auto, fp32, bf16 or fp16.")
    var precision = PrecisionChoice.auto
    @Option(name: .long, parsing: .unconditional, help: "Default: all cores that the process may use.")
    var threads: Int?
    @Option(name: .long, help: "plain, avx2 or avx512. Default: the best that the processor has.")
    var kernels: KernelLevel?
    @Flag(name: .long, help: "Leave every product to OpenBLAS, for comparison.")
    var libraryOnly = false
    @Option(name: .long, help: "What is measured: all, training or generation; the rest reads 0.")
    var measure = Part.all
    @Option(name: .long, parsing: .unconditional, help: "Texts that generation writes side by side.")
    var texts = 1
    @Option(name: .long, parsing: .unconditional, help: "For how long training is measured, seconds.")
    var seconds = 5.0
    @Flag(name: .long, help: "Print a JSON object.")
    var json = false

    /// Either alone saves the time that the other takes.
    enum Part: String, ExpressibleByArgument, CaseIterable {
        case all, training, generation
    }

    /// Sizes are bounded so that products of them do not overflow; whether they fit into memory the engine says.
    func validate() throws {
        for (name, value) in [
            ("hidden-size", hiddenSize), ("num-layers", numLayers), ("embedding-size", embeddingSize ?? 1),
            ("batch-size", batchSize), ("seq-length", seqLength), ("vocabulary-size", vocabularySize),
            ("threads", threads ?? 1), ("texts", texts),
        ] where value < 1 || value > 1_000_000 {
            throw ValidationError("--\(name): found \(value); allowed: a whole number from 1 to 1000000")
        }
        for (name, value) in [("dropout-input", dropoutInput), ("dropout-output", dropoutOutput)]
        where !(0..<1).contains(value) {
            throw ValidationError(
                "--\(name): found \(value); allowed: a number from 0 up to, not including, 1")
        }
        guard seconds > 0, seconds <= 3600 else {
            throw ValidationError("--seconds: found \(seconds); allowed: a number above 0 and at most 3600")
        }
    }

    func run() throws {
        try reporting {
            // Dropout as in the report's runs: its random numbers are a part of a step.
            let architecture = Architecture(
                cell: cell, vocabularySize: vocabularySize, embeddingSize: embeddingSize, hiddenSize: hiddenSize,
                layerCount: numLayers, dropout: 0.5, dropoutInput: dropoutInput, dropoutOutput: dropoutOutput,
                dropoutMask: dropoutMask)
            let benchmark = Benchmark(
                architecture: architecture, batchSize: batchSize, sequenceLength: seqLength,
                choice: EngineChoice(device: device, precision: precision, threads: threads), kernels: kernels,
                usesLibraryOnly: libraryOnly)
            let result = try result(of: benchmark)
            if json {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                encoder.keyEncodingStrategy = .convertToSnakeCase
                Terminal.line(String(decoding: try encoder.encode(result), as: UTF8.self))
            } else {
                Terminal.line(result.table)
            }
        }
    }

    /// Measures what was asked for. The peak is measured in the same run and with the same threads: only so is its
    /// fraction worth anything.
    private func result(of benchmark: Benchmark) throws -> Result {
        var result = Result(
            cell: cell.rawValue, hiddenSize: hiddenSize, numLayers: numLayers,
            embeddingSize: benchmark.architecture.embeddingSize, batchSize: batchSize, seqLength: seqLength,
            vocabularySize: vocabularySize, device: "", precision: "", threads: 0, kernels: "")
        let processor = try benchmark.processor()
        if measure != .generation {
            let training = try benchmark.training(seconds: seconds)
            result.set(training, operations: benchmark.neededOperations)
            result.peakMemoryMb = peakMemory() / 1e6
            result.peakGflops = try processor?.peakGflops(training.engine.precision == "bf16" ? .bf16 : .fp32) ?? 0
            if result.peakGflops > 0 { result.fractionOfPeak = result.trainingGflops / result.peakGflops }
        }
        if measure == .all {
            // The parts that a step's time goes into, each measured alone: where one is slow the whole is.
            let products = try processor?.products(
                of: benchmark.architecture, batchSize: batchSize, sequenceLength: seqLength)
            result.products = (products ?? []).map { Result.Product(name: $0.name, gflops: $0.gflops) }
        }
        if measure != .training {
            let generation = try benchmark.generation(characters: max(20, 2000 / texts), texts: texts)
            result.set(generation.engine)
            result.generationCharsPerSecond = generation.charactersPerSecond
            result.generationTexts = texts
            // The weights are read once for all texts.
            result.generationMbPerChar = Double(benchmark.generationBytes) / 1e6 / Double(texts)
            result.readGbPerSecond = try processor?.readGigabytesPerSecond(bytes: benchmark.generationBytes) ?? 0
        }
        return result
    }

    /// All that is told of one configuration; what was not measured is 0. Keys are the names in snake case.
    private struct Result: Encodable {
        struct Product: Encodable {
            var name: String
            var gflops: Double
        }

        var cell: String
        var hiddenSize: Int
        var numLayers: Int
        var embeddingSize: Int
        var batchSize: Int
        var seqLength: Int
        var vocabularySize: Int
        var device: String
        var precision: String
        var threads: Int
        var kernels: String
        var trainingMsPerStep = 0.0
        var trainingMsPerStepLeast = 0.0
        var trainingCpuMsPerStep = 0.0
        var trainingCharsPerSecond = 0.0
        var trainingGflops = 0.0
        var peakGflops = 0.0
        var fractionOfPeak = 0.0
        /// The most that the process has occupied when training ended.
        var peakMemoryMb = 0.0
        var products: [Product] = []
        var generationTexts = 1
        var generationCharsPerSecond = 0.0
        var generationMbPerChar = 0.0
        var readGbPerSecond = 0.0

        /// What `auto` came to.
        mutating func set(_ engine: EngineConfiguration) {
            (device, precision, threads, kernels) = (engine.device, engine.precision, engine.threads, engine.method)
        }

        /// - Parameter operations: That a step cannot do without; what an engine does besides does not count as its
        ///   merit.
        mutating func set(_ training: Benchmark.Training, operations: Double) {
            set(training.engine)
            trainingMsPerStep = training.secondsPerStep * 1000
            trainingMsPerStepLeast = training.leastSecondsPerStep * 1000
            trainingCpuMsPerStep = training.processorSecondsPerStep * 1000
            trainingCharsPerSecond = Double(batchSize * seqLength) / training.secondsPerStep
            trainingGflops = operations / training.secondsPerStep / 1e9
        }

        var table: String {
            """
            \(cell) \(numLayers) x \(hiddenSize), batch \(batchSize), sequence \(seqLength), \
            vocabulary \(vocabularySize), \(precision), \(threads) threads, \(kernels)
            training    \(fixed(trainingMsPerStep, 1)) ms a step (least \(fixed(trainingMsPerStepLeast, 1)), \
            \(fixed(trainingCpuMsPerStep, 1)) of processor time)   \
            \(grouped(Int(trainingCharsPerSecond))) characters/s   \(fixed(peakMemoryMb, 0)) MB at most
            products    \(fixed(trainingGflops, 0)) GFLOP/s, \(fixed(fractionOfPeak * 100, 0)) % of the \
            \(fixed(peakGflops, 0)) that the processor can do at most
            \(products.map { "            \(fixed($0.gflops, 0)) GFLOP/s  \($0.name)\n" }.joined())\
            generation  \(grouped(Int(generationCharsPerSecond))) characters/s\(generationTexts == 1 ? "" : " in \(grouped(generationTexts)) texts together"), \
            \(fixed(generationCharsPerSecond * generationMbPerChar / 1000, 1)) GB/s of weights; \
            memory reads \(fixed(readGbPerSecond, 1)) GB/s of so many bytes
            """
        }
    }
}
