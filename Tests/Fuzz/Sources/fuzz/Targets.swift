import CharnnCheckpoint
import CharnnJobs
import CharnnModel
import CharnnStorage
import Glibc
import SystemPackage

/// What is done with one input. An error is an answer; a crash, a hang or much memory is what is looked for.
enum Targets {
    /// A file that this process alone writes and reads: the readers are given a real one, as in the field.
    private static let path = FilePath("/dev/shm/charnn-fuzz")
    private static let descriptor = open(path.string, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)

    private static func put(_ data: UnsafePointer<UInt8>?, _ count: Int) {
        ftruncate(descriptor, 0)
        pwrite(descriptor, data, count, 0)
    }

    static func jobFile(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        let bytes = Array(UnsafeBufferPointer(start: data, count: count))
        _ = try? JobFile.parse(bytes, fileName: "fuzz.yaml")
        return 0
    }

    static func safeTensors(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        put(data, count)
        _ = try? Model(reading: path, in: LocalStorage())
        return 0
    }

    static func checkpoint(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        put(data, count)
        _ = try? Checkpoint(reading: path, in: LocalStorage())
        return 0
    }
}
