import Glibc

/// Seconds that never go back and do not jump with the wall clock.
public struct MonotonicClock: Sendable {
    private let read: @Sendable () -> Double

    public init() {
        read = {
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
        }
    }

    public func now() -> Double { read() }
}

/// Wall-clock times for people.
public enum Timestamp {
    /// ISO 8601 in UTC, to the second.
    public static func now() -> String {
        var seconds = time(nil)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
            + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }
}

/// `exp` of a loss in nats.
enum Perplexity {
    static func of(_ loss: Double) -> Double { exp(loss) }
}
