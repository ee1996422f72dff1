import CCharnnCUDA
public import CharnnEngine

// The engine's face, and the steps in flight. What runs where:
//
// - The device does a step's work in stream order, forks within (`Device/CUDAStreams.swift`). From its second run on a
//   step is one graph, which `Passes/TrainingWorkspace.swift` records; what changes from step to step is written to a
//   buffer before it.
// - Up to ``CUDAEngine/slots`` steps are handed over before the host waits for any. Each leaves its outcome in a slot;
//   the first that fails or overflows holds all behind it, so that nothing is lost until the host learns of it; what a
//   scale was too large for is then done again, and so is all behind it.
// - The engine owns weights, moments, recurrent state and the workspace for one size of batch; scorers and predictors
//   own buffers of their own and share the weights, in the same stream.
//
// An engine belongs to one thread at a time.

/// The engine for NVIDIA's GPUs: a whole training step on the device, recorded once and repeated as one launch.
///
/// The driver is opened at run time; nothing else is needed. Sums run in a fixed order: the same device gives the same
/// bits.
public final class CUDAEngine: Engine {
    public var architecture: Architecture { weights.architecture }
    public private(set) var configuration: EngineConfiguration
    /// Steps run on the device while the host prepares the next ones.
    public var stepsInFlight: Int { Self.slots }

    /// What the operands of a training step's large products are.
    public typealias Precision = CUDAPrecision

    /// Steps whose outcomes the device keeps.
    static let slots = 16

    private let device: CUDADevice
    private let weights: CUDAWeights
    private let precision: Precision
    private var tuning: Tuning
    /// ``CharnnStatus``, and the outcomes of the steps in flight.
    private let status: DeviceBuffer
    private let outcomes: DeviceBuffer
    private let state: TrainingState
    private var workspace: TrainingWorkspace?
    private var texts = TextStore()
    private var inFlight: [Flight] = []
    private var settled: [StepOutcome] = []
    /// Whether the workspace has the losses of the step that was submitted last.
    private var hasLosses = false
    private var hasFailed = false

    /// A step that was handed to the device and whose outcome is not known yet.
    private struct Flight {
        let step: TrainingStep
        let text: SymbolText
        /// Which of ``scales``.
        var scale = 0
    }

    /// What the gradient of an fp16 step is multiplied by, so that it neither vanishes nor overflows.
    ///
    /// Every step begins with the first; where its gradient does not fit, it is done again with the next, and nothing
    /// of the first try is left. So a step's bits depend on no step before it, and a resume needs to know of no scale.
    static let scales: [Float] = [0x1p8, 1, 0x1p-8, 0x1p-16]

    /// Makes an engine with zero moments and zero recurrent state.
    ///
    /// - Parameters:
    ///   - plan: Of an architecture whose sizes are all at least 1.
    ///   - parameters: In ``ParameterLayout``.
    ///   - precision: Of training; scorers and predictors take fp32 always.
    ///   - ordinal: Which of the driver's devices.
    /// - Throws: ``EngineError/Code/unavailable`` where there is no driver or GPU that works,
    ///   ``EngineError/Code/mismatch`` when the parameters do not fit, ``EngineError/Code/deviceFailed`` when the
    ///   device is busy, full or broken.
    public convenience init(
        _ plan: NetworkPlan, parameters: [Float], precision: Precision = .fp16, ordinal: Int = 0
    ) throws(EngineError) {
        try self.init(CUDADevice.shared(ordinal: ordinal), plan, parameters: parameters, precision: precision)
    }

    init(
        _ device: CUDADevice, _ network: NetworkPlan, parameters: [Float], precision: Precision,
        tuning: Tuning = Tuning()
    ) throws(EngineError) {
        self.device = device
        self.precision = precision
        self.tuning = tuning
        configuration = EngineConfiguration(
            device: "cuda", deviceName: device.name, precision: precision.rawValue,
            kernels: "\(device.kernelOrigin), \(device.multiprocessors) SMs, arithmetic \(Arithmetic.version)",
            threads: 1)
        try device.enter()
        weights = try CUDAWeights(device, network)
        state = TrainingState(weights)
        status = try DeviceBuffer(device, bytes: MemoryLayout<CharnnStatus>.stride)
        outcomes = try DeviceBuffer(device, bytes: MemoryLayout<CharnnOutcome>.stride * Self.slots)
        try weights.layout.requireCount(parameters.count, of: "parameters")
        try weights.parameters.write(parameters)
    }

