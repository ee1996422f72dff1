import CharnnEngine

// What lasts from one step to the next on the device, beside the weights. A recorded step names these buffers: whoever
// replaces or drops one has the recording forgotten first, and lets no step be in flight that still writes to it.

/// The optimiser's moments, the average of the weights and the recurrent state of a training run.
final class TrainingState {
    /// The state of all streams between two steps, fp32 `[L, B, H]`.
    struct Recurrent {
        let streams: Int
        let hidden: DeviceBuffer
        let cell: DeviceBuffer?
    }

    /// fp32 in ``ParameterLayout``, made when a step first needs it.
    private struct Companion {
        var buffer: DeviceBuffer?
        /// Whether it has ever been other than zero.
        var isUsed = false
    }

    private let weights: CUDAWeights
    /// nil: zero for any `B`.
    private(set) var recurrent: Recurrent?
    private var first = Companion()
    private var second = Companion()
    private var average = Companion()

    init(_ weights: CUDAWeights) { self.weights = weights }

    // MARK: - To and from the host

    /// Takes parameters, their companions and recurrent state over, all of which fit the network.
    func install(_ state: EngineState) throws(EngineError) {
        let streams = state.streams(of: weights.network)
        recurrent = nil
        if streams > 0 {
            try makeRecurrent(streams: streams)
            try recurrent?.hidden.write(state[.hidden])
            try recurrent?.cell?.write(state[.cell])
        }
        try weights.parameters.write(state.parameters)
        try fill(&first, with: state[.firstMoment])
        try fill(&second, with: state[.secondMoment])
        try fill(&average, with: state[.average])
    }

    func snapshot() throws(EngineError) -> EngineState {
        let count = weights.layout.count
        var snapshot = EngineState(parameters: try weights.parameters.read(Float.self, count: count))
        for (name, companion) in [(EngineBuffer.firstMoment, first), (.secondMoment, second), (.average, average)] {
            guard companion.isUsed, let buffer = companion.buffer else { continue }
            snapshot[name] = try buffer.read(Float.self, count: count)
        }
        if let recurrent {
            let numbers = weights.architecture.layerCount * recurrent.streams * weights.architecture.hiddenSize
            snapshot[.hidden] = try recurrent.hidden.read(Float.self, count: numbers)
            snapshot[.cell] = try recurrent.cell?.read(Float.self, count: numbers) ?? []
        }
        return snapshot
    }

    private func fill(_ companion: inout Companion, with values: [Float]) throws(EngineError) {
        if values.isEmpty {
            try companion.buffer?.clear()
        } else {
            try buffer(of: &companion).write(values)
        }
        companion.isUsed = !values.isEmpty
    }

    /// The parameters get the average's contents, and the other way round.
    func exchangeAverage() throws(EngineError) {
        guard average.isUsed, let buffer = average.buffer else { throw EngineState.hasNoAverage }
        try weights.device.exchange(weights.parameters, buffer, count: weights.layout.count)
    }

    // MARK: - For a step

    /// A zero state for so many streams in place of the one there is, whose memory is given back first.
    func makeRecurrent(streams: Int) throws(EngineError) {
        recurrent = nil
        let (device, architecture) = (weights.device, weights.architecture)
        let bytes = architecture.layerCount * streams * architecture.hiddenSize * 4
        recurrent = Recurrent(
            streams: streams, hidden: try DeviceBuffer(device, bytes: bytes),
            cell: weights.network.has(.cell) ? try DeviceBuffer(device, bytes: bytes) : nil)
    }

    /// The moments that a rule changes; nil: it has none.
    func moments(
        of rule: Optimizer
    ) throws(EngineError) -> (first: DeviceBuffer?, second: DeviceBuffer?) {
        let (usesFirst, usesSecond) = (rule.moments.contains(.firstMoment), rule.moments.contains(.secondMoment))
        let own = (usesFirst ? try buffer(of: &first) : nil, usesSecond ? try buffer(of: &second) : nil)
        first.isUsed = first.isUsed || usesFirst
        second.isUsed = second.isUsed || usesSecond
        return own
    }

    /// The average, for a step that may move it; nil: the run keeps none.
    func average(for step: OptimizerStep) throws(EngineError) -> DeviceBuffer? {
        guard let rate = step.averageRate else { return nil }
        average.isUsed = average.isUsed || rate > 0
        return try buffer(of: &average)
    }

    private func buffer(of companion: inout Companion) throws(EngineError) -> DeviceBuffer {
        if let buffer = companion.buffer { return buffer }
        let new = try DeviceBuffer(weights.device, bytes: weights.layout.count * 4)
        companion.buffer = new
        return new
    }
}
