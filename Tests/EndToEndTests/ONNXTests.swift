import CharnnEngine
import CharnnModel
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// Models as ONNX.
@Suite struct ONNXTests {
    private static let script = FilePath(#filePath).removingLastComponent().appending("ONNX").appending("run_model.py")
        .string
    private static let reason: Comment = "$CHARNND_PYTHON names no Python with onnx and onnxruntime"

    struct Network: CustomTestStringConvertible, Sendable {
        var cell: Cell
        var nonlinearity = Nonlinearity.tanh
        var layers: Int
        var testDescription: String { "\(cell.rawValue) \(nonlinearity.rawValue), \(layers)" }

        static let all = [1, 2, 3].flatMap { layers in
            Cell.allCases.map { Network(cell: $0, layers: layers) }
                + [Network(cell: .rnn, nonlinearity: .relu, layers: layers)]
        }
    }

    private let spool: TestSpool
    private var folder: FilePath { spool.folder.path }

    init() throws { spool = try TestSpool() }

    private static let letters = " abcdeéŒ\n"

    /// A small model of random weights, large enough that every gate matters.
    private func model(_ network: Network) throws -> Model {
        let vocabulary = try #require(Vocabulary(codePoints: Self.letters.unicodeScalars.map(\.value)))
        let architecture = Architecture(
            cell: network.cell, nonlinearity: network.nonlinearity, vocabularySize: vocabulary.count, embeddingSize: 6,
            hiddenSize: 10, layerCount: network.layers)
        let random = Philox(key: 7)
        // Without a bound on its states an RNN of rectifiers would grow beyond what fp32 tells apart.
        let largest: Float = network.nonlinearity == .relu ? 0.4 : 0.8
        let count = ParameterLayout(architecture).count
        let model = Model(
            architecture: architecture, vocabulary: vocabulary, encoding: .utf8,
            parameters: (0..<count).map {
                largest * (2 * Float(random.uniform(.sampling, stream: 0, index: UInt64($0))) - 1)
            })
        try model.write(to: folder.appending("own.safetensors"), in: spool.storage)
        return model
    }

    @Test(arguments: Network.all)
    func `the file has the network's operators, weights and vocabulary`(network: Network) throws {
        let model = try model(network)
        let file = ProtobufReader(try model.onnx())
        let graph = ProtobufReader(try #require(file.messages(7).first))
        let nodes = graph.messages(1).map { ProtobufReader($0) }
        let recurrent = network.cell.rawValue.uppercased()
        let states = network.cell == .lstm ? ["h0", "c0"] : ["h0"]
        #expect(
            nodes.map { $0.texts(4)[0] }
                == ["Gather", "Transpose"] + states.map { _ in "Split" }
                + (0..<network.layers).flatMap { _ in [recurrent, "Squeeze"] } + states.map { _ in "Concat" }
                + ["Transpose", "MatMul", "Add"])
        #expect(graph.messages(11).map { ProtobufReader($0).texts(1)[0] } == ["symbols"] + states)
        #expect(
            graph.messages(12).map { ProtobufReader($0).texts(1)[0] }
                == ["logits"] + states.map { $0.replacing("0", with: "n") })

        // Each node's inputs are there before it.
        var weights: [String: [Float]] = [:]
        for tensor in graph.messages(5).map({ ProtobufReader($0) }) {
            weights[tensor.texts(8)[0]] =
                tensor.messages(9).first.map { bytes in
                    Array(bytes).withUnsafeBytes { Array($0.assumingMemoryBound(to: Float.self)) }
                } ?? []
        }
        var known = Set(weights.keys).union(["symbols"] + states)
        for node in nodes {
            #expect(known.isSuperset(of: node.texts(1).filter { !$0.isEmpty }), "\(node.texts(3))")
            known.formUnion(node.texts(2))
        }

        // The gates are in ONNX's order; the first row of each tells which it is.
        let layout = ParameterLayout(model.architecture)
        let slot = layout[.recurrentWeight(layer: network.layers - 1)]
        let ours = Array(model.parameters[slot.range])
        let theirs = try #require(weights["layer\(network.layers - 1).R"])
        let order = network.cell == .rnn ? [0] : network.cell == .gru ? [1, 0, 2] : [0, 3, 1, 2]
        for (place, gate) in order.enumerated() { #expect(theirs[place * 100] == ours[gate * 100]) }

        let metadata = file.messages(14).map { ProtobufReader($0) }
            .map { ($0.texts(1)[0], $0.texts(2)[0]) }
        #expect(Dictionary(uniqueKeysWithValues: metadata) == model.metadata)
    }

    @Test(.enabled(if: Python.withONNX != nil, reason), arguments: Network.all)
    func `onnxruntime computes the logits that charnn computes`(network: Network) throws {
        let model = try model(network)
        #expect(try spool.charnn("export", "own.safetensors", "--onnx", "own.onnx").status == 0)
        let prompt = "a bad éŒ face\nabcde".filter { Self.letters.contains($0) }
        let end = try RunningProgram(
            try #require(Python.withONNX), [Self.script, "own.onnx", prompt], in: folder, environment: [:]
        ).end()
        #expect(end.status == 0, "\(end.error)")
        let found = try JSONDecoder().decode([String: [[Float]]].self, from: Data(end.output.utf8))
        let ours = try PyTorchTests.logits(of: model, prompt)
        for way in ["whole", "halves", "second"] {
            let theirs = try #require(found[way])
            #expect(theirs.map(\.count) == ours.map(\.count))
            #expect(zip(theirs.joined(), ours.joined()).allSatisfy { abs($0 - $1) <= 1e-4 }, "\(way)")
        }
        // Weights that do nothing would agree too.
        #expect((ours.joined().max() ?? 0) > 0.3)
    }

    @Test(.enabled(if: Python.withONNX != nil, reason), arguments: Cell.allCases)
    func `the program of the documentation writes what charnn writes`(cell: Cell) throws {
        _ = try model(Network(cell: cell, layers: 2))
        #expect(try spool.charnn("export", "own.safetensors", "--onnx", "own.onnx").status == 0)
        let page = try String(contentsOf: Program.root.appending(path: "docs/elsewhere.md"), encoding: .utf8)
        let program = try #require(
            page.components(separatedBy: "```python\n").last?.components(separatedBy: "```").first)
        try spool.storage.replace(folder.appending("write.py"), with: Array(program.utf8))
        func write(_ temperature: String) throws -> Outcome {
            try RunningProgram(
                try #require(Python.withONNX), ["write.py", "own.onnx", "a bad é", "60", temperature], in: folder,
                environment: [:]
            ).end()
        }
        let theirs = try write("0")
        #expect(theirs.status == 0, "\(theirs.error)")
        let ours = try spool.charnn(
            "generate", "own.safetensors", "--prompt", "a bad é", "--length", "60", "--temperature", "0")
        #expect(theirs.output == ours.output && ours.output.unicodeScalars.count > 60)
        #expect(try write("0.8").output.unicodeScalars.count == ours.output.unicodeScalars.count)
    }

