/// Lines over a common horizontal axis.
///
/// A chart is data: what the lines are, and how they want to be looked at. It is drawn as a figure of a page, as a
/// small picture, or as a file, and ``axes()``, ``reduced(_:to:)`` and ``cuts(_:above:)`` decide for all three what is
/// seen.
///
/// Losses begin high and end low. So the top of the picture follows the bulk of the values (``RobustRange``), and where
/// a line runs out there it is marked; nothing is left out without a sign.
public struct Chart: Sendable {
    /// One line.
    public struct Series: Sendable {
        /// As the legend has it; a text of the page, of any length.
        public var name: String
        /// The number of its colour and pattern, from 0.
        public var style: Int
        /// By rising `x`, all finite.
        public var points: [(x: Double, y: Double)]
        /// Whether each point is marked, as for a few measurements.
        public var isMarked: Bool
        /// Whether its lowest point is what counts: it is marked, and told beside the name in place of the last one.
        public var isByBest: Bool

        /// The lowest point, where that is what counts.
        var best: (x: Double, y: Double)? { isByBest ? points.min { $0.y < $1.y } : nil }

        /// - Parameter style: From 0; there are six, and who has more lines begins again at 0.
        public init(
            _ name: String, style: Int, points: [(x: Double, y: Double)], isMarked: Bool = false, isByBest: Bool = false
        ) {
            self.isByBest = isByBest
            self.name = name
            self.style = style
            self.points = points
            self.isMarked = isMarked
        }
    }

    /// Above the picture; it also says to a screen reader what is drawn.
    public var title: String
    /// What is counted along the axis, such as `step`; it names the place of a value that is read off.
    public var xLabel: String
    /// The unit; empty: the title says it.
    public var yLabel: String
    /// Those that have any points.
    public var series: [Series]
    /// Of the vertical axis, in powers of ten; then peaks are shown, too.
    public var isLogarithmic = false
    /// Whether zero belongs into the picture.
    public var beginsAtZero = false
    /// Whether the lines are runs of which one may have gone wild, which must not flatten those of the others.
    public var comparesRuns = false
    /// Whether the highest values are shown however far they lie above all others.
    public var showsPeaks = false
    /// Digits behind the point of a value that is read off.
    public var digits = 3
    /// Horizontal lines to compare with.
    public var levels: [(name: String, y: Double)] = []

    /// The most points a line is drawn with.
    public static let mostPoints = 300

    /// Series without points are left out: they would be names in a legend and nothing else.
    public init(_ title: String, x xLabel: String, y yLabel: String, series: [Series]) {
        self.title = title
        self.xLabel = xLabel
        self.yLabel = yLabel
        self.series = series.filter { !$0.points.isEmpty }
    }

    /// At most ``mostPoints`` points: the means of equal parts; marked ones are thinned instead, so that each stays a
    /// measurement.
    static func reduced(_ series: Series, to count: Int = mostPoints) -> [(x: Double, y: Double)] {
        let points = series.points
        guard points.count > count, count > 1 else { return points }
        return (0..<count).map { part in
            if series.isMarked { return points[part * (points.count - 1) / (count - 1)] }
            let range = (part * points.count / count)..<((part + 1) * points.count / count)
            // Means and not every n-th point: a loss jumps from row to row, and single rows would show the jumps.
            let sums = points[range].reduce((0.0, 0.0)) { ($0.0 + $1.x, $0.1 + $1.y) }
            return (sums.0 / Double(range.count), sums.1 / Double(range.count))
        }
    }

    /// The axes that hold everything; nil if there is nothing to show.
    func axes() -> (x: Ticks, y: Ticks)? {
        let all = series.flatMap { Self.reduced($0) }
        guard let firstX = all.map(\.x).min(), let lastX = all.map(\.x).max() else { return nil }
        let heights = (all.map(\.y) + levels.map(\.y)).sorted()
        guard let low = heights.first, let high = heights.last else { return nil }
        let top = min(high, self.top ?? high)
        let x = Ticks(min(firstX, 0), max(lastX, 1e-9), count: 5, isTight: true)
        if isLogarithmic { return (x, Ticks(logarithmic: heights.first { $0 > 0 } ?? 1e-6, high)) }
        return (x, Ticks(beginsAtZero ? min(0, low) : low, top, count: 5))
    }

    /// Where the picture ends at the top: the first rows of a run are far above all that follows, and single ones may be
    /// anywhere; they run out, and are marked. nil: there is nothing to show.
    var top: Double? {
        let lines = series.map { Self.reduced($0).map(\.y) }.filter { !$0.isEmpty }
        if showsPeaks || isLogarithmic { return lines.joined().max() }
        let tops = lines.map { heights in
            // Of a few points each may be a step of the same fall.
            RobustRange.top(
                of: heights + (beginsAtZero ? [0] : []), ignoring: max(1, heights.count / 20),
                beyond: heights.count >= 40 ? 2.5 : 20, room: 1.4)
        }
        guard comparesRuns, let low = lines.joined().min() else { return tops.max() }
        return Self.commonTop(of: tops, above: low)
    }

    /// The top of a picture of several runs, each of which would end at its own.
    static func commonTop(of tops: [Double], above low: Double) -> Double {
        RobustRange.top(of: tops + [low], ignoring: max(1, tops.count / 8), beyond: 4, room: 1.3)
    }

    /// The most places of a line at which it is marked that it runs out at the top.
    private static let mostCuts = 8

    /// Where a line runs out at the top: of each place the highest point.
    static func cuts(_ points: [(x: Double, y: Double)], above top: Double) -> [(x: Double, y: Double)] {
        let runs = points.split { $0.y <= top }.compactMap { run in run.max { $0.y < $1.y } }
        guard runs.count > mostCuts else { return runs }
        return runs.sorted { $0.y > $1.y }.prefix(mostCuts).sorted { $0.x < $1.x }
    }
}
