public import CharnnStorage
public import CharnnTraining
public import SystemPackage

extension MetricsFile {
    /// The most of a file that is read for a page: about a million rows.
    static let longestRead = 64 << 20

    /// The rows of a file, without those that cannot be read; empty where there is none. Of a very long file the end.
    ///
    /// - Throws: What reading failed with: a file that cannot be read is not taken for one without rows.
    public static func rows(of path: FilePath, in storage: some Storage) throws(StorageError) -> [MetricsRow] {
        let bytes: [UInt8]
        do {
            let file = try storage.open(path, beneath: nil)
            let size = try file.status().size
            // The first line of a part is cut in two most of the time, and then is no row.
            bytes = try file.read(at: max(0, size - longestRead), count: longestRead)
        } catch {
            if error.code == .notFound { return [] }
            throw error
        }
        return bytes.split(separator: UInt8(ascii: "\n")).compactMap(row)
    }

    /// A row of its line; nil for the header and for what was cut.
    static func row(_ line: ArraySlice<UInt8>) -> MetricsRow? {
        let cells = line.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        guard isRow(cells.count) else { return nil }
        // The file may have been edited or damaged: whatever is read here must not crash what computes with it.
        guard let step = Int(String(decoding: cells[0], as: UTF8.self)), (0...mostSteps).contains(step),
            let epoch = number(cells[1]),
            let rate = number(cells[4]), let elapsed = number(cells[7])
        else { return nil }
        return MetricsRow(
            step: step, epoch: epoch, trainLoss: number(cells[2]), validationLoss: number(cells[3]),
            learningRate: rate, gradientNorm: number(cells[5]), charactersPerSecond: number(cells[6]),
            elapsedSeconds: elapsed, averageValidationLoss: cells.count > 8 ? number(cells[8]) : nil)
    }

    /// Whether a line of so many cells is whole; version 0.1.0 wrote one less.
    static func isRow(_ cells: Int) -> Bool { cells == 8 || cells == 9 }

    /// A cell's number; nil where there is none, or one that nothing measures: sums and differences of those that are left
    /// are finite.
    static func number(_ cell: ArraySlice<UInt8>) -> Double? {
        guard !cell.isEmpty else { return nil }
        return Double(String(decoding: cell, as: UTF8.self)).flatMap { abs($0) <= 1e100 ? $0 : nil }
    }

    /// More than any run takes; a number up to here is exact as a coordinate.
    private static let mostSteps = 1 << 53
}
