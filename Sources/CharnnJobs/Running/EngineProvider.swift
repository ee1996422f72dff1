public import CharnnEngine

/// Makes engines. Only the programs know which engines there are.
///
/// So a job can be run in tests with an engine that is slow, small, or fails when it is to.
public protocol EngineProvider: Sendable {
    /// Makes an engine with the given parameters, zero moments and a zero recurrent state.
    ///
    /// - Parameters:
    ///   - plan: The network, and what of it decays.
    ///   - parameters: In ``ParameterLayout``.
    func makeEngine(
        _ choice: EngineChoice, plan: NetworkPlan, parameters: [Float]
    ) throws(EngineError) -> any Engine

    /// What a choice comes to for a job of that size: `auto` is replaced by the device that has the room.
    ///
    /// - Returns: The choice, and where it is not what one would expect, why, as a sentence.
    /// - Throws: ``EngineError/Code/unavailable`` where what was asked for is not there, ``EngineError/Code/mismatch`` where it
    ///   can never hold the job, ``EngineError/Code/deviceFailed`` where it cannot now.
    func resolve(
        _ choice: EngineChoice, architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) throws(EngineError) -> (choice: EngineChoice, reason: String?)

    /// What a job on that engine will take of the machine's memory, bytes; `UInt64.max` where it cannot even be counted.
    func predictedBytes(
        _ choice: EngineChoice, architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) -> UInt64
}

extension EngineProvider {
    /// Makes an engine for a network all of which decays, if it is trained at all.
    public func makeEngine(
        _ choice: EngineChoice, architecture: Architecture, parameters: [Float]
    ) throws(EngineError) -> any Engine {
        try makeEngine(choice, plan: NetworkPlan(architecture), parameters: parameters)
    }

    /// Finds out whether there is the device and the precision of a choice, with the smallest of networks.
    ///
    /// Asked before a long text is read: a night must not go by before somebody learns that there is no GPU.
    func probe(_ choice: EngineChoice) throws(EngineError) {
        let tiny = Architecture(cell: .rnn, vocabularySize: 2, hiddenSize: 2, layerCount: 1)
        _ = try makeEngine(
            choice, architecture: tiny, parameters: [Float](repeating: 0, count: ParameterLayout(tiny).count))
    }

    /// Where there is one device only, whose room is the machine's memory.
    public func resolve(
        _ choice: EngineChoice, architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) throws(EngineError) -> (choice: EngineChoice, reason: String?) { (choice, nil) }
}

/// Which engine is wanted.
public struct EngineChoice: Sendable, Hashable {
    /// `auto` until ``EngineProvider/resolve(_:architecture:batchSize:sequenceLength:)`` has decided.
    public var device: DeviceChoice
    /// `auto`: what the engine takes by itself; it then says which.
    public var precision: PrecisionChoice
    /// nil: all cores the process may use.
    public var threads: Int?
    /// Which of the GPUs that the process may see, from 0.
    public var ordinal: Int

    /// By default whatever suits the machine best.
    public init(
        device: DeviceChoice = .auto, precision: PrecisionChoice = .auto, threads: Int? = nil, ordinal: Int = 0
    ) {
        self.device = device
        self.precision = precision
        self.threads = threads
        self.ordinal = ordinal
    }
}
