import CCharnnKernels
public import CharnnEngine

/// The engine for processors: vector kernels of our own, OpenBLAS for products, our own threads.
///
/// What it computes depends on the kernels and the library, never on the number of threads: a batch is split into
/// shards by its size alone, and whatever is summed over shards is summed in their order.
public final class CPUEngine: Engine {
    public var architecture: Architecture { plan.architecture }
    private let plan: NetworkPlan
    public let configuration: EngineConfiguration
    public var stepsInFlight: Int { 1 }

    /// What the operands of a training step's large products are; sums, weights and all else are fp32.
    public enum Precision: String, Sendable {
        case fp32
        /// Half the memory traffic and up to twice the speed; for processors with AVX-512 BF16.
        case bf16
    }

    let weights: Weights
    let compute: Compute
    /// What training's large products run on; nil: the library.
    private let products: CharnnProductKernels?
    private let tasks: WeightGradients
    private let gradient: Buffer<Float>
    /// In ``ParameterLayout``.
    private let moments: [EngineBuffer: Buffer<Float>]
    /// Likewise.
    private let average: Buffer<Float>
    private let partialNorms: Buffer<Double>
    /// The parameters in pieces of which a task updates one.
    private let updates: [(range: Range<Int>, decays: Bool)]
    /// Moments that have ever been other than zero.
    private var usedMoments: Set<EngineBuffer> = []
    private var hasAverage = false
    /// nil: zero for any `B`.
    private var state: RecurrentState?
    private var workspace: Workspace?
    private var outcomes: [StepOutcome] = []
    /// Whether the workspace has the losses of the step that was submitted last.
    private var hasLosses = false
    private var hasFailed = false

    /// Makes an engine with zero moments and zero recurrent state.
    ///
    /// - Parameters:
    ///   - architecture: All sizes at least 1.
    ///   - parameters: In ``ParameterLayout``.
    ///   - threads: How many threads compute; nil: as many as ``usableProcessorCount()``.
    ///   - kernels: Which kernels run; nil: the best this processor has.
    ///   - usesLibraryOnly: Whether OpenBLAS does every product, for comparison; plain kernels always leave them to it.
    ///   - precision: Of training; scorers and predictors take fp32 always.
    /// - Throws: ``EngineError/Code/unavailable`` without OpenBLAS or where the processor lacks the kernels,
    ///   ``EngineError/Code/mismatch`` when the parameters do not fit, ``EngineError/Code/outOfMemory`` without memory.
    public convenience init(
        architecture: Architecture, parameters: [Float], threads: Int? = nil, kernels: KernelLevel? = nil,
        usesLibraryOnly: Bool = false, precision: Precision = .fp32
    ) throws(EngineError) {
        try self.init(
            NetworkPlan(architecture), parameters: parameters, threads: threads, kernels: kernels,
            usesLibraryOnly: usesLibraryOnly, precision: precision)
    }

    package init(
        _ plan: NetworkPlan, parameters: [Float], threads: Int? = nil, kernels: KernelLevel? = nil,
        usesLibraryOnly: Bool = false, precision: Precision = .fp32, leastShare: Int = Compute.leastShare
    ) throws(EngineError) {
        let dimensions = Dimensions(plan)
        self.plan = plan
        compute = try Compute(
            threads: threads, kernels: kernels, usesLibraryOnly: usesLibraryOnly, leastShare: leastShare)
        products = precision == .bf16 ? try Self.bf16Products() : compute.products
        configuration = EngineConfiguration(
            device: "cpu", deviceName: processorName(), precision: precision.rawValue,
            kernels: (precision == .bf16 ? "avx512bf16 + " : "") + compute.name, threads: compute.pool.count)
        weights = try Weights(dimensions)
        tasks = WeightGradients(dimensions)
        gradient = try Buffer(dimensions.parameterCount)
        var moments: [EngineBuffer: Buffer<Float>] = [:]
        for moment in EngineBuffer.moments { moments[moment] = try Buffer(dimensions.parameterCount) }
        self.moments = moments
        average = try Buffer(dimensions.parameterCount)
        let layout = ParameterLayout(plan)
        updates = layout.decayRanges.flatMap { piece in
            pieces(of: piece.range, by: CPUEngine.chunk).map { ($0, piece.decays) }
        }
        partialNorms = try Buffer(CPUEngine.chunks(dimensions.parameterCount))
        try layout.requireCount(parameters.count, of: "parameters")
        weights.parameters.fill(parameters)
    }

