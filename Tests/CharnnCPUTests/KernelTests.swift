import CCharnnKernels
import CharnnEngine
import Foundation
import Testing

@testable import CharnnCPU

@Suite struct KernelTests {
    @Test(arguments: KernelLevel.available)
    func `functions keep their stated error`(level: KernelLevel) throws {
        let kernels = try level.kernels()
        var inputs = (0..<200_003).map { Float($0 - 100_000) * 8.7e-4 }
        inputs += [1e-30, -1e-30, 1e-7, 0.6249, 0.6251, -0.625, 0, -0.0]
        var (exponentials, sigmoids, tangents) = (inputs, inputs, inputs)
        kernels.exponential(&exponentials, inputs.count)
        kernels.sigmoid(&sigmoids, inputs.count)
        kernels.tanh(&tangents, inputs.count)
        var worst = (exponential: 0.0, sigmoid: 0.0, tanh: 0.0)
        for (i, x) in inputs.enumerated() {
            worst.exponential = max(worst.exponential, ulps(exponentials[i], exp(Double(x))))
            worst.sigmoid = max(worst.sigmoid, ulps(sigmoids[i], 1 / (1 + exp(-Double(x)))))
            worst.tanh = max(worst.tanh, ulps(tangents[i], tanh(Double(x))))
        }
        #expect(worst.exponential <= 2)
        #expect(worst.sigmoid <= 4)
        #expect(worst.tanh <= 6)
    }

    @Test(arguments: KernelLevel.available)
    func `functions saturate at infinity and pass NaN on`(level: KernelLevel) throws {
        let kernels = try level.kernels()
        var tangents: [Float] = [.infinity, -.infinity, 1e30, -1e30, .nan]
        kernels.tanh(&tangents, 5)
        #expect(tangents.prefix(4) == [1, -1, 1, -1] && tangents[4].isNaN)
        var sigmoids: [Float] = [.infinity, -.infinity, .nan]
        kernels.sigmoid(&sigmoids, 3)
        #expect(sigmoids[0] == 1 && sigmoids[1] < 1e-37 && sigmoids[2].isNaN)
        var exponentials = [Float](repeating: .nan, count: 40)
        kernels.exponential(&exponentials, 40)
        #expect(exponentials.allSatisfy { $0.isNaN })
    }

    @Test(arguments: KernelLevel.available, [0, 1, 2, 3, 61, 1 << 20])
    func `dropout keeps what the layout of random numbers says`(level: KernelLevel, first: Int) throws {
        let kernels = try level.kernels()
        let count = 271
        let source = (0..<count).map { Float($0 + 1) }
        var result = [Float](repeating: -1, count: count)
        let threshold = DropoutMask.threshold(0.3)
        kernels.dropout(&result, source, count, UInt64(first), 0xdead_beef_1234, 5, 6, 2, threshold, 1.5)
        let expected = (0..<count).map { i in
            let place = first + i
            let block = Philox(key: 0xdead_beef_1234).block(UInt32(place / 4), 5, 6, 2)
            return block[place % 4] >= threshold ? source[i] * 1.5 : 0
        }
        #expect(result == expected)
    }

