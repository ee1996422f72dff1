import CCharnnCUDA
import CharnnEngine
import Glibc
import Synchronization

/// An address in a device's memory.
typealias DeviceAddress = CharnnAddress

/// A GPU: its context, its streams, and the kernels loaded for it.
///
/// Everything is done in the order of the calls, but for what is asked of different branches between ``fork(_:_:)`` and its end.
final class CUDADevice: @unchecked Sendable {
    // Sound: an engine belongs to one thread at a time, and so does its device. Only a process that ran engines on several threads
    // at once would share one between them; none does, and tests open devices of their own.

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

    /// The name, such as `NVIDIA H200`.
    let name: String
    let multiprocessors: Int
    /// The compute capability, such as 90.
    let capability: Int
    /// Bytes.
    let totalMemory: UInt64
    /// Where the kernels come from, such as `NVRTC 12.9 sm_90`.
    let kernelOrigin: String

    private let driver: CUDADriver
    private let ordinal: CharnnCUDevice
    private let context: CharnnCUContextRef?
    private let module: CharnnCUModuleRef?
    /// One a branch, made as they are needed; the first is there from the beginning.
    private var streams: [CharnnCUStreamRef?]
    /// The branch that calls go to.
    private var branch = 0
    private var stream: CharnnCUStreamRef? { streams[branch] }
    /// Those of the marks since the last fork, and ones to be used again.
    private var events: [CharnnCUEventRef?] = []
    private var marks = 0
    private var kernels: [Kernel: CharnnCUFunctionRef] = [:]

    /// Opens a device, loads the kernels, and sees whether it computes.
    ///
    /// - Parameter ordinal: Which of those that the driver knows; `CUDA_VISIBLE_DEVICES` has hidden some already.
    /// - Throws: ``EngineError/Code/unavailable`` where there is none, or it is of a capability below 8.0,
    ///   ``EngineError/Code/deviceFailed`` where it is busy or does not work.
    init(_ driver: CUDADriver, ordinal: Int = 0) throws(EngineError) {
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
        guard capability >= 80 else {
            throw EngineError(
                .unavailable,
                "\(name) has compute capability \(capability / 10).\(capability % 10), and the kernels need 8.0 (an Ampere GPU, "
                    + "such as RTX 30, or newer); set device to auto or cpu")
        }

        var context: CharnnCUContextRef?
        let retained = functions.primaryCtxRetain(&context, device)
        if retained == CharnnCUOutOfMemory || retained == CharnnCUDeviceUnavailable {
            throw EngineError(
                .deviceFailed,
                "\(name) is busy: another program has it or all of its memory; nvidia-smi shows which")
        }
        try driver.check(retained, "open \(name)")
        self.context = context
        var opened: (module: CharnnCUModuleRef?, stream: CharnnCUStreamRef?) = (nil, nil)
        do {
            try driver.check(functions.ctxSetCurrent(context), "use \(name)")
            (opened.module, kernelOrigin) = try Self.loadKernels(driver, capability: capability, device: name)
            opened.stream = try Self.makeStream(driver, isUrgent: true)
        } catch {
            _ = functions.primaryCtxRelease(device)
            throw error
        }
        module = opened.module
        streams = [opened.stream]
        try probe()
    }

    deinit {
        for event in events { _ = driver.functions.eventDestroy(event) }
        for stream in streams { _ = driver.functions.streamDestroy(stream) }
        if let module { _ = driver.functions.moduleUnload(module) }
        _ = driver.functions.primaryCtxRelease(ordinal)
    }

    /// - Parameter isUrgent: Whether its blocks go before those of other streams where there is not room for all.
    private static func makeStream(
        _ driver: CUDADriver, isUrgent: Bool
    ) throws(EngineError) -> CharnnCUStreamRef? {
        var (least, greatest): (Int32, Int32) = (0, 0)
        _ = driver.functions.ctxGetStreamPriorityRange(&least, &greatest)
        var stream: CharnnCUStreamRef?
        // Only a stream that does not wait for others of itself can be captured.
        try driver.check(
            driver.functions.streamCreateWithPriority(
                &stream, UInt32(CharnnCUStreamNonBlocking), isUrgent ? greatest : least),
            "make a stream")
        return stream
    }

