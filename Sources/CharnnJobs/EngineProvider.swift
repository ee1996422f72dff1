public import CharnnEngine

/// Makes engines. Only the programs know which engines there are.
public protocol EngineProvider: Sendable {
    /// Makes an engine with the given parameters, zero moments and a zero recurrent state.
    ///
    /// - Parameters:
    ///   - threads: nil: all cores the process may use.
    ///   - parameters: In ``ParameterLayout``.
    func makeEngine(
        _ choice: EngineChoice, architecture: Architecture, parameters: [Float]
    ) throws(EngineError) -> any Engine

    /// What a job on that engine will take, bytes; `UInt64.max` where it cannot even be counted.
    func predictedBytes(
        _ choice: EngineChoice, architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) -> UInt64
}

/// Which engine is wanted.
public struct EngineChoice: Sendable, Hashable {
    public var device: DeviceChoice
    public var precision: PrecisionChoice
    /// nil: all cores the process may use.
    public var threads: Int?

    public init(device: DeviceChoice = .auto, precision: PrecisionChoice = .auto, threads: Int? = nil) {
        self.device = device
        self.precision = precision
        self.threads = threads
    }
}
