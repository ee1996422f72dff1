import CCharnnCUDA
import CharnnEngine

// The kernels as the device has them: where they came from, and how one is started.

/// The kernels, loaded for one device; unloaded with this object.
final class KernelModule {
    /// Where the kernels come from, such as `NVRTC 12.9 sm_90`.
    let origin: String
    private let context: CUDAContext
    private let module: CharnnCUModuleRef?
    /// Those that were launched already, by their names.
    private var functions: [String: CharnnCUFunctionRef] = [:]

    /// The kernels compiled for this very device where NVRTC is found, otherwise by the driver from PTX.
    init(_ context: CUDAContext) throws(EngineError) {
        self.context = context
        let (driver, capability) = (context.driver, context.capability)
        var module: CharnnCUModuleRef?
        // A compiler newer than the driver may make what the driver cannot read, and an older one may not know the
        // device.
        if let compiler = CUDACompiler.loaded, let program = Cache.standard.kernels(compiler, capability: capability),
            driver.functions.moduleLoadDataEx(&module, program, 0, nil, nil) == CharnnCUSuccess
        {
            origin = "NVRTC \(compiler.version.major).\(compiler.version.minor) sm_\(capability)"
        } else {
            try driver.check(
                driver.functions.moduleLoadDataEx(&module, charnn_kernel_ptx(), 0, nil, nil),
                "load the kernels on \(context.name)")
            origin = "PTX compute_80"
        }
        self.module = module
    }

    deinit {
        if let module { _ = context.driver.functions.moduleUnload(module) }
    }

    /// Starts a kernel with its one structure of arguments, which is copied before this returns.
    ///
    /// The blocks are of one dimension, and all shared memory is the kernel's own, so that none is asked for here.
    func launch<Arguments: BitwiseCopyable>(
        _ kernel: Kernel<Arguments>, grid: Grid, _ arguments: Arguments, on stream: CharnnCUStreamRef?
    ) throws(EngineError) {
        let function = try function(kernel.name)
        let code = withUnsafePointer(to: arguments) { pointer in
            var parameters: UnsafeMutableRawPointer? = UnsafeMutableRawPointer(mutating: pointer)
            return context.driver.functions.launchKernel(
                function, UInt32(clamping: grid.x), UInt32(clamping: grid.y), UInt32(clamping: grid.z),
                UInt32(kernel.threads), 1, 1, 0, stream, &parameters, nil)
        }
        try context.driver.check(code, "launch the kernel \(kernel.name)")
    }

    private func function(_ name: String) throws(EngineError) -> CharnnCUFunctionRef? {
        if let function = functions[name] { return function }
        var function: CharnnCUFunctionRef?
        try context.driver.check(
            context.driver.functions.moduleGetFunction(&function, module, name), "find the kernel \(name)")
        functions[name] = function
        return function
    }
}
