public import CharnnStorage
public import SystemPackage

/// A curve in one line of text: `█▆▅▃▂▂▁▁`.
public enum Sparkline {
    private static let steps = Array("▁▂▃▄▅▆▇█")
    /// So much of the end of a curve's file is read at most.
    private static let longestRead = 1 << 20

    /// Draws values from left to right; the lowest and the highest span the height. Values that are not finite leave a
    /// gap; more values than columns are taken together by their means. Where some values lie far above all the rest, as
    /// those at the beginning of a loss do, they are cut off at the top and drawn as arrows, so that the rest is no flat
    /// line.
    ///
    /// - Parameter width: Columns at most; fewer values take fewer.
    public static func text(_ values: [Double], width: Int) -> String {
        guard width > 0, !values.isEmpty else { return "" }
        let columns = min(width, values.count)
        let means = (0..<columns).map { column in
            let finite = values[(column * values.count / columns)..<((column + 1) * values.count / columns)]
                .filter(\.isFinite)
            return finite.isEmpty ? Double.nan : finite.reduce(0, +) / Double(finite.count)
        }
        let finite = means.filter(\.isFinite)
        guard let low = finite.min() else { return String(repeating: " ", count: columns) }
        // Of eight heights few are left for the end of a curve that begins at ten times as much.
        let high = RobustRange.top(of: finite, ignoring: max(1, columns / 8), beyond: 2.5, room: 1.3)
        return String(
            means.map { value in
                guard value.isFinite else { return " " }
                guard value <= high else { return "↑" }
                // A curve without any height is drawn low: nothing rises there.
                // Of infinite heights there is no part.
                let part = high > low ? min(1, (value - low) / (high - low)) : 0
                return steps[min(steps.count - 1, Int(part * Double(steps.count)))]
            })
    }

    /// The training losses of a `metrics.csv`, from the first row to the last, or of a very long one the end; empty
    /// where there is none yet.
    ///
    /// Read without the other columns, and nothing is thrown: a list of a thousand jobs shows what there is.
    public static func losses(of metrics: FilePath, in storage: some Storage) -> [Double] {
        guard let file = try? storage.open(metrics, beneath: nil), let size = try? file.status().size,
            let bytes = try? file.read(at: max(0, size - longestRead), count: longestRead)
        else { return [] }
        return bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let cells = line.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            return MetricsFile.isRow(cells.count) ? MetricsFile.number(cells[2]) : nil
        }
    }
}
