import CCharnnKernels
import COpenBLAS
import CharnnEngine
import Glibc

/// OpenBLAS, opened at run time and single-threaded: we split the work ourselves, always in the same way.
struct OpenBLAS: Sendable {
    private let sgemm:
        @Sendable @convention(c) (
            Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>?, Int32, UnsafePointer<Float>?, Int32,
            Float, UnsafeMutablePointer<Float>?, Int32
        ) -> Void
    /// Version and kernels, such as `OpenBLAS 0.3.21 SkylakeX`.
    let name: String

    /// The library, opened once a process.
    ///
    /// - Throws: ``EngineError/Code/unavailable`` when it is not installed.
    static func load() throws(EngineError) -> OpenBLAS { try loaded.get() }

    private static let loaded = Result<OpenBLAS, EngineError> { () throws(EngineError) in try OpenBLAS() }

    private init() throws(EngineError) {
        // The library reads both when it is loaded. Debian's 0.3.21 takes AVX2 kernels on AMD's AVX-512 processors, at
        // half the speed. A variable of the shell that was meant for other programs must not make a run differ from
        // the daemon's; who wants other kernels here says so with our own.
        if let wanted = getenv("CHARNND_OPENBLAS_CORETYPE") {
            setenv("OPENBLAS_CORETYPE", wanted, 1)
        } else if charnn_amds_avx512() != 0 {
            setenv("OPENBLAS_CORETYPE", "SkylakeX", 1)
        }
        setenv("OPENBLAS_NUM_THREADS", "1", 1)
        let names = ["libopenblas.so.0", "libopenblas.so", "libopenblasp.so.0"]
        guard let library = names.lazy.compactMap({ dlopen($0, RTLD_NOW | RTLD_LOCAL) }).first,
            let sgemm = dlsym(library, "cblas_sgemm")
        else {
            throw EngineError(
                .unavailable,
                "OpenBLAS (libopenblas.so.0) was not found; install it with: sudo apt-get install -y libopenblas-dev")
        }
        self.sgemm = unsafeBitCast(sgemm, to: type(of: self.sgemm))
        if let setThreads = dlsym(library, "openblas_set_num_threads") {
            unsafeBitCast(setThreads, to: (@convention(c) (Int32) -> Void).self)(1)
        }
        func text(_ symbol: String) -> String {
            typealias Function = @convention(c) () -> UnsafePointer<CChar>?
            guard let address = dlsym(library, symbol), let text = unsafeBitCast(address, to: Function.self)() else {
                return ""
            }
            return String(cString: text)
        }
        // The configuration reads `OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...`.
        let version = text("openblas_get_config").split(separator: " ").prefix(2).joined(separator: " ")
        self.name = "\(version) \(text("openblas_get_corename"))"
    }

    /// `c = a b + beta c` for row-major matrices.
    ///
    /// - Parameters:
    ///   - m: Rows of `a` and `c`.
    ///   - n: Columns of `b` and `c`.
    ///   - k: Columns of `a`, rows of `b`.
    ///   - a: With its distance of rows; `.transposed` is stored `[k, m]`.
    ///   - b: With its distance of rows; `.transposed` is stored `[n, k]`.
    func multiply(
        _ m: Int, _ n: Int, _ k: Int, _ a: Operand, _ b: Operand, beta: Float = 0,
        into c: UnsafeMutablePointer<Float>, stride: Int
    ) {
        sgemm(
            Int32(CharnnRowMajor), a.order, b.order, Int32(m), Int32(n), Int32(k), 1, a.base,
            Int32(a.stride), b.base, Int32(b.stride), beta, c, Int32(stride))
    }

    /// A matrix that is read.
    struct Operand {
        let base: UnsafePointer<Float>
        let stride: Int
        let order: Int32

        static func plain(_ base: UnsafePointer<Float>, stride: Int) -> Operand {
            Operand(base: base, stride: stride, order: Int32(CharnnNoTranspose))
        }

        static func transposed(_ base: UnsafePointer<Float>, stride: Int) -> Operand {
            Operand(base: base, stride: stride, order: Int32(CharnnTranspose))
        }
    }
}
