public import CharnnStorage
public import CharnnTraining
import CharnnWords
public import SystemPackage

/// `metrics.csv`: a header and a row for each measurement, appended as they come.
///
/// It is the record of a run's losses: pages, curves and verdicts are all made of it, and a checkpoint has its
/// checksum. One training job writes it, while others may read: a row is one append, so that a reader sees at most its
/// last line cut short.
///
/// Values are rounded here as people read them. Nothing of a training is ever computed from a row; what a run needs to
/// go on is in its checkpoint.
public final class MetricsFile {
    /// The columns, in the order in which ``line(_:)`` writes and ``row(_:)`` reads them. Other people's programs rely
    /// on it: a new column goes behind the last.
    public static let header = formerHeader + ",val_loss_average"
    /// Of runs that began with version 0.1.0, whose files keep their columns.
    static let formerHeader =
        "step,epoch,train_loss,val_loss,learning_rate,gradient_norm,chars_per_second,elapsed_seconds"

    private let file: any StorageFile
    private let isFormer: Bool

    /// Opens the file of a run that has come to `step`; rows behind it, and a line that was cut short, are removed.
    ///
    /// Rows behind a checkpoint belong to steps that are made again, and would stand there twice.
    ///
    /// - Parameter step: That of the last row that the checkpoint counts on, see ``TrainingProgress/lastRow``; 0 for a
    ///   new run, of which the whole file is removed but for the header.
    public init(_ path: FilePath, keepingRowsTo step: Int, in storage: any Storage) throws(StorageError) {
        let old = try storage.contents(of: path) ?? []
        // Replaced only where something goes: a resume with nothing to cut leaves the file's time as it was.
        let kept = Self.cut(String(decoding: old, as: UTF8.self), to: step)
        isFormer = kept.hasPrefix(Self.formerHeader + "\n")
        if [UInt8](kept.utf8) != old { try storage.replace(path, with: [UInt8](kept.utf8)) }
        file = try storage.openForAppending(path, mode: 0o640)
    }

    /// The header and the whole rows up to a step.
    static func cut(_ csv: String, to step: Int) -> String {
        // What stands behind the last line's end is either nothing or a line that a crash has cut short.
        let lines = csv.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        // A header is no row: its first cell is no number.
        let header = lines.first == formerHeader[...] && step > 0 ? formerHeader : header
        let rows = lines.filter { line in
            guard let number = line.split(separator: ",").first.flatMap({ Int($0) }) else { return false }
            return number <= step
        }
        return ([header[...]] + rows).joined(separator: "\n") + "\n"
    }

    /// The row is not durable yet; see ``synchronize()``.
    public func append(_ row: MetricsRow) throws(StorageError) {
        let line = Self.line(row)
        // What is cut off is empty: such a run keeps no average.
        try file.append([UInt8]((isFormer ? String(line.dropLast()) : line).utf8) + [10])
    }

    /// Makes the rows durable, as must be before a checkpoint that counts on them.
    public func synchronize() throws(StorageError) { try file.synchronize() }

    /// A row as text; an empty cell is a value that was not measured.
    ///
    /// The learning rate alone has all its digits: it may be far below what six of them show.
    public static func line(_ row: MetricsRow) -> String {
        let cells: [String] = [
            String(row.step), fixed(row.epoch, 4), row.trainLoss.map { fixed($0, 6) } ?? "",
            row.validationLoss.map { fixed($0, 6) } ?? "", String(row.learningRate),
            row.gradientNorm.map { fixed($0, 6) } ?? "", row.charactersPerSecond.map { fixed($0, 0) } ?? "",
            fixed(row.elapsedSeconds, 1), row.averageValidationLoss.map { fixed($0, 6) } ?? "",
        ]
        return cells.joined(separator: ",")
    }
}
