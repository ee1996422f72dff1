internal import CLinux
public import CharnnStorage
internal import FoundationEssentials
internal import Glibc
public import SystemPackage

/// A process of this machine, told from any other that gets its number later.
public struct ProcessIdentity: Codable, Equatable, Sendable {
    var pid: Int32
    /// Clock ticks from the machine's start to the process's.
    var started: UInt64
    /// The number that the kernel gave to this run of the machine.
    var boot: String

    /// This process; nil where `/proc` does not tell.
    public static var current: ProcessIdentity? { ProcessIdentity(of: getpid(), on: LocalStorage()) }

    init?(of pid: Int32, on storage: some Storage) {
        func text(_ path: FilePath) -> String? {
            // Files of /proc have no size.
            (try? storage.open(path, beneath: nil).read(at: 0, count: 4096)).map { String(decoding: $0, as: UTF8.self) }
        }
        guard let boot = text("/proc/sys/kernel/random/boot_id"), let line = text(FilePath("/proc/\(pid)/stat")) else {
            return nil
        }
        // The program's name may have spaces and brackets; the fields that follow begin with the third.
        let fields = line[(line.lastIndex(of: ")").map(line.index(after:)) ?? line.startIndex)...].split(separator: " ")
        guard fields.count > 19, let started = UInt64(fields[19]) else { return nil }
        self.pid = pid
        self.started = started
        self.boot = boot.filter { !$0.isNewline }
    }

    /// The one in a file; nil where there is none, or none that can be read.
    public static func read(_ path: FilePath, on storage: some Storage) -> ProcessIdentity? {
        let bytes = (try? storage.contents(of: path, limit: 4096)) ?? nil
        return bytes.flatMap { try? JSONDecoder().decode(Self.self, from: Data($0)) }
    }

    /// Writes it durably.
    public func save(_ path: FilePath, on storage: some Storage) throws(StorageError) {
        // Numbers and a string, which cannot fail to be encoded.
        guard let data = try? JSONEncoder().encode(self) else { preconditionFailure("an identity is always encodable") }
        try storage.replace(path, with: Array(data), mode: 0o600)
    }

    /// Asks the process to end (SIGTERM), if it still is that one.
    ///
    /// - Returns: Whether it was asked.
    func terminate() -> Bool {
        let descriptor = charnn_open_process(pid)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // The descriptor means the process that has the number now, and no later one.
        guard ProcessIdentity(of: pid, on: LocalStorage()) == self else { return false }
        return charnn_signal_process(descriptor, SIGTERM) == 0
    }
}
