import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// Model files go both ways between this package and the PyTorch class that they are made for.
@Suite struct PyTorchTests {
    static let folder = FilePath(#filePath).removingLastComponent().appending("PyTorch")
    static let script = folder.appending("seed_model.py").string

    struct Recorded: Decodable {
        var prompt: String
        /// `[T, V]`: after each character of the prompt.
        var logits: [[Float]]
    }

    /// Our logits after each character of `prompt`.
    private func logits(_ path: FilePath, _ prompt: String) throws -> [[Float]] {
        try Self.logits(of: try Model(reading: path, in: LocalStorage()), prompt)
    }

    static func logits(of model: Model, _ prompt: String) throws -> [[Float]] {
        let engine = try Engines().makeEngine(
            EngineChoice(precision: .fp32), architecture: model.architecture, parameters: model.parameters)
        let predictor = try engine.makePredictor(streams: 1)
        var row = [Float](repeating: 0, count: model.vocabulary.count)
        return try prompt.unicodeScalars.map { scalar in
            try predictor.advance([try #require(model.vocabulary.index(of: scalar.value))], logits: &row)
            return row
        }
    }

    private func expectEqual(_ found: [[Float]], _ expected: [[Float]]) {
        #expect(found.map(\.count) == expected.map(\.count))
        #expect(zip(found.joined(), expected.joined()).allSatisfy { abs($0 - $1) <= 1e-4 })
        // Weights that do nothing would agree too.
        #expect((expected.joined().max() ?? 0) > 0.5)
    }

    private func python(_ arguments: String..., in spool: TestSpool) throws -> Data {
        let path = try #require(Python.withTorch)
        let end = try RunningProgram(path, [Self.script] + arguments, in: spool.folder.path, environment: [:]).end()
        #expect(end.status == 0, "\(end.error)")
        return Data(end.output.utf8)
    }

    @Test(arguments: Cell.allCases) func `a model saved by PyTorch gives the logits that it gave there`(cell: Cell)
        throws
    {
        let fixtures = Self.folder.appending("Fixtures")
        let json = try Data(contentsOf: URL(fileURLWithPath: fixtures.appending("\(cell.rawValue).json").string))
        let recorded = try JSONDecoder().decode(Recorded.self, from: json)
        let file = fixtures.appending("\(cell.rawValue).safetensors")
        expectEqual(try logits(file, recorded.prompt), recorded.logits)
        let end = try TestSpool().charnn("generate", file.string, "--prompt", "a bad é", "--length", "20")
        #expect(end.status == 0 && end.output.hasPrefix("a bad é") && end.output.count == 28, "\(end.error)")
    }

    @Test(
        .enabled(if: Python.withTorch != nil, "$CHARNND_PYTHON names no Python with torch and safetensors"),
        arguments: Cell.allCases)
    func `a model made here loads strictly in PyTorch and gives the same logits there`(cell: Cell) throws {
        let spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(6000))
        try spool.drop(
            "tale.yaml", QueueTests.training.replacing("cell: gru", with: "cell: \(cell.rawValue)\n  embedding_size: 7")
        )
        #expect(try spool.once().status == 0)
        let file = spool.output("tale").appending("model.safetensors")
        let theirs = try JSONDecoder().decode(
            [[Float]].self, from: try python("logits", file.string, "The owl sings", in: spool))
        expectEqual(try logits(file, "The owl sings"), theirs)
    }

    @Test(
        .enabled(if: Python.withTorch != nil, "$CHARNND_PYTHON names no Python with torch and safetensors"),
        arguments: Cell.allCases)
    func `a model just saved by PyTorch writes text here`(cell: Cell) throws {
        let spool = try TestSpool()
        let file = spool.folder.path.appending("new.safetensors")
        let made = try JSONDecoder().decode(
            Recorded.self, from: try python("make", cell.rawValue, file.string, in: spool))
        expectEqual(try logits(file, made.prompt), made.logits)
        let end = try spool.charnn("generate", file.string, "--length", "20", "--no-echo")
        #expect(end.status == 0 && end.output.count == 21, "\(end.error)")
    }
}
