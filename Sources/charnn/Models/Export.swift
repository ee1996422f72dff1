import ArgumentParser
import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import SystemPackage

/// `charnn export`: the formats are made by `Model`; here it is seen to that nothing of anybody's is replaced.
struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a model for use without charnn: for PyTorch with a program that writes, or as ONNX.",
        discussion: """
            --pytorch makes a folder of model.safetensors and generate.py, whose class it loads into strictly:

              pip install torch numpy safetensors
              python3 demo-pytorch/generate.py 'You may' 300

            --onnx makes one file for onnxruntime and others. Inputs: symbols [batch, time] (int64, indices of the \
            vocabulary), h0 and for LSTM c0 [layers, batch, units] (zeros at a text's beginning). Outputs: logits \
            [batch, time, symbols], hn and cn, to go on with. The vocabulary and the rest of the model's metadata are \
            in the file. docs/elsewhere.md has a program that writes text with it.

            Example:
              charnn export demo --pytorch demo-pytorch
              charnn export demo --onnx demo.onnx
            """)

    @OptionGroup var model: ModelArgument

    @Option(
        name: .long, help: ArgumentHelp("The folder to write; made if it is not there.", valueName: "dir"),
        completion: .directory)
    var pytorch: String?

    @Option(name: .long, help: ArgumentHelp("The ONNX file to write.", valueName: "file"), completion: .file())
    var onnx: String?

    @Flag(name: .long, help: "Replace files that an earlier export wrote there.")
    var force = false

    /// Without a format there is nothing to do, and to choose one would be a guess.
    func validate() throws {
        guard pytorch != nil || onnx != nil else {
            throw ValidationError("what to write is not said; say --pytorch DIR, --onnx FILE, or both")
        }
    }

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let model = try model.load(storage)
            let folder = pytorch.map { FilePath($0).absolute }
            let file = onnx.map { FilePath($0).absolute }
            // Nothing is written before all of it can be.
            for path in (folder.map { [Self.weights(in: $0), Self.program(in: $0)] } ?? []) + (file.map { [$0] } ?? [])
            where try !force && storage.status(of: path) != nil {
                throw Failure("\(path) is there already; say --force, or give another name", status: 73)
            }
            if let folder {
                let (weights, program) = (Self.weights(in: folder), Self.program(in: folder))
                // Before anything is written: what PyTorch has no cell for is refused whole.
                let text = try model.pyTorchScript()
                try storage.createDirectories(folder, mode: 0o755)
                try model.write(to: weights, in: storage)
                try storage.replace(program, with: Array(text.utf8), mode: 0o755)
                Terminal.line("\(weights): \(model.description)")
                Terminal.line("\(program): python3 \(program) 'The ' 300")
            }
            if let file {
                // It is made as a whole in memory, and so may take as much again as the model.
                try storage.replace(file, with: try model.onnx(), mode: 0o644)
                Terminal.line("\(file): \(model.description)")
            }
        }
    }

    private static func weights(in folder: FilePath) -> FilePath { folder.appending(.model) }

    private static func program(in folder: FilePath) -> FilePath { folder.appending("generate.py") }
}

extension Model {
    /// The kind of network and its sizes, for a line.
    var description: String {
        let shape = "\(architecture.layerCount) x \(architecture.hiddenSize)"
        return "\(architecture.cell.rawValue.uppercased()) \(shape), \(vocabulary.count) symbols"
    }
}
