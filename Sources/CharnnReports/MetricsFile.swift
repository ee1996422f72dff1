public import CharnnStorage
public import CharnnTraining
import CharnnWords
public import SystemPackage

/// `metrics.csv`: a header and a row for each measurement, appended as they come.
public final class MetricsFile {
    public static let header =
        "step,epoch,train_loss,val_loss,learning_rate,gradient_norm,chars_per_second,elapsed_seconds"

    private let file: any StorageFile

    /// Opens the file of a run that has come to `step`; rows behind it, and a line that was cut short, are removed.
    public init(_ path: FilePath, keepingRowsTo step: Int, in storage: any Storage) throws(StorageError) {
        let old = try storage.contents(of: path) ?? []
        let kept = Self.cut(String(decoding: old, as: UTF8.self), to: step)
        if [UInt8](kept.utf8) != old { try storage.replace(path, with: [UInt8](kept.utf8)) }
        file = try storage.openForAppending(path, mode: 0o640)
    }

    /// The header and the whole rows up to a step.
    static func cut(_ csv: String, to step: Int) -> String {
        var lines = csv.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        if lines.first == header[...] { lines = lines.dropFirst() }
        let rows = lines.filter { line in
            guard let number = line.split(separator: ",").first.flatMap({ Int($0) }) else { return false }
            return number <= step
        }
        return ([header[...]] + rows).joined(separator: "\n") + "\n"
    }

    public func append(_ row: MetricsRow) throws(StorageError) {
        try file.append([UInt8]((Self.line(row) + "\n").utf8))
    }

    /// Makes the rows durable, as must be before a checkpoint that counts on them.
    public func synchronize() throws(StorageError) { try file.synchronize() }

    /// A row as text; an empty cell is a value that was not measured.
    public static func line(_ row: MetricsRow) -> String {
        let cells: [String] = [
            String(row.step), fixed(row.epoch, 4), row.trainLoss.map { fixed($0, 6) } ?? "",
            row.validationLoss.map { fixed($0, 6) } ?? "", String(row.learningRate),
            row.gradientNorm.map { fixed($0, 6) } ?? "", row.charactersPerSecond.map { fixed($0, 0) } ?? "",
            fixed(row.elapsedSeconds, 1),
        ]
        return cells.joined(separator: ",")
    }
}
