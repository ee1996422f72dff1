/// The engine that others are proved against: the definitions as plain loops, slow on purpose, on one thread.
///
/// With `Real == Double` it is exact enough for finite differences; with `Float` it shows what single precision costs.
/// It is not for training anything but tests.
public final class ReferenceEngine<Real: ReferenceReal>: Engine {
    public var architecture: Architecture { plan.architecture }
    let plan: NetworkPlan
    public let configuration: EngineConfiguration
    /// A step has ended when ``submit(_:of:)`` returns.
    public var stepsInFlight: Int { 1 }

    /// The parameters in ``ParameterLayout`` and full precision.
    public internal(set) var realParameters: [Real]
    /// In ``ParameterLayout``; empty: zero.
    var moments: [EngineBuffer: [Real]] = [:]
    /// In ``ParameterLayout``; empty: it has not begun.
    var average: [Real] = []
    var state: ReferenceState<Real>
    private var outcomes: [StepOutcome] = []
    private var losses: [Real] = []
    private var hasFailed = false

    /// Makes an engine with zero moments and zero recurrent state.
    ///
    /// - Parameter parameters: In ``ParameterLayout``.
    /// - Throws: ``EngineError/Code/mismatch`` when their number does not fit the architecture.
    public convenience init(architecture: Architecture, parameters: [Real]) throws(EngineError) {
        try self.init(NetworkPlan(architecture), parameters: parameters)
    }

    package init(_ plan: NetworkPlan, parameters: [Real]) throws(EngineError) {
        self.plan = plan
        self.configuration = EngineConfiguration(
            device: "cpu", deviceName: "reference", precision: Real.precisionName, kernels: "plain Swift loops",
            threads: 1)
        self.realParameters = parameters
        self.state = ReferenceState()
        try ParameterLayout(plan).requireCount(parameters.count, of: "parameters")
    }

    /// Replaces the parameters, keeping moments and recurrent state.
    public func setParameters(_ parameters: [Real]) throws(EngineError) {
        try ParameterLayout(plan).requireCount(parameters.count, of: "parameters")
        realParameters = parameters
    }

    /// Also ends the refusal of steps that a failed one began.
    ///
    /// - Throws: ``EngineError/Code/mismatch`` for a state of another network.
    public func install(_ state: EngineState) throws(EngineError) {
        try state.requireFit(plan)
        realParameters = state.parameters.map { Real($0) }
        for moment in EngineBuffer.moments { moments[moment] = state[moment].map { Real($0) } }
        average = state[.average].map { Real($0) }
        self.state = ReferenceState(
            streams: state.streams(of: plan), hidden: state[.hidden].map { Real($0) },
            cell: state[.cell].map { Real($0) })
        hasFailed = false
    }

    /// Rounded to single precision: what is installed again in an engine of `Double` is near, not equal.
    public func snapshot() throws(EngineError) -> EngineState {
        var buffers = moments
        (buffers[.hidden], buffers[.cell], buffers[.average]) = (state.hidden, state.cell, average)
        return EngineState(
            parameters: realParameters.map { Float($0) }, buffers.mapValues { $0.map { Float($0) } })
    }

    public func parameters() throws(EngineError) -> [Float] { realParameters.map { Float($0) } }

    public func exchangeAverage() throws(EngineError) {
        guard !average.isEmpty else { throw EngineState.hasNoAverage }
        swap(&realParameters, &average)
    }

    /// Does the step at once; its outcome waits for ``drain()``.
    public func submit(_ step: TrainingStep, of text: SymbolText) throws(EngineError) {
        let result = try lossGradientState(of: step, of: text)
        let norm = result.gradient.reduce(Real(0)) { $0 + $1 * $1 }.squareRoot()
        let applied = !hasFailed && result.loss.isFinite && norm.isFinite
        if applied {
            update(result.gradient, norm: norm, by: step.optimizer)
            state = result.state
            losses = result.losses
        } else {
            losses = []
            hasFailed = true
        }
        outcomes.append(
            StepOutcome(
                number: step.number, loss: Double(result.loss), gradientNorm: Double(norm), applied: applied))
    }

