public import CharnnEngine

extension CPUEngine {
    /// The bytes of memory that training such a network takes at its peak, saturating at `UInt64.max`.
    ///
    /// Counted are parameters, their average, packed weights, moments, gradient, the workspace of a step, a copy of the
    /// state for a checkpoint, and the library's own buffers; not the program and the text.
    ///
    /// - Parameters:
    ///   - architecture: Any sizes, absurd ones too.
    ///   - batchSize: `B`
    ///   - sequenceLength: `T`
    ///   - threads: As for the engine.
    ///   - precision: As for the engine.
    public static func predictedBytes(
        _ architecture: Architecture, batchSize: Int, sequenceLength: Int, threads: Int? = nil,
        precision: Precision = .fp32
    ) -> UInt64 {
        guard architecture.isConceivable else { return .max }
        let plan = NetworkPlan(architecture)
        let (V, E, H) =
            (Size(architecture.vocabularySize), Size(architecture.embeddingSize), Size(architecture.hiddenSize))
        let gH = Size(plan.gates) * H
        let parameters = plan.tensors.reduce(Size(0)) { $0 + $1.shape.reduce(Size(1)) { $0 * Size($1) } }
        let workspace = WorkspaceSize(
            plan, batchSize: batchSize, sequenceLength: sequenceLength, packsWeights: true,
            isTraining: true)
        let state = Size(architecture.layerCount) * Size(batchSize) * H * Size(4)
        let library = Size(threads ?? usableProcessorCount()) * Size(libraryBytesPerThread)
        // Packed are all weights, for both ways and, with bf16, for scoring; and the right operands of the weights' gradients.
        let network = parameters * Size(9 * 4 + 8)
        let inputs = Size(architecture.layerCount - 1) * H + E
        let operands = Size(architecture.layerCount) * H + inputs
        let packed = workspace.rows * operands * Size(precision == .bf16 ? 2 : 4)
        let total = network + workspace.trainingBytes(plan) + packed + state * Size(4) + library
        guard precision == .bf16 else { return total.value }
        let atHand = Size(workspace.shardCount * PackedWorkspace.chunkRows) * (gH + E + V) * Size(2)
        return (total + atHand).value
    }

    /// What OpenBLAS touches of its buffer for rearranged operands, for each thread that calls it.
    private static var libraryBytesPerThread: Int { 8 << 20 }
}
