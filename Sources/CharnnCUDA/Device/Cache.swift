import CCharnnCUDA
import Glibc

/// What took time to find out about a device, kept from process to process: the kernels that NVRTC made, and the
/// fastest plans.
///
/// A cache only: without it, and without a place for it, all is made anew. Kernels that a driver cannot read, as after
/// a compiler newer than it, stay there, so that it is not tried again; PTX takes their place.
struct Cache {
    /// nil: nothing is kept.
    var folder: String?

    /// In the driver's own cache folder if it is named, systemd's, or the user's.
    static var standard: Cache { Cache(folder: standardFolder) }

    /// The kernels for a device, from the cache or compiled; nil where the compiler cannot.
    func kernels(_ compiler: CUDACompiler, capability: Int) -> [UInt8]? {
        let name = "kernels-nvrtc\(compiler.version.major).\(compiler.version.minor)-sm\(capability)"
        if let program = read(name) { return program }
        guard let (program, _) = try? compiler.compile(for: .binary(capability: capability)) else { return nil }
        write(program, name)
        return program
    }

    private static var standardFolder: String? {
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

    /// Of kernels of other sources nothing is known.
    private func path(_ name: String) -> String? { folder.map { "\($0)/charnnd-\(Self.sourceHash)-\(name)" } }

    func read(_ name: String) -> [UInt8]? {
        guard let path = path(name), let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        let size = ftell(file)
        guard size > 0, size < 1 << 26 else { return nil }
        rewind(file)
        var bytes = [UInt8](repeating: 0, count: size)
        return fread(&bytes, 1, size, file) == size ? bytes : nil
    }

    /// Under another name first, so that no reader sees half of it.
    func write(_ bytes: [UInt8], _ name: String) {
        guard let path = path(name) else { return }
        let partial = "\(path).\(getpid())"
        guard let file = fopen(partial, "w") else { return }
        let isWritten =
            fwrite(bytes, 1, bytes.count, file) == bytes.count && fflush(file) == 0 && fsync(fileno(file)) == 0
        if fclose(file) != 0 || !isWritten || rename(partial, path) != 0 { unlink(partial) }
    }
}
