import CharnnCPU
public import CharnnEngine
public import CharnnJobs

/// The engines that this build has. Nothing below the programs knows them.
public struct Engines: EngineProvider {
    public init() {}

    public func makeEngine(
        _ choice: EngineChoice, architecture: Architecture, parameters: [Float]
    ) throws(EngineError) -> any Engine {
        switch choice.device {
        case .cuda:
            throw EngineError(
                .unavailable,
                "device: cuda was asked for, and this build has no CUDA engine; set device to auto or cpu")
        case .auto, .cpu:
            switch choice.precision {
            case .auto, .fp32:
                return try CPUEngine(architecture: architecture, parameters: parameters, threads: choice.threads)
            case .bf16, .fp16:
                throw EngineError(
                    .unavailable,
                    "precision: \(choice.precision.rawValue) was asked for, and this build's CPU engine has fp32 only; "
                        + "set precision to auto or fp32")
            }
        }
    }

    public func predictedBytes(
        _ choice: EngineChoice, architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) -> UInt64 {
        CPUEngine.predictedBytes(architecture, batchSize: batchSize, sequenceLength: sequenceLength)
    }
}