    /// Whether this processor can train with bf16 operands.
    public static var hasBF16: Bool { charnn_bf16_products() != nil }

    /// What a training takes that leaves its precision open: bf16 on AMD's processors that have AVX-512 BF16, else fp32.
    ///
    /// A rule by the processor's features alone, never by a stopwatch, since the bits depend on it. Intel's units for bf16 are
    /// slower than those for fp32, up to twice.
    public static var standardPrecision: Precision { hasBF16 && charnn_amds_avx512() != 0 ? .bf16 : .fp32 }

    static func bf16Products() throws(EngineError) -> CharnnProductKernels {
        guard let kernels = charnn_bf16_products() else {
            throw EngineError(
                .unavailable, "This processor has no AVX-512 BF16, which precision: bf16 needs; take auto or fp32.")
        }
        return kernels.pointee
    }

    public func install(_ state: EngineState) throws(EngineError) {
        try state.requireFit(plan)
        let streams = state.streams(of: plan)
        let recurrent = streams == 0 ? nil : try RecurrentState(plan, streams: streams)
        for (part, buffer) in zip(plan.state, recurrent?.buffers ?? []) { buffer.fill(state[part.name]) }
        self.state = recurrent
        weights.parameters.fill(state.parameters)
        for (moment, buffer) in moments { buffer.fill(state[moment]) }
        usedMoments = Set(moments.keys.filter { !state[$0].isEmpty })
        hasAverage = !state[.average].isEmpty
        average.fill(state[.average])
        hasFailed = false
        parametersChanged()
    }

    public func snapshot() throws(EngineError) -> EngineState {
        var snapshot = EngineState(parameters: weights.parameters.array)
        for moment in usedMoments { snapshot[moment] = moments[moment]?.array ?? [] }
        if hasAverage { snapshot[.average] = average.array }
        for (part, buffer) in zip(plan.state, state?.buffers ?? []) { snapshot[part.name] = buffer.array }
        return snapshot
    }

    public func parameters() throws(EngineError) -> [Float] { weights.parameters.array }

    public func exchangeAverage() throws(EngineError) {
        guard hasAverage else { throw EngineState.hasNoAverage }
        for index in 0..<average.count { swap(&average.base[index], &weights.parameters.base[index]) }
        parametersChanged()
    }

    public func submit(_ step: TrainingStep, of text: SymbolText) throws(EngineError) {
        guard !hasFailed else {
            outcomes.append(StepOutcome(number: step.number, loss: .nan, gradientNorm: .nan, applied: false))
            return
        }
        let loss = try computeGradient(of: step, of: text)
        let norm = gradientNorm()
        let applied = loss.isFinite && norm.isFinite
        hasLosses = applied
        if applied {
            try keepState(streams: step.starts.count)
            update(by: step.optimizer, norm: norm)
        } else {
            hasFailed = true
        }
        outcomes.append(StepOutcome(number: step.number, loss: loss, gradientNorm: norm, applied: applied))
    }

    public func drain() throws(EngineError) -> [StepOutcome] {
        defer { outcomes.removeAll(keepingCapacity: true) }
        return outcomes
    }

    public func characterLosses() throws(EngineError) -> [Float] {
        guard hasLosses, let workspace else { throw EngineError.noStep }
        var losses = [Float](repeating: 0, count: workspace.steps * workspace.streams)
        workspace.forEachRow { row, time, stream in
            losses[time * workspace.streams + stream] = workspace.losses.base[row]
        }
        return losses
    }

    public func gradient(
        of step: TrainingStep, of text: SymbolText
    ) throws(EngineError) -> (loss: Double, gradient: [Float]) {
        hasLosses = false
        let loss = try computeGradient(of: step, of: text)
        return (loss, gradient.array)
    }

