public import ArgumentParser
public import CharnnEngine
public import CharnnJobs
import CharnnReports
import FoundationEssentials

extension Cell: ExpressibleByArgument {}
extension DeviceChoice: ExpressibleByArgument {}
extension PrecisionChoice: ExpressibleByArgument {}

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
    @Option(name: .long, help: "Units of a layer.")
    var hiddenSize = 512
    @Option(name: .long, help: "Layers.")
    var numLayers = 2
    @Option(name: .long, help: "Default: the hidden size.")
    var embeddingSize: Int?
    @Option(name: .long, help: "Streams in a batch.")
    var batchSize = 64
    @Option(name: .long, help: "Time steps of a sequence.")
    var seqLength = 100
    @Option(name: .long, help: "Different characters.")
    var vocabularySize = 90
    @Option(name: .long, help: "auto, cpu or cuda.")
    var device = DeviceChoice.auto
    @Option(name: .long, help: "auto, fp32, bf16 or fp16.")
    var precision = PrecisionChoice.auto
    @Option(name: .long, help: "Default: all cores that the process may use.")
    var threads: Int?
    @Option(name: .long, help: "For how long training is measured, seconds.")
    var seconds = 5.0
    @Flag(name: .long, help: "Print a JSON object.")
    var json = false

    func validate() throws {
        for (name, value) in [
            ("hidden-size", hiddenSize), ("num-layers", numLayers), ("embedding-size", embeddingSize ?? 1),
            ("batch-size", batchSize), ("seq-length", seqLength), ("vocabulary-size", vocabularySize),
            ("threads", threads ?? 1),
        ] where value < 1 || value > 1_000_000 {
            throw ValidationError("--\(name): found \(value); allowed: a whole number from 1 to 1000000")
        }
        guard seconds > 0, seconds <= 3600 else {
            throw ValidationError("--seconds: found \(seconds); allowed: a number above 0 and at most 3600")
        }
    }

    func run() throws {
        try reporting {
            let architecture = Architecture(
                cell: cell, vocabularySize: vocabularySize, embeddingSize: embeddingSize, hiddenSize: hiddenSize,
                layerCount: numLayers, dropout: 0.5)
            let benchmark = Benchmark(
                architecture: architecture, batchSize: batchSize, sequenceLength: seqLength,
                choice: EngineChoice(device: device, precision: precision, threads: threads))
            let training = try benchmark.training(seconds: seconds)
            let result = Result(
                cell: cell.rawValue, hiddenSize: hiddenSize, numLayers: numLayers,
                embeddingSize: architecture.embeddingSize, batchSize: batchSize, seqLength: seqLength,
                vocabularySize: vocabularySize, device: training.engine.device, precision: training.engine.precision,
                threads: training.engine.threads, kernels: training.engine.kernels,
                trainingMsPerStep: training.secondsPerStep * 1000,
                trainingCharsPerSecond: Double(batchSize * seqLength) / training.secondsPerStep,
                trainingGflops: benchmark.neededOperations / training.secondsPerStep / 1e9,
                generationCharsPerSecond: try benchmark.generation(characters: 2000))
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

    private struct Result: Encodable {
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
        var trainingMsPerStep: Double
        var trainingCharsPerSecond: Double
        var trainingGflops: Double
        var generationCharsPerSecond: Double

        var table: String {
            """
            \(cell) \(numLayers) x \(hiddenSize), batch \(batchSize), sequence \(seqLength), \
            vocabulary \(vocabularySize), \(precision), \(threads) threads, \(kernels)
            training    \(fixed(trainingMsPerStep, 1)) ms a step   \
            \(grouped(Int(trainingCharsPerSecond))) characters/s   \(fixed(trainingGflops, 0)) GFLOP/s
            generation  \(grouped(Int(generationCharsPerSecond))) characters/s
            """
        }
    }
}
