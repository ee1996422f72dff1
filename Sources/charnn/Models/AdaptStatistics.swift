import ArgumentParser
import CharnnCorpus
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import CharnnTraining
import SystemPackage

/// `charnn adapt-statistics`: what a training leaves beside its model, for models that came without it.
struct AdaptStatistics: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adapt-statistics",
        abstract: "Measure what a model needs that is to learn from a text as it scores it.",
        discussion: """
            Each training leaves it beside its model, as adapt.safetensors. For a model that has none, name the text that it \
            was trained on.

            Example:
              charnn adapt-statistics ./gpl/model.safetensors gpl.txt
            """)

    @OptionGroup var model: ModelArgument

    @Argument(
        help: ArgumentHelp("The texts that it was trained on, read as one.", valueName: "text"), completion: .file())
    var texts: [String]

    @Option(name: .long, help: "\(TextEncoding.list). Default: the model's.")
    var encoding: TextEncoding?

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let path = try model.path(storage)
            let model = try Model(reading: path, in: storage)
            let files = texts.map { CorpusFile(path: FilePath($0).absolute.real) }
            let folder = try TemporaryFolder()
            let corpus = try Scoring.encode(
                files, encoding: encoding ?? model.encoding, unknown: .error, with: model.vocabulary,
                storage: storage, in: folder.path,
                note: { Terminal.error("charnn: warning: \($0)") })
            guard let text = corpus?.corpus.text else { return }
            guard text.count > 1 else {
                throw Failure(
                    "\(texts.joined(separator: ", ")): a text of two characters or more is needed", status: 65)
            }
            let engine = try Engines().makeEngine(
                EngineChoice(precision: .fp32), architecture: model.architecture.withoutDropout,
                parameters: model.parameters)
            let statistics = try GradientStatistics(of: engine, text, range: 0..<text.count, seed: 1)
            let sha256 = try storage.sha256(ofFile: path)
            let result = path.removingLastComponent().appending(.statistics)
            try statistics?.write(to: result, of: model, sha256: sha256, in: storage)
            Terminal.line("Wrote \(result).")
        }
    }
}
