import CCharnnCUDA
import CharnnEngine

// The choice between the two ways of a time step, from the same estimates as those of products.

/// How the time steps of a layer are done, there and back.
struct StepPlan {
    /// `[B, H] [H, gH]`; nil: fused.
    let forward: ProductPlan?
    /// `[B, gH] [gH, H]`; nil: fused.
    let backward: ProductPlan?
    /// fp32 numbers of a layer's products.
    let sums: Int

    init(_ sizes: Sizes, multiprocessors: Int) {
        let (B, H, gates) = (sizes.streams, sizes.units, sizes.network.gates)
        func plan(n: Int, k: Int, units: Int, columns: Int, way: StepWay?) -> ProductPlan? {
            let isHalf = sizes.precision == .fp16
            let apart = ProductPlan(
                m: B, n: n, k: k, isHalf: isHalf, multiprocessors: multiprocessors, summing: .reader,
                launchCost: sizes.tuning.launchCost)
            let blocks = pieces(H, of: units) * pieces(B, of: CharnnStepRows)
            let (rows, product) = (CharnnStepRows, CharnnStepRows * columns)
            // In fp32 shared memory is read for nearly every multiplication.
            let work =
                isHalf
                ? Work(read: rows + columns, fp16: product)
                : Work(read: 2 * (rows + columns), fp32: product, efficiency: 0.22)
            let fused = Double(k) * work.cost(blocks: blocks, multiprocessors: multiprocessors)
            return switch way {
            case .fused: nil
            case .apart: apart
            case nil: apart.cost + sizes.tuning.launchCost < fused ? apart : nil
            }
        }
        let units = Self.forwardUnits(sizes)
        let ways = sizes.tuning.steps
        forward = plan(n: gates * H, k: H, units: units, columns: gates * units, way: ways?.forward)
        backward = plan(
            n: H, k: gates * H, units: CharnnBackwardUnits, columns: CharnnBackwardUnits, way: ways?.backward)
        sums = max((forward?.splits ?? 0) * B * gates * H, (backward?.splits ?? 0) * B * H)
    }

    var ways: StepWays {
        StepWays(forward: forward == nil ? .fused : .apart, backward: backward == nil ? .fused : .apart)
    }

    /// Units of a block of the fused kernel there.
    static func forwardUnits(_ sizes: Sizes) -> Int {
        sizes.network.gates == 1 ? CharnnForwardUnitsOfOneGate : CharnnForwardUnits
    }
}
