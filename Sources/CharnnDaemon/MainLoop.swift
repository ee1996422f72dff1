internal import CharnnJobs
internal import CharnnSpool
internal import CharnnStorage
internal import Logging
internal import SystemPackage

/// The daemon's main loop and all it knows while it runs.
///
/// What happens is handled one after the other. Each turn ends with the same steps: accept what was dropped, tell what
/// happened, start the next job, tell the service manager; so it does not matter which event was missed.
///
/// ```
///  watches ── hints ──▶ HintBuffer ──┐
///  timer ──── tick ──────────────────┤
///  workers ── news ──────────────────┼──▶ inbox ──▶ handle ──▶ turn
///  page ───── ended ─────────────────┤
///  signals ── stop, reload ──────────┘
/// ```
///
/// 1. One task runs it; of the daemon it alone touches the spool, and jobs only by way of ``SpoolKeeper``. Whatever
///    else runs (watches, timers, workers, the notifier) only sends values, and so nothing here needs a lock.
/// 2. It waits for nothing but the disk. What takes longer than a turn is left, and the loop wakes itself to go on: the
///    service manager waits for a sign of life, and people for an answer.
/// 3. Hints are looked up; scans are the truth. An event that was lost costs time, until the next scan, and nothing
///    else.
/// 4. Requests are answered, as far as a turn allows, before a job is started: what was asked for holds for that start.
/// 5. Jobs of workers that have ended are settled before the next is started, for a slot is free only then.
/// 6. When the spool cannot be used, nothing is started, the loop goes on, and after a while everything is looked at
///    anew. How workers ended meanwhile is kept until the spool takes it.
/// 7. It never ends by an error: what goes wrong is told and tried again. It ends when it is asked to and all workers
///    have ended, or with `once` when nothing is left to do.
///
/// The parts are files of their own: workers, the page, notices, and the disk that may lack room.
final class MainLoop {
    /// Seconds between two looks at everything, when hints come and when they do not.
    private static let scanInterval = (watched: 60.0, unwatched: 1.0)
    /// Seconds between two turns while something is going on, and while nothing is.
    private static let tickInterval = (busy: 1.0, idle: 10.0)
    /// Seconds before something that failed is tried again.
    private static let retryInterval = 5.0

    let daemon: Daemon
    let options: Daemon.Options
    let keeper: SpoolKeeper
    let clock: SpoolClock
    var announcer: Announcer
    var configuration: ServiceConfiguration
    var running = RunningJobs()
    var isStopping = false
    var page = PageSchedule()
    var hasFailures = false
    /// Jobs that ended since there was nothing to do.
    var endsSinceIdle: [EndedJob] = []
    /// Whether there was nothing to do at the end of the last turn; nil: before the first.
    var wasIdle: Bool?
    let notifier: Notifier
    /// What the disk lacks; while it does, no job is started.
    var shortage: Shortage?
    /// The bytes for which the queue waits.
    var neededBytes: UInt64 = 0
    private let hints = HintBuffer()
    /// Those that are left for the next turn.
    private var takenHints: ArraySlice<StorageHint> = []
    private var watch: (any StorageWatch)?
    /// Texts that were closed after writing, and the watch that tells of them, with the folders that are watched.
    private let textHints = HintBuffer()
    private var textWatch: (any StorageWatch)?
    private var textFolders: Set<FilePath> = []
    private var nextScan = 0.0
    /// Whether the service manager was told that the daemon is up.
    private var isReady = false
    /// Whether the spool was made whole after the last daemon.
    private var isRecovered = false
    private var retryAt: Double?
    /// What people's tools were told, nil before; and how the GPU failed the last time.
    private var toldWaits: QueueWaits?
    private var gpuReason: String?
    private let isShared: Bool
    // One timer, for whatever is due first; an earlier one replaces it.
    private var timer: Task<Void, Never>?
    private var timerDue = Double.infinity
    // What the service manager was told last; it is told what is new, at most once a second while a job runs.
    private var lastStatus = ("", time: -Double.infinity)
    // When the service manager was last told that the daemon goes on.
    private var lastSign = -Double.infinity

    init(_ daemon: Daemon, _ keeper: SpoolKeeper, isShared: Bool) {
        self.daemon = daemon
        self.keeper = keeper
        self.isShared = isShared
        options = daemon.options
        clock = options.clock
        configuration = options.configuration
        announcer = Announcer(options.logger, options.spool, options.storage, options.clock)
        let (people, options) = (options.people, options)
        notifier = Notifier { why in
            let telling = Announcer(options.logger, options.spool, options.storage, options.clock)
            telling.tell(.notifyFailed, .warning, "The command under notify failed: \(why).", ["reason": why])
        }
        announcer.discretion = { [keeper] job in
            Discretion(
                owner: isShared ? keeper.submitter(of: job).map(people.name) : nil, isPrivate: keeper.isPrivate(job))
        }
    }

