internal import Logging
internal import ServiceLifecycle
internal import Synchronization
internal import UnixSignals

extension Daemon {
    /// Runs as a program does: SIGTERM and SIGINT end it gracefully, SIGHUP reloads.
    ///
    /// - Throws: ``StorageError`` when the spool cannot be set up or taken.
    public func runWithSignals() async throws -> Outcome {
        let service = DaemonService(self)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: service, successTerminationBehavior: .gracefullyShutdownGroup),
                    .init(service: ReloadService(daemon: self), successTerminationBehavior: .ignore),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                // The group's own accounts of its doings are for developers.
                logger: Logger(label: "charnnd.lifecycle") { _ in SwiftLogNoOpLogHandler() }))
        try await group.run()
        return service.outcome.withLock { $0 }
    }
}

/// The daemon as the library of signals wants it: what it ended with is kept beside, for a service returns nothing.
private final class DaemonService: Service {
    private let daemon: Daemon
    let outcome = Mutex(Daemon.Outcome.ended)

    init(_ daemon: Daemon) { self.daemon = daemon }

    func run() async throws {
        let result = try await withGracefulShutdownHandler {
            try await daemon.run()
        } onGracefulShutdown: { [daemon] in
            daemon.stop()
        }
        outcome.withLock { $0 = result }
    }
}

/// Hands SIGHUP on. It ends with the group, and its end ends nothing.
private struct ReloadService: Service {
    let daemon: Daemon

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() { daemon.reload() }
    }
}
