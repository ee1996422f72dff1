public import CharnnEngine
public import CharnnStorage
import CharnnWords
public import SystemPackage

/// `model.safetensors`: names, shapes and gate order are PyTorch's; what else is needed stands in `__metadata__`.
extension Model {
    /// The value of `format` in the metadata of files written here.
    public static let format = "charnnd.model.v1"

    /// The version of this program, as written to model files.
    public static let programVersion = "0.1.0"

    /// The tensors of a parameter buffer under their names, in layout order.
    public static func sources(of parameters: [Float], architecture: Architecture) -> [SafeTensors.Source] {
        ParameterLayout(architecture).slots.map { slot in
            SafeTensors.Source(name: slot.name, shape: slot.shape, values: parameters[slot.range])
        }
    }

    /// What stands in `__metadata__`.
    public var metadata: [String: String] {
        var metadata = [
            "format": Self.format,
            "cell": architecture.cell.rawValue,
            "nonlinearity": architecture.nonlinearity.rawValue,
            "encoding": encoding.rawValue,
            "vocabulary": "[" + vocabulary.codePoints.map(String.init).joined(separator: ",") + "]",
            "hidden_size": String(architecture.hiddenSize),
            "num_layers": String(architecture.layerCount),
            "embedding_size": String(architecture.embeddingSize),
            "dropout": String(architecture.dropout),
            "charnnd_version": Self.programVersion,
        ]
        // What few networks have: the files of all others are as they were before there was such a thing.
        if architecture.dropoutInput > 0 { metadata["dropout_input"] = String(architecture.dropoutInput) }
        if architecture.dropoutOutput > 0 { metadata["dropout_output"] = String(architecture.dropoutOutput) }
        if architecture.dropoutMask != .character { metadata["dropout_mask"] = architecture.dropoutMask.rawValue }
        if let step { metadata["step"] = String(step) }
        if let weights { metadata["weights"] = weights.rawValue }
        if let validationLoss { metadata["val_loss"] = String(validationLoss) }
        if let fittedTemperature { metadata["temperature_fit"] = String(fittedTemperature) }
        if let corpusSHA256 { metadata["corpus_sha256"] = corpusSHA256 }
        return metadata
    }

    /// Writes the model durably.
    ///
    /// - Parameter observer: Sees every piece of the file as it is written, for a checksum.
    public func write(
        to path: FilePath, in storage: any Storage, observer: (UnsafeRawBufferPointer) -> Void = { _ in }
    ) throws(StorageError) {
        try SafeTensors.write(
            Self.sources(of: parameters, architecture: architecture), metadata: metadata, to: path, in: storage,
            observer: observer)
    }

    /// Reads a model: one written here, or a PyTorch state dict of the same names with a `vocabulary` in its metadata.
    ///
    /// - Parameters:
    ///   - root: When given, the file must lie below it with no link on the way.
    ///   - found: When given, what the file must be that is opened.
    public init(
        reading path: FilePath, beneath root: FilePath? = nil, expecting found: FileStatus? = nil,
        in storage: any Storage
    ) throws(ModelError) {
        try self.init(try SafeTensors(path, beneath: root, expecting: found, in: storage), path: path)
    }

