import CCharnnCUDA
import CharnnEngine

// The door to the driver library: opened once a process, never closed. Above it nothing sees a result code;
// ``CUDADriver/check(_:_:)`` turns each into an error.

/// NVIDIA's driver library, opened at run time.
struct CUDADriver: @unchecked Sendable {
    // Sound: a table of functions that NVIDIA documents as callable from any thread.
    let functions: CharnnCUDADriver
    /// As `cuDriverGetVersion` tells it: 12040 is CUDA 12.4.
    let version: Int

    /// The oldest driver that reads the PTX in the program: R525, CUDA 12.0.
    static let leastVersion = 12000

    /// The library, opened and initialised once a process.
    ///
    /// - Throws: ``EngineError/Code/unavailable`` where there is none, it is too old, or it knows no device;
    ///   ``EngineError/Code/deviceFailed`` where it is there and does not start.
    static func load() throws(EngineError) -> CUDADriver { try loaded.get() }

    private static let loaded = Result<CUDADriver, EngineError> { () throws(EngineError) in
        try CUDADriver(names: CUDALibraries.driverNames)
    }

    /// - Parameter names: What is tried to be opened, in this order.
    init(names: [String]) throws(EngineError) {
        guard let (library, name) = CUDALibraries.open(names) else {
            throw EngineError(
                .unavailable,
                "no NVIDIA driver was found (\(names[0]) cannot be opened); install the driver, 525 or newer, on a machine "
                    + "with an NVIDIA GPU, or set device to auto or cpu")
        }
        var functions = CharnnCUDADriver()
        if let missing = charnn_cuda_driver(library, &functions) {
            throw EngineError(
                .unavailable,
                "\(name) lacks the function \(String(cString: missing)): the NVIDIA driver is older than 525; install a "
                    + "newer one")
        }
        var version: Int32 = 0
        _ = functions.driverGetVersion(&version)
        self.functions = functions
        self.version = Int(version)
        let code = functions.`init`(0)
        switch Int(code) {
        case CharnnCUSuccess: break
        case CharnnCUNoDevice:
            throw EngineError(
                .unavailable,
                "the NVIDIA driver is there but sees no GPU; look at nvidia-smi, and under systemd at the unit's DeviceAllow"
            )
        case CharnnCUSystemDriverMismatch:
            throw EngineError(
                .unavailable, "the NVIDIA driver's kernel module and \(name) are of different versions; reboot")
        default:
            throw EngineError(
                .deviceFailed,
                "the NVIDIA driver does not start (\(Self.name(of: code, functions))); look at nvidia-smi and the kernel's "
                    + "log")
        }
        guard self.version >= Self.leastVersion else {
            throw EngineError(
                .unavailable,
                "the NVIDIA driver is of CUDA \(Self.text(self.version)), and 12.0 (driver 525) is the oldest that works; "
                    + "install a newer one")
        }
    }

    /// A version such as `12.4`.
    static func text(_ version: Int) -> String { "\(version / 1000).\(version % 1000 / 10)" }

    /// How many devices there are.
    func deviceCount() -> Int {
        var count: Int32 = 0
        _ = functions.deviceGetCount(&count)
        return Int(count)
    }

    /// Turns what a function returned into an error.
    ///
    /// - Parameter what: What was attempted, such as `launch a kernel`.
    func check(_ code: CharnnCUResult, _ what: @autoclosure () -> String) throws(EngineError) {
        guard code != CharnnCUSuccess else { return }
        throw EngineError(
            .deviceFailed,
            "the GPU failed to \(what()) (\(Self.name(of: code, functions))); the job is tried again in a new process. If that "
                + "does not help, look at nvidia-smi and the kernel's log (journalctl -k -g NVRM)")
    }

    private static func name(of code: CharnnCUResult, _ functions: CharnnCUDADriver) -> String {
        var text: UnsafePointer<CChar>?
        guard functions.getErrorName(code, &text) == CharnnCUSuccess, let text else { return "error \(code)" }
        return String(cString: text)
    }
}
