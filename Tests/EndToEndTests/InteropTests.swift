import CharnnEngine
import CharnnModel
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// Models out of charnn and into it.
@Suite struct InteropTests {
    private static let script = FilePath(#filePath).removingLastComponent().appending("PyTorch").appending("classes.py")
        .string

    private let spool: TestSpool
    private var folder: FilePath { spool.folder.path }
    private let storage = LocalStorage()

    init() throws { spool = try TestSpool() }

    /// A small model of random weights.
    @discardableResult
    private func model(_ cell: Cell, _ encoding: TextEncoding = .utf8, embedding: Int = 6) throws -> Model {
        let points: [UInt32] = encoding == .bytes ? Array(0..<256) : " abcdeéŒ\n".unicodeScalars.map(\.value)
        let vocabulary = try #require(Vocabulary(codePoints: encoding == .latin1 ? Array(32..<200) : points))
        let architecture = Architecture(
            cell: cell, nonlinearity: cell == .rnn ? .relu : .tanh, vocabularySize: vocabulary.count,
            embeddingSize: embedding, hiddenSize: 10, layerCount: 2)
        let random = Philox(key: 5)
        let count = ParameterLayout(architecture).count
        let model = Model(
            architecture: architecture, vocabulary: vocabulary, encoding: encoding,
            parameters: (0..<count).map { Float(random.uniform(.sampling, stream: 0, index: UInt64($0))) - 0.5 })
        try model.write(to: folder.appending("own.safetensors"), in: storage)
        return model
    }

    /// A state dict as another class would save it.
    private func save(
        _ model: Model, renamed: (String) -> String, without: (String) -> Bool = { _ in false },
        adding extra: [SafeTensors.Source] = [], metadata: [String: String] = [:]
    ) throws {
        let sources = Model.sources(of: model.parameters, architecture: model.architecture)
            .filter { !without($0.name) }
            .map { SafeTensors.Source(name: renamed($0.name), shape: $0.shape, values: $0.values) }
        try SafeTensors.write(
            sources + extra, metadata: metadata, to: folder.appending("theirs.safetensors"), in: storage)
    }

    private func write(_ name: String, _ text: String) throws {
        try storage.replace(folder.appending(name), with: Array(text.utf8))
    }

    private func imported() throws -> Model {
        try Model(reading: folder.appending("model.safetensors"), in: storage)
    }

    @Test(arguments: Cell.allCases) func `a state dict of any names becomes the model that it was`(cell: Cell) throws {
        // Where embedding and hidden size agree, shapes alone do not tell embedding and head apart.
        for embedding in [6, 10] {
            let model = try model(cell, embedding: embedding)
            try save(
                model,
                renamed: {
                    "module."
                        + $0.replacing("embedding.", with: "encoder.").replacing("rnn.", with: "core.")
                        .replacing("fc.", with: "decoder.")
                })
            let characters = model.vocabulary.codePoints.map { String(Character(Unicode.Scalar($0)!)) }
            try write(
                "stoi.json",
                String(
                    decoding: try JSONEncoder().encode(
                        Dictionary(uniqueKeysWithValues: characters.enumerated().map { ($1, $0) })), as: UTF8.self))
            let end = try spool.charnn(
                "import", "theirs.safetensors", "--vocabulary", "stoi.json", "--nonlinearity", "relu", "--force")
            #expect(end.status == 0, "\(end.error)")
            #expect(end.output.contains("\(cell.rawValue.uppercased()) 2 x 10, 9 symbols"))
            let found = try imported()
            #expect(found.parameters == model.parameters)
            #expect(found.vocabulary == model.vocabulary && found.architecture == model.architecture)
        }
        #expect(try spool.charnn("generate", "model.safetensors", "--length", "5").status == 0)
    }

    @Test func `biases that are not there are zeros`() throws {
        var model = try model(.gru)
        try save(model, renamed: { $0 }, without: { $0.contains("bias") }, metadata: model.metadata)
        #expect(try spool.charnn("import", "theirs.safetensors").status == 0)
        for slot in ParameterLayout(model.architecture).slots where slot.name.contains("bias") {
            model.parameters.replaceSubrange(slot.range, with: [Float](repeating: 0, count: slot.count))
        }
        #expect(try imported().parameters == model.parameters)
    }

    @Test(arguments: [
        #"[32, 97, 98, 99, 100, 101, 233, 338, 10]"#, #"[" ", "a", "b", "c", "d", "e", "é", "Œ", "\n"]"#,
        #"{"0":" ","1":"a","2":"b","3":"c","4":"d","5":"e","6":"é","7":"Œ","8":"\n"}"#,
    ])
    func `a vocabulary is read as people save it`(json: String) throws {
        #expect(try Vocabulary(json: json) == model(.gru).vocabulary)
    }

    @Test(arguments: [
        "", "{}", "[]", "[1, 1]", #"["ab"]"#, #"{"a": 1}"#, #"{"a": 0, "b": 0}"#, "[55296]", "7", "[[1]]",
    ])
    func `what is no vocabulary is refused`(json: String) {
        #expect(throws: ModelError.self) { try Vocabulary(json: json) }
    }

    @Test func `what cannot be imported is told, and nothing is written`() throws {
        let model = try model(.lstm, embedding: 10)
        func refused(_ says: String, _ arguments: String...) throws {
            let end = try spool.start(.charnn, ["import", "theirs.safetensors"] + arguments).end()
            #expect(end.status != 0 && end.error.contains(says), "\(end.error)")
            #expect(!spool.exists(folder.appending("model.safetensors")))
        }
        try refused("there is no such file")
        try save(model, renamed: { $0 })
        try refused("--vocabulary")
        try refused("there is no such file; name a JSON file", "--vocabulary", "nowhere.json")
        try write("short.json", "[1, 2]")
        try refused("[2, 10] of the head", "--vocabulary", "short.json")
        try write("own.json", "[32, 97, 98, 99, 100, 101, 233, 338, 10]")
        try refused("has 'Œ' (U+0152), which latin-1 lacks", "--encoding", "latin-1", "--vocabulary", "own.json")
    }

    @Test func `networks that are none of ours are refused`() throws {
        let model = try model(.lstm, embedding: 10)
        func refused(_ says: String) throws {
            let end = try spool.charnn("import", "theirs.safetensors")
            #expect(end.status == 65 && end.error.contains(says), "\(end.error)")
        }
        let extra = SafeTensors.Source(name: "norm.weight", shape: [2], values: [1, 2])
        try save(model, renamed: { $0 }, adding: [extra], metadata: model.metadata)
        try refused("norm.weight, which charnnd's network does not have")
        try save(model, renamed: { $0.replacing("_l1", with: "_l0_reverse") }, metadata: model.metadata)
        try refused("bidirectional")
        try save(model, renamed: { $0 }, without: { $0.hasPrefix("rnn.") }, metadata: model.metadata)
        try refused("one nn.RNN, nn.GRU or nn.LSTM")
        try save(model, renamed: { $0 }, without: { $0 == "embedding.weight" }, metadata: model.metadata)
        try refused("tied weights")
        try save(model, renamed: { $0 }, without: { $0.hasPrefix("fc.") }, metadata: model.metadata)
        try refused("0 tensors NAME.weight")
        try write("theirs.safetensors", "no tensors")
        try refused("not a whole safetensors file")
    }

    @Test func `nothing is overwritten unasked`() throws {
        try model(.gru)
        #expect(try spool.charnn("export", "own.safetensors", "--pytorch", "out").status == 0)
        let again = try spool.charnn("export", "own.safetensors", "--pytorch", "out")
        #expect(again.status == 73 && again.error.contains("--force"))
        #expect(try spool.charnn("export", "own.safetensors", "--pytorch", "out", "--force").status == 0)
        let taken = try spool.charnn("import", "own.safetensors", "--output", "out/model.safetensors")
        #expect(taken.status == 73 && taken.error.contains("--force"))
        let itself = try spool.charnn("import", "own.safetensors", "--output", "./own.safetensors", "--force")
        #expect(itself.status == 64 && itself.error.contains("the state dict itself"))
    }

    @Test func `the exported program has the seed's class in some forty lines`() throws {
        let program = try model(.gru).pyTorchScript()
        #expect(program.contains("torch.nn.GRU(") && program.split(separator: "\n").count <= 45)
        #expect(try model(.rnn).pyTorchScript().contains("nonlinearity=\"relu\""))
    }

    @Test(
        .enabled(if: Python.withTorch != nil, "$CHARNND_PYTHON names no Python with torch and safetensors"),
        arguments: Cell.allCases, TextEncoding.allCases)
    func `the exported program writes what charnn writes`(cell: Cell, encoding: TextEncoding) throws {
        try model(cell, encoding)
        #expect(try spool.charnn("export", "own.safetensors", "--pytorch", "out").status == 0)
        let prompt = encoding == .utf8 ? "a bé" : "a b"
        let theirs = try RunningProgram(
            try #require(Python.withTorch), ["out/generate.py", prompt, "60", "0"], in: folder, environment: [:]
        ).end()
        #expect(theirs.status == 0, "\(theirs.error)")
        let ours = try spool.charnn(
            "generate", "own.safetensors", "--prompt", prompt, "--length", "60", "--temperature", "0")
        #expect(theirs.output == ours.output && ours.output.utf8.count > 60)
        // With a temperature it only has to run: the two draw from other random numbers.
        let drawn = try RunningProgram(
            try #require(Python.withTorch), ["out/generate.py", prompt], in: folder, environment: [:]
        ).end()
        #expect(drawn.status == 0 && drawn.output.utf8.count > 500, "\(drawn.error)")
    }

    @Test(
        .enabled(if: Python.withTorch != nil, "$CHARNND_PYTHON names no Python with torch and safetensors"),
        arguments: Cell.allCases)
    func `another class saved by PyTorch writes the same here as there`(cell: Cell) throws {
        let end = try RunningProgram(
            try #require(Python.withTorch), [Self.script, cell.rawValue, "theirs.safetensors", "vocabulary.json"],
            in: folder, environment: [:]
        ).end()
        #expect(end.status == 0, "\(end.error)")
        let read = try spool.charnn("import", "theirs.safetensors", "--vocabulary", "vocabulary.json")
        #expect(read.status == 0, "\(read.error)")
        let ours = try spool.charnn(
            "generate", "model.safetensors", "--prompt", "a bad ", "--length", "60", "--temperature", "0")
        #expect(ours.output == end.output && ours.output.utf8.count > 60)
    }
}
