import CharnnCheckpoint
import CharnnCorpus
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnReports
import CharnnStorage
import CharnnTestSupport
import Crypto
import SystemPackage
import Testing

@testable import CharnnSpool

/// Gives the readers the inputs that lie in Tests/Fuzz/Corpus: what was found there once stays mended.
@Suite(.endsWhatHangs) struct FuzzCorpusTests {
    private let storage = LocalStorage()

    private func files(_ target: String) throws -> [FilePath] {
        let tests = FilePath(#filePath).removingLastComponent().removingLastComponent()
        let folder = tests.appending("Fuzz").appending("Corpus").appending(target)
        let files = ((try? storage.list(folder)) ?? []).sorted().map { folder.appending($0) }
        try #require(!files.isEmpty)
        return files
    }

    private func inputs(_ target: String) throws -> [[UInt8]] {
        try files(target).map { try #require(try storage.contents(of: $0)) }
    }

    @Test func `job files are read or refused`() throws {
        for bytes in try inputs("job-file") {
            do { _ = try JobFile.parse(bytes, fileName: "fuzz.yaml") } catch { #expect(!error.description.isEmpty) }
        }
    }

    @Test func `configurations are read or refused`() throws {
        for bytes in try inputs("configuration") {
            do {
                _ = try ServiceConfiguration.parse(bytes, fileName: "fuzz.yaml")
            } catch {
                #expect(!error.description.isEmpty)
            }
        }
    }

    @Test(arguments: ["safetensors", "checkpoint"]) func `models are read or refused`(target: String) throws {
        for file in try files(target) {
            do {
                if target == "checkpoint" {
                    _ = try Checkpoint(reading: file, in: storage)
                } else {
                    _ = try Model(reading: file, in: storage)
                }
            } catch {
                #expect(!"\(error)".isEmpty)
            }
        }
    }

    @Test func `encoded texts are read or refused, and have no symbol that their vocabulary lacks`() throws {
        let folder = TemporaryDirectory("fuzz")
        let path = folder.path.appending("corpus.bin")
        for input in try inputs("corpus") {
            try storage.replace(path, with: Self.encodedText(of: input))
            do {
                let corpus = try EncodedCorpus(reading: path, in: storage)
                #expect(Int(corpus.text.largestSymbol) < corpus.vocabulary.count)
            } catch {
                #expect(!error.description.isEmpty)
            }
        }
    }

    /// The file of a short form, as Tests/Fuzz/Sources/fuzz/CorpusShape.swift says.
    private static func encodedText(of input: [UInt8]) -> [UInt8] {
        let magic = [UInt8]("charnnc1".utf8)
        guard input.count >= 4, !input.starts(with: magic) else { return input }
        let length = input[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
        let end = 4 + min(length, input.count - 4)
        var bytes = magic + input[..<end]
        bytes += [UInt8](repeating: 0, count: (4096 - bytes.count % 4096) % 4096) + input[end...]
        return bytes + Array(SHA256.hash(data: bytes))
    }

    @Test func `statuses are read or refused, and shown`() throws {
        for bytes in try inputs("status") {
            let queued = QueuedStatus(bytes)
            guard let status = JobStatus.decode(bytes) else { continue }
            #expect(queued?.state == status.state)
            let written = status.encoded
            #expect(JobStatus.decode(written)?.encoded == written)
            let record = JobRecord(status.job, folder: "/nonexistent", status: status, in: storage)
            #expect(!JobPage(record, time: "").bytes.isEmpty)
        }
    }

    @Test func `metrics are read or left out, and shown`() throws {
        for file in try files("metrics") {
            let rows = try MetricsFile.rows(of: file, in: storage)
            let losses = Sparkline.losses(of: file, in: storage)
            #expect(Sparkline.text(losses, width: 16).count == min(16, losses.count))
            var record = JobRecord("fuzz", folder: "/nonexistent", in: storage)
            record.rows = rows
            #expect(!JobPage(record, time: "").bytes.isEmpty)
            #expect(!record.lossChart.svg().isEmpty)
        }
    }
}
