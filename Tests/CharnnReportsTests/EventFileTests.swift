import CharnnStorage
import CharnnTestSupport
import CharnnTraining
import SystemPackage
import Testing

@testable import CharnnReports

@Suite struct EventFileTests {
    private let folder = TemporaryDirectory("events")
    private let storage = LocalStorage()
    private var path: FilePath { folder.path.appending(EventFile.name) }

    private func row(_ step: Int) -> MetricsRow {
        MetricsRow(
            step: step, epoch: 1, trainLoss: 2, validationLoss: nil, learningRate: 0.1, gradientNorm: 1,
            charactersPerSecond: 100, elapsedSeconds: 1)
    }

    private func steps() throws -> [Int] {
        let bytes = try #require(try storage.contents(of: path))
        return EventRecord.records(in: bytes).map { TensorBoardEvent.step(of: bytes[$0.payload]) }
    }

    @Test func `the checksum is Castagnoli's`() {
        #expect(CRC32C.checksum(Array("123456789".utf8)[...]) == 0xE306_9283)
    }

    @Test func `after a resume no step is told twice`() throws {
        do {
            let file = try EventFile(path, keepingEventsTo: 0, time: 1, in: storage)
            for step in [100, 200, 300, 40_000] { try file.append(row(step), time: 2) }
            try file.append(sample: "text", step: 300, time: 3)
        }
        #expect(try steps() == [0, 100, 200, 300, 40_000, 300])
        let file = try EventFile(path, keepingEventsTo: 299, time: 4, in: storage)
        #expect(try steps() == [0, 100, 200])
        try file.append(row(300), time: 5)
        #expect(try steps() == [0, 100, 200, 300])
    }

    @Test func `what was cut short or damaged is removed`() throws {
        do {
            let file = try EventFile(path, keepingEventsTo: 0, time: 1, in: storage)
            for step in 1...3 { try file.append(row(step), time: 2) }
        }
        let whole = try #require(try storage.contents(of: path))
        try storage.replace(path, with: Array(whole.dropLast(3)))
        _ = try EventFile(path, keepingEventsTo: 10, time: 3, in: storage)
        #expect(try steps() == [0, 1, 2])
        var damaged = whole
        damaged[damaged.count - 20] ^= 1
        try storage.replace(path, with: damaged)
        _ = try EventFile(path, keepingEventsTo: 10, time: 3, in: storage)
        #expect(try steps() == [0, 1, 2])
        try storage.replace(path, with: Array("not events at all".utf8))
        _ = try EventFile(path, keepingEventsTo: 10, time: 3, in: storage)
        #expect(try steps() == [0])
    }
}
