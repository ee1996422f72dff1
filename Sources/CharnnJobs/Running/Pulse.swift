public import CharnnSpool
import Dispatch
import Synchronization

/// The signs of life of a running job: its daemon ends a worker that gives none for too long.
///
/// Whatever gets on beats: every operation on the disk, and whatever asks whether it has to pause. What computes for
/// long without doing either is vouched for, for a limited time.
///
/// A sign of life that came from a mere timer would say only that the process is there. So nothing here beats by
/// itself, but for work that cannot: and that has an end.
public final class Pulse: Sendable {
    private let clock: SpoolClock
    private let tell: @Sendable () -> Void
    private let last = Mutex(-Double.infinity)
    /// Seconds between two signs at least.
    private static let interval = 1.0

    /// - Parameter tell: Gives a sign; called from any thread.
    public init(clock: SpoolClock = .system, tell: @escaping @Sendable () -> Void = {}) {
        self.clock = clock
        self.tell = tell
    }

    /// Says that something was done.
    ///
    /// Cheap: it may be called for every character. Not more than one sign a second is given.
    public func beat() {
        let now = clock.monotonic()
        let isDue = last.withLock { last in
            guard now - last >= Self.interval else { return false }
            last = now
            return true
        }
        if isDue { tell() }
    }

    /// Does something that cannot beat itself, with signs of life meanwhile.
    ///
    /// - Parameter seconds: After so many it counts as hung, and no more are given.
    package func vouch<Outcome, Failure>(
        atMost seconds: Double, for work: () throws(Failure) -> Outcome
    ) throws(Failure) -> Outcome {
        let timer = DispatchSource.makeTimerSource()
        let end = DispatchTime.now() + seconds
        timer.schedule(deadline: .now() + Self.interval, repeating: Self.interval)
        timer.setEventHandler { [tell] in if .now() < end { tell() } }
        timer.resume()
        defer { timer.cancel() }
        return try work()
    }
}
