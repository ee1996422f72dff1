import CharnnTexts
import Testing

@Suite struct SuffixArrayTests {
    /// Texts of every kind that suffix sorting treats apart: empty, one symbol, periods, few and many symbols.
    static let texts: [[Int32]] = {
        var generator = SystemRandomNumberGenerator()
        var texts: [[Int32]] = [[], [0], [3, 3], [1, 0], [0, 1], [2, 1, 0, 2, 1, 0, 2, 1, 0]]
        texts.append([Int32](repeating: 5, count: 100))
        texts.append((0..<300).map { Int32($0 % 7) })
        texts.append((0..<300).map { Int32($0 % 2 == 0 ? 1 : $0 % 3) })
        for alphabet in [1, 2, 3, 10, 200] {
            for count in [3, 4, 5, 17, 100, 1000] {
                texts.append((0..<count).map { _ in Int32.random(in: 0..<Int32(alphabet), using: &generator) })
            }
        }
        return texts
    }()

    private func sorted(_ text: [Int32]) -> [Int32] {
        text.indices.sorted { text[$0...].lexicographicallyPrecedes(text[$1...]) }.map(Int32.init)
    }

    private func commonPrefix(_ a: ArraySlice<Int32>, _ b: ArraySlice<Int32>) -> Int {
        zip(a, b).prefix { $0 == $1 }.count
    }

    @Test(arguments: texts) func `suffixes are in ascending order`(text: [Int32]) {
        #expect(SuffixArray(text, alphabet: 256).order == sorted(text), "\(text)")
    }

    @Test(arguments: texts) func `neighbours share the prefixes that are told`(text: [Int32]) {
        let suffixes = SuffixArray(text, alphabet: 256)
        let expected = text.indices.map { place -> UInt8 in
            guard place > 0 else { return 0 }
            let (a, b) = (Int(suffixes.order[place - 1]), Int(suffixes.order[place]))
            return UInt8(min(255, commonPrefix(text[a...], text[b...])))
        }
        #expect(suffixes.commonPrefixes() == expected)
    }

    @Test func `a text of a million random symbols of two is sorted`() {
        var state: UInt64 = 1
        let text = (0..<1_000_000).map { _ -> Int32 in
            state = state &* 6_364_136_223_846_793_005 &+ 1
            return Int32(state >> 63)
        }
        let suffixes = SuffixArray(text, alphabet: 2)
        #expect(Set(suffixes.order).count == text.count)
        for place in stride(from: 1, to: text.count, by: 997) {
            let (a, b) = (Int(suffixes.order[place - 1]), Int(suffixes.order[place]))
            #expect(text[a...].prefix(200).lexicographicallyPrecedes(text[b...].prefix(200)))
        }
    }
}
