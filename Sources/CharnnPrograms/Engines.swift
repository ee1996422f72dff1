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
            case .bf16:
                return try CPUEngine(
                    architecture: architecture, parameters: parameters, threads: choice.threads, precision: .bf16)
            case .fp16:
                throw EngineError(
                    .unavailable,
                    "precision: fp16 was asked for, and the CPU engine has fp32 and bf16 only; "
                        + "set precision to auto, fp32 or bf16")
            }
        }
    }

    public func predictedBytes(
        _ choice: EngineChoice, architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) -> UInt64 {
        CPUEngine.predictedBytes(
            architecture, batchSize: batchSize, sequenceLength: sequenceLength,
            precision: choice.precision == .bf16 ? .bf16 : .fp32)
    }
}
