import CCharnnCUDA
import CharnnEngine

// Memory on a device. Every piece has one owner, a ``DeviceBuffer``, and is freed with it; an address outlives nothing,
// so that who keeps one keeps the buffer too.
//
// Clearing and copying happen in the current stream, in the order of the calls. Freeing waits for the device by itself,
// so that a buffer may be dropped while kernels that read it are still under way. What allocates may not be captured in
// a graph, and neither may reading, which waits.

/// An address in a device's memory.
typealias DeviceAddress = CharnnAddress

extension CUDADevice {
    /// Bytes that nobody has.
    func freeMemory() throws(EngineError) -> UInt64 {
        try enter()
        var (free, total) = (0, 0)
        try context.driver.check(context.driver.functions.memGetInfo(&free, &total), "tell its memory")
        return UInt64(free)
    }

    /// Copies to the device; the source may change as soon as this returns.
    func write(_ source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(EngineError) {
        guard let base = source.baseAddress, source.count > 0 else { return }
        // Memory that is not pinned is copied aside before the call returns.
        try context.driver.check(
            context.driver.functions.memcpyHtoDAsync(address, base, source.count, streams.current),
            "copy \(source.count) bytes to it")
    }

    /// Copies from the device, after all that was asked of it before.
    func read(_ address: DeviceAddress, into target: UnsafeMutableRawBufferPointer) throws(EngineError) {
        guard let base = target.baseAddress, target.count > 0 else { return }
        try context.driver.check(
            context.driver.functions.memcpyDtoHAsync(base, address, target.count, streams.current),
            "copy \(target.count) bytes from it")
        try streams.synchronize()
    }

    /// Zeroed memory, aligned for everything.
    fileprivate func allocate(_ bytes: Int) throws(EngineError) -> DeviceAddress {
        var address: DeviceAddress = 0
        let code = context.driver.functions.memAlloc(&address, max(bytes, 16))
        if code == CharnnCUOutOfMemory {
            let free = (try? freeMemory()).map { "\($0)" } ?? "an unknown number"
            throw EngineError(
                .deviceFailed,
                "\(name) has no \(bytes) bytes of memory left (\(free) of \(context.totalMemory) are free); make "
                    + "hidden_size, num_layers, batch_size or seq_length smaller, or end the other programs that "
                    + "nvidia-smi shows")
        }
        try context.driver.check(code, "allocate \(bytes) bytes")
        do {
            try fill(address, bytes: max(bytes, 16))
        } catch {
            free(address)
            throw error
        }
        return address
    }

    fileprivate func free(_ address: DeviceAddress) {
        context.enterRegardless()
        _ = context.driver.functions.memFree(address)
    }

    /// Writes zeros.
    fileprivate func fill(_ address: DeviceAddress, bytes: Int) throws(EngineError) {
        try context.driver.check(
            context.driver.functions.memsetD8Async(address, 0, bytes, streams.current), "clear memory")
    }
}

/// Memory on a device, zeroed at first and given back with the value.
final class DeviceBuffer {
    let address: DeviceAddress
    let bytes: Int
    private let device: CUDADevice

    init(_ device: CUDADevice, bytes: Int) throws(EngineError) {
        address = try device.allocate(bytes)
        self.bytes = bytes
        self.device = device
    }

    deinit { device.free(address) }

    func clear() throws(EngineError) { try device.fill(address, bytes: max(bytes, 16)) }

    /// Writes numbers at the beginning.
    func write<Number: BitwiseCopyable>(_ numbers: [Number]) throws(EngineError) {
        precondition(numbers.count * MemoryLayout<Number>.stride <= bytes)
        // The closure's own error type is lost in the standard library's signature.
        let result = numbers.withUnsafeBytes { source in
            Result<Void, EngineError> { () throws(EngineError) in try device.write(source, to: address) }
        }
        try result.get()
    }

    /// Reads numbers from the beginning.
    func read<Number: BitwiseCopyable & ExpressibleByIntegerLiteral>(
        _ type: Number.Type, count: Int
    ) throws(EngineError) -> [Number] {
        precondition(count * MemoryLayout<Number>.stride <= bytes)
        var numbers = [Number](repeating: 0, count: count)
        let result = numbers.withUnsafeMutableBytes { target in
            Result<Void, EngineError> { () throws(EngineError) in try device.read(address, into: target) }
        }
        try result.get()
        return numbers
    }
}