    /// Takes a model out of an opened file, ignoring tensors whose names begin with `state.`.
    public init(_ file: SafeTensors, path: FilePath) throws(ModelError) {
        func unfit(_ what: String) -> ModelError { ModelError(.notAModel, "\(path) is no character model: \(what)") }
        let metadata = file.metadata
        guard let list = metadata["vocabulary"] else {
            throw unfit("its metadata has no vocabulary (a JSON array of code points in index order)")
        }
        guard let codePoints = CodePointList.read(list),
            let vocabulary = Vocabulary(codePoints: codePoints)
        else { throw unfit("its vocabulary is not a JSON array of different code points") }
        guard let encoding = metadata["encoding"].map(TextEncoding.init(rawValue:)) ?? .utf8 else {
            throw unfit("its encoding is \(metadata["encoding"] ?? "") and not \(TextEncoding.list)")
        }
        let architecture = try Self.architecture(of: file, unfit: unfit)
        guard architecture.vocabularySize == vocabulary.count else {
            throw unfit("its vocabulary has \(vocabulary.count) symbols, its embedding \(architecture.vocabularySize)")
        }

        let layout = ParameterLayout(architecture)
        var names = Set(file.tensors.keys.filter { !$0.hasPrefix("state.") })
        for slot in layout.slots {
            guard let tensor = file.tensors[slot.name] else { throw unfit("it has no tensor \(slot.name)") }
            guard tensor.shape == slot.shape else {
                throw unfit("\(slot.name) has the shape \(tensor.shape), not \(slot.shape)")
            }
            names.remove(slot.name)
        }
        if let stranger = names.min() { throw unfit("it also has a tensor \(stranger)") }
        let size = UInt64(layout.count) * 4
        guard size <= SafeTensors.largestInMemory else {
            throw unfit("its weights would take \(byteCount(Double(size))), more than half of this machine's memory")
        }
        var parameters: [Float] = []
        parameters.reserveCapacity(layout.count)
        for slot in layout.slots { parameters += try file.floats(slot.name) }
        guard parameters.allSatisfy(\.isFinite) else { throw unfit("some of its weights are not finite numbers") }

        self.init(
            architecture: architecture, vocabulary: vocabulary, encoding: encoding, parameters: parameters,
            step: metadata["step"].flatMap(Int.init), weights: metadata["weights"].flatMap(WeightsKind.init),
            validationLoss: metadata["val_loss"].flatMap(Double.init),
            corpusSHA256: metadata["corpus_sha256"])
        // Somebody else's file may say anything.
        fittedTemperature = metadata["temperature_fit"].flatMap(Double.init).flatMap {
            (0.01...100).contains($0) ? $0 : nil
        }
    }

    /// The architecture that the tensors' shapes tell; metadata only adds what shapes cannot.
    private static func architecture(
        of file: SafeTensors, unfit: (String) -> ModelError
    ) throws(ModelError) -> Architecture {
        guard let embedding = file.tensors["embedding.weight"]?.shape, embedding.count == 2,
            let recurrent = file.tensors["rnn.weight_hh_l0"]?.shape, recurrent.count == 2, recurrent[1] > 0
        else { throw unfit("it has no embedding.weight and rnn.weight_hh_l0 of two dimensions") }
        // More than any network has, and little enough that no product of sizes overflows.
        guard (0...1 << 20).contains(embedding[1]), recurrent[1] <= 1 << 20 else {
            throw unfit("its embedding has the shape \(embedding), its rnn.weight_hh_l0 \(recurrent)")
        }
        // One that PyTorch has first: a state dict of its own tells no cell.
        let cells = recurrent[0] % recurrent[1] == 0 ? Cell.having(gates: recurrent[0] / recurrent[1]) : []
        let named = metadata(file, "cell")
        guard let first = cells.first(where: { $0.pyTorchModule != nil }) ?? cells.first else {
            throw unfit("rnn.weight_hh_l0 has the shape \(recurrent)")
        }
        guard let cell = named == nil ? first : cells.first(where: { $0.rawValue == named }) else {
            throw unfit("it calls itself \(named ?? "") and has the shapes of \(first.rawValue)")
        }
        guard let nonlinearity = Nonlinearity(rawValue: metadata(file, "nonlinearity") ?? "tanh") else {
            throw unfit("its nonlinearity is neither tanh nor relu")
        }
        var layers = 1
        while file.tensors["rnn.weight_hh_l\(layers)"] != nil { layers += 1 }
        return Architecture(
            cell: cell, nonlinearity: nonlinearity, vocabularySize: embedding[0], embeddingSize: embedding[1],
            hiddenSize: recurrent[1], layerCount: layers, dropout: dropout(file, "dropout"),
            dropoutInput: dropout(file, "dropout_input"), dropoutOutput: dropout(file, "dropout_output"),
            dropoutMask: metadata(file, "dropout_mask").flatMap(MaskSpan.init) ?? .character)
    }

    /// A probability that only a training needs: what is none counts as 0.
    private static func dropout(_ file: SafeTensors, _ key: String) -> Double {
        let dropout = metadata(file, key).flatMap(Double.init) ?? 0
        return (0..<1).contains(dropout) ? dropout : 0
    }

    private static func metadata(_ file: SafeTensors, _ key: String) -> String? { file.metadata[key] }
}