    @Test func `nothing is overwritten unasked, and what to write has to be said`() throws {
        _ = try model(Network(cell: .gru, layers: 1))
        let unsaid = try spool.charnn("export", "own.safetensors")
        #expect(unsaid.status == 64 && unsaid.error.contains("--onnx FILE"))
        #expect(try spool.charnn("export", "own.safetensors", "--onnx", "own.onnx").status == 0)
        let again = try spool.charnn("export", "own.safetensors", "--onnx", "own.onnx", "--pytorch", "out")
        #expect(again.status == 73 && again.error.contains("--force"))
        #expect(!spool.exists(folder.appending("out")), "nothing is half done")
        #expect(try spool.charnn("export", "own.safetensors", "--onnx", "own.onnx", "--force").status == 0)
    }
}

/// The fields of a protocol buffers message, for a test to look at.
private struct ProtobufReader {
    private var fields: [(number: Int, content: ArraySlice<UInt8>)] = []

    /// What is no message has the fields that could be read.
    init(_ bytes: some Collection<UInt8>) {
        var rest = Array(bytes)[...]
        func varint() -> Int? {
            var (value, shift) = (0, 0)
            while let byte = rest.popFirst(), shift < 63 {
                value |= Int(byte & 0x7F) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
            return nil
        }
        while !rest.isEmpty {
            guard let key = varint() else { return }
            let count: Int?
            switch key & 7 {
            case 0:
                _ = varint()
                continue
            case 1: count = 8
            case 5: count = 4
            default: count = varint()
            }
            guard let count, count <= rest.count else { return }
            fields.append((key >> 3, rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
    }

    func messages(_ number: Int) -> [ArraySlice<UInt8>] { fields.filter { $0.number == number }.map(\.content) }

    func texts(_ number: Int) -> [String] { messages(number).map { String(decoding: $0, as: UTF8.self) } }
}
