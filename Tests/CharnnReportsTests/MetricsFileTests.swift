import CharnnReports
import CharnnStorage
import CharnnTestSupport
import CharnnTraining
import Foundation
import SystemPackage
import Testing

@Suite struct MetricsFileTests {
    private let folder = TemporaryDirectory("metrics")
    private let storage = LocalStorage()
    private var path: FilePath { folder.path.appending("metrics.csv") }

    private func row(_ step: Int, validation: Double? = nil, average: Double? = nil) -> MetricsRow {
        MetricsRow(
            step: step, epoch: Double(step) / 8, trainLoss: 1.5, validationLoss: validation, learningRate: 0.002,
            gradientNorm: nil, charactersPerSecond: 1234.6, elapsedSeconds: 2, averageValidationLoss: average)
    }

    private func text() throws -> String { String(decoding: try storage.contents(of: path) ?? [], as: UTF8.self) }

    @Test func `a row has a cell for each column, empty where nothing was measured`() throws {
        let file = try MetricsFile(path, keepingRowsTo: 0, in: storage)
        try file.append(row(10))
        try file.append(row(20, validation: 1.25))
        try file.append(row(30, validation: 1.25, average: 1.125))
        #expect(
            try text() == MetricsFile.header + "\n10,1.2500,1.500000,,0.002,,1235,2.0,\n"
                + "20,2.5000,1.500000,1.250000,0.002,,1235,2.0,\n"
                + "30,3.7500,1.500000,1.250000,0.002,,1235,2.0,1.125000\n")
        let read = try MetricsFile.rows(of: path, in: storage)
        #expect(read.map(\.averageValidationLoss) == [nil, nil, 1.125])
        #expect(read.map(\.betterValidationLoss) == [nil, 1.25, 1.125])
    }

    @Test func `a file of before there was an average keeps its columns`() throws {
        let former = try #require(MetricsFile.header.range(of: ",val_loss_average")).lowerBound
        let header = String(MetricsFile.header[..<former])
        try storage.replace(path, with: Array((header + "\n10,1.2500,1.500000,,0.002,,1235,2.0\n20,2.5").utf8))
        let file = try MetricsFile(path, keepingRowsTo: 10, in: storage)
        try file.append(row(20, validation: 1.25))
        let whole =
            header + "\n10,1.2500,1.500000,,0.002,,1235,2.0\n20,2.5000,1.500000,1.250000,0.002,,1235,2.0\n"
        #expect(try text() == whole)
        #expect(try MetricsFile.rows(of: path, in: storage).map(\.step) == [10, 20])
        // A run that begins anew has all columns.
        _ = try MetricsFile(path, keepingRowsTo: 0, in: storage)
        #expect(try text() == MetricsFile.header + "\n")
    }

    @Test func `a resume keeps the rows up to the checkpoint and drops later and torn ones`() throws {
        let file = try MetricsFile(path, keepingRowsTo: 0, in: storage)
        for step in [10, 20, 30] { try file.append(row(step)) }
        let whole = try text()
        try storage.replace(path, with: Array((whole + "40,5.0,1.").utf8))
        _ = try MetricsFile(path, keepingRowsTo: 20, in: storage)
        #expect(try text() == whole.split(separator: "\n").prefix(3).joined(separator: "\n") + "\n")
    }
}
