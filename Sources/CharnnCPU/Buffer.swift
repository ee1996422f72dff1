import CharnnEngine
internal import Glibc

/// Zeroed memory for numbers, aligned for vectors and for huge pages.
final class Buffer<Element: BitwiseCopyable> {
    let base: UnsafeMutablePointer<Element>
    let count: Int

    /// - Throws: ``EngineError/Code/deviceFailed`` when there is no memory.
    init(_ count: Int) throws(EngineError) {
        let large = 4 << 20
        let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        var address: UnsafeMutableRawPointer?
        guard !overflow, posix_memalign(&address, bytes >= large ? 2 << 20 : 64, bytes) == 0, let address else {
            throw EngineError(.deviceFailed, "There is no memory for a buffer of \(count) numbers.")
        }
        // Page faults of large buffers would otherwise take a good part of the first step.
        if bytes >= large { madvise(address, bytes, MADV_HUGEPAGE) }
        memset(address, 0, bytes)
        self.base = address.bindMemory(to: Element.self, capacity: max(count, 1))
        self.count = count
    }

    deinit { free(base) }

    /// Replaces the contents; an empty array stands for zeros.
    func fill(_ values: [Element]) {
        precondition(values.isEmpty || values.count == count)
        if values.isEmpty {
            memset(base, 0, count * MemoryLayout<Element>.stride)
        } else {
            values.withUnsafeBufferPointer { source in
                guard let start = source.baseAddress else { return }
                base.update(from: start, count: count)
            }
        }
    }

    var array: [Element] { Array(UnsafeBufferPointer(start: base, count: count)) }
}
