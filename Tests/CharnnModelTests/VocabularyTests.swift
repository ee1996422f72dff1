import CharnnModel
import Testing

@Suite struct VocabularyTests {
    private let vocabulary = Vocabulary(codePoints: [10, 32, 97, 98, 99])!

    @Test func `symbols are numbered in the order given`() {
        #expect(vocabulary.index(of: 97) == 2)
        #expect(vocabulary.index(of: 120) == nil)
    }

    @Test(arguments: [[], [97, 97], [0xD800], [0x110000]] as [[UInt32]])
    func `a list that repeats itself or names no characters is no vocabulary`(codePoints: [UInt32]) {
        #expect(Vocabulary(codePoints: codePoints) == nil)
    }

    @Test func `growing keeps every index and appends new ones in ascending order`() {
        let grown = vocabulary.growing(by: [120, 97, 100])
        #expect(grown.codePoints == [10, 32, 97, 98, 99, 100, 120])
    }

    @Test func `unknown characters are an error that names them and their places`() throws {
        let error = #expect(throws: ModelError.self) {
            try vocabulary.encode("aéb!".unicodeScalars.map(\.value), unknown: .error)
        }
        #expect(error?.description.contains("'é' (U+00E9) at position 2") == true)
        #expect(error?.description.contains("'!' (U+0021) at position 4") == true)
    }

    @Test func `unknown characters can be skipped or replaced, and are told all the same`() throws {
        let text = "aéb".unicodeScalars.map(\.value)
        let skipped = try vocabulary.encode(text, unknown: .skip)
        #expect(skipped.symbols == [2, 3])
        let replaced = try vocabulary.encode(text, unknown: .replace)
        #expect(replaced.symbols == [2, 1, 3])
        #expect(replaced.unknown.map(\.position) == [1])
    }
}
