import CCharnnCUDA
import Glibc

/// What NVRTC made, kept from process to process: it takes seconds.
///
/// A cache only: whatever is wrong with it, the kernels are compiled anew.
enum KernelCache {
    /// The kernels for a device, from the cache or compiled; nil where the compiler cannot.
    static func program(_ compiler: CUDACompiler, capability: Int) -> [UInt8]? {
        let name =
            "charnnd-kernels-\(sourceHash)-nvrtc\(compiler.version.major).\(compiler.version.minor)-sm\(capability)"
        let file = folder.map { "\($0)/\(name)" }
        if let file, let program = read(file) { return program }
        guard let (program, _) = try? compiler.compile(for: .binary(capability: capability)) else { return nil }
        if let file { write(program, to: file) }
        return program
    }

    /// The driver's own cache if it is named, systemd's, or the user's.
    private static var folder: String? {
        func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        if let path = variable("CUDA_CACHE_PATH") ?? variable("CACHE_DIRECTORY") { return path }
        guard let cache = variable("XDG_CACHE_HOME") ?? variable("HOME").map({ $0 + "/.cache" }) else { return nil }
        mkdir(cache, 0o700)
        mkdir(cache + "/charnnd", 0o700)
        return cache + "/charnnd"
    }

    /// FNV-1a of all sources.
    private static var sourceHash: String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in 0..<charnn_kernel_source_count() {
            for byte in String(cString: charnn_kernel_source(index).text).utf8 {
                hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
            }
        }
        return String(hash, radix: 16)
    }

    private static func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        let size = ftell(file)
        guard size > 0, size < 1 << 26 else { return nil }
        rewind(file)
        var bytes = [UInt8](repeating: 0, count: size)
        return fread(&bytes, 1, size, file) == size ? bytes : nil
    }

    /// Under another name first, so that no reader sees half of it.
    private static func write(_ bytes: [UInt8], to path: String) {
        let partial = "\(path).\(getpid())"
        guard let file = fopen(partial, "w") else { return }
        let isWritten = fwrite(bytes, 1, bytes.count, file) == bytes.count
        if fclose(file) != 0 || !isWritten || rename(partial, path) != 0 { unlink(partial) }
    }
}