    @Test(arguments: [0.1, 0.5, 0.9])
    func `dropout drops at its rate, neighbours, steps and layers apart`(probability: Double) throws {
        let kernels = try #require(KernelLevel.available.last).kernels()
        let count = 1 << 18
        let ones = [Float](repeating: 1, count: count)
        func mask(step: UInt32, layer: UInt32) -> [Double] {
            var kept = ones
            kernels.dropout(&kept, ones, count, 0, 7, step, layer, 2, DropoutMask.threshold(probability), 1)
            return kept.map { Double($0) - (1 - probability) }
        }
        let (a, b, c) = (mask(step: 1, layer: 0), mask(step: 2, layer: 0), mask(step: 1, layer: 1))
        let variance = probability * (1 - probability)
        // Four standard deviations of a mean of `count` independent values.
        let rateLimit = 4 * (variance / Double(count)).squareRoot()
        let productLimit = 4 * variance / Double(count).squareRoot()
        func mean(_ x: some Sequence<Double>) -> Double { x.reduce(0, +) / Double(count) }
        for mask in [a, b, c] { #expect(abs(mean(mask)) < rateLimit) }
        for other in [Array(a.dropFirst(1)), Array(a.dropFirst(4)), Array(a.dropFirst(512)), b, c] {
            #expect(abs(mean(zip(a, other).map { $0 * $1 })) < productLimit)
        }
    }

    @Test(arguments: KernelLevel.available, [1, 15, 16, 17, 90, 257])
    func `cross-entropy and its gradient are those of the formula`(level: KernelLevel, symbols: Int) throws {
        let kernels = try level.kernels()
        let random = Philox(key: 1)
        func number(_ i: Int) -> Float { Float(random.uniform(.sampling, stream: 0, index: UInt64(i)) * 20 - 10) }
        let bias = (0..<symbols).map { number($0) }
        let logits = (0..<3 * symbols).map { number(1000 + $0) }
        let targets: [Int32] = [0, Int32(symbols - 1), Int32(symbols / 2)]
        var (gradient, losses) = (logits, [Float](repeating: 0, count: 3))
        var biasGradient = [Float](repeating: 0, count: symbols)
        kernels.crossEntropy(&gradient, bias, targets, 3, symbols, 0.25, &losses, &biasGradient)
        for row in 0..<3 {
            let sums = (0..<symbols).map { Double(logits[row * symbols + $0]) + Double(bias[$0]) }
            let total = sums.map { exp($0) }.reduce(0, +)
            let target = Int(targets[row])
            #expect(abs(Double(losses[row]) - (log(total) - sums[target])) < 1e-5 * max(1, log(total)))
            for v in 0..<symbols {
                let expected = 0.25 * (exp(sums[v]) / total - (v == target ? 1 : 0))
                #expect(abs(Double(gradient[row * symbols + v]) - expected) < 1e-6)
            }
        }
        for v in 0..<symbols {
            let sum = (0..<3).reduce(Float(0)) { $0 + gradient[$1 * symbols + v] }
            #expect(abs(biasGradient[v] - sum) < 1e-6)
        }
    }

    @Test(arguments: KernelLevel.available, [1, 15, 16, 17, 90, 257])
    func `scores are the cross-entropy at each temperature`(level: KernelLevel, symbols: Int) throws {
        let kernels = try level.kernels()
        let random = Philox(key: 2)
        func number(_ i: Int) -> Float { Float(random.uniform(.sampling, stream: 0, index: UInt64(i)) * 20 - 10) }
        let bias = (0..<symbols).map { number($0) }
        let logits = (0..<3 * symbols).map { number(1000 + $0) }
        let targets: [Int32] = [Int32(symbols - 1), 0, Int32(symbols / 2)]
        let temperatures = [0.5, 1, 1.5, 7]
        // A place more than there are rows, which stays as it is.
        var (first, second, losses) = (logits, logits, [Float](repeating: -1, count: 16))
        kernels.scores(
            &first, bias, targets, 3, symbols, temperatures.map { Float(1 / $0) }, temperatures.count, &losses, 4)
        for (index, temperature) in temperatures.enumerated() {
            for row in 0..<3 {
                let sums = (0..<symbols).map {
                    (Double(logits[row * symbols + $0]) + Double(bias[$0])) / temperature
                }
                let total = sums.map { exp($0) }.reduce(0, +)
                let expected = log(total) - sums[Int(targets[row])]
                #expect(abs(Double(losses[index * 4 + row]) - expected) < 1e-5 * max(1, abs(log(total))))
            }
            #expect(losses[index * 4 + 3] == -1)
        }
        var (alone, biasGradient) = ([Float](repeating: 0, count: 3), [Float](repeating: 0, count: symbols))
        kernels.crossEntropy(&second, bias, targets, 3, symbols, 1, &alone, &biasGradient)
        #expect(alone == Array(losses[4..<7]))
    }

    /// The distance of `x` from the exact value, in units of the last place of the exact value.
    private func ulps(_ x: Float, _ exact: Double) -> Double {
        guard abs(exact) >= Double(Float.leastNormalMagnitude), abs(exact) <= 2e38 else { return 0 }
        let distance = abs(Double(x) - exact) / Double(Float(exact).ulp)
        return distance.isNaN ? .infinity : distance
    }
}