    /// The kernels compiled for this very device where NVRTC is found, otherwise by the driver from PTX.
    private static func loadKernels(
        _ driver: CUDADriver, capability: Int, device: String
    ) throws(EngineError) -> (CharnnCUModuleRef?, String) {
        var module: CharnnCUModuleRef?
        // A compiler newer than the driver may make what the driver cannot read, and an older one may not know the device.
        if let compiler = CUDACompiler.loaded, let program = Cache.standard.kernels(compiler, capability: capability),
            driver.functions.moduleLoadDataEx(&module, program, 0, nil, nil) == CharnnCUSuccess
        {
            return (module, "NVRTC \(compiler.version.major).\(compiler.version.minor) sm_\(capability)")
        }
        try driver.check(
            driver.functions.moduleLoadDataEx(&module, charnn_kernel_ptx(), 0, nil, nil),
            "load the kernels on \(device)")
        return (module, "PTX compute_80")
    }

    /// A kernel whose results are known: what a device in a bad state gets wrong first.
    private func probe() throws(EngineError) {
        let count = 1000
        let buffer = try DeviceBuffer(self, bytes: count * 4)
        try launch(
            .probe, grid: ((count - 1) / Kernel.probe.threads + 1, 1, 1),
            CharnnProbe(result: buffer.address, count: Int32(count), reserved: 0))
        let numbers = try buffer.read(Int32.self, count: count)
        guard numbers.indices.allSatisfy({ numbers[$0] == 3 * Int32($0) + 1 }) else {
            throw EngineError(.deviceFailed, "\(name) computes wrongly; look at nvidia-smi and the kernel's log")
        }
    }

    /// Makes this device the calling thread's.
    func enter() throws(EngineError) {
        try driver.check(driver.functions.ctxSetCurrent(context), "use \(name)")
    }

    /// Bytes that nobody has.
    func freeMemory() throws(EngineError) -> UInt64 {
        try enter()
        var (free, total) = (0, 0)
        try driver.check(driver.functions.memGetInfo(&free, &total), "tell its memory")
        return UInt64(free)
    }

    /// Zeroed memory, aligned for everything.
    func allocate(_ bytes: Int) throws(EngineError) -> DeviceAddress {
        var address: DeviceAddress = 0
        let code = driver.functions.memAlloc(&address, max(bytes, 16))
        if code == CharnnCUOutOfMemory {
            let free = (try? freeMemory()).map { "\($0)" } ?? "an unknown number"
            throw EngineError(
                .deviceFailed,
                "\(name) has no \(bytes) bytes of memory left (\(free) of \(totalMemory) are free); make hidden_size, "
                    + "num_layers, batch_size or seq_length smaller, or end the other programs that nvidia-smi shows")
        }
        try driver.check(code, "allocate \(bytes) bytes")
        do {
            try fill(address, bytes: max(bytes, 16))
        } catch {
            free(address)
            throw error
        }
        return address
    }

    func free(_ address: DeviceAddress) {
        _ = driver.functions.ctxSetCurrent(context)
        _ = driver.functions.memFree(address)
    }

    /// Writes zeros.
    func fill(_ address: DeviceAddress, bytes: Int) throws(EngineError) {
        try driver.check(driver.functions.memsetD8Async(address, 0, bytes, stream), "clear memory")
    }

