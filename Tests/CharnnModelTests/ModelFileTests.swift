import CharnnEngine
import CharnnModel
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

@Suite struct ModelFileTests {
    private let folder = TemporaryDirectory("model")
    private let storage = LocalStorage()
    private var path: FilePath { folder.path.appending("model.safetensors") }

    private func model(_ cell: Cell = .lstm, encoding: TextEncoding = .utf8) -> Model {
        let architecture = Architecture(
            cell: cell, vocabularySize: 4, embeddingSize: 3, hiddenSize: 5, layerCount: 2, dropout: 0.25)
        return Model(
            architecture: architecture, vocabulary: Vocabulary(codePoints: [10, 97, 233, 0x1F600])!,
            encoding: encoding, parameters: Initialisation.parameters(of: architecture, seed: 3), step: 12,
            validationLoss: 1.25, corpusSHA256: "ab")
    }

    @Test func `which weights they are and what temperature fits them comes back, and nonsense is not believed`() throws
    {
        var model = model()
        for (weights, temperature) in [(WeightsKind.average, 1.0625), (.raw, 1), (nil, nil)] {
            (model.weights, model.fittedTemperature) = (weights, temperature)
            try model.write(to: path, in: storage)
            let read = try Model(reading: path, in: storage)
            #expect(read.weights == weights && read.fittedTemperature == temperature)
        }
        for nonsense in ["nan", "-1", "0", "inf", "1e300", "warm"] {
            var metadata = model.metadata
            (metadata["temperature_fit"], metadata["weights"]) = (nonsense, nonsense)
            try SafeTensors.write(
                Model.sources(of: model.parameters, architecture: model.architecture), metadata: metadata, to: path,
                in: storage)
            let read = try Model(reading: path, in: storage)
            #expect(read.weights == nil && read.fittedTemperature == nil)
        }
    }

    @Test(arguments: Cell.allCases, TextEncoding.allCases)
    func `a model that was written is read back the same`(cell: Cell, encoding: TextEncoding) throws {
        let model = model(cell, encoding: encoding)
        try model.write(to: path, in: storage)
        let read = try Model(reading: path, in: storage)
        #expect(read.architecture == model.architecture)
        #expect(read.vocabulary == model.vocabulary)
        #expect(read.parameters == model.parameters)
        #expect(read.encoding == encoding && read.step == 12 && read.validationLoss == 1.25)
    }

    @Test func `what drops is read back, and where nothing new does the file says nothing of it`() throws {
        var model = model()
        #expect(model.metadata.keys.filter { $0.hasPrefix("dropout") } == ["dropout"])
        model.architecture.dropoutInput = 0.1
        model.architecture.dropoutOutput = 0.5
        model.architecture.dropoutMask = .sequence
        try model.write(to: path, in: storage)
        #expect(try Model(reading: path, in: storage).architecture == model.architecture)

        var metadata = model.metadata
        (metadata["dropout_input"], metadata["dropout_output"], metadata["dropout_mask"]) = ("1", "nan", "word")
        try SafeTensors.write(
            Model.sources(of: model.parameters, architecture: model.architecture), metadata: metadata, to: path,
            in: storage)
        let read = try Model(reading: path, in: storage)
        #expect(read.architecture == self.model().architecture)
    }

    @Test func `the same model is the same bytes`() throws {
        try model().write(to: path, in: storage)
        let first = try storage.contents(of: path)
        try model().write(to: path, in: storage)
        #expect(try storage.contents(of: path) == first)
    }

    @Test func `only a vocabulary is required of the metadata`() throws {
        let model = model(.gru)
        try SafeTensors.write(
            Model.sources(of: model.parameters, architecture: model.architecture),
            metadata: ["vocabulary": "[10,97,233,128512]"], to: path, in: storage)
        let read = try Model(reading: path, in: storage)
        #expect(read.architecture.cell == .gru && read.architecture.layerCount == 2)
        #expect(read.encoding == .utf8 && read.parameters == model.parameters)
    }

    @Test func `a file cut anywhere is refused`() throws {
        try model().write(to: path, in: storage)
        let whole = try #require(try storage.contents(of: path))
        for length in stride(from: 0, to: whole.count, by: 97) {
            try storage.replace(path, with: Array(whole.prefix(length)))
            #expect(throws: ModelError.self) { try Model(reading: path, in: storage) }
        }
    }

    @Test(arguments: [
        #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}"#,
        #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,9223372036854775807]}}"#,
        #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[-16,0]}}"#,
        #"{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}"#,
        #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}"#,
        #"{"a":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}"#,
        #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#,
        "[]", "{", "",
    ])
    func `a header that lies is refused before memory is taken`(header: String) throws {
        let bytes = Array(header.utf8)
        let prefix = (0..<8).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) }
        try storage.replace(path, with: prefix + bytes + [UInt8](repeating: 0, count: 16))
        let error = #expect(throws: ModelError.self) { try SafeTensors(path, in: storage) }
        #expect(error?.code == .damaged)
    }

    @Test func `a header longer than its file is refused`() throws {
        try storage.replace(path, with: [UInt8](repeating: 0xFF, count: 64))
        #expect(throws: ModelError.self) { try SafeTensors(path, in: storage) }
    }

    @Test func `tensors that do not belong to a model are told`() throws {
        let model = model()
        var sources = Model.sources(of: model.parameters, architecture: model.architecture)
        sources.append(.init(name: "stranger", shape: [1], values: [1]))
        try SafeTensors.write(sources, metadata: model.metadata, to: path, in: storage)
        let error = #expect(throws: ModelError.self) { try Model(reading: path, in: storage) }
        #expect(error?.description.contains("stranger") == true)

        sources.removeLast(2)
        try SafeTensors.write(sources, metadata: model.metadata, to: path, in: storage)
        let missing = #expect(throws: ModelError.self) { try Model(reading: path, in: storage) }
        #expect(missing?.description.contains("fc.bias") == true)
    }

    @Test func `a vocabulary of another size is refused`() throws {
        let model = model()
        var metadata = model.metadata
        metadata["vocabulary"] = "[10,97]"
        try SafeTensors.write(
            Model.sources(of: model.parameters, architecture: model.architecture), metadata: metadata, to: path,
            in: storage)
        #expect(throws: ModelError.self) { try Model(reading: path, in: storage) }
    }

    @Test func `a grown model keeps every weight of the symbols it knew`() {
        let model = model()
        let grown = model.growing(to: model.vocabulary.growing(by: [98, 99]), seed: 1)
        let (old, new) = (ParameterLayout(model.architecture), ParameterLayout(grown.architecture))
        #expect(grown.architecture.vocabularySize == 6)
        for (one, other) in zip(old.slots, new.slots) {
            #expect(grown.parameters[other.offset..<(other.offset + one.count)] == model.parameters[one.range])
        }
        let row = new[.embedding].range.suffix(3)
        #expect(grown.parameters[row].contains { $0 != 0 })
    }
}
