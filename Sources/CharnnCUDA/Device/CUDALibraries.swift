import CharnnEngine
import Glibc

/// Where NVIDIA's libraries are looked for.
public enum CUDALibraries {
    /// The environment variables that name a library's file in place of those found.
    public static let driverVariable = "CHARNND_LIBCUDA"
    public static let compilerVariable = "CHARNND_LIBNVRTC"

    /// The names under which a driver library may be opened, likeliest first.
    static var driverNames: [String] {
        // The dynamic linker's own places come first; WSL has a place of its own.
        variable(driverVariable).map { [$0] } ?? ["libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", "libcuda.so"]
    }

    /// The names under which a run-time compiler may be opened: CUDA 12 and 13 as the toolkit, Debian's packages and
    /// Python's wheels install them.
    static var compilerNames: [String] {
        if let name = variable(compilerVariable) { return [name] }
        let sonames = ["libnvrtc.so.13", "libnvrtc.so.12"]
        var folders: [String] = []
        if let path = variable("CUDA_PATH") { folders += [path + "/lib64", path + "/lib"] }
        folders += matches("/usr/local/cuda*/targets/*/lib") + matches("/usr/local/cuda*/lib64")
        folders += ["/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        for site in ["/usr/local/lib/python3*", "/usr/lib/python3*", "/opt/*/lib/python3*"] {
            folders += matches(site + "/*-packages/nvidia/cu13/lib")
            folders += matches(site + "/*-packages/nvidia/cuda_nvrtc/lib")
        }
        return sonames + folders.flatMap { folder in sonames.map { "\(folder)/\($0)" } }
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func matches(_ pattern: String) -> [String] {
        var result = glob_t()
        defer { globfree(&result) }
        guard glob(pattern, 0, nil, &result) == 0 else { return [] }
        // The newest version last by name; it is wanted first.
        return (0..<Int(result.gl_pathc)).compactMap { result.gl_pathv[$0].map { String(cString: $0) } }.reversed()
    }

    /// Opens the first of some libraries that is there.
    static func open(_ names: [String]) -> (library: UnsafeMutableRawPointer, name: String)? {
        for name in names {
            if let library = dlopen(name, RTLD_NOW | RTLD_LOCAL) { return (library, name) }
        }
        return nil
    }

    /// Why the last library could not be opened.
    static var lastError: String { dlerror().map { String(cString: $0) } ?? "unknown error" }
}
