import CharnnTexts
import Foundation
import Testing

@Suite struct AdaptiveNGramsTests {
    private static let words = [
        "the", "owl", "and", "a", "cat", "saw", "it", "nothing", "not", "there", "then", "so", "line", "lion", "in",
        "on",
    ]

    /// That of `Fixtures/record_ngrams.py`, in the order of its characters.
    private static func text(_ count: Int) -> (symbols: [Int32], alphabet: Int) {
        var state: UInt64 = 7
        let pieces = (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return words[Int(min(state >> 60, state >> 56 & 15))]
        }
        let bytes = Array(pieces.joined(separator: " ").utf8)
        let alphabet = Set(bytes).sorted()
        return (bytes.compactMap { alphabet.firstIndex(of: $0).map { Int32($0) } }, alphabet.count)
    }

    private static func count(_ ngrams: inout AdaptiveNGrams, _ symbols: [Int32], _ range: Range<Int>) -> Range<Int>? {
        ngrams.count(range, reserving: symbols.count - range.count, symbol: { symbols[$0] })
    }

    @Test func `alone and mixed they come to what plain dictionaries do`() throws {
        let (symbols, alphabet) = Self.text(600)
        #expect(symbols.count == 2460 && alphabet == 15)
        var (ngrams, mixture) = (
            AdaptiveNGrams(alphabet: alphabet), ExpertMixture(kinds: AdaptiveNGrams.contextKinds)
        )
        #expect(Self.count(&ngrams, symbols, 0..<1800) == 0..<1800)
        ngrams.count(symbols[1800])
        var (alone, mixed, kinds) = (0.0, 0.0, Set<Int>())
        for (index, symbol) in symbols[1801...].enumerated() {
            let (own, context) = ngrams.probability(of: symbol)
            kinds.insert(context)
            alone -= log(own)
            let model = 0.05 + 0.9 * (Double(index) * 0.6180339887498949).truncatingRemainder(dividingBy: 1)
            mixed -= log(mixture.mix(model, own, context: context))
            ngrams.count(symbol)
        }
        #expect(abs(alone - 585.4505541221469) < 1e-9 && abs(mixed - 521.0657711382732) < 1e-9, "\(alone), \(mixed)")
        #expect(kinds.count == 12 && kinds.allSatisfy { (0..<AdaptiveNGrams.contextKinds).contains($0) })
    }

    /// Else their logarithms would be no code lengths; also where a text ended behind contexts.
    @Test func `probabilities of all characters sum to one`() {
        let (symbols, alphabet) = Self.text(300)
        var ngrams = AdaptiveNGrams(alphabet: alphabet)
        var sums: [Double] = []
        for (index, symbol) in symbols.enumerated() {
            if index == 700 { ngrams.beginText() }
            sums.append((0..<alphabet).reduce(0) { $0 + ngrams.probability(of: Int32($1)).value })
            ngrams.count(symbol)
        }
        #expect(sums.count > 1000 && sums.allSatisfy { abs($0 - 1) < 1e-12 })
    }

    @Test(arguments: [64 << 10, 256 << 10, 1 << 20])
    func `where memory ends the oldest text is left out, and what is told stays honest`(memory: Int) throws {
        // Strings that never come again, so that the table fills with them.
        var state: UInt64 = 1
        let symbols = (0..<300_000).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int32(state >> 57)
        }
        var ngrams = AdaptiveNGrams(alphabet: 128, memory: memory)
        // Room is left for what comes.
        #expect(Self.count(&ngrams, symbols, 0..<299_000) == 299_000..<299_000)
        for (index, symbol) in symbols.enumerated().suffix(20_000) {
            if index % 1000 == 0 {
                let sum = (0..<128).reduce(0) { $0 + ngrams.probability(of: Int32($1)).value }
                #expect(abs(sum - 1) < 1e-12)
            }
            ngrams.count(symbol)
        }
        let few = Array(symbols.prefix(2000))
        var small = AdaptiveNGrams(alphabet: 128, memory: 4 << 20)
        #expect(small.count(0..<2000, reserving: 0, symbol: { few[$0] }) == 0..<2000)
    }

    @Test func `it is asked whether to stop`() {
        let (symbols, alphabet) = Self.text(40_000)
        var ngrams = AdaptiveNGrams(alphabet: alphabet)
        let counted = ngrams.count(
            0..<symbols.count, reserving: 0, symbol: { symbols[$0] }, shouldStop: { true })
        #expect(counted == nil)
    }

    @Test func `the weight goes to who is right, and neither is left alone for good`() {
        var mixture = ExpertMixture(kinds: 2)
        for _ in 0..<3000 { _ = mixture.mix(0.01, 0.9, context: 1) }
        #expect(abs(mixture.mix(0, 1, context: 1) - 0.9) < 0.01)
        #expect(abs(mixture.mix(0, 1, context: 0) - 0.05) < 1e-12)
        for _ in 0..<30_000 { _ = mixture.mix(0.9, 0, context: 1) }
        #expect(mixture.mix(0, 1, context: 1) >= 0.0019)
        #expect(mixture.mix(0, 0, context: 1) == 0)
    }
}
