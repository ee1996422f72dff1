import CharnnEngine

/// Scores several streams of text side by side, some time steps at a time.
final class CPUScorer: Scorer {
    let streams: Int
    private let engine: CPUEngine
    private let workspace: Workspace
    private let state: RecurrentState
    /// `[temperatures, streams · capacity]`; made anew for another number of temperatures.
    private var losses: Buffer<Float>

    init(engine: CPUEngine, streams: Int) throws(EngineError) {
        let dimensions = engine.weights.dimensions
        self.engine = engine
        self.streams = streams
        // Enough rows for the products to be large, few enough for little memory.
        workspace = try Workspace(
            dimensions, streams: streams, capacity: max(1, min(128, 4096 / streams)), isTraining: false,
            engine.compute, engine.compute.products)
        state = try RecurrentState(dimensions.plan, streams: streams)
        losses = try Buffer(0)
    }

    func reset() { state.clear() }

    func score(
        _ text: SymbolText, starts: [Int], length: Int, temperatures: [Double], observe: (([Float]) -> Void)?
    ) throws(EngineError) -> [[Double]] {
        try require(starts: starts, temperatures: temperatures)
        let compute = engine.compute
        let rows = streams * workspace.capacity
        if losses.count != temperatures.count * rows { losses = try Buffer(temperatures.count * rows) }
        var pass = try Pass(compute, engine.weights, workspace, compute.products, isTraining: false)
        pass.scoring = Pass.Scoring(inverseTemperatures: temperatures.map { Float(1 / $0) }, losses: losses)
        var sums = temperatures.map { _ in [Double](repeating: 0, count: streams) }
        for first in stride(from: 0, to: length, by: workspace.capacity) {
            let steps = min(workspace.capacity, length - first)
            try workspace.load(
                text, starts: starts.map { $0 + first }, steps: steps,
                vocabularySize: engine.architecture.vocabularySize)
            workspace.setState(state)
            compute.pool.run(workspace.shards.count) { shard in
                pass.forward(shard)
                pass.head(shard)
            }
            workspace.copyState(to: state)
            for index in temperatures.indices {
                workspace.forEachRow { row, _, stream in sums[index][stream] += Double(losses.base[index * rows + row])
                }
            }
            if let observe {
                var logarithms = [Float](repeating: 0, count: steps * streams)
                workspace.forEachRow { row, time, stream in logarithms[time * streams + stream] = -losses.base[row] }
                observe(logarithms)
            }
        }
        return sums
    }
}
