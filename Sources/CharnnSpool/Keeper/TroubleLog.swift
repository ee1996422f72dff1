internal import CharnnStorage

/// What the keeper has to tell: events, and what could not be done.
///
/// 1. What fails for one name is told once, as long as it fails in the same way, and is tried again by the next scan.
/// 2. Nothing else stops for it: whoever guards a piece of work goes on with the next.
/// 3. Events are told in the order in which they happened, each once.
///
/// It is memory only. A crash loses events that were not collected; what they told of lies on the disk.
final class TroubleLog {
    /// Events not yet collected.
    private var events: [SpoolEvent] = []
    /// What could not be done, by what it was, as it was told.
    private var troubles: [String: String] = [:]
    /// The same as of the scan before, so that what lasts is told once.
    private var formerTroubles: [String: String] = [:]

    /// Whether something could not be done and is to be tried again.
    var hasTrouble: Bool { !troubles.isEmpty }

    func tell(_ event: SpoolEvent) { events.append(event) }

    /// What was told since the last call.
    func takeEvents() -> [SpoolEvent] {
        defer { events = [] }
        return events
    }

    /// Begins a new scan, which tries everything again that failed.
    func beginScan() {
        formerTroubles = troubles
        troubles = [:]
    }

    /// Does what concerns one name. If it fails, that is told once, and the rest of the spool goes on.
    @discardableResult
    func guarding(_ name: String, _ body: () throws(StorageError) -> Void) -> Bool {
        do throws(StorageError) {
            try body()
            troubles[name] = nil
            formerTroubles[name] = nil
            return true
        } catch {
            let former = troubles.updateValue("\(error)", forKey: name) ?? formerTroubles[name]
            if former != "\(error)" {
                tell(.trouble("\(name): \(error); the rest goes on, and it is tried again."))
            }
            return false
        }
    }
}
