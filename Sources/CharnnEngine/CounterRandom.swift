/// Random numbers computed from a key and a counter, so that each has its place and none depends on what was drawn
/// before, on threads or on interruption.
///
/// Philox-4x32 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
public struct Philox: Sendable, Hashable {
    /// What a sequence of random numbers is for; part of the counter, so that uses never share numbers.
    public enum Purpose: UInt32, Sendable {
        case initialisation = 1
        case dropout = 2
        case batchOrder = 3
        case sampling = 4
    }

    /// The job's or the request's seed.
    public let key: UInt64

    public init(key: UInt64) { self.key = key }

    /// The block of four 32-bit words at a counter.
    public func block(_ c0: UInt32, _ c1: UInt32, _ c2: UInt32, _ c3: UInt32) -> SIMD4<UInt32> {
        var counter = SIMD4(c0, c1, c2, c3)
        var k0 = UInt32(truncatingIfNeeded: key)
        var k1 = UInt32(truncatingIfNeeded: key >> 32)
        for _ in 0..<10 {
            let a = UInt64(counter[0]) * 0xD251_1F53
            let b = UInt64(counter[2]) * 0xCD9E_8D57
            counter = SIMD4(
                UInt32(truncatingIfNeeded: b >> 32) ^ counter[1] ^ k0, UInt32(truncatingIfNeeded: b),
                UInt32(truncatingIfNeeded: a >> 32) ^ counter[3] ^ k1, UInt32(truncatingIfNeeded: a))
            k0 &+= 0x9E37_79B9
            k1 &+= 0xBB67_AE85
        }
        return counter
    }

    /// A number uniform in `[0, 1)` with 53 random bits.
    ///
    /// - Parameters:
    ///   - purpose: What the number is for.
    ///   - stream: Which of many sequences of that purpose.
    ///   - index: The place in the sequence.
    public func uniform(_ purpose: Purpose, stream: UInt32, index: UInt64) -> Double {
        let words = block(
            UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32), stream, purpose.rawValue)
        let bits = (UInt64(words[0]) << 32 | UInt64(words[1])) >> 11
        return Double(bits) * 0x1p-53
    }
}

/// The layout of dropout's random numbers, the same for every engine.
///
/// The element `(t, b, h)` of what is `W` wide, the mask `l` of step `n`, is kept when word `i % 4` of the Philox block
/// `(i / 4, n low, n high << 16 | l, dropout)`, keyed by the job's seed, is at least ``threshold(_:)``, where
/// `i = (t * B + b) * W + h`, or of a mask that holds for a whole sequence `i = b * W + h`. Kept elements are divided by
/// `1 - p`. Masks are numbered by the layer on whose output they lie; ``input`` is that of the embedding.
public enum DropoutMask {
    /// Behind the numbers of all layers.
    public static let input = 0xFFFF

    /// Words below this are dropped: `⌊p · 2³²⌋`.
    public static func threshold(_ probability: Double) -> UInt32 { UInt32(probability * 0x1p32) }
}