    /// From recovery to the end. Recovery, too, ends after a turn; its rest is done as a backlog. Where it fails it is
    /// tried again, and no job is started until it was begun well.
    func run() async -> Daemon.Outcome {
        announcer.tell(
            .started, .info, "charnnd \(options.version) works in \(options.spool.root).",
            ["version": options.version, "spool": options.spool.root.string])
        lastSign = clock.monotonic()
        keeper.signOfLife = { [unowned self] in giveSign() }
        setUpWatch()
        // Whatever happens from now on is hinted at; so what recovery finds needs no second look.
        scan(clock.monotonic())
        report()
        options.manager.ready(statusText)
        isReady = true
        announcer.tell(.ready, .info, "Ready: \(statusText).")
        pageChanged()
        turn()
        var inputs = daemon.inbox.makeAsyncIterator()
        while !isFinished, let input = await inputs.next() { handle(input) }
        timer?.cancel()
        watch?.cancel()
        textWatch?.cancel()
        // Nobody waits for a daemon that is gone: what people's tools were told would stand there for ever.
        if toldWaits != QueueWaits() { try? QueueWaits().save(options.spool, on: options.storage) }
        // One who runs the queue by hand waits for the last notice; a service that is asked to stop does not for long.
        await notifier.finish(within: isStopping ? 5 : 2 * configuration.notifyTimeout)
        announcer.tellSums(finally: true)
        return options.once && hasFailures ? .someFailed : .ended
    }

    private func handle(_ input: Daemon.Input) {
        switch input {
        case .wake: break
        case .tick:
            timer = nil
            timerDue = .infinity
            attempt { () throws(StorageError) in try keeper.tick() }
            watchWorkers()
            announcer.tellSums()
        case .worker(let news, let number): hear(news, number)
        case .stop: beginStopping()
        case .reload: reload()
        case .pageEnded(let complaint): pageEnded(complaint)
        }
        turn()
    }

    /// What is done after every event.
    ///
    /// The order is that of the head's rules 4 and 5. What happened is reported twice, before a job is started and
    /// after: so the journal tells it in the order of events.
    private func turn() {
        let now = clock.monotonic()
        if let time = retryAt, now >= time {
            retryAt = nil
            nextScan = 0
        }
        if retryAt == nil {
            useHints()
            watchTexts()
            if now >= nextScan { scan(now) }
            attempt { () throws(StorageError) in
                try keeper.acceptDrops()
                if keeper.hasBacklog { try keeper.continueScan(within: SpoolKeeper.turn) }
                if keeper.hasRequests { try keeper.answerRequests() }
            }
            settleWorkers()
        }
        report()
        heedPause()
        if running.hasRoom, !isStopping, retryAt == nil, isRecovered, keeper.pause == nil {
            watchRoom()
            while shortage == nil, running.hasRoom, startNext() {}
        }
        report()
        if keeper.hasTrouble { nextScan = min(nextScan, now + Self.retryInterval) }
        leaveWaits()
        // By way of the inbox and not in a loop: a stop or a worker's news that came meanwhile goes first.
        if keeper.hasDrops || keeper.hasBacklog || keeper.hasRequests || keeper.hasTurnsLeft || !takenHints.isEmpty,
            retryAt == nil
        {
            daemon.send.yield(.wake)
        }
        writePage(finally: isDone)
        noteIdleness(isIdle: isIdle)
        tellManager()
        setTimer()
    }

    /// Has what runs write a checkpoint while the queue is paused.
    private func heedPause() {
        guard keeper.pause != nil else { return }
        for job in running.names { stopWorker(of: job) }
    }

    /// Whether nothing runs and nothing can be started, now or later, without a person.
    private var isIdle: Bool {
        running.isEmpty && isRecovered && retryAt == nil && !isStopping && !keeper.hasDrops && !keeper.hasBacklog
            && !keeper.hasRequests && !keeper.isExpecting && keeper.nextDelay == nil
            && (keeper.pause == nil || keeper.count(.queue) == 0)
    }

    /// Runs something that touches the spool; if it fails, that is told and everything is looked at again later.
    @discardableResult
    func attempt(_ body: () throws(StorageError) -> Void) -> Bool {
        do throws(StorageError) {
            try body()
            return true
        } catch {
            announcer.trouble("The spool could not be used (\(error)); it is tried again.")
            if error.code == .noSpace || error.code == .readOnly { watchRoom(found: true) }
            // With it set a turn leaves the spool alone, until its time has come and a scan is made.
            retryAt = clock.monotonic() + Self.retryInterval
            return false
        }
    }

