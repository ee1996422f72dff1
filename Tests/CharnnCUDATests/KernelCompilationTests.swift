import CharnnEngine
import Foundation
import Testing

@testable import CharnnCUDA

private let pinned = ProcessInfo.processInfo.environment["CHARNND_NVRTC_PINNED"]
private let newest = ProcessInfo.processInfo.environment["CHARNND_NVRTC"]

/// The kernels that the engine starts.
private let kernels: Set<String> = {
    var names: Set = [
        Kernel.probe.name, Kernel.gather.name, Kernel.scores.name, Kernel.dropoutGradient.name, Kernel.reduce.name,
        Kernel.bias.name, Kernel.exchange.name,
        Kernel.pack.name, Kernel.gradientNorm.name, Kernel.conclude.name, Kernel.update.name, Kernel.commit.name,
    ]
    for kind in [ProductKind.floatNT, .floatNN, .floatTN] { names.insert(Kernel.product(kind, isWide: false).name) }
    for kind in [ProductKind.halfNT, .halfTN] {
        for isWide in [false, true] { names.insert(Kernel.product(kind, isWide: isWide).name) }
    }
    for precision in CUDAEngine.Precision.allCases {
        names.formUnion([
            Kernel.begin(precision).name, Kernel.embed(precision).name, Kernel.dropout(precision).name,
            Kernel.loss(precision).name, Kernel.symbolSum(precision).name, Kernel.columnSum(precision).name,
        ])
        for cell in Cell.allCases {
            names.formUnion([
                Kernel.forward(cell, precision).name, Kernel.forwardCell(cell, precision).name,
                Kernel.backward(cell, precision).name, Kernel.backwardCell(cell, precision).name,
            ])
        }
    }
    return names
}()

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
        #expect(uses.count >= kernels.count)
        #expect(uses.filter { !$0.contains("0 bytes spill stores, 0 bytes spill loads") } == [])
        for kernel in kernels { #expect(log.contains("'\(kernel)'"), "\(kernel)") }
    }

    @Test func `the PTX in the program has the kernels that the engine starts, and no others`() {
        let text = String(decoding: CUDACompiler.shippedPTX, as: UTF8.self)
        #expect(Set(text.matches(of: /\.entry ([a-z_]+)\(/).map { String($0.1) }) == kernels)
        let isForAll = text.contains(".version 8.0\n.target sm_80")
        #expect(isForAll)
    }
}
