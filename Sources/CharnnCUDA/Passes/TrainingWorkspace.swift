import CCharnnCUDA
import CharnnEngine

// A training step for batches of one size: the order of its parts, and the graph that repeats it. The workspace owns
// the buffers of both passes; status, outcomes, moments and state are the engine's, and a graph that names others than
// the step got is forgotten.

/// All that training needs for batches of one size, and the recorded step.
final class TrainingWorkspace {
    let sizes: Sizes
    let forward: ForwardPass
    let backward: BackwardPass
    private let weights: CUDAWeights
    /// fp64 `[CharnnNormBlocks]`
    private let norms: DeviceBuffer
    private let work: RepeatedWork
    /// What the recorded step changes.
    private var last: Targets?

    /// What a step changes beside the parameters.
    struct Targets {
        let status, outcomes, hidden: DeviceBuffer
        let cell, first, second, average: DeviceBuffer?

        /// Whether these are the same buffers.
        static func == (a: Targets, b: Targets) -> Bool {
            a.status === b.status && a.outcomes === b.outcomes && a.hidden === b.hidden && a.cell === b.cell
                && a.first === b.first && a.second === b.second && a.average === b.average
        }
    }

    init(_ weights: CUDAWeights, _ sizes: Sizes) throws(EngineError) {
        try Self.requireRoom(weights.device, sizes)
        self.sizes = sizes
        self.weights = weights
        forward = try ForwardPass(weights, sizes, isTraining: true)
        backward = try BackwardPass(forward.buffers)
        norms = try DeviceBuffer(weights.device, bytes: CharnnNormBlocks * 8)
        work = RepeatedWork(on: weights.device)
    }

    /// Bytes that the workspace takes.
    static func bytes(_ sizes: Sizes, multiprocessors: Int) -> Int {
        let forwardBytes = ForwardBuffers.Bytes(sizes, isTraining: true, multiprocessors: multiprocessors)
        let packed = sizes.precision == .fp16 ? PackedWeights.bytes(sizes) : 0
        return forwardBytes.total + packed + BackwardBuffers.Bytes(sizes, multiprocessors: multiprocessors).total
    }

    static func hasRoom(_ device: CUDADevice, _ sizes: Sizes) throws(EngineError) -> Bool {
        UInt64(bytes(sizes, multiprocessors: device.multiprocessors)) <= (try device.freeMemory())
    }

    /// Refuses what cannot fit before anything is taken for it.
    private static func requireRoom(_ device: CUDADevice, _ sizes: Sizes) throws(EngineError) {
        let (needed, free) = (bytes(sizes, multiprocessors: device.multiprocessors), try device.freeMemory())
        guard UInt64(needed) <= free else {
            throw EngineError(
                .deviceFailed,
                "a step of this size needs \(needed) bytes on \(device.name), and \(free) of \(device.context.totalMemory) are free; "
                    + "make hidden_size, num_layers, batch_size or seq_length smaller, or end the other programs that "
                    + "nvidia-smi shows")
        }
    }

    /// Forward and back: losses, and the gradient of their sum times the step's scale.
    func enqueueGradient(from state: (hidden: DeviceBuffer, cell: DeviceBuffer?)?) throws(EngineError) {
        let (device, buffers) = (weights.device, forward.buffers)
        try device.streams.fork(3) { () throws(EngineError) in
            try device.streams.on(.urgent(0)) { () throws(EngineError) in
                try weights.enqueuePreparation(needsTable: buffers.looksUpInput)
            }
            if let packed = buffers.packed { try device.streams.on(.urgent(1), packed.enqueuePacking) }
            try device.streams.on(.urgent(2)) { () throws(EngineError) in
                try device.gather(buffers, steps: sizes.steps)
                try device.begin(buffers, from: state, mayReset: true)
            }
        }
        try forward.run(steps: sizes.steps) { chunk throws(EngineError) in
            try device.loss(buffers, chunk)
            try backward.enqueueHead(chunk)
        }
        try backward.enqueue()
    }

    /// Runs the step that was written to the forward pass.
    func run(_ targets: Targets) throws(EngineError) {
        if let last, !(last == targets) { work.forget() }
        last = targets
        try work.run { () throws(EngineError) in try enqueue(targets) }
    }

    /// For when buffers that the recorded step names go away.
    func forgetRecording() {
        work.forget()
        last = nil
    }

    private func enqueue(_ targets: Targets) throws(EngineError) {
        let device = weights.device
        let (count, gradient, b) = (weights.layout.count, backward.buffers.gradient, forward.buffers)
        try enqueueGradient(from: (targets.hidden, targets.cell))
        try device.gradientNorm(of: gradient, count: count, rows: sizes.rows, step: b.step, norms: norms)
        try device.conclude(
            step: b.step, status: targets.status, outcomes: targets.outcomes, losses: b.losses, norms: norms,
            rows: sizes.rows, isScaled: sizes.precision == .fp16)
        try device.update(
            weights.parameters, gradient: gradient, first: targets.first, second: targets.second,
            average: targets.average, weights.layout, step: b.step, status: targets.status)
        try device.commit(
            from: (b.hiddenState, b.cellState), to: (targets.hidden, targets.cell), count: sizes.state,
            status: targets.status)
    }
}
