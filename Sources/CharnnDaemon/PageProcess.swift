internal import Subprocess
internal import SystemPackage

/// The short-lived process that writes the spool's `index.html`: the daemon itself neither reads the jobs' folders nor
/// makes a page, so that its main loop is never held up by it.
enum PageProcess {
    /// The most of its complaint that is listened to.
    private static let longestComplaint = 2000

    /// Starts it; `ended` gets what it complained of, or nil.
    static func start(_ command: WorkerCommand, spool: FilePath, ended: @escaping @Sendable (String?) -> Void) {
        let arguments = Arguments(command.arguments + ["--spool", spool.string])
        var options = PlatformOptions()
        // As a worker: neither Ctrl-C nor the service manager's variables are for it.
        options.processGroupID = 0
        let environment = Environment.inherit.updating([
            "NOTIFY_SOCKET": nil, "WATCHDOG_PID": nil, "WATCHDOG_USEC": nil, "LISTEN_FDS": nil,
        ])
        let platform = options
        Task {
            do {
                let result = try await run(
                    .path(command.executable), arguments: arguments, environment: environment,
                    platformOptions: platform, input: .none, output: .discarded,
                    error: .string(limit: longestComplaint))
                let isGood = if case .exited(0) = result.terminationStatus { true } else { false }
                ended(isGood ? nil : "\(result.terminationStatus) \(result.standardError)")
            } catch {
                ended("\(error)")
            }
        }
    }
}
