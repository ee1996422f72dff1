public import ArgumentParser
import CharnnCorpus
import CharnnEngine
import CharnnJobs
public import CharnnModel
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import CharnnTraining
import Glibc
import SystemPackage

/// A model that a person names: a file, an output folder, a job of the spool, or a run outside the queue.
///
/// Looked for in that order, the nearest first: a path that is there is what its owner sees before them.
struct ModelArgument: ParsableArguments {
    @Argument(
        help: ArgumentHelp("A job's or run's name, its output folder, or a model file.", valueName: "model"),
        completion: .custom { words, _, _ in JobNames.withModels(words) })
    var model: String

    @OptionGroup var spool: SpoolOptions

    /// - Throws: ``Failure`` that lists the models there are; ``ModelError`` where the file is none.
    func load(_ storage: any Storage) throws -> Model { try Model(reading: path(storage), in: storage) }

    /// Where the model's file lies.
    ///
    /// - Throws: ``Failure`` that lists the models there are.
    func path(_ storage: any Storage) throws -> FilePath {
        // Somebody takes the job's file for the job; without this the message would be that it is no model.
        if let file = FilePath(model).lastComponent.flatMap({ JobFileName($0.string) }) {
            throw Failure("\(model) is a job file; say the job's name, \(file.name.text)", status: 66)
        }
        let candidates = [FilePath(model), FilePath(model).appending(.model)]
        for path in candidates {
            if try storage.status(of: path.absolute.real)?.kind == .regular {
                return path.absolute.real
            }
        }
        let layout = try spool.layout
        let named = try SpoolClient(layout, storage: storage).named(model)
        // A folder in jobs/ need not be a job's: somebody may have put it there.
        let folder = named?.folder(in: layout) ?? (FilePath.Component(model) == nil ? nil : layout.folder(of: model))
        guard let path = folder?.appending(.model), try storage.status(of: path) != nil else {
            let names = JobNames.withModels(in: layout)
            let others = names.count > 10 ? names.prefix(10) + ["\(names.count - 10) more"] : names
            throw Failure(
                "\(model): there is no such model file, and no job or run of that name has a model in \(layout.root)"
                    + (names.isEmpty ? "; `charnn demo` makes one" : "; there are \(others.joined(separator: ", "))"),
                status: 66)
        }
        return path
    }
}

extension AdaptMode: ExpressibleByArgument {}
extension UnknownPolicy: ExpressibleByArgument {}
extension TextEncoding: ExpressibleByArgument {}

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

    @OptionGroup var model: ModelArgument

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
            let model = try model.load(storage)
            var request = GenerationRequest(
                prompt: prompt, length: length,
                sampler: Sampler(temperature: temperature, topK: topK, topP: topP), count: count, seed: seed,
                stop: stop, echo: echo, unknown: unknown)
            request.promptBytes = try raw("--prompt", prompt, model)
            request.stopBytes = try stop.flatMap { try raw("--stop", $0, model) }
            try Self.write(request, with: model)
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
    static func write(_ request: GenerationRequest, with model: Model) throws {
        // A terminal shows UTF-8, however the text was encoded that the model learned from.
        let writer = try Generator(
            request, vocabulary: model.vocabulary, encoding: model.encoding == .bytes ? .bytes : .utf8)
        if !writer.unknown.isEmpty {
            Terminal.error(
                "charnn: the prompt has characters that the model's vocabulary lacks: \(Vocabulary.list(writer.unknown))"
            )
        }
        if let note = request.note(ofStopIn: model.vocabulary, model.encoding) {
            Terminal.error("charnn: warning: \(note)")
        }
        let engine = try Engines().makeEngine(
            EngineChoice(precision: .fp32), architecture: model.architecture, parameters: model.parameters)
        // One stream: what a person waits for is the next character.
        let predictor = try engine.makePredictor(streams: 1)
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

/// `charnn evaluate`: the same as a job's `evaluate`, by the same code.
struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Score a text with a model: nats and bits per character, perplexity.",
        discussion: """
            Example:
              cp /usr/share/common-licenses/GPL-2 old.txt
              charnn evaluate demo old.txt --unknown replace
              charnn evaluate demo old.txt --unknown replace --adapt dynamic
            """)

    @OptionGroup var model: ModelArgument

    @Argument(help: ArgumentHelp("The texts, read as one.", valueName: "text"), completion: .file())
    var texts: [String]

    @Option(name: .long, help: "\(TextEncoding.list). Default: the model's.")
    var encoding: TextEncoding?

    @Option(
        name: .long, help: "Characters outside the vocabulary, which are left out of the score: error, skip or replace."
    )
    var unknown = UnknownPolicy.error

    @Option(
        name: .long,
        help: """
            What the model learns from the text as it goes: none, dynamic, or tune, which tries five rates on the first half \
            and tells of the second.
            """)
    var adapt = AdaptMode.none

    @Option(name: .long, help: "How much it learns from a segment. Default: by the model's size.")
    var adaptRate: Double?

    @Flag(name: .long, help: "Print JSON, as in evaluation.json.")
    var json = false

    func validate() throws {
        if let adaptRate, !(adaptRate > 0 && adaptRate.isFinite) {
            throw ValidationError("--adapt-rate: \(adaptRate) is not above 0")
        }
    }

    /// What the model is to learn; nil: nothing.
    private func adaptation(of model: Model, at path: FilePath, _ storage: any Storage) throws -> Adaptation? {
        guard adapt != .none else { return nil }
        let sha256 = try storage.sha256(ofFile: path)
        let statistics = try GradientStatistics(
            reading: path.removingLastComponent().appending(.statistics), of: model, sha256: sha256,
            name: self.model.model, in: storage)
        var rule = AdaptationRule(hiddenSize: model.architecture.hiddenSize)
        rule.rate = adaptRate ?? rule.rate
        return Adaptation(adapt, rule: rule, statistics: statistics)
    }

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let path = try model.path(storage)
            let model = try Model(reading: path, in: storage)
            let adaptation = try adaptation(of: model, at: path, storage)
            let engine = try Engines().makeEngine(
                EngineChoice(precision: .fp32), architecture: model.architecture.withoutDropout,
                parameters: model.parameters)
            let files = texts.map { CorpusFile(path: FilePath($0).absolute.real) }
            let folder = try TemporaryFolder()
            let scored = try Scoring.score(
                files, encoding: encoding, unknown: unknown, with: model, engine: engine, storage: storage,
                in: folder.path, adapting: adaptation, note: { Terminal.error("charnn: warning: \($0)") })
            guard let scored else { return }
            if let warning = scored.warning { Terminal.error("charnn: warning: \(warning)") }
            if json {
                Terminal.write(
                    String(decoding: scored.report(model: self.model.model, corpus: texts), as: UTF8.self))
            } else {
                Terminal.line(scored.summary)
            }
        }
    }
}
