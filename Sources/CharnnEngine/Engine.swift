/// A network on a device: its parameters, their average, the optimiser's moments and the recurrent state of the training
/// streams.
///
/// Operations are coarse on purpose, so that an engine may keep weights packed, batches on the device and a whole step
/// as one captured graph. An engine belongs to one thread.
///
/// A training step is handed over with ``submit(_:of:)`` and may run later; ``drain()`` waits for all submitted steps
/// and tells how each went. A step whose loss or gradient norm is not finite leaves parameters, moments and recurrent
/// state as they were before it, and so do all steps after it until ``install(_:)``: what ``snapshot()`` returns is
/// always the last good state.
public protocol Engine: AnyObject {
    var architecture: Architecture { get }

    /// Where and with what this engine computes, for the log and `resolved.yaml`.
    var configuration: EngineConfiguration { get }

    /// How many steps may be submitted before it pays to drain; 1 where a step has ended when `submit` returns.
    var stepsInFlight: Int { get }

    /// Finds out how training steps of a size are done fastest, and does them so from now on.
    ///
    /// What was found is the ``EngineConfiguration/plan``. Nothing else changes; engines that have nothing to choose do nothing.
    ///
    /// - Parameter measuring: What is done where an earlier engine has not found out yet.
    func findPlan(streams: Int, sequenceLength: Int, measuring: PlanMeasuring) throws(EngineError)

    /// Does training steps as an engine did whose ``EngineConfiguration/plan`` is given; a plan that this engine does not know
    /// changes nothing.
    func follow(plan: String?)

    /// Replaces parameters, moments and recurrent state.
    func install(_ state: EngineState) throws(EngineError)

    /// A copy of parameters, moments and recurrent state after all submitted steps.
    func snapshot() throws(EngineError) -> EngineState

    /// A copy of the parameters alone, in ``ParameterLayout``.
    func parameters() throws(EngineError) -> [Float]

    /// Exchanges the weights with their average, so that ``parameters()``, scorers and predictors have the average, until
    /// it is called once more; no step is submitted in between.
    ///
    /// - Throws: ``EngineError/Code/mismatch`` where there is no average.
    func exchangeAverage() throws(EngineError)

    /// Hands over one training step.
    func submit(_ step: TrainingStep, of text: SymbolText) throws(EngineError)

    /// Waits for all submitted steps; their outcomes in order, each told once.
    func drain() throws(EngineError) -> [StepOutcome]

    /// What each character lost in the step that was submitted last, before its update: nats, `[T, B]` in the order of time.
    ///
    /// - Throws: ``EngineError/Code/mismatch`` where there was no step yet, or a failed one held it back.
    func characterLosses() throws(EngineError) -> [Float]

    /// The mean loss in nats a character and its gradient in ``ParameterLayout``, changing nothing.
    ///
    /// Clipping, weight decay and the optimiser are left out; dropout and the recurrent state are as in ``submit(_:of:)``.
    func gradient(of step: TrainingStep, of text: SymbolText) throws(EngineError) -> (loss: Double, gradient: [Float])

    /// Makes something that scores text with this engine's weights as they are at each call, without dropout.
    ///
    /// - Parameter streams: How many texts are scored side by side, at least 1.
    func makeScorer(streams: Int) throws(EngineError) -> any Scorer

    /// Makes something that predicts one symbol after the other with this engine's weights, without dropout.
    ///
    /// - Parameter streams: How many texts are written side by side, at least 1. What one stream gets does not depend
    ///   on how many there are.
    func makePredictor(streams: Int) throws(EngineError) -> any Predictor
}

/// Whether an engine measures how steps are done fastest, in the time of some fifty.
public enum PlanMeasuring: Sendable {
    case none
    /// For this engine alone.
    case notKept
    /// For all that come after it, too.
    case kept
}

extension Engine {
    /// Does something with the average of the weights in their place (``exchangeAverage()``).
    public func withAverage<Result>(_ body: () throws -> Result) throws -> Result {
        try exchangeAverage()
        let result: Result
        do {
            result = try body()
        } catch {
            // What the body failed with is what there is to tell.
            try? exchangeAverage()
            throw error
        }
        try exchangeAverage()
        return result
    }

    /// Nothing: an engine that has one way to do a step.
    public func findPlan(streams: Int, sequenceLength: Int, measuring: PlanMeasuring) throws(EngineError) {}
    /// Nothing, likewise.
    public func follow(plan: String?) {}
}

/// Scores running text, several streams side by side, each with a recurrent state of its own.
public protocol Scorer: AnyObject {
    var streams: Int { get }

    /// Sets the state of all streams to zero.
    func reset()

    /// Reads `length` symbols of each stream and scores the `length` symbols that follow them.
    ///
    /// Stream `s` reads `text[starts[s] + t]` and is scored on `text[starts[s] + t + 1]`, `t` in `0..<length`; its
    /// state goes on from the call before.
    ///
    /// - Parameters:
    ///   - temperatures: At least one, each above 0: logits are divided by it before they become probabilities. The
    ///     weights are read once for all of them.
    ///   - observe: Gets what a character had for a probability at the first of the temperatures, as its logarithm: piece
    ///     after piece `[steps, streams]`, in the order of time.
    /// - Returns: `[temperatures, streams]`, the sum over `length` of the negative log-likelihoods in nats.
    func score(
        _ text: SymbolText, starts: [Int], length: Int, temperatures: [Double], observe: (([Float]) -> Void)?
    ) throws(EngineError) -> [[Double]]
}

