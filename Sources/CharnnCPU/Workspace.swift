import CCharnnKernels
import CharnnEngine

/// All memory that computing over `B` streams and up to `T` steps needs, allocated once and used for every step.
///
/// Rows are ordered by shard, then time, then stream, so that what one shard computes lies together: shard `s`, which
/// has `R` rows from `b0` on, owns the rows `b0 T ..< (b0 + R) T` of a `[B T, ...]` buffer, and within them time `t` is
/// at `t R`. Buffers of states have a time step more: the first is the state before the sequence.
final class Workspace {
    struct Layer {
        /// `[B T, gH]`. In turn: the product of the input, the activated gates, their gradient before activation.
        let gates: Buffer<Float>
        /// `[B T, H]` for each gate that stands apart: its recurrent sum, then the gradient of that.
        let candidate: Buffer<Float>?
        /// `[B (T + 1), H]` each, in the order of ``NetworkPlan/state``.
        let states: [Buffer<Float>]
        /// Of these the hidden one, and the cell state where there is one.
        let hidden: Buffer<Float>
        let cell: Buffer<Float>?
        /// `[B T, H]`: the output after dropout; none where nothing is dropped.
        let dropped: Buffer<Float>?
    }

    /// What one shard needs beside its rows.
    struct ShardScratch {
        /// `[R, gH]`
        let recurrent: Buffer<Float>
        /// `[R, H]`
        let hiddenGradient: Buffer<Float>
        let cellGradient: Buffer<Float>
        /// `[chunk, V]`
        let logits: Buffer<Float>
        /// `[L, gH]`, and `[L, H]` for each gate that stands apart
        let biasGradient: Buffer<Float>
        let candidateBiasGradient: Buffer<Float>
        /// `[V, H]`, `[V]`
        let headWeightGradient: Buffer<Float>
        let headBiasGradient: Buffer<Float>
    }

    let streams: Int
    let capacity: Int
    /// The steps of the present sequence, at most `capacity`.
    var steps: Int
    let shards: [Shard]
    let usesTable: Bool
    let chunkRows: Int
    /// `[B T]`, in the order of rows.
    let inputs: Buffer<Int32>
    let targets: Buffer<Int32>
    let losses: Buffer<Float>
    let layers: [Layer]
    private let stateWidths: [Int]
    let scratch: [ShardScratch]
    /// `[B T, E]`, where the first layer's input product is not a table look-up; after dropout.
    let embedded: Buffer<Float>
    /// `[B T, max(H, E)]`: the gradient of the output of the layer at hand; empty without training.
    let outputGradient: Buffer<Float>
    /// For products on kernels of our own.
    let packed: PackedWorkspace?
    /// `[V, gH]`, training with a table.
    let tableGradient: Buffer<Float>

    init(
        _ dimensions: Dimensions, streams: Int, capacity: Int, isTraining: Bool, _ compute: Compute,
        _ products: CharnnProductKernels?
    ) throws(EngineError) {
        let plan = dimensions.plan
        let size = WorkspaceSize(
            plan, batchSize: streams, sequenceLength: capacity, packsWeights: products != nil, isTraining: isTraining)
        func buffer(_ size: Size, _ isNeeded: Bool = true) throws(EngineError) -> Buffer<Float> {
            try Buffer(isNeeded ? Int(clamping: size.value) : 0)
        }
        self.streams = streams
        self.capacity = capacity
        self.steps = capacity
        shards = Shard.partition(streams, isFine: products != nil)
        usesTable = size.usesTable
        if let products {
            packed = try PackedWorkspace(
                dimensions, shards: shards, capacity: capacity, usesTable: size.usesTable, isTraining: isTraining,
                products, threads: compute.pool.count)
        } else {
            packed = nil
        }
        chunkRows = size.chunkRows
        inputs = try Buffer(streams * capacity)
        targets = try Buffer(streams * capacity)
        losses = try Buffer(isTraining ? streams * capacity : 0)
        embedded = try buffer(size.embedded)
        outputGradient = try buffer(size.outputGradient, isTraining)
        tableGradient = try buffer(size.table, isTraining)
        var layers: [Layer] = []
        for layer in 0..<dimensions.layerCount {
            let drops = isTraining && plan.mask(below: layer + 1) != nil
            var states: [Buffer<Float>] = []
            for _ in plan.state { states.append(try buffer(size.hidden)) }
            layers.append(
                Layer(
                    gates: try buffer(size.gates),
                    candidate: dimensions.apartUnits.isEmpty ? nil : try buffer(size.candidate), states: states,
                    hidden: states[0], cell: plan.state.firstIndex { $0.name == .cell }.map { states[$0] },
                    dropped: drops ? try buffer(size.units) : nil))
        }
        self.layers = layers
        stateWidths = plan.state.map(\.width)
        var scratch: [ShardScratch] = []
        let (H, V, L) = (dimensions.units, dimensions.symbols, dimensions.layerCount)
        for _ in shards {
            scratch.append(
                ShardScratch(
                    recurrent: try buffer(size.recurrent), hiddenGradient: try buffer(size.stateGradient, isTraining),
                    cellGradient: try buffer(size.stateGradient, isTraining), logits: try buffer(size.logits),
                    biasGradient: try Buffer(L * dimensions.gateUnits),
                    candidateBiasGradient: try Buffer(L * dimensions.apartUnits.count),
                    headWeightGradient: try Buffer(isTraining ? V * H : 0), headBiasGradient: try Buffer(V)))
        }
        self.scratch = scratch
    }

