import CCharnnCUDA
import CharnnEngine

// The lowest floor of a device: which one it is, what it can do, and the driver's context on it.
//
// The context is the driver's primary one, shared by all of the process. Whoever owns something of the device (streams,
// events, graphs, kernels, memory) holds this object, so that the context is given back after all of those.

/// A GPU's primary context, and what there is to know of the GPU.
final class CUDAContext {
    /// The name, such as `NVIDIA H200`.
    let name: String
    let multiprocessors: Int
    /// The compute capability times ten, such as 90.
    let capability: Int
    /// Bytes.
    let totalMemory: UInt64
    let driver: CUDADriver
    private let ordinal: CharnnCUDevice
    private let context: CharnnCUContextRef?

    /// Retains a device's context and makes it the calling thread's.
    ///
    /// - Parameter ordinal: Which of those that the driver knows; `CUDA_VISIBLE_DEVICES` has hidden some already.
    /// - Throws: ``EngineError/Code/unavailable`` where there is none, or it is of a capability below 8.0,
    ///   ``EngineError/Code/deviceFailed`` where it is busy.
    init(_ driver: CUDADriver, ordinal: Int) throws(EngineError) {
        self.driver = driver
        let functions = driver.functions
        let count = driver.deviceCount()
        guard ordinal < count else {
            throw EngineError(
                .unavailable,
                count == 0
                    ? "the NVIDIA driver is there but sees no GPU; look at nvidia-smi, and at CUDA_VISIBLE_DEVICES"
                    : "GPU \(ordinal) was asked for, and there are \(count)")
        }
        var device: CharnnCUDevice = 0
        try driver.check(functions.deviceGet(&device, Int32(ordinal)), "open GPU \(ordinal)")
        self.ordinal = device
        var characters = [CChar](repeating: 0, count: 256)
        _ = functions.deviceGetName(&characters, 255, device)
        name = String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        func attribute(_ which: Int) -> Int {
            var value: Int32 = 0
            _ = functions.deviceGetAttribute(&value, Int32(which), device)
            return Int(value)
        }
        multiprocessors = max(1, attribute(CharnnCUMultiprocessorCount))
        capability = attribute(CharnnCUComputeCapabilityMajor) * 10 + attribute(CharnnCUComputeCapabilityMinor)
        var total = 0
        _ = functions.deviceTotalMem(&total, device)
        totalMemory = UInt64(total)
        context = try Self.retain(driver, device, name: name, capability: capability)
        try enter()
    }

    deinit { _ = driver.functions.primaryCtxRelease(ordinal) }

    private static func retain(
        _ driver: CUDADriver, _ device: CharnnCUDevice, name: String, capability: Int
    ) throws(EngineError) -> CharnnCUContextRef? {
        guard capability >= 80 else {
            throw EngineError(
                .unavailable,
                "\(name) has compute capability \(capability / 10).\(capability % 10), and the kernels need 8.0 (an Ampere GPU, "
                    + "such as RTX 30, or newer); set device to auto or cpu")
        }
        var context: CharnnCUContextRef?
        let retained = driver.functions.primaryCtxRetain(&context, device)
        if retained == CharnnCUOutOfMemory || retained == CharnnCUDeviceUnavailable {
            throw EngineError(
                .deviceFailed,
                "\(name) is busy: another program has it or all of its memory; nvidia-smi shows which")
        }
        try driver.check(retained, "open \(name)")
        return context
    }

    /// Makes this device the calling thread's.
    func enter() throws(EngineError) {
        try driver.check(driver.functions.ctxSetCurrent(context), "use \(name)")
    }

    /// The same where nobody is there to hear of an error, as when memory is freed.
    func enterRegardless() { _ = driver.functions.ctxSetCurrent(context) }
}
