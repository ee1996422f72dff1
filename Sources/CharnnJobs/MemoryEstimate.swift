public import CharnnEngine
import FoundationEssentials

/// What the machine has.
public enum Machine {
    /// Memory that a process may use, bytes: the machine's, or the control group's limit where that is less.
    public static var memory: UInt64 {
        var least = UInt64.max
        if let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemTotal:") }),
            let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ UInt64($0) })
        {
            least = kibibytes * 1024
        }
        for path in ["/sys/fs/cgroup\(ownGroup)/memory.max", "/sys/fs/cgroup/memory.max"] {
            if let text = try? String(contentsOfFile: path, encoding: .utf8),
                let limit = UInt64(text.filter { !$0.isWhitespace })
            {
                least = min(least, limit)
            }
        }
        return least
    }

    /// The path of this process's control group in the unified hierarchy.
    private static var ownGroup: String {
        guard let text = try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::") })
        else { return "" }
        return String(line.dropFirst(3))
    }
}

/// Memory of a job before any engine was asked.
public enum MemoryEstimate {
    /// The number of parameters, near enough; floating point, so that absurd sizes do not overflow.
    public static func parameters(_ architecture: Architecture) -> Double {
        let (h, e) = (Double(architecture.hiddenSize), Double(architecture.embeddingSize))
        let gates = Double(architecture.cell.gates)
        return gates * h * (e + h) + (Double(architecture.layerCount) - 1) * gates * h * 2 * h
            + Double(architecture.vocabularySize) * (e + h)
    }

    /// The least that any engine needs, bytes: weights, gradient and two moments, and the gates of all time steps.
    ///
    /// Floating point, so that absurd sizes do not overflow.
    static func least(_ architecture: Architecture, batchSize: Int, sequenceLength: Int) -> Double {
        let layers = Double(architecture.layerCount)
        let width = (Double(architecture.cell.gates) + 1) * Double(architecture.hiddenSize)
        return 4 * (4 * parameters(architecture) + Double(batchSize) * Double(sequenceLength) * layers * width)
    }
}