    public func makeScorer(streams: Int) throws(EngineError) -> any Scorer {
        try CPUScorer(engine: self, streams: streams)
    }

    public func makePredictor(streams: Int) throws(EngineError) -> any Predictor {
        try CPUPredictor(engine: self, streams: streams)
    }

    // MARK: - One step

    /// Forward and backward; leaves the gradient in `gradient` and the state after the sequence in the workspace.
    private func computeGradient(of step: TrainingStep, of text: SymbolText) throws(EngineError) -> Double {
        let streams = step.starts.count
        guard streams > 0, step.sequenceLength > 0 else { throw EngineError(.mismatch, "The batch is empty.") }
        let workspace = try workspace(streams: streams, steps: step.sequenceLength)
        try workspace.load(
            text, starts: step.starts, steps: step.sequenceLength, vocabularySize: architecture.vocabularySize)
        if let state, !step.resetsState {
            guard state.streams == streams else {
                throw EngineError(
                    .mismatch, "The recurrent state is of \(state.streams) streams, but the step has \(streams).")
            }
            workspace.setState(state)
        } else {
            workspace.setState(nil)
        }
        var pass = try Pass(compute, weights, workspace, products, isTraining: true)
        if !plan.masks.isEmpty { pass.dropout = (step.seed, UInt64(step.number)) }
        compute.pool.run(workspace.shards.count) { shard in
            pass.forward(shard)
            pass.head(shard)
            pass.backward(shard)
        }
        pass.weightGradients(tasks, into: gradient.base)
        return workspace.meanLoss
    }

    private func workspace(streams: Int, steps: Int) throws(EngineError) -> Workspace {
        if let workspace, workspace.streams == streams, workspace.capacity == steps { return workspace }
        workspace = nil  // Freed before the new one is allocated.
        let new = try Workspace(
            weights.dimensions, streams: streams, capacity: steps, isTraining: true, compute, products)
        workspace = new
        return new
    }

    private func keepState(streams: Int) throws(EngineError) {
        if state?.streams != streams { state = try RecurrentState(plan, streams: streams) }
        guard let state, let workspace else { return }
        workspace.copyState(to: state)
    }

    private static let chunk = 1 << 16
    private static func chunks(_ count: Int) -> Int { (count + chunk - 1) / chunk }

    private func gradientNorm() -> Double {
        let chunks = partialNorms.count
        compute.pool.run(chunks) { task in
            let first = task * CPUEngine.chunk
            partialNorms.base[task] = compute.kernels.sumOfSquares(
                gradient.base + first, min(CPUEngine.chunk, gradient.count - first))
        }
        var sum = 0.0
        for chunk in 0..<chunks { sum += partialNorms.base[chunk] }
        return sum.squareRoot()
    }

    private func update(by step: OptimizerStep, norm: Double) {
        guard let first = moments[.firstMoment], let second = moments[.secondMoment] else {
            preconditionFailure("every moment has a buffer")
        }
        let update = CharnnUpdate(
            step.constants, clip: step.clipFactor(norm: norm), parameters: weights.parameters, gradient, first, second)
        let kernel = compute.kernels.update(step.optimizer.kind)
        let averageRate = Float(step.averageRate ?? 0)
        compute.pool.run(updates.count) { task in
            let (range, decays) = updates[task]
            var part = update
            part.count = range.count
            part.parameters += range.lowerBound
            part.gradient += range.lowerBound
            part.first += range.lowerBound
            part.second += range.lowerBound
            // What draws dynamic evaluation back is no decay.
            if !decays, step.optimizer.kind != .dynamic { part.weightDecay = 0 }
            kernel(&part)
            if averageRate > 0 {
                // Right behind the update, whose result is at hand still.
                compute.kernels.approach(average.base + range.lowerBound, part.parameters, range.count, averageRate)
            }
        }
        usedMoments.formUnion(step.optimizer.moments)
        hasAverage = hasAverage || averageRate > 0
        parametersChanged()
    }

    private func parametersChanged() {
        weights.touch()
    }
}
