import Synchronization

/// Says that somebody wants the work to stop; may be set from a signal handler.
public final class StopFlag: Sendable {
    private let flag = Atomic<Bool>(false)

    public init() {}

    /// Once true it stays so.
    public var isSet: Bool { flag.load(ordering: .relaxed) }

    /// Nothing but an atomic store: allowed in a signal handler.
    public func set() { flag.store(true, ordering: .relaxed) }
}
