public import CharnnEngine

/// Which characters each step reads. A pure function of the settings: nothing is stored, and any step of any epoch is
/// found at once, so that a resumed run reads what an undisturbed one would.
///
/// **Stream.** With `N` characters and `B` streams, each stream has `S = ⌊(N − 1) / B⌋` of them and an epoch has
/// `⌊S / T⌋` steps. What is left over of a stream, `r = S mod T` characters, is reached by beginning each epoch at
/// another of the `r + 1` possible offsets. The state is zero at an epoch's start and carried between its steps.
///
/// **Windows.** `W = ⌊(N − 1 − T) / stride⌋ + 1` windows, in an order that a keyed bijection gives, `B` at a time from
/// a zero state; a last partial batch is dropped.
public struct BatchPlan: Sendable {
    private let settings: TrainingSettings
    /// `S`: the characters of a stream; or `W`: the number of windows.
    private let extent: Int
    /// At least 1: a text that gives none is refused.
    public let stepsPerEpoch: Int
    /// Steps of all epochs; a run that stops early makes fewer.
    public var totalSteps: Int { settings.totalSteps(perEpoch: stepsPerEpoch) }

    /// - Parameter count: `N`, the characters that are trained on.
    /// - Throws: ``TrainingError/Code/tooShort`` naming numbers that would fit.
    public init(count: Int, settings: TrainingSettings) throws(TrainingError) {
        self.settings = settings
        let (length, batch) = (settings.sequenceLength, settings.batchSize)
        switch settings.batching {
        case .stream:
            extent = max(0, count - 1) / batch
            stepsPerEpoch = extent / length
        case .windows:
            extent = count - 1 >= length ? (count - 1 - length) / settings.stride + 1 : 0
            stepsPerEpoch = extent / batch
        }
        if stepsPerEpoch == 0 {
            throw TrainingError(.tooShort, Self.advice(count: count, settings: settings))
        }
    }

    private static func advice(count: Int, settings: TrainingSettings) -> String {
        let (length, batch) = (settings.sequenceLength, settings.batchSize)
        let needed: Int
        let largestBatch: Int
        var largestLength = 0
        switch settings.batching {
        case .stream:
            needed = batch * length + 1
            largestBatch = max(0, count - 1) / length
            largestLength = max(0, count - 1) / batch
        case .windows:
            needed = length + 1 + (batch - 1) * settings.stride
            largestBatch = count - 1 >= length ? (count - 1 - length) / settings.stride + 1 : 0
            largestLength = count - 1 - (batch - 1) * settings.stride
        }
        var fits: [String] = []
        if largestBatch >= 1 { fits.append("batch_size: \(largestBatch)") }
        if largestLength >= 1 { fits.append("seq_length: \(largestLength)") }
        let advice =
            fits.isEmpty
            ? "give a longer text"
            : "give a longer text, or set \(fits.joined(separator: " (or less), or ")) (or less)"
        return "the \(count) characters to train on are too few for batch_size \(batch) and seq_length \(length), "
            + "which need at least \(needed); \(advice)"
    }

    /// Where the sequences of a step begin.
    ///
    /// - Parameters:
    ///   - epoch: From 0.
    ///   - step: Within the epoch, from 0.
    /// - Returns: `[B]` positions in the text.
    public func starts(epoch: Int, step: Int) -> [Int] {
        precondition(step >= 0 && step < stepsPerEpoch)
        switch settings.batching {
        case .stream:
            let position = offset(epoch: epoch) + step * settings.sequenceLength
            return (0..<settings.batchSize).map { $0 * extent + position }
        case .windows:
            let order = KeyedOrder(count: extent, key: settings.seed, round: UInt32(truncatingIfNeeded: epoch))
            let first = step * settings.batchSize
            return (first..<(first + settings.batchSize)).map { order[$0] * settings.stride }
        }
    }

    /// The step of a number.
    ///
    /// - Parameter number: From 1.
    public func step(_ number: Int, learningRate: Double) -> TrainingStep {
        let (epoch, index) = (number - 1).quotientAndRemainder(dividingBy: stepsPerEpoch)
        return TrainingStep(
            number: number, starts: starts(epoch: epoch, step: index), sequenceLength: settings.sequenceLength,
            resetsState: resetsState(step: index),
            optimizer: OptimizerStep(
                settings.optimizer, learningRate: learningRate, clipNorm: settings.clipNorm, updateNumber: number,
                averageRate: settings.averageRate(step: number)),
            seed: settings.seed)
    }

    /// Whether the recurrent state is zero at the beginning of a step.
    public func resetsState(step: Int) -> Bool { settings.batching == .windows || step == 0 }

    /// How far into its streams an epoch begins: another offset in each epoch, all of them before one comes again.
    func offset(epoch: Int) -> Int {
        let offsets = extent % settings.sequenceLength + 1
        // A stride near the golden section spreads the first few epochs over all offsets.
        var stride = max(1, Int((Double(offsets) * 0.618_033_988_75).rounded()))
        while gcd(stride, offsets) != 1 { stride += 1 }
        return (epoch % offsets) * stride % offsets
    }

    private func gcd(_ a: Int, _ b: Int) -> Int { b == 0 ? a : gcd(b, a % b) }
}

/// A permutation of `0..<count` that takes no memory: a Feistel network over the next even power of two, walked until
/// it lands inside (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
struct KeyedOrder {
    let count: Int
    private let random: Philox
    private let round: UInt32
    private let halfBits: UInt64

    init(count: Int, key: UInt64, round: UInt32) {
        self.count = count
        random = Philox(key: key)
        self.round = round
        var bits: UInt64 = 1
        while bits < 31, 1 << (2 * bits) < UInt64(max(count, 1)) { bits += 1 }
        halfBits = bits
    }

    /// The element at `rank`.
    subscript(rank: Int) -> Int {
        var value = UInt64(rank)
        repeat { value = permuted(value) } while value >= UInt64(count)
        return Int(value)
    }

    private func permuted(_ value: UInt64) -> UInt64 {
        let mask = (1 as UInt64) << halfBits - 1
        var (left, right) = (value >> halfBits, value & mask)
        for number in 0..<4 as Range<UInt32> {
            let words = random.block(
                UInt32(truncatingIfNeeded: right), number, round, Philox.Purpose.batchOrder.rawValue)
            (left, right) = (right, left ^ (UInt64(words[0]) & mask))
        }
        return left << halfBits | right
    }
}

extension TrainingSettings {
    /// Steps of a run.
    func totalSteps(perEpoch: Int) -> Int { min(epochs * perEpoch, mostSteps ?? .max) }
}
