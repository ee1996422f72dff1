internal import CharnnJobs
internal import CharnnSpool
internal import FoundationEssentials
internal import Glibc
internal import Subprocess
internal import Synchronization
public import SystemPackage

/// A program that is started as a process.
public struct WorkerCommand: Sendable {
    /// The program and what stands before a worker's own arguments.
    public var executable: FilePath
    /// Before those that the daemon adds: which spool and which job.
    public var arguments: [String]

    /// This very program, even if its file has been replaced since it was started.
    public static let own = WorkerCommand(executable: "/proc/self/exe", arguments: ["worker"])

    /// - Parameter executable: As a path; `$PATH` is not searched.
    public init(executable: FilePath, arguments: [String]) {
        self.executable = executable
        self.arguments = arguments
    }
}

/// One running worker, as its daemon sees it.
///
/// It knows pipes and signals and nothing of jobs. The orders go down its standard input, messages come up its standard
/// output as lines of JSON, and whatever else it writes comes as lines.
///
/// A task of its own waits for the process and tells of its end once, after all that it wrote: also when it could not
/// be started, and when its pipes fail. Signals may be sent at any time: before the process is there they wait, after
/// its end they go nowhere.
final class WorkerProcess: RunningWorker {
    // At most one of the two is there: a signal waits only as long as there is no process to send it to.
    private struct State {
        var execution: (@Sendable (Signal) -> Void)?
        var waiting: Signal?
    }

    private let state = Mutex(State())

    /// Starts a worker for a job; everything it tells, and how it ends, goes to `news`.
    ///
    /// Its standard input is a pipe that this process holds open: it ends when this process does, whatever ends it.
    ///
    /// - Parameters:
    ///   - memory: Whose count of killed processes tells afterwards whether memory ran out.
    ///   - news: Called from any thread.
    init(
        _ command: WorkerCommand, _ memory: MemoryGroups, spool: FilePath, job: String, orders: WorkerOrders,
        news: @escaping @Sendable (WorkerNews) -> Void
    ) {
        let arguments = command.arguments + ["--spool", spool.string, "--", job]
        var options = PlatformOptions()
        // Not of the terminal's group: Ctrl-C is for the daemon, which then asks its worker to end.
        options.processGroupID = 0
        let environment = Environment.inherit.updating([
            "NOTIFY_SOCKET": nil, "WATCHDOG_PID": nil, "WATCHDOG_USEC": nil, "LISTEN_FDS": nil,
        ])
        let (executable, list, platform) = (Executable.path(command.executable), arguments, options)
        // SIGKILL alone does not say who sent it. The count is of the whole group: another process of the service may
        // have been killed at the same time, and then the reason is still true of the machine.
        let killsBefore = memory.kills
        Task { [self] in
            do {
                let result = try await run(
                    executable, arguments: Arguments(list), environment: environment, platformOptions: platform,
                    input: .inputWriter, output: .sequence, error: .sequence
                ) { execution in
                    news(.started(process: execution.processIdentifier.value))
                    connect { signal in try? execution.send(signal: signal) }
                    // Beside the rest: a worker that does not read must not keep what it says from being heard. One
                    // that
                    // has ended already cannot read, and how it ended is told below.
                    async let ordered = try? execution.standardInputWriter.write(orders.line)
                    async let errors: Void = Self.forward(execution.standardError) { news(.line($0)) }
                    await Self.forward(execution.standardOutput) { line in
                        if let message = try? JSONDecoder().decode(WorkerMessage.self, from: Data(line.utf8)) {
                            news(.message(message))
                        } else {
                            news(.line(line))
                        }
                    }
                    await errors
                    _ = await ordered
                }
                disconnect()
                switch result.terminationStatus {
                case .exited(let status): news(.ended(.exited(status)))
                case .signaled(SIGKILL) where memory.kills ?? 0 > killsBefore ?? .max:
                    news(.ended(.outOfMemory(Machine.memory(within: memory).lack)))
                case .signaled(let signal): news(.ended(.signalled(signal)))
                }
            } catch {
                disconnect()
                news(.ended(.notStarted("\(error)")))
            }
        }
    }

    func terminate() { send(.terminate) }

    func kill() { send(.kill) }

    private func send(_ signal: Signal) {
        let deliver = state.withLock { state in
            if state.execution == nil { state.waiting = signal }
            return state.execution
        }
        deliver?(signal)
    }

    private func connect(_ deliver: @escaping @Sendable (Signal) -> Void) {
        let waiting = state.withLock { state in
            state.execution = deliver
            defer { state.waiting = nil }
            return state.waiting
        }
        if let waiting { deliver(waiting) }
    }

    /// Its process identifier may belong to another process from now on.
    private func disconnect() { state.withLock { $0.execution = { _ in } } }

    /// Hands out lines without their ends. Of a line that is too long the beginning alone is kept, so that a worker
    /// gone mad cannot take the daemon's memory.
    private static func forward(_ output: SubprocessOutputSequence, to receive: (String) -> Void) async {
        var line: [UInt8] = []
        do {
            for try await buffer in output {
                buffer.withUnsafeBytes { bytes in
                    for byte in bytes {
                        if byte == UInt8(ascii: "\n") {
                            receive(String(decoding: line, as: UTF8.self))
                            line.removeAll(keepingCapacity: true)
                        } else if line.count < WorkerMessage.longestLine {
                            line.append(byte)
                        }
                    }
                }
            }
        } catch {
            receive("The pipe to the worker failed: \(error)")
        }
        if !line.isEmpty { receive(String(decoding: line, as: UTF8.self)) }
    }
}
