internal import CharnnSpool

/// When the spool's `index.html` is written next.
///
/// A change is shown after ``delay``, so that a burst of them makes one page. A page that took long to write is
/// followed by a pause of fifty times as much, so that a spool of a hundred thousand jobs does not keep a processor
/// busy with it. Times are parameters, seconds of a monotonic clock.
struct PageSchedule {
    /// Seconds between a change and the page that shows it: changes come in bursts.
    static let delay = 2.0
    /// While a job runs the page is written anew after so long even without a change.
    static let refresh = 600.0
    /// A page takes at most this part of the time.
    static let share = 0.02

    private(set) var due: Double?
    private(set) var isRunning = false
    private var startedAt = 0.0
    private var notBefore = -Double.infinity

    /// Whether a page is being written or will be.
    var isPending: Bool { isRunning || due != nil }

    /// Something changed that the page shows.
    mutating func changed(at now: Double) {
        due = min(due ?? .infinity, max(now + Self.delay, notBefore))
    }

    /// Changes from now on want another page: this one may have read the job before.
    mutating func started(at now: Double) {
        (due, isRunning, startedAt) = (nil, true, now)
    }

    /// - Parameter hasJob: Whether a job runs, whose progress the page shows.
    mutating func ended(at now: Double, hasJob: Bool) {
        isRunning = false
        notBefore = now + (now - startedAt) / Self.share
        if due != nil || hasJob { due = max(due ?? now + Self.refresh, notBefore) }
    }

    /// Whether to start it now; at the end without waiting.
    ///
    /// - Parameter finally: Whether the daemon is about to end by itself, and this is the last page.
    func isDue(at now: Double, finally: Bool = false) -> Bool {
        due.map { !isRunning && (finally || now >= $0) } ?? false
    }
}

extension MainLoop {
    /// Takes note of what the page shows.
    func notePage(_ event: SpoolEvent) {
        switch event {
        case .ignored, .stop, .trouble, .movedBack, .refused: return
        default: pageChanged()
        }
    }

    func pageChanged() {
        if options.page != nil { page.changed(at: clock.monotonic()) }
    }

    /// Starts the process that writes the page when it is time.
    func writePage(finally: Bool = false) {
        let now = clock.monotonic()
        guard let command = options.page, !isStopping, page.isDue(at: now, finally: finally) else { return }
        page.started(at: now)
        let send = daemon.send
        PageProcess.start(command, spool: options.spool.root) { send.yield(.pageEnded(complaint: $0)) }
    }

    /// Takes note that it has ended.
    func pageEnded(_ complaint: String?) {
        page.ended(at: clock.monotonic(), hasJob: !running.isEmpty)
        if let complaint { announcer.trouble("The morning report index.html was not written: \(complaint)") }
    }
}
