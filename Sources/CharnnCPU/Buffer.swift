import CharnnEngine
internal import Glibc

/// Zeroed memory for numbers, aligned for vectors and for huge pages.
final class Buffer<Element: BitwiseCopyable> {
    let base: UnsafeMutablePointer<Element>
    let count: Int
    /// The bytes that `map` was asked for; 0: the memory is of `zeroed`.
    private let mapped: Int

    /// Large ones come from the system, whose pages are zero and cost nothing before they are touched: moments that no
    /// step of training uses, as when an engine only writes text, stay without memory.
    ///
    /// - Throws: ``EngineError/Code/outOfMemory`` when there is no memory.
    init(_ count: Int) throws(EngineError) {
        let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        guard !overflow, let memory = bytes >= hugePage ? map(bytes) : zeroed(bytes) else {
            throw EngineError(.outOfMemory, "There is no memory for a buffer of \(count) numbers.")
        }
        base = memory.bindMemory(to: Element.self, capacity: max(count, 1))
        self.count = count
        mapped = bytes >= hugePage ? bytes : 0
    }

    deinit {
        if mapped > 0 { munmap(base, mapped) } else { free(base) }
    }

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

private let hugePage = 2 << 20

private func zeroed(_ bytes: Int) -> UnsafeMutableRawPointer? {
    var address: UnsafeMutableRawPointer?
    guard posix_memalign(&address, 64, bytes) == 0, let address else { return nil }
    return memset(address, 0, bytes)
}

/// Zero pages, aligned to huge ones: page faults of small ones would take a good part of the first step.
private func map(_ bytes: Int) -> UnsafeMutableRawPointer? {
    let (length, overflow) = bytes.addingReportingOverflow(hugePage)
    guard !overflow,
        let start = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), start != MAP_FAILED
    else { return nil }
    // What lies before the first huge page's start, and behind the end, is given back.
    let skipped = (hugePage - Int(bitPattern: start) % hugePage) % hugePage
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let used = (skipped + bytes + page - 1) / page * page
    if skipped > 0 { munmap(start, skipped) }
    if used < length { munmap(start + used, length - used) }
    madvise(start + skipped, bytes, MADV_HUGEPAGE)
    return start + skipped
}
