internal import CLinux
internal import Glibc
internal import SystemPackage

/// An open file of this machine.
final class LocalFile: StorageFile {
    private let descriptor: Int32
    let path: FilePath

    init(descriptor: Int32, path: FilePath) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    func status() throws(StorageError) -> FileStatus {
        var raw = stat()
        guard fstat(descriptor, &raw) == 0 else { throw StorageError(last: "fstat", path) }
        return FileStatus(raw)
    }

    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        var failure: StorageError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, offset + filled)
                if got > 0 {
                    filled += got
                } else if got == 0 {
                    return
                } else if errno != EINTR {
                    failure = StorageError(last: "pread", path)
                    return
                }
            }
        }
        if let failure { throw failure }
        return bytes
    }

    func append(_ bytes: [UInt8]) throws(StorageError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, $0.count - written) }
            if count >= 0 {
                written += count
            } else if errno != EINTR {
                throw StorageError(last: "write", path)
            }
        }
    }

    func truncate(to size: Int) throws(StorageError) {
        guard ftruncate(descriptor, size) == 0 else { throw StorageError(last: "ftruncate", path) }
    }

    func synchronize() throws(StorageError) {
        guard fsync(descriptor) == 0 else { throw StorageError(last: "fsync", path) }
    }

    /// Fails where a write of the kernel's has failed since the file was opened.
    func requireWritten() throws(StorageError) {
        guard charnn_wait_for_writes(descriptor) == 0 else { throw StorageError(last: "sync_file_range", path) }
    }

    func map() throws(StorageError) -> any StorageMapping {
        let size = try status().size
        // mmap refuses to map nothing.
        guard size > 0 else { return LocalMapping(bytes: UnsafeRawBufferPointer(start: nil, count: 0)) }
        guard let start = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0), start != MAP_FAILED else {
            throw StorageError(last: "mmap", path)
        }
        return LocalMapping(bytes: UnsafeRawBufferPointer(start: start, count: size))
    }

    func isOpenForWriting() -> Bool? {
        switch charnn_has_writer(descriptor) {
        case 0: false
        case 1: true
        default: nil
        }
    }
}

/// A mapped file. It stays mapped after its ``LocalFile`` is closed.
///
/// `@unchecked Sendable`: the memory is only read, and is unmapped when nothing refers to this value any more.
private final class LocalMapping: StorageMapping, @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    var count: Int { bytes.count }

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    deinit {
        if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
    }
}