    /// Copies to the device; the source may change as soon as this returns.
    func write(_ source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(EngineError) {
        guard let base = source.baseAddress, source.count > 0 else { return }
        // Memory that is not pinned is copied aside before the call returns.
        try driver.check(
            driver.functions.memcpyHtoDAsync(address, base, source.count, stream), "copy \(source.count) bytes to it")
    }

    /// Copies from the device, after all that was asked of it before.
    func read(_ address: DeviceAddress, into target: UnsafeMutableRawBufferPointer) throws(EngineError) {
        guard let base = target.baseAddress, target.count > 0 else { return }
        try driver.check(
            driver.functions.memcpyDtoHAsync(base, address, target.count, stream), "copy \(target.count) bytes from it")
        try synchronize()
    }

    // MARK: - Branches

    /// A point in a branch's work, for which others can wait.
    struct Mark {
        fileprivate let event: CharnnCUEventRef?
    }

    /// Lets `body` ask the device for work side by side: on `count` urgent branches, of which 0 is the one that everything else
    /// is on, and on one more, ``Branch/aside``, that takes what room they leave. Ends when all of them do.
    func fork(_ count: Int, _ body: () throws(EngineError) -> Void) throws(EngineError) {
        while streams.count < 2 { streams.append(try Self.makeStream(driver, isUrgent: false)) }
        while streams.count <= count { streams.append(try Self.makeStream(driver, isUrgent: true)) }
        marks = 0
        let all = (1..<count).map { Branch.urgent($0) } + [.aside]
        let start = try mark()
        for branch in all { try on(branch) { () throws(EngineError) in try wait(for: start) } }
        // Joined whatever happened, so that nothing of it runs beside what comes later.
        let result = Result { () throws(EngineError) in try body() }
        let joined = Result { () throws(EngineError) in
            for branch in all {
                var end = start
                try on(branch) { () throws(EngineError) in end = try mark() }
                try wait(for: end)
            }
        }
        // The first error is the cause of the other.
        try result.get()
        try joined.get()
    }

    /// Where work between the ends of a fork goes.
    enum Branch {
        /// From 0 on.
        case urgent(Int)
        case aside

        fileprivate var stream: Int {
            switch self {
            case .urgent(let number): number == 0 ? 0 : number + 1
            case .aside: 1
            }
        }
    }

    /// What `body` asks of the device goes to a branch of the fork.
    func on(_ branch: Branch, _ body: () throws(EngineError) -> Void) throws(EngineError) {
        let before = self.branch
        self.branch = branch.stream
        defer { self.branch = before }
        try body()
    }

    /// What was asked of this branch so far.
    func mark() throws(EngineError) -> Mark {
        if marks == events.count {
            var event: CharnnCUEventRef?
            try driver.check(
                driver.functions.eventCreate(&event, UInt32(CharnnCUEventDisableTiming)), "make an event")
            events.append(event)
        }
        let event = events[marks]
        marks += 1
        try driver.check(driver.functions.eventRecord(event, stream), "mark its work")
        return Mark(event: event)
    }

    /// What is asked of this branch from now on comes after the mark.
    func wait(for mark: Mark) throws(EngineError) {
        try driver.check(driver.functions.streamWaitEvent(stream, mark.event, 0), "order its work")
    }

    /// Waits for all that was asked of the device.
    func synchronize() throws(EngineError) {
        try driver.check(driver.functions.streamSynchronize(stream), "finish its work")
    }

    /// Runs a kernel.
    func launch<Arguments: BitwiseCopyable>(
        _ kernel: Kernel, grid: (x: Int, y: Int, z: Int), _ arguments: Arguments
    ) throws(EngineError) {
        let function = try function(kernel)
        let code = withUnsafePointer(to: arguments) { pointer in
            var parameters: UnsafeMutableRawPointer? = UnsafeMutableRawPointer(mutating: pointer)
            return driver.functions.launchKernel(
                function, UInt32(clamping: grid.x), UInt32(clamping: grid.y), UInt32(clamping: grid.z),
                UInt32(kernel.threads), 1, 1, 0, stream, &parameters, nil)
        }
        try driver.check(code, "launch the kernel \(kernel.rawValue)")
    }

    private func function(_ kernel: Kernel) throws(EngineError) -> CharnnCUFunctionRef? {
        if let function = kernels[kernel] { return function }
        var function: CharnnCUFunctionRef?
        try driver.check(
            driver.functions.moduleGetFunction(&function, module, kernel.rawValue), "find the kernel \(kernel.rawValue)"
        )
        kernels[kernel] = function
        return function
    }

    /// Records what `body` asks of the device instead of doing it.
    func record(_ body: () throws(EngineError) -> Void) throws(EngineError) -> CUDAGraph {
        let functions = driver.functions
        try driver.check(
            functions.streamBeginCapture(stream, Int32(CharnnCUCaptureThreadLocal)), "begin a recording")
        var graph: CharnnCUGraphRef?
        do {
            try body()
        } catch {
            _ = functions.streamEndCapture(stream, &graph)
            if let graph { _ = functions.graphDestroy(graph) }
            throw error
        }
        try driver.check(functions.streamEndCapture(stream, &graph), "end a recording")
        defer { _ = functions.graphDestroy(graph) }
        var executable: CharnnCUGraphExecRef?
        // Otherwise all of it would be as urgent as the stream that it is started on.
        try driver.check(
            functions.graphInstantiate(&executable, graph, UInt64(CharnnCUGraphUseNodePriority)), "prepare a recording")
        return CUDAGraph(device: self, executable: executable)
    }

    fileprivate func replay(_ executable: CharnnCUGraphExecRef?) throws(EngineError) {
        try driver.check(driver.functions.graphLaunch(executable, stream), "start a step")
    }

    fileprivate func destroy(_ executable: CharnnCUGraphExecRef?) {
        _ = driver.functions.graphExecDestroy(executable)
    }
}

/// Recorded work, which the device repeats at the cost of one launch.
final class CUDAGraph {
    private let device: CUDADevice
    private let executable: CharnnCUGraphExecRef?

