public import CharnnEngine
import FoundationEssentials

/// State dicts of other people's classes: an embedding, a recurrent network and a linear head, whatever they are called.
extension Model {
    /// Takes a model out of a state dict with the seed's structure and any names.
    ///
    /// The recurrent network is found by PyTorch's own endings (`weight_ih_l0` …), embedding and head by their shapes.
    /// Biases that are not there (`bias=False`) are zeros.
    ///
    /// - Parameters:
    ///   - vocabulary: A JSON text, see ``Vocabulary/init(json:)``; nil: the one in the file's metadata.
    ///   - nonlinearity: Of a plain RNN, which no shape tells; nil: what the metadata says, or tanh.
    ///   - name: How the file is called in messages.
    public init(
        importing file: SafeTensors, vocabulary json: String?, encoding: TextEncoding?, nonlinearity: Nonlinearity?,
        name: String
    ) throws(ModelError) {
        func unfit(_ what: String) -> ModelError { ModelError(.notAModel, "\(name) cannot be imported: \(what)") }
        guard let text = json ?? file.metadata["vocabulary"] else {
            throw unfit("its metadata has no vocabulary; give one with --vocabulary FILE")
        }
        let vocabulary = try Vocabulary(json: text)
        let names = try StateDictNames(file, vocabularySize: vocabulary.count, unfit: unfit)
        let told = file.metadata["nonlinearity"].flatMap(Nonlinearity.init(rawValue:))
        let architecture = Architecture(
            cell: names.cell, nonlinearity: names.cell.hasNonlinearity ? nonlinearity ?? told ?? .tanh : .tanh,
            vocabularySize: vocabulary.count, embeddingSize: names.embeddingSize, hiddenSize: names.hiddenSize,
            layerCount: names.layerCount, dropout: 0)
        let layout = ParameterLayout(architecture)
        guard UInt64(layout.count) * 4 <= SafeTensors.largestInMemory else {
            throw unfit("its weights would take more than half of this machine's memory")
        }
        var parameters: [Float] = []
        parameters.reserveCapacity(layout.count)
        for slot in layout.slots {
            let tensor = names.tensor(of: slot.role)
            guard let found = file.tensors[tensor] else {
                guard slot.role.isBias else { throw unfit("it has no tensor \(tensor)") }
                parameters += [Float](repeating: 0, count: slot.count)
                continue
            }
            guard found.shape == slot.shape else {
                throw unfit("\(tensor) has the shape \(found.shape), not \(slot.shape)")
            }
            parameters += try file.floats(tensor)
        }
        guard parameters.allSatisfy(\.isFinite) else { throw unfit("some of its weights are not finite numbers") }
        guard let known = encoding ?? file.metadata["encoding"].map(TextEncoding.init(rawValue:)) ?? .utf8 else {
            throw unfit("its encoding is unknown; say --encoding \(TextEncoding.list)")
        }
        if let large = vocabulary.codePoints.first(where: { !known.has($0) }) {
            throw unfit("its vocabulary has \(Vocabulary.name(of: large)), which \(known.rawValue) lacks")
        }
        self.init(architecture: architecture, vocabulary: vocabulary, encoding: known, parameters: parameters)
    }
}

extension ParameterRole {
    fileprivate var isBias: Bool {
        switch self {
        case .inputBias, .recurrentBias, .headBias: true
        case .embedding, .inputWeight, .recurrentWeight, .headWeight: false
        }
    }
}

/// Which tensor of a state dict is which parameter.
private struct StateDictNames {
    private var embedding: String
    private var recurrent: String
    private var head: String
    let cell: Cell
    let embeddingSize: Int
    let hiddenSize: Int
    let layerCount: Int

