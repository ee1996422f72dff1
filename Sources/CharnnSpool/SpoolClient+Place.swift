internal import HeapModule

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
        guard waits.disk == nil, var before = Self.order(jobs, until: name) else { return nil }
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

    /// The queued jobs that run before one, as the daemon would take them if each succeeds; nil if that one's turn does
    /// not come by itself.
    private static func order(_ jobs: [Job], until name: String) -> [Job]? {
        let queued = jobs.filter { $0.state == .queue }
        guard queued.contains(where: { $0.name == name }) else { return nil }
        let states = Dictionary(jobs.map { ($0.name, $0.state) }, uniquingKeysWith: { first, _ in first })
        var dependents: [String: [Int]] = [:]
        var waits = [Int](repeating: 0, count: queued.count)
        var ready = Heap<Int>()
        for (index, job) in queued.enumerated() {
            for predecessor in job.status?.ticket?.predecessors ?? [] {
                let state = states[predecessor.job]
                // A model may be a file instead of a job.
                if state == .done || (state == nil && predecessor.isModel) { continue }
                waits[index] += 1
                dependents[predecessor.job, default: []].append(index)
            }
            if waits[index] == 0 { ready.insert(index) }
        }
        func settle(_ job: String) {
            for index in dependents[job] ?? [] {
                waits[index] -= 1
                if waits[index] == 0 { ready.insert(index) }
            }
        }
        for job in jobs where job.state == .active { settle(job.name) }
        var order: [Job] = []
        while let index = ready.popMin() {
            if queued[index].name == name { return order }
            order.append(queued[index])
            settle(queued[index].name)
        }
        return nil
    }

    private static func typicalSeconds(_ jobs: [Job]) -> Double? {
        let times = jobs.filter { $0.state == .done }.compactMap { $0.status?.elapsedSeconds }.sorted()
        return times.isEmpty ? nil : times[times.count / 2]
    }
}
