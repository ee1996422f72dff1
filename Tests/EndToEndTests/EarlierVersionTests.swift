import CharnnModel
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// What an earlier version has left behind.
@Suite struct EarlierVersionTests {
    private let spool: TestSpool
    private var folder: FilePath { spool.folder.path }

    init() throws { spool = try TestSpool() }

    /// A run of `river.yaml` that version 0.1.0 has left at step 40 of 88, and `model.safetensors` as it would have ended.
    private func left(_ name: String) throws -> [UInt8] {
        let folder = FilePath(#filePath).removingLastComponent().appending("Version-0.1.0")
        return try #require(try spool.storage.contents(of: folder.appending(name)))
    }

    /// Lets the run go on in a folder of its own.
    ///
    private func goOn(_ output: String, adding keys: String = "") throws -> Outcome {
        let output = folder.appending(output)
        for (file, place) in [
            ("corpus.bin", "corpus.bin"), ("metrics.csv", "metrics.csv"), ("status.json", "status.json"),
            ("step-00000040.safetensors", "checkpoints/step-00000040.safetensors"),
        ] {
            let path = output.pushing(FilePath(place))
            try spool.storage.createDirectories(path.removingLastComponent(), mode: 0o750)
            try spool.storage.replace(path, with: try left(file))
        }
        try spool.corpus("river.txt", String(decoding: try left("river.txt"), as: UTF8.self))
        let job = String(decoding: try left("river.yaml"), as: UTF8.self)
        let words = job.replacing("train:\n", with: "train:\n" + keys)
        try spool.storage.replace(folder.appending("river.yaml"), with: Array(words.utf8))
        return try spool.charnn("run", "river.yaml", "--output", output.string)
    }

    private func bytes(_ output: String, _ name: String) throws -> [UInt8] {
        try #require(try spool.storage.contents(of: folder.appending(output).appending(name)))
    }

    @Test func `a run of 0.1.0 goes on to the same model, whatever the defaults are by now`() throws {
        let end = try goOn("own")
        #expect(
            end.status == 0 && (end.output + end.error).contains("goes on from step 40"), "\(end.output)\(end.error)")
        #expect(try goOn("named", adding: "  weight_average: 0\n").status == 0)
        #expect(try bytes("own", "model.safetensors") == bytes("named", "model.safetensors"))
        let lines = String(decoding: try bytes("own", "metrics.csv"), as: UTF8.self).split(separator: "\n")
        let cells = lines.map { $0.split(separator: ",", omittingEmptySubsequences: false).count }
        #expect(cells == [Int](repeating: 8, count: 11))

        // Other processors have other kernels, and those other last bits.
        let storage = spool.storage
        try storage.replace(folder.appending("then.safetensors"), with: try left("model.safetensors"))
        let then = try SafeTensors(folder.appending("then.safetensors"), in: storage)
        let now = try SafeTensors(folder.appending("own").appending("model.safetensors"), in: storage)
        #expect(now.tensors.mapValues(\.shape) == then.tensors.mapValues(\.shape))
        func settings(_ file: SafeTensors) -> [String: String] { file.metadata.filter { $0.key != "val_loss" } }
        #expect(settings(now) == settings(then))
        for name in then.tensors.keys {
            let (a, b) = (try now.floats(name), try then.floats(name))
            #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-4 }, "\(name)")
        }
    }

    @Test func `a run of 0.1.0 that is now to keep an average is another one`() throws {
        let end = try goOn("other", adding: "  weight_average: 0.9\n")
        #expect(end.status != 0 && end.error.contains("now weight_average=0.9 (was 0.0)"), "\(end.error)")
    }
}
