import CharnnTexts
import Testing

@Suite struct VerbatimCopiesTests {
    private static let learned =
        "In the beginning God created the heaven and the earth. And the earth was without form, and void; and darkness "
        + "was upon the face of the deep. And the Spirit of God moved upon the face of the waters."

    private func symbols(_ text: String) -> [Int32] { text.utf8.map(Int32.init) }

    private func copies(_ text: String, from start: Int = 0, count: Int = 5) -> VerbatimCopies {
        VerbatimCopies(
            of: symbols(text), from: start, in: SuffixArray(symbols(Self.learned), alphabet: 128), count: count)
    }

    @Test func `a planted passage is found with its place`() throws {
        let passage = "without form, and void; and darkness was upon the face of the deep"
        let found = copies("Zzyzx \(passage)?! QQQ")
        let longest = try #require(found.longest.first)
        // The space before it is in the text too.
        #expect(longest.length == passage.count + 1 && longest.start == 5)
        let place = try #require(Self.learned.range(of: " \(passage)"))
        #expect(longest.place == Self.learned.distance(from: Self.learned.startIndex, to: place.lowerBound))
        #expect(longest.occurrences == 1)
        #expect(found.recitedCharacters == longest.length)
    }

    @Test func `what occurs twice is told as first and often`() throws {
        let longest = try #require(copies("## upon the face of the ##", count: 1).longest.first)
        #expect(longest.length == " upon the face of the ".count && longest.occurrences == 2)
        let first = try #require(Self.learned.range(of: " upon the face of the "))
        #expect(longest.place == Self.learned.distance(from: Self.learned.startIndex, to: first.lowerBound))
    }

    @Test func `passages do not overlap and the longest comes first`() {
        let found = copies("God created the heaven XX Spirit of God moved upon YY was without form", count: 3)
        #expect(found.longest.count == 3)
        #expect(zip(found.longest, found.longest.dropFirst()).allSatisfy { $0.length >= $1.length })
        let places = found.longest.sorted { $0.start < $1.start }
        #expect(zip(places, places.dropFirst()).allSatisfy { $0.start + $0.length <= $1.start })
        #expect(found.recitedCharacters == 0)
    }

    @Test func `the prompt does not count as copied`() throws {
        let found = copies("In the beginning God created ZZZ", from: 29)
        #expect(found.characters == 3)
        #expect(found.longest.isEmpty)
    }

    @Test func `what the text lacks is no copy`() {
        let found = VerbatimCopies(of: [-1, -1, -1], in: SuffixArray(symbols("abc"), alphabet: 128))
        #expect(found.longest.isEmpty && found.characters == 3)
        #expect(VerbatimCopies(of: [], in: SuffixArray([], alphabet: 1)).longest.isEmpty)
    }
}

extension String {
    fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}
