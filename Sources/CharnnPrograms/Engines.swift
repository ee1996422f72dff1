import CharnnCPU
import CharnnCUDA
public import CharnnEngine
public import CharnnJobs
import CharnnWords
import Glibc

/// The engines that this build has. Nothing below the programs knows them.
public struct Engines: EngineProvider {
    public init() {}

    public func makeEngine(
        _ choice: EngineChoice, plan: NetworkPlan, parameters: [Float]
    ) throws(EngineError) -> any Engine {
        switch try Self.device(for: choice) {
        case .cuda:
            return try CUDAEngine(
                plan, parameters: parameters, precision: Self.graphicsPrecision(choice.precision),
                ordinal: choice.ordinal)
        case .cpu:
            guard let precision = Self.processorPrecision(choice.precision) else {
                throw EngineError(
                    .unavailable,
                    "precision: fp16 was asked for, and the CPU engine has fp32 and bf16 only; "
                        + "set precision to auto, fp32 or bf16")
            }
            return try CPUEngine(plan, parameters: parameters, threads: choice.threads, precision: precision)
        }
    }

    /// What computes.
    public enum Device: Sendable {
        case cpu, cuda
    }

    /// What a choice comes to on this machine: `auto` takes the GPU where there is one that works.
    ///
    /// - Throws: ``EngineError`` where what was asked for is not there, and where a GPU is there and fails.
    public static func device(for choice: EngineChoice) throws(EngineError) -> Device {
        switch choice.device {
        case .cpu: return .cpu
        case .cuda:
            guard choice.precision != .bf16 else {
                throw EngineError(
                    .unavailable,
                    "precision: bf16 was asked for, and the CUDA engine has fp32 and fp16 only; set precision to auto, "
                        + "fp32 or fp16")
            }
            return .cuda
        case .auto:
            // Only the CPU engine has it.
            if choice.precision == .bf16 { return .cpu }
            do {
                _ = try CUDAEngine.device(ordinal: choice.ordinal)
                return .cuda
            } catch {
                guard error.code == .unavailable else { throw error }
                guard choice.precision != .fp16 else {
                    throw EngineError(
                        .unavailable,
                        "precision: fp16 was asked for, and only a GPU has it: \(error.description). Or set precision to auto, "
                            + "fp32 or bf16")
                }
                return .cpu
            }
        }
    }

    public func resolve(
        _ choice: EngineChoice, architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) throws(EngineError) -> (choice: EngineChoice, reason: String?) {
        var resolved = choice
        guard try Self.device(for: choice) == .cuda else {
            resolved.device = .cpu
            // Worth a word only where the machine has a GPU.
            let hasGraphics = choice.device == .auto && access("/proc/driver/nvidia/version", F_OK) == 0
            var reason: String?
            if hasGraphics, choice.precision != .bf16 {
                do {
                    _ = try CUDAEngine.device(ordinal: choice.ordinal)
                } catch {
                    reason = "The GPU is not used: \(error.description)"
                }
            }
            return (resolved, reason)
        }
        let device = try CUDAEngine.device(ordinal: choice.ordinal)
        let needed = CUDAEngine.predictedBytes(
            architecture, batchSize: batchSize, sequenceLength: sequenceLength,
            precision: Self.graphicsPrecision(choice.precision), multiprocessors: device.multiprocessors)
        let advice = "make hidden_size, num_layers, batch_size or seq_length smaller"
        if needed > device.totalMemory {
            let reason =
                "the job would need \(byteCount(needed)) on \(device.name), which has \(byteCount(device.totalMemory))"
            guard choice.device == .auto, choice.precision != .fp16 else {
                throw EngineError(.mismatch, "\(reason); \(advice), or set device to cpu")
            }
            resolved.device = .cpu
            return (resolved, "The GPU is not used: \(reason).")
        }
        if needed > device.freeMemory {
            throw EngineError(
                .deviceFailed,
                "the job needs \(byteCount(needed)) on \(device.name), and \(byteCount(device.freeMemory)) of "
                    + "\(byteCount(device.totalMemory)) are free; nvidia-smi shows who has the rest. It waits, or \(advice)"
            )
        }
        resolved.device = .cuda
        return (resolved, nil)
    }

    /// `auto` is bf16 where the processor multiplies it faster: at 1.5 to 2 times the speed (AMD, Zen 5) the same run, two layers of 256 units
    /// on 1.1 million characters of Shakespeare, ended with validation losses that differ by 0.11 % (LSTM, 624 steps,
    /// 1.5894 nats and 1.5911 with fp32) and 0.02 % (GRU, 468 steps, 1.5795 and 1.5792).
    private static func processorPrecision(_ wanted: PrecisionChoice) -> CPUEngine.Precision? {
        switch wanted {
        case .auto: CPUEngine.standardPrecision
        case .fp32: .fp32
        case .bf16: .bf16
        case .fp16: nil
        }
    }

    /// `auto` is fp16: its operands have as many bits as those of TF32, at half the memory and twice the rate.
    private static func graphicsPrecision(_ wanted: PrecisionChoice) -> CUDAEngine.Precision {
        switch wanted {
        case .auto, .fp16, .bf16: .fp16
        case .fp32: .fp32
        }
    }

    public func predictedBytes(
        _ choice: EngineChoice, architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) -> UInt64 {
        guard choice.device != .cuda else {
            guard architecture.isConceivable else { return .max }
            // The state on its way to and from the device, and the batch.
            let parameters = NetworkPlan(architecture).approximateParameterCount
            return UInt64(min(parameters * 4 * 8, 0x1p62))
        }
        return CPUEngine.predictedBytes(
            architecture, batchSize: batchSize, sequenceLength: sequenceLength,
            precision: Self.processorPrecision(choice.precision) ?? .fp32)
    }
}
