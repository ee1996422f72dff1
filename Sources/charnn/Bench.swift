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
                cell: cell.rawValue, hidden_size: hiddenSize, num_layers: numLayers,
                embedding_size: architecture.embeddingSize, batch_size: batchSize, seq_length: seqLength,
                vocabulary_size: vocabularySize, device: training.engine.device, precision: training.engine.precision,
                threads: training.engine.threads, kernels: training.engine.kernels,
                training_ms_per_step: training.secondsPerStep * 1000,
                training_chars_per_second: Double(batchSize * seqLength) / training.secondsPerStep,
                training_gflops: benchmark.neededOperations / training.secondsPerStep / 1e9,
                generation_chars_per_second: try benchmark.generation(characters: 2000))
            if json {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                Terminal.line(String(decoding: try encoder.encode(result), as: UTF8.self))
            } else {
                Terminal.line(result.table)
            }
        }
    }

    private struct Result: Encodable {
        var cell: String
        var hidden_size: Int
        var num_layers: Int
        var embedding_size: Int
        var batch_size: Int
        var seq_length: Int
        var vocabulary_size: Int
        var device: String
        var precision: String
        var threads: Int
        var kernels: String
        var training_ms_per_step: Double
        var training_chars_per_second: Double
        var training_gflops: Double
        var generation_chars_per_second: Double

        var table: String {
            """
            \(cell) \(num_layers) x \(hidden_size), batch \(batch_size), sequence \(seq_length), \
            vocabulary \(vocabulary_size), \(precision), \(threads) threads, \(kernels)
            training    \(fixed(training_ms_per_step, 1)) ms a step   \
            \(grouped(Int(training_chars_per_second))) characters/s   \(fixed(training_gflops, 0)) GFLOP/s
            generation  \(grouped(Int(generation_chars_per_second))) characters/s
            """
        }
    }
}
