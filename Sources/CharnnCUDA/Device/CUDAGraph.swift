import CCharnnCUDA
import CharnnEngine

// Work that is recorded once and repeated as one launch.
//
// A graph names the buffers that its kernels got and owns none of them: who records must keep them alive, or forget the
// recording before they go away. What a step changes (its number, its text, its rates) therefore lies in a buffer of
// its own, which is written before each replay.

/// Recorded work, which the device repeats at the cost of one launch.
final class CUDAGraph {
    private let context: CUDAContext
    private let streams: CUDAStreams
    private let executable: CharnnCUGraphExecRef?

    /// Records what `work` asks of the device instead of doing it.
    init(
        _ context: CUDAContext, _ streams: CUDAStreams, recording work: () throws(EngineError) -> Void
    ) throws(EngineError) {
        self.context = context
        self.streams = streams
        let driver = context.driver
        let functions = driver.functions
        let stream = streams.current
        try driver.check(
            functions.streamBeginCapture(stream, Int32(CharnnCUCaptureThreadLocal)), "begin a recording")
        var graph: CharnnCUGraphRef?
        do {
            try work()
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
        self.executable = executable
    }

    deinit { _ = context.driver.functions.graphExecDestroy(executable) }

    func replay() throws(EngineError) {
        try context.driver.check(context.driver.functions.graphLaunch(executable, streams.current), "start a step")
    }
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
        let graph = try CUDAGraph(device.context, device.streams, recording: work)
        recording = graph
        try graph.replay()
    }

    /// For when buffers that the recording names go away.
    func forget() { recording = nil }
}