    public func install(_ state: EngineState) throws(EngineError) {
        try device.enter()
        try state.requireFit(weights.network)
        try settle()
        workspace?.forgetRecording()
        try self.state.install(state)
        hasFailed = false
        try status.clear()
        weights.touch()
    }

    public func snapshot() throws(EngineError) -> EngineState {
        try device.enter()
        try settle()
        return try state.snapshot()
    }

    public func parameters() throws(EngineError) -> [Float] {
        try device.enter()
        try settle()
        return try weights.parameters.read(Float.self, count: weights.layout.count)
    }

    public func exchangeAverage() throws(EngineError) {
        try device.enter()
        try settle()
        try state.exchangeAverage()
        weights.touch()
    }

    public func submit(_ step: TrainingStep, of text: SymbolText) throws(EngineError) {
        try device.enter()
        // A step of another number of streams replaces the state, to which none in flight may still write.
        let replacesState = state.recurrent.map { $0.streams != step.starts.count } ?? false
        if inFlight.count == Self.slots || replacesState { try settle() }
        guard !hasFailed else {
            settled.append(StepOutcome(number: step.number, loss: .nan, gradientNorm: .nan, applied: false))
            return
        }
        try check(step, text)
        let flight = Flight(step: step, text: text)
        try start(flight, slot: inFlight.count)
        inFlight.append(flight)
        hasLosses = true
    }

    public func drain() throws(EngineError) -> [StepOutcome] {
        try device.enter()
        try settle()
        defer { settled.removeAll(keepingCapacity: true) }
        return settled
    }

    public func characterLosses() throws(EngineError) -> [Float] {
        try device.enter()
        try settle()
        guard hasLosses, !hasFailed, let workspace else { throw EngineError.noStep }
        return try workspace.forward.buffers.losses.read(Float.self, count: workspace.sizes.rows)
    }

    public func gradient(
        of step: TrainingStep, of text: SymbolText
    ) throws(EngineError) -> (loss: Double, gradient: [Float]) {
        hasLosses = false
        try device.enter()
        try settle()
        try check(step, text)
        let workspace = try workspace(for: step)
        let rows = workspace.sizes.rows
        var result: (loss: Double, gradient: [Float]) = (.nan, [])
        for scale in usableScales {
            try write(step, text, scale: scale, slot: 0, to: workspace)
            try workspace.enqueueGradient(from: state.recurrent.map { ($0.hidden, $0.cell) })
            let losses = try workspace.forward.buffers.losses.read(Float.self, count: rows)
            let factor = 1 / (Float(rows) * scale)
            let gradient = try workspace.backward.buffers.gradient.read(Float.self, count: weights.layout.count)
            result = (losses.reduce(0) { $0 + Double($1) } / Double(rows), gradient.map { $0 * factor })
            if result.gradient.allSatisfy(\.isFinite) { break }
        }
        return result
    }

    public func makeScorer(streams: Int) throws(EngineError) -> any Scorer {
        try CUDAScorer(weights, streams: streams)
    }

    public func makePredictor(streams: Int) throws(EngineError) -> any Predictor {
        try CUDAPredictor(weights, streams: streams)
    }

    // MARK: - Plans

    public func findPlan(
        streams: Int, sequenceLength: Int, measuring: PlanMeasuring
    ) throws(EngineError) {
        try findPlan(streams: streams, sequenceLength: sequenceLength, measuring: measuring, cache: .standard)
    }

    func findPlan(
        streams: Int, sequenceLength: Int, measuring: PlanMeasuring, cache: Cache
    ) throws(EngineError) {
        try device.enter()
        try settle()
        workspace = nil  // Its room is needed.
        let search = PlanSearch(weights, precision, streams: streams, steps: sequenceLength)
        if let plan = search.known(cache) {
            follow(plan: plan)
        } else if measuring != .none {
            follow(plan: try search.measure(keepingIn: measuring == .kept ? cache : nil))
        }
    }

    public func follow(plan: String?) {
        guard let plan, let tuning = Tuning(plan) else { return }
        self.tuning = tuning
        configuration.plan = plan
        workspace = nil
    }

    // MARK: - Steps in flight

    private var usableScales: [Float] { precision == .fp16 ? Self.scales : [1] }

