/// For how long files have not changed, by clocks of which one may jump.
struct Stillness {
    private let clock: SpoolClock
    /// How far the clock for people was ahead of the monotonic one, the least that was ever seen.
    private var leastOffset: Double

    init(_ clock: SpoolClock) {
        self.clock = clock
        leastOffset = clock.wall() - clock.monotonic()
    }

    /// Seconds for which a file has not changed.
    ///
    /// - Parameters:
    ///   - changed: When it was, seconds since 1970.
    ///   - since: Since when it is known to be as it is, on the monotonic clock.
    mutating func seconds(changed: Double, seenSince since: Double) -> Double {
        let now = clock.monotonic()
        // The monotonic clock knows only how long this daemon has looked. The other one may have jumped since the file
        // was written: the least time that it can have been is taken.
        leastOffset = min(leastOffset, clock.wall() - now)
        return max(now - since, now + leastOffset - changed)
    }
}
