import CCharnnKernels
import CharnnEngine
import Testing

@testable import CharnnCPU

/// Products of packed operands, of every kind that this processor has.
@Suite struct ProductTests {
    enum Operands: CustomTestStringConvertible, Sendable {
        case fp32(KernelLevel)
        case bf16

        static var available: [Operands] { KernelLevel.available.map(fp32) + (CPUEngine.hasBF16 ? [.bf16] : []) }

        var testDescription: String { if case .fp32(let level) = self { "fp32 \(level)" } else { "bf16" } }

        func kernels() throws -> CharnnProductKernels {
            switch self {
            case .fp32(let level): try level.kernels().products
            case .bf16: try CPUEngine.bf16Products()
            }
        }

        /// A number as an operand holds it.
        func rounded(_ x: Float) -> Double {
            guard case .bf16 = self else { return Double(x) }
            // The nearest bf16 number, ties to even.
            let bits = x.bitPattern
            return Double(Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000))
        }
    }

    private static let shapes = [
        (1, 1, 1), (9, 100, 1101), (13, 49, 513), (8, 48, 512), (7, 16, 66), (12, 80, 20), (37, 20, 33),
    ]

    @Test(arguments: Operands.available, shapes)
    func `products are the sums, each row for itself`(operands: Operands, shape: (Int, Int, Int)) throws {
        let (kernels, (m, n, k)) = (try operands.kernels(), shape)
        let (a, b) = (numbers(m * k, stream: 1), numbers(n * k, stream: 2))
        let words = kernels.words(k)
        var left = a.map(\.bitPattern)
        if let round = kernels.round {
            left = [UInt32](repeating: 0, count: m * words)
            round(&left, a, m, k, k)
        }
        let right = packed(b, k, n, 1, k, width: kernels.panel, kernels)
        let transposed = (0..<k * n).map { b[$0 % n * k + $0 / n] }
        #expect(right == packed(transposed, k, n, n, 1, width: kernels.panel, kernels), "both ways of packing agree")

        var product = Product(left, m, words: words, rowStride: words, wordStride: 1, right, n, kernels)
        product.multiply(rows: 0..<m, accumulates: false)
        let once = product.result
        for row in 0..<m {
            for column in 0..<n {
                let exact = (0..<k).reduce(0.0) {
                    $0 + operands.rounded(a[row * k + $1]) * operands.rounded(b[column * k + $1])
                }
                let distance = abs(Double(once[row * product.stride + column]) - exact)
                #expect(distance < 1e-5 * max(1, Double(k).squareRoot()))
            }
            // The result lies in wider rows, whose ends stay untouched.
            #expect(once[row * product.stride + n..<(row + 1) * product.stride].allSatisfy { $0 == 7 })
        }
        for row in 0..<m { product.multiply(rows: row..<row + 1, accumulates: false) }
        #expect(product.result == once)
        product.multiply(rows: 0..<m, accumulates: true)
        #expect(abs(product.result[0] - 2 * once[0]) < 1e-4)
    }

    @Test(arguments: Operands.available, shapes)
    func `a left operand packed in tiles gives the same`(operands: Operands, shape: (Int, Int, Int)) throws {
        let (kernels, (m, n, k)) = (try operands.kernels(), shape)
        let (a, b) = (numbers(m * k, stream: 1), numbers(n * k, stream: 2))
        let words = kernels.words(k)
        let right = packed(b, k, n, 1, k, width: kernels.panel, kernels)
        // [k, m], as the gradients of gates lie.
        let transposed = (0..<k * m).map { a[$0 % m * k + $0 / m] }
        let tiles = packed(transposed, k, m, m, 1, width: kernels.tileRows, kernels)
        var inTiles = Product(tiles, m, words: words, rowStride: 1, wordStride: kernels.tileRows, right, n, kernels)
        inTiles.multiply(rows: 0..<m, accumulates: false)
        var left = a.map(\.bitPattern)
        if let round = kernels.round {
            left = [UInt32](repeating: 0, count: m * words)
            round(&left, a, m, k, k)
        }
        var inRows = Product(left, m, words: words, rowStride: words, wordStride: 1, right, n, kernels)
        inRows.multiply(rows: 0..<m, accumulates: false)
        #expect(inTiles.result == inRows.result)
    }

    private func packed(
        _ source: [Float], _ k: Int, _ n: Int, _ rowStride: Int, _ columnStride: Int, width: Int,
        _ kernels: CharnnProductKernels
    ) -> [UInt32] {
        let panels = (n - 1) / width + 1
        var words = [UInt32](repeating: .max, count: panels * width * kernels.words(k))
        kernels.pack(&words, source, k, n, rowStride, columnStride, width, kernels.words(k) * width, 0, panels)
        return words
    }

    private func numbers(_ count: Int, stream: UInt32) -> [Float] {
        let random = Philox(key: 2)
        return (0..<count).map { Float(random.uniform(.sampling, stream: stream, index: UInt64($0)) - 0.5) }
    }
}

private struct Product {
    let left: [UInt32]
    let right: [UInt32]
    let words: Int
    let rowStride: Int
    let wordStride: Int
    let n: Int
    let stride: Int
    let kernels: CharnnProductKernels
    var result: [Float]

    init(
        _ left: [UInt32], _ m: Int, words: Int, rowStride: Int, wordStride: Int, _ right: [UInt32], _ n: Int,
        _ kernels: CharnnProductKernels
    ) {
        (self.left, self.right, self.words, self.n, self.kernels) = (left, right, words, n, kernels)
        (self.rowStride, self.wordStride, stride) = (rowStride, wordStride, n + 3)
        result = [Float](repeating: 7, count: m * stride)
    }

    /// - Parameter rows: All, or, of an operand in rows, any.
    mutating func multiply(rows: Range<Int>, accumulates: Bool) {
        left.withUnsafeBytes { a in
            right.withUnsafeBytes { packed in
                result.withUnsafeMutableBufferPointer { c in
                    guard let a = a.baseAddress, let packed = packed.baseAddress, let c = c.baseAddress else { return }
                    var product = CharnnProduct(
                        m: rows.count, n: n, words: words, a: a + 4 * rows.lowerBound * rowStride,
                        aTileStride: kernels.tileRows * words, aRowStride: rowStride, aWordStride: wordStride,
                        packed: packed, panelStride: words * kernels.panel, c: c + rows.lowerBound * stride,
                        cStride: stride, accumulates: accumulates ? 1 : 0)
                    kernels.multiply(&product)
                }
            }
        }
    }
}
