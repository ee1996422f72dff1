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
    /// The daemon's user and group.
    static let daemon: UInt32 = 990
    /// Of the spool's group, but for an administrator.
    static let (member, other, administrator): (UInt32, UInt32, UInt32) = (2000, 3000, 900)
    static let people = People(administrators: 901) { user in
        switch user {
        case member, other: .init(name: "person \(user)", groups: [user, daemon])
        case administrator: .init(name: "administrator", groups: [user, 901, daemon])
        default: nil
        }
    }

    /// An empty disk on which the daemon's user works.
    static var emptyDisk: SimulatedDisk {
        var image = DiskImage()
        image.user = daemon
        return SimulatedDisk(image)
    }

    let disk: SimulatedDisk
    let scenario: Scenario
    let time: NightTime
    private(set) var keeper: SpoolKeeper?
    private(set) var promises = Promises()
    /// Jobs for which a worker was started, as often as it was.
    private(set) var started: [String] = []
    /// After how many checkpoints workers are asked to end; nil: they are not.
    var stopsAfter: Int?
    private var isRecovered = false
    /// A worker that has ended and of which the spool has not taken note yet.
    private var ended: (job: String, end: WorkerEnd, wasStopped: Bool)?

    var layout: SpoolLayout { Self.layout }
    var work: Work { scenario.work }
    var client: SpoolClient { SpoolClient(layout, storage: disk, clock: time.clock, people: Self.people) }
    /// Who drops and edits: in a spool of one's own its owner, else a member of its group.
    var person: UInt32 { scenario.sharing == .personal ? Self.daemon : Self.member }

    init(_ disk: SimulatedDisk, _ scenario: Scenario, hour: Double = 0) {
        self.disk = disk
        self.scenario = scenario
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
                    layout, sharing: scenario.sharing, storage: disk, clock: time.clock, people: Self.people,
                    rules: SpoolRules(textGrace: scenario.textGrace), check: work.check)
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
            switch event {
            case .accepted(_, let sequence, _, _): promise(.sequence(sequence))
            case .waits(let job, let awaited):
                if let since = awaited.missingSince { promise(.missesText(job: job, awaited.text, since: since)) }
            case .edited(let job, _): promise(.edited(job: job))
            case .paused: promise(.paused(true))
            case .resumed: promise(.paused(false))
            default: break
            }
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
    func drop(_ name: String, _ text: String, owner: UInt32? = nil) {
        let path = layout.incoming.appending(name)
        let owner = owner ?? person
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

    /// Somebody replaces a job's file; when it returns, it is promised.
    func edit(_ job: String, _ text: String) {
        promise(.editing(job: job, text: text))
        if (try? client.edit(job, Array(text.utf8))) != nil, scenario.sharing == .personal {
            promise(.edited(job: job))
        }
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
