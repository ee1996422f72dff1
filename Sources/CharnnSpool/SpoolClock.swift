internal import Glibc

/// The two times a spool needs, as parameters so that tests can let them jump.
public struct SpoolClock: Sendable {
    /// Seconds that never go back and stand still at no change of the clock.
    public var monotonic: @Sendable () -> Double
    /// Seconds since 1970.
    public var wall: @Sendable () -> Double

    public init(monotonic: @escaping @Sendable () -> Double, wall: @escaping @Sendable () -> Double) {
        self.monotonic = monotonic
        self.wall = wall
    }

    /// The machine's clocks; the monotonic one counts on while the machine sleeps.
    public static let system = SpoolClock(
        monotonic: { read(CLOCK_BOOTTIME) }, wall: { read(CLOCK_REALTIME) })

    private static func read(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
