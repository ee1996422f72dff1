internal import CSystemd
internal import Glibc

/// What the daemon tells systemd; silent where no service manager listens.
///
/// The protocol is that of sd_notify(3). Nothing is ever answered, and that a message was lost is not noticed.
public struct ServiceManager: Sendable {
    private let send: @Sendable (String) -> Void
    /// Seconds within which a sign of life is expected; nil where none is.
    public let watchdogInterval: Double?

    /// The service manager that started this process, if any.
    public static func current() -> ServiceManager {
        var microseconds: UInt64 = 0
        let interval = charnn_watchdog_enabled(&microseconds) > 0 ? Double(microseconds) / 1e6 : nil
        return ServiceManager(watchdogInterval: interval) { _ = charnn_systemd_notify($0) }
    }

    /// - Parameter send: Receives each message, lines of `NAME=VALUE`.
    public init(watchdogInterval: Double? = nil, send: @escaping @Sendable (String) -> Void) {
        self.send = send
        self.watchdogInterval = watchdogInterval
    }

    /// Start-up or a reload is complete.
    public func ready(_ status: String) { send("READY=1\nSTATUS=\(Self.line(status))") }

    /// What `systemctl status` shows, in one line.
    public func status(_ text: String) { send("STATUS=\(Self.line(text))") }

    /// A reload begins. Both lines go in one message, as systemd demands.
    public func reloading() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let microseconds = UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
        send("RELOADING=1\nMONOTONIC_USEC=\(microseconds)")
    }

    /// From now on the manager's time for stopping counts; ``extendTimeout(seconds:)`` makes it longer.
    public func stopping(_ status: String) { send("STOPPING=1\nSTATUS=\(Self.line(status))") }

    /// The sign of life that is expected each ``watchdogInterval``; sent more often than that.
    public func isAlive() { send("WATCHDOG=1") }

    /// Asks for so many seconds more from now before the service counts as stuck.
    public func extendTimeout(seconds: Double) { send("EXTEND_TIMEOUT_USEC=\(UInt64(seconds * 1e6))") }

    /// A line's end within a value would begin another variable.
    private static func line(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
