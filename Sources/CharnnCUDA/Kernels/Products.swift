import CCharnnCUDA
import CharnnEngine

// Names, arguments and launches of the kernels of `CCharnnCUDA/Kernels/Products.h`: matrix products, and the sums of
// products that were split. The result is fp32 whatever the operands are; sums run in a fixed order.

/// A matrix on a device, row after row. It owns nothing.
struct Operand {
    let address: DeviceAddress
    /// Numbers from row to row.
    let stride: Int

    init(_ address: DeviceAddress, stride: Int) {
        self.address = address
        self.stride = stride
    }
}

/// The type of a product's operands, and how they lie, as ``CharnnMatrixProduct`` tells; the end of the kernel's name.
enum ProductKind: String {
    case halfNT = "half_nt"
    case halfTN = "half_tn"
    case floatNT = "float_nt"
    case floatNN = "float_nn"
    case floatTN = "float_tn"

    var isHalf: Bool {
        switch self {
        case .halfNT, .halfTN: true
        case .floatNT, .floatNN, .floatTN: false
        }
    }
}

extension Kernel where Arguments == CharnnMatrixProduct {
    /// - Parameter isWide: Of fp16 alone: whether blocks make wide tiles.
    static func product(_ kind: ProductKind, isWide: Bool) -> Self {
        let name = "product_\(kind.rawValue)"
        guard kind.isHalf else { return Kernel(name, threads: CharnnFloatProductThreads) }
        return isWide
            ? Kernel(name + "_wide", threads: CharnnWideProductThreads) : Kernel(name, threads: CharnnProductThreads)
    }
}

extension Kernel where Arguments == CharnnReduction {
    static var reduce: Self { Kernel("reduce", threads: CharnnRowThreads) }
}

extension CUDADevice {
    /// `c [m, n] = a b + bias`, with fp32 results.
    func multiply(
        _ kind: ProductKind, m: Int, n: Int, k: Int, _ a: Operand, _ b: Operand, bias: DeviceAddress = 0,
        into c: Operand
    ) throws(EngineError) {
        let plan = ProductPlan(
            m: m, n: n, k: k, isHalf: kind.isHalf, multiprocessors: multiprocessors, summing: .none, launchCost: 0)
        try multiply(kind, m: m, n: n, k: k, a, b, bias: bias, plan: plan, into: c)
    }

    /// The same, its depth split and summed up again through `partial`, which has room for all splits.
    func multiply(
        _ kind: ProductKind, m: Int, n: Int, k: Int, _ a: Operand, _ b: Operand, plan: ProductPlan,
        partial: DeviceBuffer, into c: Operand
    ) throws(EngineError) {
        guard plan.splits > 1 else { return try multiply(kind, m: m, n: n, k: k, a, b, plan: plan, into: c) }
        try multiply(kind, m: m, n: n, k: k, a, b, plan: plan, into: Operand(partial.address, stride: n))
        try reduce(partial, splits: plan.splits, rows: m, columns: n, into: c)
    }

    /// `[splits, m, n]`: the results of the splits, one behind the other.
    func multiply(
        _ kind: ProductKind, m: Int, n: Int, k: Int, _ a: Operand, _ b: Operand, bias: DeviceAddress = 0,
        plan: ProductPlan, into c: Operand
    ) throws(EngineError) {
        let tile =
            !kind.isHalf ? CharnnFloatProductTile : plan.isWide ? CharnnWideProductTile : CharnnProductTile
        try launch(
            .product(kind, isWide: plan.isWide), grid: (pieces(n, of: tile), pieces(m, of: tile), plan.splits),
            CharnnMatrixProduct(
                a: a.address, b: b.address, c: c.address, bias: bias, m: Int32(m), n: Int32(n), k: Int32(k),
                aStride: Int32(a.stride), bStride: Int32(b.stride), cStride: Int32(c.stride),
                kPerSplit: Int32(plan.perSplit), reserved: 0, splitStride: Int64(m * n)))
    }

    /// Sums `[splits, rows, columns]` over the splits.
    func reduce(
        _ partial: DeviceBuffer, splits: Int, rows: Int, columns: Int, into result: Operand,
        and second: DeviceAddress = 0
    ) throws(EngineError) {
        try launch(
            .reduce, grid: Kernel.reduce.grid(covering: rows * columns),
            CharnnReduction(
                partial: partial.address, result: result.address, second: second, count: Int32(rows * columns),
                splits: Int32(splits), stride: Int64(rows * columns), columns: Int32(columns),
                resultStride: Int32(result.stride)))
    }
}
