public import CharnnEngine

// What may be asked of the GPU before there is an engine: what it is, and whether a job fits.

/// What there is to tell of a GPU.
public struct CUDADeviceInformation: Sendable, Hashable {
    /// Such as `NVIDIA H200`.
    public var name: String
    /// The compute capability times ten, such as 90.
    public var capability: Int
    public var multiprocessors: Int
    /// Bytes, and how many of them nobody has.
    public var totalMemory: UInt64
    public var freeMemory: UInt64
    /// The newest CUDA that the driver knows, such as `12.4`.
    public var driver: String
    /// Where the kernels come from, such as `PTX compute_80`.
    public var kernels: String
}

extension CUDAEngine {
    /// Opens the device, which computes something known on it, and tells of it.
    ///
    /// - Throws: As the engine's initialiser.
    public static func device(ordinal: Int = 0) throws(EngineError) -> CUDADeviceInformation {
        let device = try CUDADevice.shared(ordinal: ordinal)
        return CUDADeviceInformation(
            name: device.name, capability: device.context.capability, multiprocessors: device.multiprocessors,
            totalMemory: device.context.totalMemory, freeMemory: try device.freeMemory(),
            driver: CUDADriver.text(try CUDADriver.load().version), kernels: device.kernelOrigin)
    }

    /// The bytes of the device's memory that training such a network takes, saturating at `UInt64.max`.
    ///
    /// Counted are parameters, moments and all that a step needs; not the text, which is kept whole only where there is
    /// room, nor what the driver takes for itself, some hundred million bytes.
    ///
    /// - Parameters:
    ///   - architecture: Any sizes, absurd ones too.
    ///   - batchSize: `B`
    ///   - sequenceLength: `T`
    ///   - multiprocessors: The device's.
    public static func predictedBytes(
        _ architecture: Architecture, batchSize: Int, sequenceLength: Int, precision: Precision, multiprocessors: Int
    ) -> UInt64 {
        // What nothing could hold is not counted exactly: products of absurd sizes do not fit into an integer.
        let rows = Double(batchSize) * Double(sequenceLength)
        guard architecture.isConceivable else { return .max }
        let plan = NetworkPlan(architecture)
        let width =
            Double(plan.gates) * Double(architecture.hiddenSize) + Double(architecture.vocabularySize)
        let depth = Double(architecture.hiddenSize) + Double(architecture.embeddingSize)
        guard width * (depth + rows) * Double(architecture.layerCount) < 0x1p50 else { return .max }
        let sizes = Sizes(plan, precision, streams: batchSize, steps: sequenceLength)
        let network =
            4 * sizes.layout.count * 4 + (sizes.layers + sizes.symbols) * sizes.gateUnits * 4 + plan.state.count
            * sizes.state * 4
        // Which plan is the fastest is not known yet.
        let workspaces = StepWays.allCases.map { ways in
            TrainingWorkspace.bytes(
                Sizes(
                    plan, precision, streams: batchSize, steps: sequenceLength, tuning: Tuning(steps: ways)),
                multiprocessors: multiprocessors)
        }
        return UInt64(network + (workspaces.max() ?? 0))
    }
}