    init(_ file: SafeTensors, vocabularySize: Int, unfit: (String) -> ModelError) throws(ModelError) {
        let names = file.tensors.keys.sorted()
        if let name = names.first(where: { $0.hasSuffix("_reverse") }) {
            throw unfit("\(name) belongs to a bidirectional network, which cannot write text")
        }
        if let name = names.first(where: { $0.contains("weight_hr_l") }) {
            throw unfit("\(name) belongs to an LSTM with projections (proj_size), which charnnd does not have")
        }
        let ending = "weight_hh_l0"
        let found = names.filter { $0 == ending || $0.hasSuffix(".\(ending)") }
        guard let first = found.first, found.count == 1 else {
            throw unfit(
                "it has \(found.count) tensors that end in \(ending); one nn.RNN, nn.GRU or nn.LSTM with any number of "
                    + "layers is needed")
        }
        recurrent = String(first.dropLast(ending.count))
        guard let shape = file.tensors[first]?.shape, shape.count == 2, (1...1 << 20).contains(shape[1]),
            shape[0] % shape[1] == 0,
            let cell = Cell.having(gates: shape[0] / shape[1]).first(where: { $0.pyTorchModule != nil }),
            let input = file.tensors[recurrent + "weight_ih_l0"]?.shape, input.count == 2, input[0] == shape[0],
            (1...1 << 20).contains(input[1])
        else { throw unfit("\(first) and \(recurrent)weight_ih_l0 have no shapes of an nn.RNN, nn.GRU or nn.LSTM") }
        self.cell = cell
        hiddenSize = shape[1]
        embeddingSize = input[1]
        var layers = 1
        while file.tensors["\(recurrent)weight_hh_l\(layers)"] != nil { layers += 1 }
        layerCount = layers

        // Both may have the same shape; then the head is the one with a bias, or else the one behind the other in the
        // order in which people name them.
        func weights(_ columns: Int) -> [String] {
            names.filter {
                file.tensors[$0]?.shape == [vocabularySize, columns] && ($0 == "weight" || $0.hasSuffix(".weight"))
            }
        }
        func hasBias(_ weight: String) -> Bool {
            file.tensors[weight.dropLast("weight".count) + "bias"]?.shape == [vocabularySize]
        }
        let heads = weights(hiddenSize)
        let embeddings = weights(embeddingSize)
        guard let head = heads.first(where: hasBias) ?? heads.last else {
            throw unfit(
                "no tensor NAME.weight has the shape [\(vocabularySize), \(hiddenSize)] of the head; is it a state dict of "
                    + "nn.Embedding, nn.RNN/GRU/LSTM and nn.Linear, with a vocabulary of \(vocabularySize) symbols?")
        }
        let others = embeddings.filter { $0 != head && !hasBias($0) }
        guard let embedding = others.first, others.count == 1 else {
            throw unfit(
                "\(others.count) tensors NAME.weight have the shape [\(vocabularySize), \(embeddingSize)] of the "
                    + "embedding; one is needed (with tied weights, save a copy of them under a name of its own)")
        }
        (self.head, self.embedding) = (head, embedding)
        let own = Set(
            names.filter { $0.hasPrefix(recurrent + "weight_") || $0.hasPrefix(recurrent + "bias_") }
                + [head, embedding, String(head.dropLast("weight".count)) + "bias"])
        if let stranger = names.first(where: { !own.contains($0) }) {
            throw unfit("it also has a tensor \(stranger), which charnnd's network does not have")
        }
    }

    func tensor(of role: ParameterRole) -> String {
        switch role {
        case .embedding: embedding
        case .inputWeight(let layer): "\(recurrent)weight_ih_l\(layer)"
        case .recurrentWeight(let layer): "\(recurrent)weight_hh_l\(layer)"
        case .inputBias(let layer): "\(recurrent)bias_ih_l\(layer)"
        case .recurrentBias(let layer): "\(recurrent)bias_hh_l\(layer)"
        case .headWeight: head
        case .headBias: head.dropLast("weight".count) + "bias"
        }
    }
}

extension Vocabulary {
    /// Reads a vocabulary as people save them: a JSON array of code points, an array of characters, an object of
    /// characters with their indices (`stoi`), or one of indices with their characters (`itos`).
    public init(json: String) throws(ModelError) {
        let decoder = JSONDecoder()
        let data = Data(json.utf8)
        func symbols(_ texts: [String]) -> [UInt32]? {
            let scalars = texts.map { Array($0.unicodeScalars) }
            return scalars.allSatisfy { $0.count == 1 } ? scalars.map { $0[0].value } : nil
        }
        func ordered(_ pairs: [(index: Int, text: String)]) -> [UInt32]? {
            let sorted = pairs.sorted { $0.index < $1.index }
            return sorted.map(\.index) == Array(sorted.indices) ? symbols(sorted.map(\.text)) : nil
        }
        var found: [UInt32]?
        if let points = try? decoder.decode([UInt32].self, from: data) {
            found = points
        } else if let texts = try? decoder.decode([String].self, from: data) {
            found = symbols(texts)
        } else if let indices = try? decoder.decode([String: Int].self, from: data) {
            found = ordered(indices.map { ($1, $0) })
        } else if let texts = try? decoder.decode([String: String].self, from: data) {
            let pairs = texts.compactMap { key, text in Int(key).map { ($0, text) } }
            found = pairs.count == texts.count ? ordered(pairs) : nil
        }
        guard let found, let vocabulary = Vocabulary(codePoints: found) else {
            throw ModelError(
                .notAModel,
                "the vocabulary is neither a JSON array of different code points or characters in index order, nor an "
                    + "object of characters with the indices 0, 1, 2 … (or of indices with characters)")
        }
        self = vocabulary
    }
}
