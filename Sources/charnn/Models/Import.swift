public import ArgumentParser
public import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import SystemPackage

extension Nonlinearity: ExpressibleByArgument {}

/// `charnn import`: ``Model/init(importing:vocabulary:encoding:nonlinearity:name:)`` finds the network in the tensors;
/// here the file is found, and nothing is written over.
struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a model of a PyTorch state dict that was saved as safetensors.",
        discussion: """
            The dict is that of a class with an nn.Embedding, an nn.RNN, nn.GRU or nn.LSTM and an nn.Linear, whatever \
            these are called. Its vocabulary is a JSON array of characters or code points in index order, or an object \
            of characters with their indices: in a file, or under "vocabulary" in the metadata. In Python:

              safetensors.torch.save_file(model.state_dict(), "theirs.safetensors")
              json.dump(stoi, open("vocabulary.json", "w"))

            What is written works in `charnn generate` and `charnn evaluate`, and in job files as model: and from:.

            Example:
              charnn export demo --pytorch out --force
              charnn import out/model.safetensors --output own.safetensors --force
              charnn generate own.safetensors --length 100
            """)

    @Argument(
        help: ArgumentHelp("The state dict.", valueName: "file"), completion: .file(extensions: ["safetensors"]))
    var file: String

    @Option(
        name: .long, help: ArgumentHelp("The vocabulary. Default: the file's metadata.", valueName: "json"),
        completion: .file(extensions: ["json"]))
    var vocabulary: String?

    @Option(name: .long, help: ArgumentHelp("The model to write.", valueName: "file"))
    var output = JobFolderFile.model.rawValue

    @Option(name: .long, help: "\(TextEncoding.list). Default: what the metadata says, or utf-8.")
    var encoding: TextEncoding?

    @Option(name: .long, help: "Of an nn.RNN: tanh or relu. Default: what the metadata says, or tanh.")
    var nonlinearity: Nonlinearity?

    @Flag(name: .long, help: "Replace a file of the output's name.")
    var force = false

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let source = FilePath(file).absolute.real
            let target = FilePath(output).absolute
            guard try storage.status(of: source)?.kind == .regular else {
                throw Failure("\(file): there is no such file; name a state dict saved as safetensors", status: 66)
            }
            // With --force the state dict would be lost, and the model made of it be all that is left.
            if target.real == source {
                throw Failure(
                    "--output names the state dict itself; give the model another name", status: Failure.usage)
            }
            if try !force && storage.status(of: target) != nil {
                throw Failure("\(target) is there already; say --force, or another --output", status: 73)
            }
            let model = try Model(
                importing: try SafeTensors(source, in: storage), vocabulary: try vocabularyText(storage),
                encoding: encoding, nonlinearity: nonlinearity, name: file)
            try model.write(to: target, in: storage)
            Terminal.line("\(target): \(model.description)")
        }
    }

    /// nil: none was named, and the file's metadata must have it.
    private func vocabularyText(_ storage: any Storage) throws -> String? {
        guard let vocabulary else { return nil }
        // Every code point there is takes less.
        guard let bytes = try storage.contents(of: FilePath(vocabulary).absolute.real, limit: 64 << 20) else {
            throw Failure("\(vocabulary): there is no such file; name a JSON file", status: 66)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