    // Hints and scans.

    /// Watches the spool's directories anew, and has a scan follow. Without a watch, as where all of the user's are
    /// taken, the spool is looked through every second.
    private func setUpWatch() {
        watch?.cancel()
        watch = try? options.storage.watch(keeper.watchedDirectories)
        guard let watch else {
            announcer.trouble("The spool cannot be watched; it is looked through every second instead.")
            return
        }
        let (stream, hints, send) = (watch.hints, hints, daemon.send)
        Task {
            for await hint in stream where hints.add(hint) { send.yield(.wake) }
        }
        // What happened before the watch began is found by the scan that follows.
        nextScan = 0
    }

    /// Looks where something has changed; what takes longer than a turn waits for the next.
    private func useHints() {
        let end = clock.monotonic() + SpoolKeeper.turn
        takenHints += hints.takeAll()
        while clock.monotonic() < end, let hint = takenHints.popFirst() {
            if hint == .overflow {
                // A directory may have been replaced, and with it what is watched.
                setUpWatch()
            } else {
                guard attempt({ () throws(StorageError) in try keeper.handle(hint) }) else { return }
            }
        }
    }

    /// Hears of texts that are complete, and has the folders watched in which they are waited for.
    ///
    /// It is a help only: where hints are lost or a folder cannot be watched, texts count as complete a while later.
    private func watchTexts() {
        for hint in textHints.takeAll() {
            switch hint {
            case .arrived(let directory, let name): keeper.textArrived(directory.appending(name))
            case .changed: break
            // A folder may have gone.
            case .overflow: textFolders = []
            }
        }
        let storage = options.storage
        let folders = keeper.textFolders.filter { ((try? storage.status(of: $0)) ?? nil)?.kind == .directory }
        guard folders != textFolders else { return }
        textWatch?.cancel()
        textWatch = try? storage.watch(Array(folders))
        textFolders = folders
        guard let textWatch else { return }
        let (stream, hints, send) = (textWatch.hints, textHints, daemon.send)
        Task {
            for await hint in stream where hints.add(hint) { send.yield(.wake) }
        }
    }

    /// Lets the service manager see in the middle of something long that it goes on.
    private func giveSign() {
        let now = clock.monotonic()
        guard now - lastSign >= min(10, (options.manager.watchdogInterval ?? .infinity) / 4) else { return }
        if isReady { options.manager.isAlive() } else { options.manager.extendTimeout(seconds: 60) }
        lastSign = now
    }

    private func recover() {
        isRecovered = attempt { () throws(StorageError) in try keeper.recover(within: SpoolKeeper.turn) }
    }

    /// Looks at everything, or as long as the spool is not recovered goes on with that.
    private func scan(_ now: Double) {
        nextScan = now + (watch == nil ? Self.scanInterval.unwatched : Self.scanInterval.watched)
        if isRecovered {
            attempt { () throws(StorageError) in try keeper.scan(within: SpoolKeeper.turn) }
        } else {
            recover()
        }
        if keeper.hasTrouble { nextScan = min(nextScan, now + Self.retryInterval) }
    }

    // Telling.

    /// Passes on what the spool has to tell, and does what it asks for.
    private func report() {
        for event in keeper.takeEvents() {
            switch event {
            case .stop(let job): stopWorker(of: job)
            case .rejected: hasFailures = true
            case .finished(_, let state, _): if state != .done { hasFailures = true }
            case .held(_, let reason, _): if reason != nil { hasFailures = true }
            case .gpuRests(_, _, let reason): gpuReason = reason.isEmpty ? nil : reason
            default: break
            }
            announcer.tell(event)
            notePage(event)
            if let job = EndedJob(event) { noteEnd(job) }
        }
    }

    /// Lets people's tools know what the queue waits for. It is a hint only: where it cannot be written, nothing is
    /// said.
    private func leaveWaits() {
        var waits = QueueWaits()
        waits.gpuUntil = keeper.gpuRestsUntil
        waits.gpuReason = waits.gpuUntil == nil ? nil : gpuReason
        // The numbers in it change all the time; the first will do.
        waits.disk = shortage.map { toldWaits?.disk ?? $0.description }
        // In whole minutes, as they are told.
        let seconds = keeper.ownerSeconds.mapValues { ($0 / 60).rounded() * 60 }.filter { $0.value > 0 }
        if isShared, !seconds.isEmpty {
            waits.ownerSeconds = Dictionary(uniqueKeysWithValues: seconds.map { ("\($0.key)", $0.value) })
        }
        let inherited = keeper.inheritedPriorities
        if !inherited.isEmpty { waits.inherited = inherited.count > 1000 ? nil : inherited }
        guard waits != toldWaits, isRecovered else { return }
        if (try? waits.save(options.spool, on: options.storage)) != nil { toldWaits = waits }
    }

