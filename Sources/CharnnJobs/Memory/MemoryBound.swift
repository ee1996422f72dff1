import CharnnReports
import CharnnSpool
import CharnnWords
import FoundationEssentials

/// So much memory that a process may use, and what says so.
///
/// A refusal is of use only to who knows what to change: so a bound always comes with what sets it.
public struct MemoryBound: Sendable {
    /// Bytes.
    public let bytes: UInt64
    /// What sets the bound, and how it is raised, in words; nil: the machine has no more.
    private let source: (name: String, remedy: String)?

    /// - Parameter source: What sets it, and what can be raised, as it stands behind "or raise".
    public init(_ bytes: UInt64, setBy source: (name: String, remedy: String)? = nil) {
        self.bytes = bytes
        self.source = source
    }

    /// The bound with what says so, for people: `700.0 MB (/sys/fs/cgroup/.../memory.max)`.
    public var words: String { byteCount(bytes) + (source.map { " (\($0.name))" } ?? "") }

    /// Said where it ran out.
    public var lack: String { "all that runs there shares \(words); \(remedy)" }

    /// What to do where more is needed.
    public var remedy: String {
        let other = source.map { ", or raise \($0.remedy)" } ?? ""
        return "make hidden_size, num_layers, batch_size or seq_length smaller\(other)"
    }
}

/// What the machine has.
public enum Machine {
    /// Memory that this process may use: the machine's, or what a control group leaves it where that is less.
    public static var memory: MemoryBound { memory(within: MemoryGroups()) }

    /// The same for certain control groups.
    public static func memory(within groups: MemoryGroups) -> MemoryBound {
        let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
        let kibibytes = text.split(separator: "\n").first { $0.hasPrefix("MemTotal:") }?
            .split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
        // Where that cannot be read there is no bound, and the kernel decides.
        let machine = MemoryBound(kibibytes.map { $0 * 1024 } ?? .max)
        guard let limit = groups.limit, limit.bytes < machine.bytes else { return machine }
        return MemoryBound(
            limit.bytes, setBy: (limit.file, "that limit of the control group (MemoryMax= of a service)"))
    }
}

extension JobEnvironment {
    /// Why a job that needs so much memory does not run here; nil: it does.
    ///
    /// The owner's cap comes first: it is told by its key, which an administrator can raise.
    func refusal(ofMemory needed: UInt64) -> JobError? {
        if let cap = configuration.caps.all.memory, needed > cap.value {
            return JobError(
                .badJob,
                "the job would need \(byteCount(needed)) of memory, and may have \(byteCount(cap.value)) (\(cap.key)); "
                    + MemoryBound(cap.value).remedy)
        }
        let bound = configuration.memoryBound
        guard needed > bound.bytes else { return nil }
        return JobError(
            .badJob, "the job would need \(byteCount(needed)) of memory, and there are \(bound.words); \(bound.remedy)")
    }
}

extension ServiceConfiguration {
    /// Memory that a job may use at most.
    public var memoryBound: MemoryBound {
        let machine = Machine.memory
        guard let memoryLimit, memoryLimit < machine.bytes else { return machine }
        return MemoryBound(memoryLimit, setBy: ("memory_limit", "memory_limit in charnnd.yaml"))
    }
}
