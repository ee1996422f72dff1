import CCharnnKernels
public import CharnnEngine
import Glibc

/// Measures what this machine can do at most, to compare what the engine does with.
///
/// Every figure is the best of several short rounds, because other programs only ever take time away.
public final class ProcessorMeasurements {
    private let compute: Compute
    private let rounds = 60

    /// - Parameters:
    ///   - threads: How many threads compute; nil: as many as ``usableProcessorCount()``.
    ///   - kernels: Which kernels run; nil: the best this processor has.
    ///   - usesLibraryOnly: As for ``CPUEngine``.
    /// - Throws: As ``CPUEngine`` does.
    public init(
        threads: Int? = nil, kernels: KernelLevel? = nil, usesLibraryOnly: Bool = false
    ) throws(EngineError) {
        compute = try Compute(threads: threads, kernels: kernels, usesLibraryOnly: usesLibraryOnly)
    }

    /// Multiplications and additions in registers alone, all threads together, 10⁹ operations a second.
    ///
    /// - Parameter precision: Of the operands of multiplications.
    public func peakGflops(_ precision: CPUEngine.Precision = .fp32) throws(EngineError) -> Double {
        let peak = precision == .bf16 ? try CPUEngine.halfKernels().peak : compute.kernels.peak
        let operations = try Buffer<Double>(compute.pool.count)
        let seconds = best {
            compute.pool.run(compute.pool.count) { thread in
                var sink: Float = 0
                operations.base[thread] = peak(20_000, &sink)
            }
        }
        return operations.array.reduce(0, +) / seconds / 1e9
    }

    /// The speed of reading so many bytes again and again, all threads together, 10⁹ bytes a second.
    public func readGigabytesPerSecond(bytes: Int) throws(EngineError) -> Double {
        let (kernels, threads) = (compute.kernels, compute.pool.count)
        let share = max(16, bytes / 4 / threads)
        let memory = try Buffer<Float>(share * threads)
        let passes = max(1, (4 << 20) / bytes)
        let seconds = best {
            compute.pool.run(threads) { thread in
                var sink: Float = 0
                for _ in 0..<passes { kernels.read(memory.base + thread * share, share, &sink) }
            }
        }
        return Double(share * threads * 4 * passes) / seconds / 1e9
    }

    /// The speed of the products of a training step, each alone with operands of its size.
    ///
    /// - Returns: Names and 10⁹ operations a second, all threads together.
    public func products(
        of architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) throws(EngineError) -> [(name: String, gflops: Double)] {
        let (H, gH) = (architecture.hiddenSize, architecture.cell.gates * architecture.hiddenSize)
        let rows = Shard.partition(batchSize, isFine: compute.packsWeights).map(\.count).max() ?? 1
        let total = rows * sequenceLength
        let threads = compute.pool.count
        let weights = try Buffer<Float>(gH * H)
        let packed = try Buffer<Float>(
            max(compute.kernels.packedCount(H, gH), compute.kernels.packedCount(gH, H)))
        let states = try Buffer<Float>(threads * total * H)
        let gates = try Buffer<Float>(threads * total * gH)
        let result = try Buffer<Float>(threads * gH * H)
        func product(_ name: String, _ m: Int, _ n: Int, _ k: Int, _ body: (Int) -> Void) -> (String, Double) {
            let operations = 2 * Double(m) * Double(n) * Double(k)
            let repeats = max(1, Int(1e8 / operations))
            let seconds = best(of: operations < 2e9 ? 10 : 3) {
                compute.pool.run(threads) { thread in for _ in 0..<repeats { body(thread) } }
            }
            return (name, operations * Double(repeats * threads) / seconds / 1e9)
        }
        func recurrent(_ name: String, from a: Buffer<Float>, _ k: Int, to c: Buffer<Float>, _ n: Int) -> (
            String, Double
        ) {
            product(name, rows, n, k) { thread in
                let (a, c) = (a.base + thread * rows * k, c.base + thread * rows * n)
                if self.compute.packsWeights {
                    var product = CharnnPackedProduct(
                        m: rows, n: n, k: k, a: a, aStride: k, packed: packed.base,
                        panelStride: k * self.compute.kernels.panel, c: c, cStride: n, accumulates: 0)
                    self.compute.kernels.multiplyPacked(&product)
                } else {
                    let b: OpenBLAS.Operand =
                        n == gH ? .transposed(weights.base, stride: H) : .plain(weights.base, stride: H)
                    self.compute.blas.multiply(rows, n, k, .plain(a, stride: k), b, into: c, stride: n)
                }
            }
        }
        return [
            recurrent("hidden state x weights, a time step (\(rows) x \(gH) x \(H))", from: states, H, to: gates, gH),
            recurrent("gate gradient x weights, a time step (\(rows) x \(H) x \(gH))", from: gates, gH, to: states, H),
            product("weight gradient of a shard (\(gH) x \(H) x \(total))", gH, H, total) { thread in
                self.compute.blas.multiply(
                    gH, H, total, .transposed(gates.base + thread * total * gH, stride: gH),
                    .plain(states.base + thread * total * H, stride: H), into: result.base + thread * gH * H, stride: H)
            },
            product("input x weights of a shard (\(total) x \(gH) x \(H))", total, gH, H) { thread in
                self.compute.blas.multiply(
                    total, gH, H, .plain(states.base + thread * total * H, stride: H),
                    .transposed(weights.base, stride: H), into: gates.base + thread * total * gH, stride: gH)
            },
        ]
    }

    private func best(of rounds: Int? = nil, _ body: () -> Void) -> Double {
        var least = Double.infinity
        for _ in 0..<(rounds ?? self.rounds) {
            let start = monotonicSeconds()
            body()
            least = min(least, monotonicSeconds() - start)
        }
        return least
    }
}

private func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
