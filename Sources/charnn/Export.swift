import ArgumentParser
import CharnnEngine
import CharnnModel
import CharnnStorage
import SystemPackage

struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a model for use without charnn: the weights and a PyTorch program that writes with them.",
        discussion: """
            The folder has model.safetensors, which loads strictly into the class in generate.py beside it:

              pip install torch numpy safetensors
              python3 demo-pytorch/generate.py 'You may' 300

            Example:
              charnn export demo --pytorch demo-pytorch
            """)

    @OptionGroup var model: ModelArgument

    @Option(
        name: .long, help: ArgumentHelp("The folder to write; made if it is not there.", valueName: "dir"),
        completion: .directory)
    var pytorch: String

    @Flag(name: .long, help: "Replace files that an earlier export wrote there.")
    var force = false

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let model = try model.load(storage)
            let folder = FilePath(pytorch).absolute
            let (weights, program) = (folder.appending("model.safetensors"), folder.appending("generate.py"))
            for path in [weights, program] where try !force && storage.status(of: path) != nil {
                throw Failure("\(path) is there already; say --force, or name another folder", status: 73)
            }
            try storage.createDirectories(folder, mode: 0o755)
            try model.write(to: weights, in: storage)
            try storage.replace(program, with: Array(model.pyTorchScript.utf8), mode: 0o755)
            Terminal.line("\(weights): \(model.description)")
            Terminal.line("\(program): python3 \(program) 'The ' 300")
        }
    }
}

extension Model {
    /// The kind of network and its sizes, for a line.
    var description: String {
        let shape = "\(architecture.layerCount) x \(architecture.hiddenSize)"
        return "\(architecture.cell.rawValue.uppercased()) \(shape), \(vocabulary.count) symbols"
    }
}
