internal import CharnnWords
internal import FoundationEssentials
internal import Subprocess
internal import Synchronization
internal import SystemPackage

/// Runs the administrator's command, one notice after the other, beside everything else: the main loop never waits for
/// it, and nothing that it does can hold up a job.
///
/// The command is the administrator's and runs with the daemon's rights, through a shell; names and reasons reach it as
/// variables of its environment and never as a part of the command line, so that nobody can have anything run by a
/// job's name.
final class Notifier: Sendable {
    /// One run of the command.
    struct Notice: Sendable {
        var command: String
        /// Seconds after which it is ended.
        var limit: Double
        /// Beside the daemon's own environment.
        var variables: [String: String]
    }

    /// Notices that wait at most; jobs beyond are told of by the notice of an empty queue.
    static let mostWaiting = 100
    /// How much of what it writes is kept, for the journal.
    private static let longestOutput = 64 << 10

    private struct State {
        var sent: UInt64 = 0
        /// What runs or waits, by number; the last waits for the one before it.
        var tasks: [UInt64: Task<Void, Never>] = [:]
    }

    private let state = Mutex(State())
    private let failed: @Sendable (String) -> Void

    /// - Parameter failed: Takes a sentence on each run that failed.
    init(failed: @escaping @Sendable (String) -> Void) { self.failed = failed }

    /// Runs the command when those before it have ended; forgets it where too many wait.
    ///
    /// - Parameter mayForget: Whether it is only one of many, as that of a single job is.
    func send(_ notice: Notice, mayForget: Bool) {
        state.withLock { state in
            guard !mayForget || state.tasks.count < Self.mostWaiting else { return }
            let before = state.tasks[state.sent]
            state.sent += 1
            let number = state.sent
            state.tasks[number] = Task { [self] in
                await before?.value
                if Task.isCancelled {
                    failed("it was not run, as the daemon ended before its turn")
                } else {
                    await run(notice)
                }
                self.state.withLock { $0.tasks[number] = nil }
            }
        }
    }

    /// Waits for all that was sent, and ends what takes longer.
    ///
    /// What had not begun by then is told as not run.
    func finish(within seconds: Double) async {
        let tasks = state.withLock { Array($0.tasks.values) }
        let limit = Task {
            try? await Task.sleep(for: .seconds(seconds))
            guard !Task.isCancelled else { return }
            for task in tasks { task.cancel() }
        }
        for task in tasks { await task.value }
        limit.cancel()
    }

    /// Whether a run was ended for taking too long, or with the daemon.
    private final class Ending: Sendable {
        let wasLate = Mutex(false)
        let wasCut = Mutex(false)
    }

    /// Before a command: when memory runs out it is ended before the daemon, whose protection it would inherit.
    private static let asEndable = "{ echo 1000 > /proc/self/oom_score_adj; } 2>/dev/null; "

    /// Runs it to its end or its limit. Its output is read all the while: a command whose pipe is full would never end.
    private func run(_ notice: Notice) async {
        var options = PlatformOptions()
        // A group of its own, so that all that the command started can be ended with it.
        options.processGroupID = 0
        let own: [Environment.Key: String?] = ["NOTIFY_SOCKET": nil, "WATCHDOG_PID": nil, "WATCHDOG_USEC": nil]
        let variables = notice.variables.reduce(into: own) { $0[Environment.Key(stringLiteral: $1.key)] = $1.value }
        let ending = Ending()
        do {
            let result = try await Subprocess.run(
                .path("/bin/sh"), arguments: ["-c", Self.asEndable + notice.command],
                environment: .inherit.updating(variables),
                platformOptions: options, input: .none, output: .sequence, error: .combinedWithOutput
            ) { execution in
                let end: @Sendable () -> Void = { try? execution.send(signal: .kill, toProcessGroup: true) }
                let limit = notice.limit
                let timer = Task {
                    try? await Task.sleep(for: .seconds(limit))
                    guard !Task.isCancelled else { return }
                    ending.wasLate.withLock { $0 = true }
                    end()
                }
                defer { timer.cancel() }
                return await withTaskCancellationHandler {
                    await Self.lastLine(execution.standardOutput)
                } onCancel: {
                    ending.wasCut.withLock { $0 = true }
                    end()
                }
            }
            if ending.wasLate.withLock({ $0 }) {
                return failed(
                    "it took longer than \(duration(notice.limit)) and was ended; give it more with "
                        + "notify_timeout, or let it put its work elsewhere")
            }
            if ending.wasCut.withLock({ $0 }), result.terminationStatus.isSuccess == false {
                return failed(
                    "it still ran when the daemon ended, and was ended with it; a smaller notify_timeout ends it sooner"
                )
            }
            let said = result.closureResult.isEmpty ? "" : ": \(result.closureResult)"
            switch result.terminationStatus {
            case .exited(0): break
            case .exited(let status): failed("it ended with status \(status)\(said)")
            case .signaled(let signal): failed("signal \(signal) ended it\(said)")
            }
        } catch {
            failed("it could not be started: \(error)")
        }
    }

    private static func lastLine(_ output: SubprocessOutputSequence) async -> String {
        var bytes: [UInt8] = []
        do {
            for try await buffer in output {
                buffer.withUnsafeBytes { bytes += $0 }
                if bytes.count > longestOutput { bytes.removeFirst(bytes.count - longestOutput) }
            }
        } catch {
            return "the pipe to it failed: \(error)"
        }
        let line = bytes.split(separator: UInt8(ascii: "\n")).last ?? []
        return String(String(decoding: line, as: UTF8.self).prefix(500))
    }
}