    private func check(_ step: TrainingStep, _ text: SymbolText) throws(EngineError) {
        guard !step.starts.isEmpty, step.sequenceLength > 0 else { throw EngineError(.mismatch, "The batch is empty.") }
        try text.check(
            starts: step.starts, length: step.sequenceLength + 1, vocabularySize: architecture.vocabularySize,
            isKnownToFit: texts.fits(text, vocabularySize: architecture.vocabularySize, device))
        if let recurrent = state.recurrent, !step.resetsState, recurrent.streams != step.starts.count {
            throw EngineError(
                .mismatch,
                "The recurrent state is of \(recurrent.streams) streams, but the step has \(step.starts.count).")
        }
    }

    private func workspace(for step: TrainingStep) throws(EngineError) -> TrainingWorkspace {
        let (streams, steps) = (step.starts.count, step.sequenceLength)
        if let workspace, workspace.sizes.streams == streams, workspace.sizes.steps == steps { return workspace }
        workspace = nil  // Freed before the new one is allocated.
        let sizes = Sizes(weights.network, precision, streams: streams, steps: steps, tuning: tuning)
        let new = try TrainingWorkspace(weights, sizes)
        workspace = new
        return new
    }

    private func start(_ flight: Flight, slot: Int) throws(EngineError) {
        let step = flight.step
        if state.recurrent?.streams != step.starts.count {
            // Which names the old state, and holds its memory.
            workspace?.forgetRecording()
            try state.makeRecurrent(streams: step.starts.count)
        }
        let workspace = try workspace(for: step)
        let moments = try state.moments(of: step.optimizer.optimizer)
        try write(step, flight.text, scale: usableScales[flight.scale], slot: slot, to: workspace)
        guard let recurrent = state.recurrent else { return }
        try workspace.run(
            TrainingWorkspace.Targets(
                status: status, outcomes: outcomes, hidden: recurrent.hidden, cell: recurrent.cell,
                first: moments.first, second: moments.second, average: try state.average(for: step.optimizer)))
        weights.touch()
    }

    private func write(
        _ step: TrainingStep, _ text: SymbolText, scale: Float, slot: Int, to workspace: TrainingWorkspace
    ) throws(EngineError) {
        let place = try texts.place(text, starts: step.starts, length: step.sequenceLength + 1, on: device)
        try workspace.forward.buffers.write(
            CharnnStep(step, text: place, resets: step.resetsState || state.recurrent == nil, scale: scale, slot: slot),
            starts: place.starts)
    }

    /// Waits for the steps in flight and learns how they went; steps that overflowed are done again.
    private func settle() throws(EngineError) {
        while !inFlight.isEmpty {
            let told = try readOutcomes(inFlight.count)
            guard let stop = told.firstIndex(where: { $0.state != CharnnStepApplied }) else {
                for (flight, outcome) in zip(inFlight, told) { settle(flight, outcome) }
                inFlight.removeAll(keepingCapacity: true)
                return
            }
            for index in 0..<stop { settle(inFlight[index], told[index]) }
            var again = Array(inFlight[stop...])
            inFlight.removeAll(keepingCapacity: true)
            guard told[stop].state == CharnnStepOverflowed, again[0].scale + 1 < usableScales.count else {
                settle(again[0], told[stop])
                for flight in again.dropFirst() {
                    settled.append(
                        StepOutcome(number: flight.step.number, loss: .nan, gradientNorm: .nan, applied: false))
                }
                hasFailed = true
                return
            }
            again[0].scale += 1
            try status.clear()
            for flight in again {
                try start(flight, slot: inFlight.count)
                inFlight.append(flight)
            }
        }
    }

    private func settle(_ flight: Flight, _ outcome: CharnnOutcome) {
        settled.append(
            StepOutcome(
                number: flight.step.number, loss: outcome.loss, gradientNorm: outcome.norm,
                applied: outcome.state == CharnnStepApplied))
    }

    private func readOutcomes(_ count: Int) throws(EngineError) -> [CharnnOutcome] {
        let size = MemoryLayout<CharnnOutcome>.stride
        let bytes = try outcomes.read(UInt8.self, count: count * size)
        return bytes.withUnsafeBytes { raw in
            (0..<count).map { raw.loadUnaligned(fromByteOffset: $0 * size, as: CharnnOutcome.self) }
        }
    }
}
