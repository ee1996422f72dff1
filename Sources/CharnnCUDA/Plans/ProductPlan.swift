import CCharnnCUDA

// Estimates of what products cost, and the choice that follows: from sizes and the number of multiprocessors alone, so
// that the same device chooses alike each time. Whoever changes a number here changes bits (``Arithmetic``).

/// What a block of a product does for each number of the depth, and how long that takes.
///
/// The unit is the time in which a multiprocessor gets 128 fp16 numbers out of the second level cache while all others
/// do so, some 5 ns; by the published rates of an A100 and an H100, whose ratios are alike.
struct Work {
    /// fp16 numbers read, an fp32 one counted twice.
    let read: Int
    /// Multiplications on fp16 operands, by the matrix units, and on fp32 operands.
    var fp16 = 0
    var fp32 = 0
    /// Of the fp32 units, how much of their rate is reached.
    var efficiency = 0.45

    func cost(blocks: Int, multiprocessors: Int) -> Double {
        let rounds = Double(pieces(blocks, of: multiprocessors))
        let reading = Double(read) / 128
        // A multiprocessor alone gets two and a half times its share.
        let alone = max(0.4 * reading, Double(fp16) / 9200, Double(fp32) / (1150 * efficiency))
        return max(Double(blocks) / Double(multiprocessors) * reading, rounds * alone)
    }
}

/// Which kernel makes a product, and how its depth is split so that the whole device has work.
struct ProductPlan {
    let splits: Int
    /// Depth of a split, a multiple of the products' own.
    let perSplit: Int
    /// Whether wide tiles are taken: they read less memory, but are few.
    let isWide: Bool
    /// An estimate of its time, in the unit of ``Work``.
    let cost: Double

    /// What adds up the results of the splits.
    enum Summing {
        /// Nothing can, so that there is one split.
        case none
        case kernel
        /// The kernel that uses them, which reads even a single one.
        case reader
    }

    /// The least depth that makes a split worth its sum, and how many there are at most.
    private static let (leastDepth, most) = (256, 32)

    /// The plan of least cost for `[m, k] [k, n]`.
    init(m: Int, n: Int, k: Int, isHalf: Bool, multiprocessors: Int, summing: Summing, launchCost: Double) {
        var best: ProductPlan?
        let depth = CharnnProductDepth
        let tiles: [(size: Int, work: Work)] =
            isHalf
            ? [
                (CharnnProductTile, Work(read: 128, fp16: 64 * 64)),
                (CharnnWideProductTile, Work(read: 256, fp16: 128 * 128)),
            ]
            : [(CharnnFloatProductTile, Work(read: 256, fp32: 64 * 64))]
        for (tile, work) in tiles {
            for wanted in 1...(summing == .none ? 1 : max(1, min(Self.most, k / Self.leastDepth))) {
                let perSplit = pieces(pieces(k, of: wanted), of: depth) * depth
                let splits = pieces(k, of: perSplit)
                let blocks = pieces(m, of: tile) * pieces(n, of: tile) * splits
                var cost = Double(perSplit) * work.cost(blocks: blocks, multiprocessors: multiprocessors)
                if splits > 1 || summing == .reader {
                    // Written and read, four bytes each.
                    cost += Double(splits) * Double(m) * Double(n) * 4 / (128 * Double(multiprocessors))
                }
                if splits > 1, summing == .kernel { cost += launchCost }
                // A split takes memory; for some hundredths it is not worth it.
                if best.map({ cost < $0.cost * (1 - 0.03 * Double(splits - $0.splits)) }) ?? true {
                    best = ProductPlan(
                        splits: splits, perSplit: perSplit, isWide: tile == CharnnWideProductTile, cost: cost)
                }
            }
        }
        self = best ?? ProductPlan(splits: 1, perSplit: pieces(k, of: depth) * depth, isWide: false, cost: .infinity)
    }

    private init(splits: Int, perSplit: Int, isWide: Bool, cost: Double) {
        self.splits = splits
        self.perSplit = perSplit
        self.isWide = isWide
        self.cost = cost
    }
}
