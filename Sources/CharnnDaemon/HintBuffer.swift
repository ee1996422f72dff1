internal import CharnnStorage
internal import Synchronization

/// Hints on their way from a watch to the main loop: bounded, each once, so that a flood costs no memory.
///
/// Where there are too many, all are forgotten for one ``StorageHint/overflow``, which means a scan: that finds
/// whatever they told.
final class HintBuffer: Sendable {
    private static let capacity = 8192

    private let hints = Mutex<[StorageHint]>([])

    /// - Returns: Whether there were none before, so that the main loop must be woken.
    func add(_ hint: StorageHint) -> Bool {
        hints.withLock { hints in
            let wasEmpty = hints.isEmpty
            if hints.count >= Self.capacity {
                hints = [.overflow]
            } else if hints.last != hint, hints.first != .overflow {
                hints.append(hint)
            }
            return wasEmpty
        }
    }

    /// In the order in which they came; what is added from now on wakes the main loop again.
    func takeAll() -> [StorageHint] {
        hints.withLock { hints in
            defer { hints = [] }
            return hints
        }
    }
}
