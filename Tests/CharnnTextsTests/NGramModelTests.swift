import CharnnTexts
import Foundation
import Testing

@Suite struct NGramModelTests {
    private static let alphabet = 4

    private func model(_ training: [Int32], _ validation: [Int32]) throws -> NGramModel {
        let suffixes = SuffixArray(training + validation, alphabet: Self.alphabet)
        return try #require(
            NGramModel(
                suffixes, prefixes: suffixes.commonPrefixes(), training: 0..<training.count,
                validation: training.count..<(training.count + validation.count), alphabet: Self.alphabet))
    }

    /// Witten and Bell's formula as it stands, by counting.
    private func probability(of symbol: Int32, after context: ArraySlice<Int32>, in text: [Int32]) -> Double {
        let starts = text.indices.dropLast(context.count).filter { text[$0...].starts(with: context) }
        let next = starts.map { text[$0 + context.count] }
        let lower =
            context.isEmpty
            ? 1 / Double(Self.alphabet) : probability(of: symbol, after: context.dropFirst(), in: text)
        guard !next.isEmpty else { return lower }
        let followers = Double(Set(next).count)
        return (Double(next.filter { $0 == symbol }.count) + followers * lower) / (Double(next.count) + followers)
    }

    private func text(_ count: Int, seed: UInt64) -> [Int32] {
        var state = seed
        return (0..<count).map { index in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return index % 3 == 0 ? 1 : Int32(state >> 62)
        }
    }

    @Test func `every order needs the bits that the formula says`() throws {
        let (training, validation) = (text(200, seed: 3), text(60, seed: 9))
        let found = try model(training, validation)
        #expect(found.predicted == 59 && found.bitsPerCharacter.count == NGramModel.highestOrder + 1)
        for order in [0, 1, 2, 3, 5, 12] {
            let bits = (1..<validation.count).map { place in
                -log2(
                    probability(
                        of: validation[place], after: validation[max(0, place - order)..<place], in: training))
            }
            #expect(abs(found.bitsPerCharacter[order] - bits.reduce(0, +) / 59) < 1e-9, "order \(order)")
        }
    }

    @Test(arguments: [Int32(0), 1, 2, 3]) func `after each character the probabilities sum to one`(context: Int32)
        throws
    {
        // Three different characters in training: the fourth is never seen and has its share too.
        let training = text(150, seed: 5).map { $0 == 3 ? 0 : $0 }
        for order in 0...2 {
            let sum = try (0..<Int32(Self.alphabet)).reduce(0.0) {
                $0 + exp2(-(try model(training, [context, $1]).bitsPerCharacter[order]))
            }
            #expect(abs(sum - 1) < 1e-12)
        }
    }

    @Test func `the order that does best is told, and a period is found`() throws {
        let period: [Int32] = [0, 1, 0, 2, 0, 1, 0, 3]
        let training = (0..<100).flatMap { _ in period }
        let found = try model(training, Array(training.prefix(80)))
        #expect(found.bestOrder >= 3)
        #expect(found.bitsPerCharacter[found.bestOrder] < 0.2 && found.bitsPerCharacter[0] > 1.5)
    }

    @Test func `without anything to predict there is no model`() {
        let suffixes = SuffixArray([0, 1, 2], alphabet: 4)
        let prefixes = suffixes.commonPrefixes()
        #expect(NGramModel(suffixes, prefixes: prefixes, training: 0..<2, validation: 2..<3, alphabet: 4) == nil)
        #expect(NGramModel(suffixes, prefixes: prefixes, training: 0..<0, validation: 0..<3, alphabet: 4) == nil)
        #expect(
            NGramModel(
                suffixes, prefixes: prefixes, training: 0..<1, validation: 1..<3, alphabet: 4, shouldStop: { true })
                == nil)
    }
}
