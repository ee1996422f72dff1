import CCharnnCUDA
import CharnnEngine
import Synchronization

// Opening a device: context, kernels, streams, and a first kernel whose results are known. On failure all that was
// taken is given back by its owner's end.

extension Kernel where Arguments == CharnnProbe {
    static var probe: Self { Kernel("probe", threads: CharnnRowThreads) }
}

extension CUDADevice {
    /// The driver's devices, each opened once a process: to open one takes a good part of a second.
    private static let opened = Mutex<[Int: CUDADevice]>([:])

    static func shared(ordinal: Int) throws(EngineError) -> CUDADevice {
        let result = opened.withLock { opened in
            Result<CUDADevice, EngineError> { () throws(EngineError) in
                if let device = opened[ordinal] { return device }
                let device = try CUDADevice(CUDADriver.load(), ordinal: ordinal)
                opened[ordinal] = device
                return device
            }
        }
        return try result.get()
    }

    /// Opens a device, loads the kernels, and sees whether it computes.
    ///
    /// - Parameter ordinal: Which of those that the driver knows; `CUDA_VISIBLE_DEVICES` has hidden some already.
    /// - Throws: ``EngineError/Code/unavailable`` where there is none, or it is of a capability below 8.0,
    ///   ``EngineError/Code/deviceFailed`` where it is busy or does not work.
    convenience init(_ driver: CUDADriver, ordinal: Int = 0) throws(EngineError) {
        let context = try CUDAContext(driver, ordinal: ordinal)
        let module = try KernelModule(context)
        self.init(context, module, try CUDAStreams(context))
        try probe()
    }

    /// A kernel whose results are known: what a device in a bad state gets wrong first.
    private func probe() throws(EngineError) {
        let count = 1000
        let buffer = try DeviceBuffer(self, bytes: count * 4)
        try launch(
            .probe, grid: Kernel.probe.grid(covering: count),
            CharnnProbe(result: buffer.address, count: Int32(count), reserved: 0))
        let numbers = try buffer.read(Int32.self, count: count)
        guard numbers.indices.allSatisfy({ numbers[$0] == 3 * Int32($0) + 1 }) else {
            throw EngineError(.deviceFailed, "\(name) computes wrongly; look at nvidia-smi and the kernel's log")
        }
    }
}
