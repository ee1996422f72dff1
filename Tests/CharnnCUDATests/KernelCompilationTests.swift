import CharnnEngine
import Foundation
import Testing

@testable import CharnnCUDA

private let pinned = ProcessInfo.processInfo.environment["CHARNND_NVRTC_PINNED"]
private let newest = ProcessInfo.processInfo.environment["CHARNND_NVRTC"]

/// NVIDIA's real compiler on the kernels, which needs no GPU.
@Suite struct KernelCompilationTests {
    @Test(.enabled("CHARNND_NVRTC_PINNED names libnvrtc.so.12 of 12.0.140") { pinned != nil })
    func `the PTX in the program is what its sources give`() throws {
        let compiler = try CUDACompiler(path: try #require(pinned))
        try #require(compiler.version == (12, 0))
        let (ptx, _) = try compiler.compile(for: .ptx(capability: 80))
        // Written by Sources/CCharnnCUDA/make-ptx.
        let isSame = ptx == CUDACompiler.shippedPTX  // Told by itself: it would take minutes to show the difference.
        #expect(isSame)
    }

    @Test(
        .enabled("CHARNND_NVRTC names a libnvrtc.so of CUDA 12.8 or newer") { newest != nil },
        arguments: [80, 90, 120])
    func `every kernel compiles, without spilling registers to memory`(capability: Int) throws {
        let compiler = try CUDACompiler(path: try #require(newest))
        let (program, log) = try compiler.compile(for: .binary(capability: capability))
        #expect(program.starts(with: [0x7F, 0x45, 0x4C, 0x46]))
        let uses = log.split(separator: "\n").filter { $0.contains("bytes spill stores") }
        #expect(uses.count >= Kernel.allCases.count)
        #expect(uses.filter { !$0.contains("0 bytes spill stores, 0 bytes spill loads") } == [])
        for kernel in Kernel.allCases { #expect(log.contains("'\(kernel.rawValue)'"), "\(kernel.rawValue)") }
    }

    @Test func `the PTX in the program has every kernel that the engine starts`() {
        let text = String(decoding: CUDACompiler.shippedPTX, as: UTF8.self)
        let missing = Kernel.allCases.filter { !text.contains(".entry \($0.rawValue)(") }
        #expect(missing == [])
        let isForAll = text.contains(".version 8.0\n.target sm_80")
        #expect(isForAll)
    }
}
