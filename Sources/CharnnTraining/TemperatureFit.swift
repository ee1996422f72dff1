import Glibc

// Networks are too sure of themselves on text they have not learned from: probabilities of the logits divided by a
// temperature a little above 1 fit it better (Guo et al., "On Calibration of Modern Neural Networks", 2017).

/// The loss of a text as a function of the temperature by which logits are divided, from the losses at a few of them.
///
/// As a function of the inverse temperature the loss is convex and smooth, so that a polynomial through its values at
/// Chebyshev's points has it to about 1e-5 nats: one reading of the text is enough for all that Newton's method asks.
public struct TemperatureFit: Hashable, Sendable {
    /// What is looked through.
    public static let range = 0.7...1.5
    /// With fewer predicted characters nothing is fitted: the temperature is 1.
    public static let leastCharacters = 2000
    /// The temperatures at which losses have to be known.
    public static let nodes: [Double] = points.map { 1 / inverse($0) }

    /// Summed losses at ``nodes`` of the text's first half and of its second, nats.
    private let halves: [[Double]]

    /// - Parameter halves: `[2, nodes]`.
    init(halves: [[Double]]) { self.halves = halves }

    /// What fits all of the text best.
    public var temperature: Double { Self.temperature(zip(halves[0], halves[1]).map { $0 + $1 }) }

    /// The summed loss, nats, of each half at the temperature that fits the other: no character has a say in the
    /// temperature at which it is scored.
    public var nats: Double {
        let (first, second) = (Self.temperature(halves[0]), Self.temperature(halves[1]))
        return Self.value(Self.series(halves[0]), Self.point(of: second))
            + Self.value(Self.series(halves[1]), Self.point(of: first))
    }

    // MARK: - Chebyshev's polynomials, over the inverse temperature stretched to -1...1

    /// Of the first kind.
    private static let points = (0..<9).map { cos(Double.pi * (Double($0) + 0.5) / 9) }

    private static func inverse(_ point: Double) -> Double {
        let (low, high) = (1 / range.upperBound, 1 / range.lowerBound)
        return (low + high + point * (high - low)) / 2
    }

    private static func point(of temperature: Double) -> Double {
        let (low, high) = (1 / range.upperBound, 1 / range.lowerBound)
        return (2 / temperature - low - high) / (high - low)
    }

    /// The coefficients of the polynomial with those values at ``points``.
    private static func series(_ values: [Double]) -> [Double] {
        let n = Double(values.count)
        return values.indices.map { degree in
            let sum = zip(points, values).reduce(0.0) { $0 + $1.1 * cos(Double(degree) * acos($1.0)) }
            return sum * (degree == 0 ? 1 : 2) / n
        }
    }

    /// Those of the derivative.
    private static func derivative(of series: [Double]) -> [Double] {
        var result = [Double](repeating: 0, count: series.count + 1)
        for degree in (1..<series.count).reversed() {
            result[degree - 1] = result[degree + 1] + 2 * Double(degree) * series[degree]
        }
        result[0] /= 2
        return Array(result.prefix(series.count - 1))
    }

    /// By Clenshaw's recurrence.
    private static func value(_ series: [Double], _ point: Double) -> Double {
        var (next, after) = (0.0, 0.0)
        for coefficient in series.dropFirst().reversed() {
            (next, after) = (coefficient + 2 * point * next - after, next)
        }
        return series[0] + point * next - after
    }

    /// Where the polynomial is least, by Newton's method on its derivative, which rises; where a step leaves what is left
    /// to look through, by halving that.
    private static func temperature(_ values: [Double]) -> Double {
        let slope = derivative(of: series(values))
        let curvature = derivative(of: slope)
        var (low, high) = (-1.0, 1.0)
        guard value(slope, low) < 0 else { return range.upperBound }
        guard value(slope, high) > 0 else { return range.lowerBound }
        var place = point(of: 1)
        for _ in 0..<50 {
            let rise = value(slope, place)
            if rise < 0 { low = place } else { high = place }
            let step = rise / value(curvature, place)
            let next = place - step
            if abs(step) < 1e-12 { break }
            place = low < next && next < high ? next : (low + high) / 2
        }
        return 1 / inverse(place)
    }
}