    fileprivate init(device: CUDADevice, executable: CharnnCUGraphExecRef?) {
        self.device = device
        self.executable = executable
    }

    deinit { device.destroy(executable) }

    func replay() throws(EngineError) { try device.replay(executable) }
}

/// Work that is done again and again on the same buffers: once as it is, then recorded, then replayed.
///
/// The driver may load a kernel only when it is first launched, which it cannot do while it records.
final class RepeatedWork {
    private let device: CUDADevice
    private var hasRun = false
    private var recording: CUDAGraph?

    init(on device: CUDADevice) { self.device = device }

    /// - Parameter work: What is asked of the device; always the same until ``forget()``.
    func run(_ work: () throws(EngineError) -> Void) throws(EngineError) {
        if let recording { return try recording.replay() }
        guard hasRun else {
            hasRun = true
            return try work()
        }
        let graph = try device.record(work)
        recording = graph
        try graph.replay()
    }

    /// For when buffers that the recording names go away.
    func forget() { recording = nil }
}

/// Memory on a device, zeroed at first and given back with the value.
final class DeviceBuffer {
    let address: DeviceAddress
    let bytes: Int
    private let device: CUDADevice

    init(_ device: CUDADevice, bytes: Int) throws(EngineError) {
        address = try device.allocate(bytes)
        self.bytes = bytes
        self.device = device
    }

    deinit { device.free(address) }

    func clear() throws(EngineError) { try device.fill(address, bytes: max(bytes, 16)) }

    /// Writes numbers at the beginning.
    func write<Number: BitwiseCopyable>(_ numbers: [Number]) throws(EngineError) {
        precondition(numbers.count * MemoryLayout<Number>.stride <= bytes)
        // The closure's own error type is lost in the standard library's signature.
        let result = numbers.withUnsafeBytes { source in
            Result<Void, EngineError> { () throws(EngineError) in try device.write(source, to: address) }
        }
        try result.get()
    }

    /// Reads numbers from the beginning.
    func read<Number: BitwiseCopyable & ExpressibleByIntegerLiteral>(
        _ type: Number.Type, count: Int
    ) throws(EngineError) -> [Number] {
        precondition(count * MemoryLayout<Number>.stride <= bytes)
        var numbers = [Number](repeating: 0, count: count)
        let result = numbers.withUnsafeMutableBytes { target in
            Result<Void, EngineError> { () throws(EngineError) in try device.read(address, into: target) }
        }
        try result.get()
        return numbers
    }
}
