import CharnnEngine

/// Positions of a network's tensors in the flat parameter buffer, looked up once.
///
/// A class, since it is passed on in every time step: as a value all its arrays would be counted each time.
final class Dimensions: Sendable {
    struct Layer {
        let inputSize: Int
        let inputWeight: Int
        let recurrentWeight: Int
        let inputBias: Int
        let recurrentBias: Int
    }

    let plan: NetworkPlan
    /// `V`, `E`, `H`, `L`, `gH`
    let symbols: Int
    let embedding: Int
    let units: Int
    let layerCount: Int
    let gateUnits: Int
    /// The rows of a layer's weights whose recurrent sums are added to the input's; behind them come those that stand
    /// apart.
    let addedUnits: Int
    /// As in the plan, which is not to be copied in every time step.
    let architecture: Architecture
    let passesHidden: Bool
    /// The dropout of what each layer reads, and behind the last of what the head does.
    let masks: [NetworkPlan.Mask?]
    let layers: [Layer]
    let headWeight: Int
    let headBias: Int
    let parameterCount: Int

    init(_ plan: NetworkPlan) {
        let (layout, architecture) = (ParameterLayout(plan), plan.architecture)
        self.plan = plan
        self.architecture = architecture
        passesHidden = plan.passesHidden
        masks = (0...architecture.layerCount).map { plan.mask(below: $0) }
        symbols = architecture.vocabularySize
        embedding = architecture.embeddingSize
        units = architecture.hiddenSize
        layerCount = architecture.layerCount
        gateUnits = plan.gateUnits
        addedUnits = plan.rowsBeforeApart
        layers = (0..<architecture.layerCount).map { layer in
            Layer(
                inputSize: architecture.inputSize(ofLayer: layer),
                inputWeight: layout[.inputWeight(layer: layer)].offset,
                recurrentWeight: layout[.recurrentWeight(layer: layer)].offset,
                inputBias: layout[.inputBias(layer: layer)].offset,
                recurrentBias: layout[.recurrentBias(layer: layer)].offset)
        }
        headWeight = layout[.headWeight].offset
        headBias = layout[.headBias].offset
        parameterCount = layout.count
    }

    /// Those whose recurrent sums stand apart.
    var apartUnits: Range<Int> { addedUnits..<gateUnits }
}

/// The rows of a batch that are computed together, from the first time step to the last.
struct Shard: Hashable {
    let first: Int
    let count: Int

    /// The fixed partition of a batch: by its size alone, never by the number of threads, because a library's sums may
    /// depend on how many rows it is given.
    ///
    /// - Parameter isFine: With packed weights eight rows at a time are as fast as many; a library that rearranges the
    ///   weights at each call wants as many rows as possible.
    static func partition(_ rows: Int, isFine: Bool) -> [Shard] {
        let fine = max(min(8, rows / 8), rows / 32)
        let count = rows < 8 ? 1 : max(2, isFine ? fine : rows / 32)
        return (0..<count).map { shard in
            let first = shard * rows / count
            return Shard(first: first, count: (shard + 1) * rows / count - first)
        }
    }
}

/// The numbers of floats that a computation over `B` streams and `T` steps needs, saturating at `UInt64.max`.
struct WorkspaceSize {
    let rows: Size
    let usesTable: Bool
    let gates: Size
    let hidden: Size
    let candidate: Size
    let units: Size
    let outputGradient: Size
    let embedded: Size
    let table: Size
    /// Of one shard.
    let recurrent: Size
    let stateGradient: Size
    let logits: Size
    let chunkRows: Int
    let shardCount: Int

    /// - Parameter isTraining: Whether something may be dropped.
    init(_ plan: NetworkPlan, batchSize: Int, sequenceLength: Int, packsWeights: Bool, isTraining: Bool) {
        let architecture = plan.architecture
        let (B, T, H) = (Size(batchSize), Size(sequenceLength), Size(architecture.hiddenSize))
        let (V, E) = (Size(architecture.vocabularySize), Size(architecture.embeddingSize))
        let gH = Size(plan.gates) * H
        rows = B * T
        usesTable = V.value < rows.value && (plan.looksUpInput || !isTraining)
        gates = rows * Size(plan.width(ofSaved: .gates)) * H
        candidate = rows * Size(plan.width(ofSaved: .candidate)) * H
        hidden = (rows + B) * H
        units = rows * H
        outputGradient = rows * Size(max(architecture.hiddenSize, usesTable ? 0 : architecture.embeddingSize))
        embedded = usesTable ? Size(0) : rows * E
        table = usesTable ? V * gH : Size(0)
        let shards = Shard.partition(max(1, min(batchSize, 1 << 24)), isFine: packsWeights)
        shardCount = shards.count
        let shardRows = batchSize > 1 << 24 ? B : Size(shards.map(\.count).max() ?? 1)
        recurrent = shardRows * gH
        stateGradient = shardRows * H
        // About a megabyte of logits at a time, which stays in the cache between the product and the loss.
        chunkRows = max(8, min(1024, (1 << 18) / max(1, architecture.vocabularySize)))
        logits = Size(chunkRows) * V
    }

    /// Bytes of a training workspace.
    func trainingBytes(_ plan: NetworkPlan) -> Size {
        let architecture = plan.architecture
        let (L, H, V) = (
            Size(architecture.layerCount), Size(architecture.hiddenSize), Size(architecture.vocabularySize)
        )
        let layer = gates + candidate + Size(plan.state.count) * hidden
        // What is dropped of the embedding is so in place.
        let dropped = Size(plan.masks.count { $0.place != .input }) * units
        var floats = L * layer + outputGradient + embedded + table + table + dropped
        let biases = L * Size(plan.gates + plan.gatesApart.count) * H
        let shard = recurrent + stateGradient + stateGradient + logits + V * H + V + biases
        floats = floats + Size(shardCount) * shard + rows + rows + rows
        return floats * Size(4)
    }
}

/// A natural number that stays at its maximum instead of overflowing.
struct Size {
    let value: UInt64

    init(_ value: Int) { self.value = UInt64(max(0, value)) }
    private init(saturating value: UInt64) { self.value = value }

    static func + (a: Size, b: Size) -> Size {
        let (sum, overflow) = a.value.addingReportingOverflow(b.value)
        return Size(saturating: overflow ? .max : sum)
    }

    static func * (a: Size, b: Size) -> Size {
        let (product, overflow) = a.value.multipliedReportingOverflow(by: b.value)
        return Size(saturating: overflow ? .max : product)
    }
}