    /// Reads a batch into `inputs` and `targets`.
    ///
    /// - Throws: ``EngineError/Code/mismatch`` for a place outside the text or a symbol outside the vocabulary.
    func load(_ text: SymbolText, starts: [Int], steps: Int, vocabularySize: Int) throws(EngineError) {
        precondition(starts.count == streams && steps > 0 && steps <= capacity)
        guard starts.allSatisfy({ $0 >= 0 && $0 < text.count - steps }) else {
            throw EngineError(.mismatch, "The batch reaches beyond the text of \(text.count) symbols.")
        }
        self.steps = steps
        for shard in shards {
            for b in 0..<shard.count {
                let start = starts[shard.first + b]
                var row = shard.first * capacity + b
                var symbol = text[start]
                for t in 0..<steps {
                    let next = text[start + t + 1]
                    guard min(symbol, next) >= 0, max(symbol, next) < vocabularySize else {
                        throw EngineError(
                            .mismatch, "The text has a symbol outside the vocabulary of \(vocabularySize).")
                    }
                    inputs.base[row] = symbol
                    targets.base[row] = next
                    symbol = next
                    row += shard.count
                }
            }
        }
    }

    /// Sets the state before the sequence; nil: zero.
    func setState(_ state: RecurrentState?) {
        forEachState { index, buffer, stream, shard, width in
            let (target, count) = (buffer.base + shard.first * (capacity + 1) * width, shard.count * width)
            if let state {
                target.update(from: state.buffers[index].base + stream * width, count: count)
            } else {
                target.update(repeating: 0, count: count)
            }
        }
    }

    /// Copies the state after the sequence.
    func copyState(to state: RecurrentState) {
        forEachState { index, buffer, stream, shard, width in
            let source = buffer.base + (shard.first * (capacity + 1) + steps * shard.count) * width
            (state.buffers[index].base + stream * width).update(from: source, count: shard.count * width)
        }
    }

    /// - Parameter body: Gets the number of a state, its buffer of a layer, and a shard's first place in `[L, B]` of
    ///   states between sequences.
    private func forEachState(
        _ body: (_ index: Int, _ buffer: Buffer<Float>, _ stream: Int, _ shard: Shard, _ width: Int) -> Void
    ) {
        for (l, layer) in layers.enumerated() {
            for (index, buffer) in layer.states.enumerated() {
                for shard in shards { body(index, buffer, l * streams + shard.first, shard, stateWidths[index]) }
            }
        }
    }
}

/// The recurrent state of some streams between two sequences.
struct RecurrentState {
    let streams: Int
    /// `[L, B, width]` each, in the order of ``NetworkPlan/state``.
    let buffers: [Buffer<Float>]

    /// Zero.
    init(_ plan: NetworkPlan, streams: Int) throws(EngineError) {
        self.streams = streams
        var buffers: [Buffer<Float>] = []
        for state in plan.state { buffers.append(try Buffer(plan.architecture.layerCount * streams * state.width)) }
        self.buffers = buffers
    }

    func clear() {
        for buffer in buffers { buffer.fill([]) }
    }
}

extension Workspace {
    /// The rows of the present sequence, shard by shard, in the order of time.
    func forEachRow(_ body: (_ row: Int, _ time: Int, _ stream: Int) -> Void) {
        for shard in shards {
            for t in 0..<steps {
                for b in 0..<shard.count { body(shard.first * capacity + t * shard.count + b, t, shard.first + b) }
            }
        }
    }

    /// The mean of the rows' losses, summed by shard, time and stream.
    var meanLoss: Double {
        var sum = 0.0
        forEachRow { row, _, _ in sum += Double(losses.base[row]) }
        return sum / Double(steps * streams)
    }
}
