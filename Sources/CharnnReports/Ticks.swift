internal import CharnnWords
internal import Glibc

/// Where an axis has its marks: round numbers, a few of them.
///
/// Steps are 1, 2 or 5 times a power of ten, as on a ruler.
struct Ticks {
    /// The axis reaches from the first to the last of these or a little less.
    let range: ClosedRange<Double>
    let values: [Double]
    private let digits: Int
    private let isLogarithmic: Bool

    /// - Parameter count: About how many marks.
    ///
    /// - Parameter isTight: Whether the axis ends at the values, with marks inside only; else it is made longer up to
    ///   the next mark. Tight axes suit steps and times, which begin and end somewhere.
    init(_ low: Double, _ high: Double, count: Int, isTight: Bool = false) {
        isLogarithmic = false
        // So that no difference is infinite.
        let (low, high) = (min(max(low, -1e100), 1e100), min(max(high, -1e100), 1e100))
        // Equal values get an axis of some height, too: no division by zero below.
        let span = max(high - low, abs(high) * 1e-6, 1e-9)
        let rough = span / Double(max(1, count))
        let power = pow(10, floor(log10(rough)))
        let unit = [1.0, 2, 5, 10].first { $0 * power >= rough * 0.999 } ?? 10
        let step = unit * power
        digits = max(0, min(9, -Int(floor(log10(step) + 1e-9))))
        let first = isTight ? ceil(low / step - 1e-9) : floor(low / step + 1e-9)
        let last = isTight ? floor(high / step + 1e-9) : ceil(high / step - 1e-9)
        let numbers = Int(first)...max(Int(first), Int(last))
        values = numbers.map { Double($0) * step }
        range = isTight ? low...max(high, low + span) : first * step...max(last * step, first * step + step)
    }

    /// Powers of ten.
    init(logarithmic low: Double, _ high: Double) {
        isLogarithmic = true
        digits = 0
        let first = Int(floor(log10(max(low, 1e-12)) + 1e-9))
        let last = max(first + 1, Int(ceil(log10(max(high, 1e-12)) - 1e-9)))
        let every = max(1, (last - first + 3) / 4)
        values = stride(from: first, through: last, by: every).map { pow(10, Double($0)) }
        range = pow(10, Double(first))...pow(10, Double(last))
    }

    /// Where a value lies on the axis, 0…1.
    func place(_ value: Double) -> Double {
        let (low, high) = (range.lowerBound, range.upperBound)
        let part =
            isLogarithmic
            ? (log10(max(value, low)) - log10(low)) / (log10(high) - log10(low)) : (value - low) / (high - low)
        return min(1, max(0, part))
    }

    /// As short as the distance of the marks allows: no more digits than tell one from the next.
    func label(_ value: Double) -> String {
        if isLogarithmic {
            let power = Int(log10(value).rounded())
            return power < -3 || power > 4 ? "1e\(power)" : power < 0 ? fixed(value, -power) : fixed(value, 0)
        }
        if digits == 0, abs(value) >= 10_000 {
            return abs(value) >= 1e6
                ? "\(trimmed(value / 1e6)) M" : "\(trimmed(value / 1e3)) k"
        }
        return fixed(value, digits)
    }

    private func trimmed(_ value: Double) -> String {
        value == value.rounded() ? fixed(value, 0) : fixed(value, 1)
    }
}
