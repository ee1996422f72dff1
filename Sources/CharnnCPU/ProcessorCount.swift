import CCharnnKernels
import Glibc

/// How many processors this process may use: those it may run on, and no more than its control groups' quota pays for.
public func usableProcessorCount() -> Int {
    var count = Int(charnn_affinity_count())
    if let quota = controlGroupQuota() { count = min(count, quota) }
    return max(1, count)
}

/// The least `cpu.max` of this process' control group and those above it, in whole processors, rounded up.
private func controlGroupQuota() -> Int? {
    guard let membership = contents("/proc/self/cgroup") else { return nil }
    // Version 2 has one line: `0::/path`.
    guard let line = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::") }) else { return nil }
    var path = String(line.dropFirst(3))
    var least: Int?
    while true {
        if let limit = contents("/sys/fs/cgroup\(path)/cpu.max") {
            let words = limit.split { $0 == " " || $0 == "\n" }
            if words.count == 2, let quota = Int(words[0]), let period = Int(words[1]), period > 0 {
                least = min(least ?? .max, max(1, (quota + period - 1) / period))
            }
        }
        guard let slash = path.lastIndex(of: "/") else { return least }
        path = String(path[..<slash])
    }
}

/// A small file of the kernel's.
private func contents(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let length = read(descriptor, &bytes, bytes.count)
    return length < 0 ? nil : String(decoding: bytes.prefix(length), as: UTF8.self)
}
