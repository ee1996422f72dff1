import CCharnnKernels
import CharnnCPU
import CharnnEngine
import Testing

@Suite(.enabled(if: CPUEngine.hasBF16, "needs AVX-512 BF16")) struct HalfKernelTests {
    @Test(arguments: [(1, 1, 1), (9, 100, 1101), (13, 49, 66), (8, 48, 64)])
    func `products are the sums of rounded operands, each row for itself`(m: Int, n: Int, k: Int) throws {
        let kernels = try #require(charnn_half_kernels()).pointee
        let (a, b) = (numbers(m * k, stream: 1), numbers(n * k, stream: 2))
        let (pairs, panels) = ((k + 1) / 2, (n - 1) / kernels.panel + 1)
        var rounded = [UInt32](repeating: 0, count: m * pairs)
        kernels.round(&rounded, a, m, k, k)
        var packed = [UInt32](repeating: .max, count: panels * kernels.panel * pairs)
        kernels.pack(&packed, b, k, n, 1, k, kernels.panel, pairs * kernels.panel, 0, panels)
        // Both ways of packing give the same words.
        let transposed = (0..<k * n).map { b[$0 % n * k + $0 / n] }
        var again = [UInt32](repeating: .max, count: packed.count)
        kernels.pack(&again, transposed, k, n, n, 1, kernels.panel, pairs * kernels.panel, 0, panels)
        #expect(packed == again)

        var c = [Float](repeating: 7, count: m * (n + 3))
        func multiply(rows: Range<Int>, accumulates: Bool) {
            rounded.withUnsafeBufferPointer { a in
                packed.withUnsafeBufferPointer { packed in
                    c.withUnsafeMutableBufferPointer { c in
                        guard let a = a.baseAddress, let packed = packed.baseAddress, let c = c.baseAddress else {
                            return
                        }
                        var product = CharnnHalfProduct(
                            m: rows.count, n: n, pairs: pairs, a: a + rows.lowerBound * pairs,
                            aTileStride: kernels.tileRows * pairs, aRowStride: pairs, aPairStride: 1, packed: packed,
                            panelStride: pairs * kernels.panel, c: c + rows.lowerBound * (n + 3), cStride: n + 3,
                            accumulates: accumulates ? 1 : 0)
                        kernels.multiply(&product)
                    }
                }
            }
        }
        multiply(rows: 0..<m, accumulates: false)
        let once = c
        for row in 0..<m {
            for column in 0..<n {
                let exact = (0..<k).reduce(0.0) { $0 + nearest(a[row * k + $1]) * nearest(b[column * k + $1]) }
                #expect(abs(Double(c[row * (n + 3) + column]) - exact) < 1e-5 * max(1, Double(k).squareRoot()))
            }
            #expect(c[row * (n + 3) + n..<(row + 1) * (n + 3)].allSatisfy { $0 == 7 })
        }
        for row in 0..<m { multiply(rows: row..<row + 1, accumulates: false) }
        #expect(c == once)
        multiply(rows: 0..<m, accumulates: true)
        #expect(abs(c[0] - 2 * once[0]) < 1e-4)
    }

    private func numbers(_ count: Int, stream: UInt32) -> [Float] {
        let random = Philox(key: 2)
        return (0..<count).map { Float(random.uniform(.sampling, stream: stream, index: UInt64($0)) - 0.5) }
    }

    /// The nearest bf16 number, ties to even.
    private func nearest(_ x: Float) -> Double {
        let bits = x.bitPattern
        return Double(Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000))
    }
}
