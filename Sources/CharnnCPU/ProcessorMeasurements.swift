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
        let peak = precision == .bf16 ? try CPUEngine.bf16Products().peak : compute.kernels.products.peak
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
        // Pages that nobody has written are all one page of zeros, which stays in the cache.
        memory.base.update(repeating: 1, count: share * threads)
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
        let (H, gH) = (architecture.hiddenSize, NetworkPlan(architecture).gateUnits)
        let rows = Shard.partition(batchSize, isFine: compute.products != nil).map(\.count).max() ?? 1
        let total = rows * sequenceLength
        let largest = max(total, gH) * gH
        let left = try Buffer<Float>(compute.pool.count * largest)
        let result = try Buffer<Float>(compute.pool.count * largest)
        let right = try Buffer<Float>(max(total, gH) * roundedUp(gH, to: compute.kernels.products.panel))
        func product(_ name: String, _ m: Int, _ n: Int, _ k: Int, isTransposed: Bool = false) -> (String, Double) {
            let operations = 2 * Double(m) * Double(n) * Double(k)
            let repeats = max(1, Int(1e8 / operations))
            let seconds = best(of: operations < 2e9 ? 10 : 3) {
                compute.pool.run(compute.pool.count) { thread in
                    let (a, c) = (left.base + thread * largest, result.base + thread * largest)
                    for _ in 0..<repeats { compute.multiply(m, n, k, a, right.base, into: c, isTransposed) }
                }
            }
            return (name, operations * Double(repeats * compute.pool.count) / seconds / 1e9)
        }
        return [
            product("hidden state x weights, a time step (\(rows) x \(gH) x \(H))", rows, gH, H),
            product("gate gradient x weights, a time step (\(rows) x \(H) x \(gH))", rows, H, gH),
            product("weight gradient of a shard (\(gH) x \(H) x \(total))", gH, H, total, isTransposed: true),
            product("input x weights of a shard (\(total) x \(gH) x \(H))", total, gH, H),
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

extension Compute {
    /// A product as a training step makes it, with fp32 operands: `c [m, n] = a b`.
    ///
    /// - Parameter isTransposed: Whether `a` lies as weight gradients have it, `[k, m]` or in tiles; else `[m, k]`.
    fileprivate func multiply(
        _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
        into c: UnsafeMutablePointer<Float>, _ isTransposed: Bool
    ) {
        guard let products else {
            let left = isTransposed ? OpenBLAS.Operand.transposed(a, stride: m) : .plain(a, stride: k)
            return blas.multiply(m, n, k, left, .plain(b, stride: n), into: c, stride: n)
        }
        let chunk = isTransposed ? m : PackedWorkspace.chunkRows
        for first in stride(from: 0, to: m, by: chunk) {
            var product = CharnnProduct(
                m: min(chunk, m - first), n: n, words: k, a: a + first * k,
                aTileStride: products.tileRows * k, aRowStride: isTransposed ? 1 : k,
                aWordStride: isTransposed ? products.tileRows : 1, packed: b, panelStride: k * products.panel,
                c: c + first * n, cStride: n, accumulates: 0)
            products.multiply(&product)
        }
    }
}
