import CCharnnCUDA
public import CharnnEngine
import Glibc

// The door to the run-time compiler, which needs no GPU.

/// NVIDIA's run-time compiler (NVRTC): compiles the kernels for exactly the device that is there.
///
/// Optional: without it the driver compiles the PTX in the program.
public struct CUDACompiler: @unchecked Sendable {
    // Sound: a table of functions that may be called from any thread, each program by one.
    private let functions: CharnnCUDACompiler
    /// The library's file.
    public let path: String
    public let version: (major: Int, minor: Int)

    /// The library that the machine has, opened once a process; nil: there is none that works.
    static let loaded: CUDACompiler? = try? CUDACompiler(names: CUDALibraries.compilerNames)

    /// Opens a library.
    ///
    /// - Throws: ``EngineError/Code/unavailable`` when it cannot be opened or lacks a function.
    public init(path: String) throws(EngineError) { try self.init(names: [path]) }

    private init(names: [String]) throws(EngineError) {
        guard let (library, name) = CUDALibraries.open(names) else {
            throw EngineError(.unavailable, "NVRTC cannot be opened: \(CUDALibraries.lastError)")
        }
        var functions = CharnnCUDACompiler()
        if let missing = charnn_cuda_compiler(library, &functions) {
            throw EngineError(.unavailable, "\(name) lacks the function \(String(cString: missing))")
        }
        var (major, minor): (Int32, Int32) = (0, 0)
        _ = functions.version(&major, &minor)
        self.functions = functions
        path = name
        version = (Int(major), Int(minor))
    }

    /// What the compiler makes.
    public enum Target: Sendable, Hashable {
        /// Text that drivers compile further, for a capability such as 80 and later ones.
        case ptx(capability: Int)
        /// A program for one capability.
        case binary(capability: Int)
    }

    /// Compiles the kernels.
    ///
    /// - Returns: The program, ended by a zero, and what the compiler said: for a binary, of each kernel its registers
    ///   and spills.
    /// - Throws: ``EngineError/Code/unavailable`` when they do not compile for that target.
    public func compile(for target: Target) throws(EngineError) -> (program: [UInt8], log: String) {
        let sources = (0..<charnn_kernel_source_count()).map { charnn_kernel_source($0) }
        var texts: [UnsafePointer<CChar>?] = sources.dropFirst().map(\.text)
        var names: [UnsafePointer<CChar>?] = sources.dropFirst().map(\.name)
        var program: UnsafeMutableRawPointer?
        guard
            functions.createProgram(
                &program, sources[0].text, sources[0].name, Int32(texts.count), &texts, &names) == 0
        else { throw EngineError(.unavailable, "NVRTC \(version.major).\(version.minor) cannot read the kernels") }
        defer { _ = functions.destroyProgram(&program) }

        let architecture =
            switch target {
            case .ptx(let capability): ["--gpu-architecture=compute_\(capability)"]
            // With what the assembler says of registers and spills.
            case .binary(let capability): ["--gpu-architecture=sm_\(capability)", "--ptxas-options=-v"]
            }
        let options = (["--std=c++17"] + architecture).map { strdup($0) }
        defer { for option in options { free(option) } }
        var pointers = options.map { UnsafePointer<CChar>($0) }
        let status = functions.compileProgram(program, Int32(pointers.count), &pointers)
        let log = String(decoding: bytes(of: program, functions.getLogSize, functions.getLog).dropLast(), as: UTF8.self)
        guard status == 0 else {
            throw EngineError(
                .unavailable,
                "NVRTC \(version.major).\(version.minor) does not compile the kernels for \(architecture[0]): \(log)")
        }
        switch target {
        case .ptx: return (bytes(of: program, functions.getPTXSize, functions.getPTX), log)
        case .binary: return (bytes(of: program, functions.getCUBINSize, functions.getCUBIN), log)
        }
    }

    /// The PTX in the program, for capability 80 and later ones.
    public static var shippedPTX: [UInt8] { Array(String(cString: charnn_kernel_ptx()).utf8) + [0] }

    private func bytes(
        of program: UnsafeMutableRawPointer?,
        _ size: @convention(c) (UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?) -> Int32,
        _ get: @convention(c) (UnsafeMutableRawPointer?, UnsafeMutablePointer<CChar>?) -> Int32
    ) -> [UInt8] {
        var count = 0
        guard size(program, &count) == 0, count > 0 else { return [] }
        var characters = [CChar](repeating: 0, count: count)
        guard get(program, &characters) == 0 else { return [] }
        return characters.map { UInt8(bitPattern: $0) }
    }
}
