import CCharnnCUDA
import CharnnEngine

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
        let cell, first, second: DeviceBuffer?

        /// Whether these are the same buffers.
        static func == (a: Targets, b: Targets) -> Bool {
            a.status === b.status && a.outcomes === b.outcomes && a.hidden === b.hidden && a.cell === b.cell
                && a.first === b.first && a.second === b.second
        }
    }

    init(_ weights: CUDAWeights, _ sizes: Sizes) throws(EngineError) {
        try Self.requireRoom(weights.device, sizes)
        self.sizes = sizes
        self.weights = weights
        forward = try ForwardPass(weights, sizes, isTraining: true)
        backward = try BackwardPass(forward)
        norms = try DeviceBuffer(weights.device, bytes: CharnnNormBlocks * 8)
        work = RepeatedWork(on: weights.device)
    }

    /// Bytes that the workspace takes.
    static func bytes(_ sizes: Sizes, multiprocessors: Int) -> Int {
        let forwardBytes = ForwardPass.Bytes(sizes, isTraining: true, multiprocessors: multiprocessors)
        let packed = sizes.precision == .fp16 ? PackedWeights.bytes(sizes) : 0
        return forwardBytes.total + packed + BackwardPass.Bytes(sizes, multiprocessors: multiprocessors).total
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
        let device = weights.device
        try device.streams.fork(3) { () throws(EngineError) in
            try device.streams.on(.urgent(0), weights.enqueuePreparation)
            if let packed = forward.packed { try device.streams.on(.urgent(1), packed.enqueuePacking) }
            try device.streams.on(.urgent(2)) { () throws(EngineError) in
                try forward.gather(steps: sizes.steps)
                try forward.begin(from: state, mayReset: true)
            }
        }
        try forward.run(steps: sizes.steps) { chunk throws(EngineError) in
            try forward.loss(chunk)
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
        let count = weights.layout.count
        try enqueueGradient(from: (targets.hidden, targets.cell))
        try device.launch(
            .gradientNorm, grid: (CharnnNormBlocks, 1, 1),
            CharnnNorm(
                step: forward.step.address, gradient: backward.gradient.address, partial: norms.address,
                count: Int64(count), scale: Float(1 / Double(sizes.rows)), reserved: 0))
        try device.launch(
            .conclude, grid: (1, 1, 1),
            CharnnConclusion(
                step: forward.step.address, status: targets.status.address, outcomes: targets.outcomes.address,
                losses: forward.losses.address, norms: norms.address, rows: Int32(sizes.rows),
                isScaled: sizes.precision == .fp16 ? 1 : 0))
        try device.launch(
            .update, grid: (pieces(count, of: Kernel.update.threads), 1, 1),
            CharnnParameterUpdate(
                step: forward.step.address, status: targets.status.address, parameters: weights.parameters.address,
                gradient: backward.gradient.address, first: targets.first?.address ?? 0,
                second: targets.second?.address ?? 0, count: Int64(count)))
        try device.launch(
            .commit, grid: (pieces(sizes.state, of: Kernel.commit.threads), 1, 1),
            CharnnCommit(
                status: targets.status.address, fromHidden: forward.hiddenState.address,
                fromCell: forward.cellState?.address ?? 0, toHidden: targets.hidden.address,
                toCell: targets.cell?.address ?? 0, count: Int32(sizes.state), reserved: 0))
    }
}
