import ArgumentParser
import CharnnCorpus
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import CharnnTraining
import Glibc
import SystemPackage

/// `charnn generate`: one text after the other, each to be read while it comes. A job's `generate` writes sixteen side
/// by side; the texts are the same, for each has random numbers of its own.
struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write text with a model, to the terminal as it comes.",
        discussion: """
            The text is UTF-8; of a model that learned bytes it is those. A terminal gets signs in place of control characters.

            Examples:
              charnn generate demo --prompt 'You may' --length 300
              charnn generate demo --temperature 0.5 --count 3
              charnn generate ~/.local/state/charnnd/runs/demo/model.safetensors
            """)

    @OptionGroup var models: ModelsArgument

    @Option(
        name: .long,
        help: ArgumentHelp(
            "A text that the model learns from as it reads it, to write on. May be given several times: read as one.",
            valueName: "text"), completion: .file())
    var adaptTo: [String] = []

    // What follows an option is its value, also where it begins with a hyphen.
    @Option(name: .long, parsing: .unconditional, help: "The text to go on from. Default: a newline, not shown.")
    var prompt = ""

    @Option(name: .long, parsing: .unconditional, help: "Characters to write after the prompt.")
    var length = 1000

    @Option(
        name: .long, parsing: .unconditional, help: "Above 1: bolder; below: safer; 0: always the likeliest character.")
    var temperature = 0.8

    @Option(name: .long, parsing: .unconditional, help: "Only the so many likeliest characters; 0: all.")
    var topK = 0

    @Option(
        name: .long, parsing: .unconditional,
        help: "Only the likeliest characters that together reach this probability; 1: all.")
    var topP = 1.0

    @Option(name: .long, parsing: .unconditional, help: "How many texts.")
    var count = 1

    @Option(name: .long, parsing: .unconditional, help: "The same seed writes the same text.")
    var seed: UInt64 = 1

    @Option(name: .long, parsing: .unconditional, help: "Stop after this string.")
    var stop: String?

    @Flag(name: .long, inversion: .prefixedNo, help: "Show the prompt before the text.")
    var echo = true

    @Option(
        name: .long, parsing: .unconditional, help: "Prompt characters outside the vocabulary: error, skip or replace.")
    var unknown = UnknownPolicy.error

    /// As the keys of a job file are checked, in the words of options.
    func validate() throws {
        guard length >= 0 else { throw ValidationError("--length: found \(length); allowed: a whole number from 0") }
        guard temperature >= 0, temperature.isFinite else {
            throw ValidationError("--temperature: found \(temperature); allowed: a number from 0")
        }
        guard topK >= 0 else { throw ValidationError("--top-k: found \(topK); allowed: a whole number from 0") }
        guard topP > 0, topP <= 1 else {
            throw ValidationError("--top-p: found \(topP); allowed: a number above 0 and at most 1")
        }
        guard count >= 1 else { throw ValidationError("--count: found \(count); allowed: a whole number from 1") }
    }

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let models = try models.load(storage)
            var request = GenerationRequest(
                prompt: prompt, length: length,
                sampler: Sampler(temperature: temperature, topK: topK, topP: topP), count: count, seed: seed,
                stop: stop, echo: echo, unknown: unknown)
            request.promptBytes = try raw("--prompt", prompt, models[0].model)
            request.stopBytes = try stop.flatMap { try raw("--stop", $0, models[0].model) }
            try write(request, with: models, storage)
        }
    }

    /// The bytes of a value that is not UTF-8, which only a model that learned bytes can take.
    private func raw(_ option: String, _ text: String, _ model: Model) throws -> [UInt8]? {
        guard let bytes = RawArguments.value(of: option, parsedAs: text) else { return nil }
        guard model.encoding == .bytes else {
            throw Failure(
                "\(option): \"\(text)\" is not UTF-8, and the model learned characters, not bytes; say it in UTF-8",
                status: Failure.usage)
        }
        return bytes
    }

    /// Writes the texts of a request to standard output, one after the other.
    private func write(
        _ request: GenerationRequest, with models: [ModelsArgument.Found], _ storage: any Storage
    ) throws {
        var ensemble = try Ensemble(
            models.map { found in
                let statistics = try adaptTo.isEmpty ? nil : found.statistics(storage)
                return ScoringMember(
                    name: found.name, model: found.model,
                    adaptation: statistics.map { Adaptation(to: found.model, $0) })
            }, request)
        let engines = try models.map { found in
            try Engines().makeEngine(
                EngineChoice(precision: .fp32), architecture: found.model.architecture.withoutDropout,
                parameters: found.model.parameters)
        }
        if !adaptTo.isEmpty {
            let folder = try TemporaryFolder()
            let text = try ensemble.begin(
                with: adaptTo.map { CorpusFile(path: FilePath($0).absolute.real) }, on: storage, in: folder.path,
                note: { Terminal.error("charnn: warning: \($0)") })
            if let text { _ = try ensemble.adapt(engines, to: text) }
        }
        // A terminal shows UTF-8, however the text was encoded that the model learned from.
        let writer = try Generator(
            ensemble.request, vocabulary: ensemble.vocabulary, encoding: ensemble.encoding == .bytes ? .bytes : .utf8)
        if !writer.unknown.isEmpty {
            Terminal.error(
                "charnn: the prompt has characters that the model's vocabulary lacks: \(Vocabulary.list(writer.unknown))"
            )
        }
        if let note = request.note(ofStopIn: ensemble.vocabulary, ensemble.encoding) {
            Terminal.error("charnn: warning: \(note)")
        }
        // One stream: what a person waits for is the next character.
        let predictor = try ensemble.predictor(engines, streams: 1)
        var output = OutputBuffer()
        for number in 0..<request.count {
            if number > 0 { output.add(Array("\n\n".utf8)) }
            _ = try writer.write(number..<(number + 1), with: predictor, emit: { output.add($1) })
        }
        output.add([10])
        output.finish()
    }
}

/// Standard output: every character at once, and made harmless, on a terminal; as it is, in larger pieces, elsewhere.
private struct OutputBuffer {
    private var bytes: [UInt8] = []
    private var filter = TerminalFilter()

    mutating func finish() {
        bytes += filter.finish()
        flush()
    }

    /// - Parameter more: Whole characters of one text, or what stands between two.
    mutating func add(_ more: [UInt8]) {
        bytes += Terminal.isTerminal ? filter.pass(more) : more
        if Terminal.isInteractive || bytes.count >= 4096 { flush() }
    }

    mutating func flush() {
        // Nobody reads any more, or nobody can: the rest would be written for nothing.
        guard StandardOutput.write(bytes) else { Glibc.exit(0) }
        bytes.removeAll(keepingCapacity: true)
    }
}
