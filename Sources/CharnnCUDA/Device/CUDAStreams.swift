import CCharnnCUDA
import CharnnEngine

// The order of what a device is asked for.
//
// Stream 0 has everything outside a fork, so that all of it happens in the order of the calls. Within a fork each
// branch has a stream for itself, and events alone order one branch after another; the end of the fork brings all of
// them back to stream 0. All streams are non-blocking ones, which the driver's default stream does not wait for: only
// those can be captured in a graph, forks with their events included. What makes the host wait (``synchronize()``,
// reading memory), what allocates and what loads a kernel may not be captured.

/// A device's streams, and the events that order them; they live as long as this object.
final class CUDAStreams {
    private let context: CUDAContext
    private var driver: CUDADriver { context.driver }
    /// One a branch, made as they are needed; the first is there from the beginning.
    private var streams: [CharnnCUStreamRef?]
    /// The branch that calls go to.
    private var branch = 0
    /// Those of the marks since the last fork, and ones to be used again.
    private var events: [CharnnCUEventRef?] = []
    private var marks = 0

    init(_ context: CUDAContext) throws(EngineError) {
        self.context = context
        streams = [try Self.make(context.driver, isUrgent: true)]
    }

    deinit {
        for event in events { _ = driver.functions.eventDestroy(event) }
        for stream in streams { _ = driver.functions.streamDestroy(stream) }
    }

    /// - Parameter isUrgent: Whether its blocks go before those of other streams where there is not room for all.
    private static func make(_ driver: CUDADriver, isUrgent: Bool) throws(EngineError) -> CharnnCUStreamRef? {
        var (least, greatest): (Int32, Int32) = (0, 0)
        _ = driver.functions.ctxGetStreamPriorityRange(&least, &greatest)
        var stream: CharnnCUStreamRef?
        try driver.check(
            driver.functions.streamCreateWithPriority(
                &stream, UInt32(CharnnCUStreamNonBlocking), isUrgent ? greatest : least),
            "make a stream")
        return stream
    }

    /// What calls go to now.
    var current: CharnnCUStreamRef? { streams[branch] }

    /// Waits for all that was asked of the current stream; outside a fork that is all that was asked of the device.
    func synchronize() throws(EngineError) {
        try driver.check(driver.functions.streamSynchronize(current), "finish its work")
    }

    // MARK: - Branches

    /// A point in a branch's work, for which others can wait; good until the next fork begins.
    struct Mark {
        fileprivate let event: CharnnCUEventRef?
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

    /// Lets `body` ask the device for work side by side: on `count` urgent branches, of which 0 is the one that
    /// everything else is on, and on one more, ``Branch/aside``, that takes what room they leave. Ends when all of them
    /// do.
    func fork(_ count: Int, _ body: () throws(EngineError) -> Void) throws(EngineError) {
        while streams.count < 2 { streams.append(try Self.make(driver, isUrgent: false)) }
        while streams.count <= count { streams.append(try Self.make(driver, isUrgent: true)) }
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
        try driver.check(driver.functions.eventRecord(event, current), "mark its work")
        return Mark(event: event)
    }

    /// What is asked of this branch from now on comes after the mark.
    func wait(for mark: Mark) throws(EngineError) {
        try driver.check(driver.functions.streamWaitEvent(current, mark.event, 0), "order its work")
    }
}