    /// Everybody on the machine sees it: of a job that is its owner's alone no progress is told.
    private var statusText: String {
        StatusLine.text(
            running: running.all.filter { $0.end == nil }.map { running in
                (running.job, keeper.isPrivate(running.job) ? StatusLine.closed(running.job) : running.status)
            },
            counts: (keeper.count(.queue), keeper.count(.held), keeper.count(.failed)), pause: keeper.pause,
            shortage: shortage,
            isWaitingForGPU: keeper.isWaitingForGPU)
    }

    private func tellManager() {
        let now = clock.monotonic()
        if let interval = options.manager.watchdogInterval, now - lastSign >= interval / 4 {
            options.manager.isAlive()
            lastSign = now
        }
        // While it stops: a large checkpoint on a slow disk takes longer than TimeoutStopSec, and is what the stop is
        // for.
        if isStopping { options.manager.extendTimeout(seconds: running.isSaving ? 120 : 30) }
        let text = statusText
        guard text != lastStatus.0, now - lastStatus.time >= 1 || running.isEmpty else { return }
        options.manager.status(text)
        lastStatus = (text, now)
    }

    // Time.

    /// Sets the timer for what is due first: the next look, a sign of life, the page, the end of a pause, a job that
    /// waits for its time.
    private func setTimer() {
        let now = clock.monotonic()
        let isBusy =
            !running.isEmpty || keeper.isExpecting || announcer.isCounting || retryAt != nil || watch == nil
            || shortage != nil
        var due = now + (isBusy ? Self.tickInterval.busy : Self.tickInterval.idle)
        if let interval = options.manager.watchdogInterval { due = min(due, now + interval / 3) }
        if let time = page.due, !page.isRunning, !isStopping { due = min(due, max(now + 0.05, time)) }
        if let end = keeper.pause?.until { due = min(due, now + max(0.05, end - clock.wall())) }
        if let delay = keeper.nextDelay { due = min(due, now + max(0.05, delay - clock.wall())) }
        guard timer == nil || due < timerDue - 0.01 else { return }
        timer?.cancel()
        timerDue = due
        let (seconds, send) = (due - now, daemon.send)
        timer = Task {
            do { try await Task.sleep(for: .seconds(seconds)) } catch { return }
            send.yield(.tick)
        }
    }

    // Beginning and end.

    /// Asks all workers for a checkpoint. No job is started any more; the loop goes on until the last worker has ended,
    /// since the spool has to take note of how.
    private func beginStopping() {
        guard !isStopping else { return }
        isStopping = true
        let jobs = running.names
        let whose = jobs.map { "; \($0) writes a checkpoint" }.joined()
        options.manager.stopping("Stopping\(whose)")
        announcer.tell(.stopping, .info, "Stopping\(whose).")
        for job in jobs { stopWorker(of: job) }
    }

    private var isFinished: Bool {
        // The page shows how all of it ended.
        isStopping ? running.isEmpty : isDone && !page.isPending
    }

    /// Whether, with `once`, nothing is left to do.
    private var isDone: Bool {
        guard options.once, running.isEmpty, !keeper.hasDrops, !keeper.hasBacklog, !keeper.hasRequests,
            !keeper.isExpecting, retryAt == nil
        else { return false }
        // What waits for a time, for a person or for what failed does not hold the program up.
        if keeper.count(.queue) > 0 || keeper.hasTrouble { hasFailures = true }
        return true
    }

    /// Takes the configuration that stands there now. It holds for jobs that are started from now on: a running worker
    /// keeps the orders that it was given. One that cannot be read, or has a mistake, changes nothing.
    private func reload() {
        options.manager.reloading()
        // Also where the reload failed: systemd would wait for it, and then end the service.
        defer { options.manager.ready(statusText) }
        guard let path = options.configurationFile else {
            announcer.tell(.reloaded, .info, "There is no configuration file; the defaults stay in force.")
            return
        }
        do {
            configuration = try Daemon.configuration(from: path, options.storage)
            keeper.rules = configuration.rules(isShared: isShared, options.people)
            announcer.tell(.reloaded, .notice, "The configuration was read again from \(path).")
        } catch {
            announcer.tell(
                .reloadFailed, .error, "The configuration is not used, the old one stays in force: \(error)",
                ["file": path.string])
        }
    }
}
