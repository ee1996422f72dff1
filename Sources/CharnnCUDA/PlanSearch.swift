import CCharnnCUDA
import CharnnEngine

// How a step is done fastest is measured on a workspace of its own, which is gone afterwards. Only choices that a
// ``Tuning`` has are tried; what is found is kept by device, kernels and sizes, because it may change the last bits.

/// Looks for the plan by which steps of one size are done fastest, by doing some.
///
/// Parameters, moments and states stay as they are.
struct PlanSearch {
    private let weights: CUDAWeights
    private let sizes: Sizes

    init(_ weights: CUDAWeights, _ precision: CUDAPrecision, streams: Int, steps: Int) {
        self.weights = weights
        sizes = Sizes(weights.network, precision, streams: streams, steps: steps)
    }

    private var name: String {
        let a = sizes.architecture
        let device = weights.device
        let text =
            "plan\(Arithmetic.version)-\(device.name)-\(device.multiprocessors)-\(device.kernelOrigin)-\(a.cell.rawValue)-"
            + "\(a.vocabularySize)-\(a.hiddenSize)x\(a.layerCount)-\(sizes.hasDropout)-\(sizes.streams)-\(sizes.steps)-"
            + "\(sizes.precision.rawValue)"
        return String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "_" })
    }

    /// What was measured before: from then on all jobs of that size do their steps alike.
    func known(_ cache: Cache) -> String? {
        guard let bytes = cache.read(name) else { return nil }
        let plan = String(decoding: bytes, as: UTF8.self)
        return Tuning(plan) == nil ? nil : plan
    }

    /// The fastest plan.
    func measure(keepingIn cache: Cache?) throws(EngineError) -> String {
        let expected = StepPlan(sizes, multiprocessors: weights.device.multiprocessors).ways
        let first = Tuning(chunkSteps: sizes.chunkSteps, steps: expected)
        var best = first
        // A device that has rested is slow at first.
        var least = try time(best, warmingUp: .milliseconds(500))
        func compete(_ other: Tuning) throws(EngineError) {
            guard try TrainingWorkspace.hasRoom(weights.device, sizes(other)) else { return }
            let time = try time(other)
            // What is hardly faster may not be so at all.
            guard time * 51 < least * 50 else { return }
            (best, least) = (other, time)
        }
        for ways in StepWays.allCases where ways != expected {
            try compete(Tuning(chunkSteps: sizes.chunkSteps, steps: ways))
        }
        if sizes.layers > 1 {
            let ways = best.steps
            for chunkSteps in [sizes.chunkSteps / 2, min(2 * sizes.chunkSteps, sizes.steps)]
            where chunkSteps > 0 && chunkSteps != sizes.chunkSteps {
                try compete(Tuning(chunkSteps: chunkSteps, steps: ways))
            }
        }
        // Something else may have used the device while the first was measured.
        if try time(first) < least { best = first }
        guard let plan = best.plan else { preconditionFailure("A plan that was measured has all choices made.") }
        cache?.write(Array(plan.utf8), name)
        return plan
    }

    private func sizes(_ tuning: Tuning) -> Sizes {
        Sizes(sizes.network, sizes.precision, streams: sizes.streams, steps: sizes.steps, tuning: tuning)
    }

    /// The time of two steps there and back.
    private func time(_ tuning: Tuning, warmingUp: Duration = .zero) throws(EngineError) -> Duration {
        let device = weights.device
        let workspace = try TrainingWorkspace(weights, sizes(tuning))
        // Symbols of all kinds, so that no sum over one has all the rows.
        let text = SymbolText((0...sizes.rows).map { Int32($0 % sizes.symbols) })
        var texts = TextStore()
        let place = try texts.place(
            text, starts: (0..<sizes.streams).map { $0 * sizes.steps }, length: sizes.steps + 1, on: device)
        var step = CharnnStep(reading: place)
        step.resetsState = 1
        try workspace.forward.buffers.write(step, starts: place.starts)
        let work = RepeatedWork(on: device)
        func run(_ times: Int) throws(EngineError) {
            for _ in 0..<times { try work.run { () throws(EngineError) in try workspace.enqueueGradient(from: nil) } }
            try device.streams.synchronize()
        }
        // The first loads the kernels, the second records.
        try run(2)
        let clock = ContinuousClock()
        let beginning = clock.now
        while clock.now - beginning < warmingUp { try run(2) }
        var least = Duration.seconds(Int64.max)
        for _ in 0..<3 {
            let start = clock.now
            try run(2)
            least = min(least, clock.now - start)
        }
        withExtendedLifetime(texts) {}  // Whose memory the steps read.
        return least
    }
}
