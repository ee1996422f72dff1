import CharnnJobs
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Synchronization
import SystemPackage

/// A daemon and its workers on a simulated disk: the real keeper and the real writers, in the order of the daemon's
/// main loop, with errors treated as it treats them.
final class Night {
    /// What the workers do.
    enum Work: Sendable {
        /// Little training jobs: real checkpoints, real model files and the real result record, with weights that
        /// follow from the step.
        case light
        /// The real runner of jobs with the reference engine.
        case real
    }

    static let layout = SpoolLayout(root: "/spool")

    let disk: SimulatedDisk
    let work: Work
    let sharing: SpoolLayout.Sharing
    let time: NightTime
    private(set) var keeper: SpoolKeeper?
    private(set) var promises = Promises()
    /// Jobs for which a worker was started, as often as it was.
    private(set) var started: [String] = []
    /// Seconds for which a daemon that is opened from now on has jobs wait for texts that are missing.
    var textGrace = 0.0
    /// After how many checkpoints workers are asked to end; nil: they are not.
    var stopsAfter: Int?
    private var isRecovered = false
    /// A worker that has ended and of which the spool has not taken note yet.
    private var ended: (job: String, end: WorkerEnd, wasStopped: Bool)?

    var layout: SpoolLayout { Self.layout }
    var client: SpoolClient { SpoolClient(layout, storage: disk, clock: time.clock) }

    init(_ disk: SimulatedDisk, work: Work = .light, sharing: SpoolLayout.Sharing = .personal, hour: Double = 0) {
        self.disk = disk
        self.work = work
        self.sharing = sharing
        time = NightTime(1000 + hour * 3600)
    }

    // MARK: - The daemon

    /// Does something that may fail, as the main loop does it.
    @discardableResult
    func attempt(_ body: () throws(StorageError) -> Void) -> Bool {
        do throws(StorageError) {
            try body()
            return true
        } catch {
            return false
        }
    }

    /// One turn: scan, accept, note how a worker ended.
    func turn() {
        if keeper == nil {
            attempt { () throws(StorageError) in
                keeper = try SpoolKeeper.open(
                    layout, sharing: sharing, storage: disk, clock: time.clock,
                    rules: SpoolRules(textGrace: textGrace), check: work.check)
            }
        }
        guard let keeper else { return }
        if isRecovered {
            attempt { () throws(StorageError) in try keeper.scan() }
        } else {
            isRecovered = attempt { () throws(StorageError) in try keeper.recover() }
        }
        attempt { () throws(StorageError) in
            while keeper.hasDrops { try keeper.acceptDrops() }
            try keeper.holdStranded()
        }
        settleWorker()
        attempt { () throws(StorageError) in try keeper.tick() }
        listen()
    }

    /// Lets what only time brings happen too.
    func settle() {
        turn()
        // What is waited for, such as a file that lies nowhere, is found missing first, and gone then.
        for _ in 0..<3 where keeper?.isExpecting != false || keeper?.hasTrouble == true {
            time.pass(40)
            turn()
        }
    }

    /// Ends the daemon, as a stop does.
    func close() {
        keeper = nil
        isRecovered = false
    }

    private func listen() {
        for event in keeper?.takeEvents() ?? [] {
            if case .accepted(_, let sequence, _, _) = event { promise(.sequence(sequence)) }
        }
    }

    // MARK: - Workers

    /// Runs the next job.
    ///
    /// - Parameters:
    ///   - dies: How the worker ends instead of by itself.
    ///   - settling: Whether the daemon lives to see it end.
    ///   - meanwhile: Happens when it has been started.
    /// - Returns: Whether there was one.
    @discardableResult
    func runNext(dies: WorkerEnd? = nil, settling: Bool = true, meanwhile: () -> Void = {}) -> Bool {
        guard let keeper, ended == nil else { return false }
        var claim: Claim?
        attempt { () throws(StorageError) in claim = try keeper.claimNext() }
        guard let claim else { return false }
        started.append(claim.job)
        meanwhile()
        let exit = dies == nil || stopsAfter != nil ? perform(claim) : 0
        guard settling else { return true }
        ended = (claim.job, dies ?? .exited(exit), exit == 85 && dies == nil)
        settleWorker()
        listen()
        return true
    }

    private func settleWorker() {
        guard let (job, end, wasStopped) = ended, let keeper else { return }
        attempt { () throws(StorageError) in
            try keeper.workerEnded(job, end, wasStopped: wasStopped, lastWords: "")
            ended = nil
        }
    }

    /// Runs all there is to run.
    func runAll() {
        for _ in 0..<20 where ended == nil { if !runNext() { break } }
    }

    // MARK: - People

    /// Somebody drops a file; all of it is on disk, as after a while.
    func drop(_ name: String, _ text: String, owner: UInt32 = 2000) {
        let path = layout.incoming.appending(name)
        disk.change { $0.put(path, Array(text.utf8), owner: owner) }
        promise(.dropped(text: text))
    }

    /// Somebody asks for a change of a job's state; when it returns, it is promised.
    func move(_ job: String, to state: JobState, _ request: (SpoolClient) throws -> Void) {
        promise(.moving(job))
        do {
            try request(client)
            promise(.moved(job, state))
        } catch {}
    }

    func promise(_ promise: Promise) { promises.add(promise, at: disk.count) }
}

/// Clocks that stand still until they are told to go on.
final class NightTime: Sendable {
    private let value: Mutex<Double>

    init(_ now: Double) { value = Mutex(now) }

    func pass(_ seconds: Double) { value.withLock { $0 += seconds } }

    var clock: SpoolClock {
        SpoolClock(
            monotonic: { self.value.withLock { $0 } }, wall: { 1_700_000_000 + self.value.withLock { $0 } })
    }
}