    public func drain() throws(EngineError) -> [StepOutcome] {
        defer { outcomes.removeAll() }
        return outcomes
    }

    public func characterLosses() throws(EngineError) -> [Float] {
        guard !losses.isEmpty else { throw EngineError.noStep }
        return losses.map { Float($0) }
    }

    public func gradient(
        of step: TrainingStep, of text: SymbolText
    ) throws(EngineError) -> (loss: Double, gradient: [Float]) {
        let result = try lossAndGradientInFullPrecision(of: step, of: text)
        return (Double(result.loss), result.gradient.map { Float($0) })
    }

    /// What ``gradient(of:of:)`` returns, before rounding.
    public func lossAndGradientInFullPrecision(
        of step: TrainingStep, of text: SymbolText
    ) throws(EngineError) -> (loss: Real, gradient: [Real]) {
        let result = try lossGradientState(of: step, of: text)
        return (result.loss, result.gradient)
    }

    /// It keeps the engine, and reads its weights at each call.
    public func makeScorer(streams: Int) throws(EngineError) -> any Scorer {
        ReferenceReader(engine: self, streams: streams)
    }

    public func makePredictor(streams: Int) throws(EngineError) -> any Predictor {
        ReferenceReader(engine: self, streams: streams)
    }

    var network: ReferenceNetwork<Real> { ReferenceNetwork(plan, parameters: realParameters) }

    private func lossGradientState(
        of step: TrainingStep, of text: SymbolText
    ) throws(EngineError) -> (loss: Real, gradient: [Real], state: ReferenceState<Real>, losses: [Real]) {
        let streams = step.starts.count
        let symbols = try text.symbols(
            starts: step.starts, length: step.sequenceLength + 1, vocabularySize: architecture.vocabularySize)
        let inputs = Array(symbols.prefix(step.sequenceLength * streams))
        let targets = Array(symbols.dropFirst(streams))
        var initial = ReferenceState<Real>.zero(plan, streams: streams)
        if !step.resetsState && !state.hidden.isEmpty {
            guard state.streams == streams else {
                throw EngineError(
                    .mismatch, "The recurrent state is of \(state.streams) streams, but the step has \(streams).")
            }
            initial = state
        }
        let dropout = !plan.masks.isEmpty ? ReferenceDropout(seed: step.seed, step: step.number) : nil
        let trace = network.forward(inputs, from: initial, dropout: dropout)
        let (losses, gradient) = network.backward(trace, targets: targets, dropout: dropout)
        return (losses.reduce(0, +) / Real(losses.count), gradient, trace.finalState, losses)
    }
}

extension SymbolText {
    /// The symbols of a batch, time-major: `[length, streams]`.
    ///
    /// - Throws: ``EngineError/Code/mismatch`` for a place outside the text or a symbol outside the vocabulary.
    func symbols(starts: [Int], length: Int, vocabularySize: Int) throws(EngineError) -> [Int] {
        guard length > 1, !starts.isEmpty, starts.allSatisfy({ $0 >= 0 && $0 + length <= count }) else {
            throw EngineError(.mismatch, "The batch is empty or reaches beyond the text of \(count) symbols.")
        }
        var symbols: [Int] = []
        for t in 0..<length {
            for start in starts { symbols.append(Int(self[start + t])) }
        }
        guard symbols.allSatisfy({ $0 >= 0 && $0 < vocabularySize }) else {
            throw EngineError(.mismatch, "The text has a symbol outside the vocabulary of \(vocabularySize).")
        }
        return symbols
    }
}

/// The recurrent state of several streams.
struct ReferenceState<Real: ReferenceReal> {
    var streams = 0
    /// `[L, B, H]`; empty: zero.
    var hidden: [Real] = []
    /// `[L, B, H]` where there is a cell state, else empty.
    var cell: [Real] = []

    static func zero(_ plan: NetworkPlan, streams: Int) -> ReferenceState {
        let architecture = plan.architecture
        let zeros = [Real](repeating: 0, count: architecture.layerCount * streams * architecture.hiddenSize)
        return ReferenceState(streams: streams, hidden: zeros, cell: plan.has(.cell) ? zeros : [])
    }
}
