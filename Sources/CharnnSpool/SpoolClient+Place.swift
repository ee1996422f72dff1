/// Where a queued job stands in line.
public struct QueuePlace: Sendable, Equatable {
    /// The running job.
    public var running: String?
    /// Seconds that the running job says it still needs.
    public var runningSecondsLeft: Double?
    /// Queued jobs that run before, in their order.
    public var before: [String]
    /// Seconds until it would start, where that can be told; without a running daemon it never does.
    public var secondsUntilStart: Double?
    /// What a job that never ran is taken to need: the median of those that are done. nil where none was asked for.
    public var typicalSeconds: Double?
}

extension SpoolClient {
    /// Where a queued job stands in line; nil for one that is not queued, or that something else than its turn keeps
    /// from running.
    ///
    /// - Complexity: O(n log n) in the jobs of the spool
    public func place(of name: String) throws(SpoolClientError) -> QueuePlace? {
        let jobs = try list()
        let waits = queueWaits
        guard waits.disk == nil, queuePause == nil else { return nil }
        let turns = Self.turns(jobs, waits, at: clock.wall())
        guard let own = turns.firstIndex(where: { $0.name == name }), absentText(of: turns[own]) == nil else {
            return nil
        }
        var before = Array(turns[..<own])
        let rest = waits.gpuUntil.flatMap { $0 > clock.wall() ? $0 : nil }
        let mayUseGPU = jobs.first { $0.name == name }?.status?.ticket?.mayUseGPU == true
        // Those that wait for the GPU are overtaken.
        if rest != nil, !mayUseGPU { before.removeAll { $0.status?.ticket?.mayUseGPU == true } }
        let running = jobs.first { $0.state == .active }
        var place = QueuePlace(
            running: running?.name, runningSecondsLeft: running?.status?.secondsLeft, before: before.map(\.name))
        var seconds = running == nil ? 0 : running?.status?.secondsLeft
        let unknown = before.contains { $0.status?.secondsLeft == nil }
        if unknown { place.typicalSeconds = Self.typicalSeconds(jobs) }
        for job in before {
            guard let sum = seconds, let more = job.status?.secondsLeft ?? place.typicalSeconds else {
                seconds = nil
                break
            }
            seconds = sum + more
        }
        if let rest, mayUseGPU { seconds = seconds.map { max($0, rest - clock.wall()) } }
        place.secondsUntilStart = seconds
        return place
    }

    /// The queued jobs in the order in which the daemon would run them if each succeeds and takes as long as foreseen;
    /// without those whose turn does not come by itself.
    static func turns(_ jobs: [Job], _ waits: QueueWaits, at wall: Double) -> [Job] {
        let queued = jobs.filter { $0.state == .queue && $0.status?.awaitedText == nil }
        guard !queued.isEmpty else { return [] }
        let states = Dictionary(jobs.map { ($0.name, $0.state) }, uniquingKeysWith: { first, _ in first })
        let positions = Dictionary(
            queued.enumerated().map { ($0.element.name, $0.offset) }, uniquingKeysWith: { first, _ in first })
        var dependents: [String: [Int]] = [:]
        var blocking = [Int](repeating: 0, count: queued.count)
        var ready = TurnQueue()
        func insert(_ index: Int) {
            let job = queued[index]
            ready.insert(
                TurnQueue.Turn(
                    job: job.name, priority: waits.priority(of: job), sequence: job.status?.sequence ?? .max,
                    hasBegun: job.status?.hasBegun == true, owner: job.owner))
        }
        for (index, job) in queued.enumerated() {
            for predecessor in job.status?.ticket?.predecessors ?? [] {
                let state = states[predecessor.job]
                // A model may be a file instead of a job.
                if state == .done || (state == nil && predecessor.isModel) { continue }
                blocking[index] += 1
                dependents[predecessor.job, default: []].append(index)
            }
            if blocking[index] == 0 { insert(index) }
        }
        func settle(_ job: String) {
            for index in dependents[job] ?? [] {
                blocking[index] -= 1
                if blocking[index] == 0 { insert(index) }
            }
        }
        for job in jobs where job.state == .active { settle(job.name) }
        var seconds: [UInt32: Double] = [:]
        for (user, had) in waits.ownerSeconds ?? [:] { if let user = UInt32(user) { seconds[user] = had } }
        let typical = typicalSeconds(jobs) ?? 60
        for job in jobs where job.state == .active {
            if let owner = job.owner { seconds[owner, default: 0] += job.status?.secondsLeft ?? typical }
        }
        var order: [Job] = []
        while let place = ready.next(seconds: { $0.flatMap { seconds[$0] } ?? 0 }, isCurrent: { _ in true }) {
            ready.drop(place)
            guard let index = positions[place.job] else { continue }
            let job = queued[index]
            order.append(job)
            if let owner = job.owner { seconds[owner, default: 0] += job.status?.secondsLeft ?? typical }
            settle(job.name)
        }
        return order
    }

    private static func typicalSeconds(_ jobs: [Job]) -> Double? {
        let times = jobs.filter { $0.state == .done }.compactMap { $0.status?.elapsedSeconds }.sorted()
        return times.isEmpty ? nil : times[times.count / 2]
    }
}

extension QueueWaits {
    /// The priority by which a job is run: its own, or that of one that waits for it.
    func priority(of job: SpoolClient.Job) -> Int { inherited?[job.name] ?? job.status?.ticket?.priority ?? 0 }
}