extension Scorer {
    /// Refuses what no scorer can score.
    ///
    /// - Throws: ``EngineError/Code/mismatch`` for another number of starts than streams, and for no temperature or one
    ///   that is not above 0.
    public func require(starts: [Int], temperatures: [Double]) throws(EngineError) {
        guard starts.count == streams else {
            throw EngineError(.mismatch, "\(starts.count) starts were given for \(streams) streams.")
        }
        guard !temperatures.isEmpty, temperatures.allSatisfy({ $0 > 0 && $0.isFinite }) else {
            throw EngineError(.mismatch, "Temperatures to score at are numbers above 0, and \(temperatures) are none.")
        }
    }

    /// At temperature 1.
    ///
    /// - Returns: `[streams]`, the sum over `length` of the negative log-likelihoods in nats.
    public func score(_ text: SymbolText, starts: [Int], length: Int) throws(EngineError) -> [Double] {
        try score(text, starts: starts, length: length, temperatures: [1], observe: nil)[0]
    }
}

/// Predicts the next symbol, several streams side by side, each with a recurrent state of its own.
public protocol Predictor: AnyObject {
    var streams: Int { get }

    /// Sets the state of all streams to zero.
    func reset()

    /// Reads one symbol a stream and writes the unnormalised log-probabilities of what follows.
    ///
    /// - Parameters:
    ///   - symbols: `[streams]`.
    ///   - logits: `[streams, V]`, already of that size.
    func advance(_ symbols: [Int32], logits: inout [Float]) throws(EngineError)
}

/// One training step, as the trainer wants it done.
public struct TrainingStep: Sendable {
    /// The number of the step in the whole run, from 1; keys dropout and corrects Adam's bias.
    public var number: Int
    /// `[B]`: where in the text each stream's sequence starts. Inputs are `text[start + t]`, targets `text[start + t + 1]`.
    public var starts: [Int]
    /// `T`.
    public var sequenceLength: Int
    /// Whether the recurrent state is set to zero before the step; otherwise it goes on from the step before.
    public var resetsState: Bool
    /// With the learning rate of this very step: an engine knows no schedule.
    public var optimizer: OptimizerStep
    /// Keys dropout together with `number`.
    public var seed: UInt64

    public init(
        number: Int, starts: [Int], sequenceLength: Int, resetsState: Bool, optimizer: OptimizerStep, seed: UInt64
    ) {
        self.number = number
        self.starts = starts
        self.sequenceLength = sequenceLength
        self.resetsState = resetsState
        self.optimizer = optimizer
        self.seed = seed
    }
}

/// How a step went.
public struct StepOutcome: Sendable, Hashable {
    /// That of the ``TrainingStep``.
    public var number: Int
    /// The mean cross-entropy over the batch, nats a character, before the update.
    public var loss: Double
    /// The global norm of the gradient before clipping.
    public var gradientNorm: Double
    /// False when loss or norm was not finite: the step changed nothing.
    public var applied: Bool

    public init(number: Int, loss: Double, gradientNorm: Double, applied: Bool) {
        self.number = number
        self.loss = loss
        self.gradientNorm = gradientNorm
        self.applied = applied
    }
}

extension EngineConfiguration {
    /// The kernels, and how they are used.
    public var method: String { plan.map { "\(kernels), \($0)" } ?? kernels }
}

/// Where and with what an engine computes.
public struct EngineConfiguration: Sendable, Hashable, Codable {
    /// `cpu` or `cuda`.
    public var device: String
    /// The device in words, such as the processor's name.
    public var deviceName: String
    /// `fp32`, `bf16` or `fp16`.
    public var precision: String
    /// The kernels in use, such as `avx512 + OpenBLAS 0.3.21 SkylakeX`.
    public var kernels: String
    /// Threads that compute. No result depends on it, and two configurations that differ in it alone give the same
    /// bytes.
    public var threads: Int
    /// How training steps are done, if that was found out by measuring: in words, which ``Engine/follow(plan:)`` understands. The
    /// bits depend on it.
    public var plan: String?

    public init(device: String, deviceName: String, precision: String, kernels: String, threads: Int) {
        self.device = device
        self.deviceName = deviceName
        self.precision = precision
        self.kernels = kernels
        self.threads = threads
    }
}

/// What can go wrong in an engine.
public struct EngineError: Error, Hashable, CustomStringConvertible {
    /// What callers act on: whether waiting helps, and for what.
    public enum Code: Hashable, Sendable {
        /// A library or device that the engine needs is not there; trying again will not help.
        case unavailable
        /// Something given does not fit the architecture or the text.
        case mismatch
        /// The GPU failed or is busy; a new process may do better.
        case deviceFailed
        /// The machine has no memory left for it; later it may.
        case outOfMemory
    }

    /// Said where losses are asked for and no step has given any.
    package static let noStep = EngineError(.mismatch, "No step was done whose losses could be told.")

    public let code: Code
    /// One sentence: what, where, and how to mend it.
    public let description: String

    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
