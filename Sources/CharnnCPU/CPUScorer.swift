import CharnnEngine

/// Scores several streams of text side by side, some time steps at a time.
final class CPUScorer: Scorer {
    let streams: Int
    private let engine: CPUEngine
    private let workspace: Workspace
    private let state: RecurrentState

    init(engine: CPUEngine, streams: Int) throws(EngineError) {
        let dimensions = engine.weights.dimensions
        self.engine = engine
        self.streams = streams
        // Enough rows for the products to be large, few enough for little memory.
        workspace = try Workspace(
            dimensions, streams: streams, capacity: max(1, min(128, 4096 / streams)), isTraining: false,
            engine.compute, engine.compute.products)
        state = try RecurrentState(dimensions.plan, streams: streams)
    }

    func reset() { state.clear() }

    func score(_ text: SymbolText, starts: [Int], length: Int) throws(EngineError) -> [Double] {
        guard starts.count == streams else {
            throw EngineError(.mismatch, "\(starts.count) starts were given for \(streams) streams.")
        }
        let compute = engine.compute
        let pass = try Pass(compute, engine.weights, workspace, compute.products, isTraining: false)
        var sums = [Double](repeating: 0, count: streams)
        for first in stride(from: 0, to: length, by: workspace.capacity) {
            let steps = min(workspace.capacity, length - first)
            try workspace.load(
                text, starts: starts.map { $0 + first }, steps: steps,
                vocabularySize: engine.architecture.vocabularySize)
            workspace.setState(state)
            compute.pool.run(workspace.shards.count) { shard in
                pass.forward(shard)
                pass.head(shard, isTraining: false)
            }
            workspace.copyState(to: state)
            workspace.addLosses(to: &sums)
        }
        return sums
    }
}

extension Workspace {
    /// Adds each stream's losses over time to `sums`.
    fileprivate func addLosses(to sums: inout [Double]) {
        for shard in shards {
            for t in 0..<steps {
                let row = shard.first * capacity + t * shard.count
                for b in 0..<shard.count { sums[shard.first + b] += Double(losses.base[row + b]) }
            }
        }
    }
}
