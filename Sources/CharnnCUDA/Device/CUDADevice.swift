import CharnnEngine

// What the rest of the engine has in its hands: one device as a whole. How it is opened stands in
// `DeviceOpening.swift`, its memory in `DeviceMemory.swift`.

/// A GPU: its context, its streams, and the kernels loaded for it.
///
/// Everything is done in the order of the calls, but for what is asked of different branches between
/// ``CUDAStreams/fork(_:_:)`` and its end.
final class CUDADevice: @unchecked Sendable {
    // Sound: an engine belongs to one thread at a time, and so does its device. Only a process that ran engines on
    // several threads at once would share one between them; none does, and tests open devices of their own.

    let streams: CUDAStreams
    private let module: KernelModule
    let context: CUDAContext

    init(_ context: CUDAContext, _ module: KernelModule, _ streams: CUDAStreams) {
        self.context = context
        self.module = module
        self.streams = streams
    }

    /// The name, such as `NVIDIA H200`.
    var name: String { context.name }
    var multiprocessors: Int { context.multiprocessors }
    /// Where the kernels come from, such as `NVRTC 12.9 sm_90`.
    var kernelOrigin: String { module.origin }

    /// Makes this device the calling thread's.
    func enter() throws(EngineError) { try context.enter() }

    /// Runs a kernel on the current branch.
    func launch<Arguments: BitwiseCopyable>(
        _ kernel: Kernel<Arguments>, grid: Grid, _ arguments: Arguments
    ) throws(EngineError) {
        try module.launch(kernel, grid: grid, arguments, on: streams.current)
    }
}
