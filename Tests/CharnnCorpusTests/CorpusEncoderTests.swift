import CharnnEngine
import CharnnModel
import CharnnStorage
import CharnnTestSupport
import Crypto
import Glibc
import SystemPackage
import Testing

@testable import CharnnCorpus

@Suite struct CorpusEncoderTests {
    private let folder = TemporaryDirectory("corpus")
    private let storage = LocalStorage()

    private func file(_ name: String, _ bytes: [UInt8]) throws -> CorpusFile {
        let path = folder.path.appending(name)
        try storage.replace(path, with: bytes)
        return CorpusFile(path: path)
    }

    private func encoder(
        _ files: [CorpusFile], _ encoding: TextEncoding = .utf8, strip: Bool = false, limit: Int? = nil,
        shouldStop: @escaping () -> Bool = { false }
    ) -> CorpusEncoder {
        CorpusEncoder(
            files,
            origin: CorpusOrigin(
                paths: files.map(\.path.string), encoding: encoding, stripsGutenberg: strip, maximumCharacters: limit),
            storage: storage, shouldStop: shouldStop)
    }

    /// The text as it comes back from `corpus.bin`.
    private func roundTrip(_ encoder: CorpusEncoder, base: Vocabulary? = nil) throws -> (String, EncodedCorpus) {
        let path = folder.path.appending("corpus.bin")
        try encoder.encode(to: path, base: base)
        let corpus = try EncodedCorpus(reading: path, in: storage)
        var scalars = String.UnicodeScalarView()
        for position in 0..<corpus.text.count {
            scalars.append(Unicode.Scalar(corpus.vocabulary.codePoints[Int(corpus.text[position])])!)
        }
        return (String(scalars), corpus)
    }

    @Test func `a text comes back as it was, its vocabulary sorted`() throws {
        let (text, corpus) = try roundTrip(encoder([try file("a", Array("zaé😀\n".utf8))]))
        #expect(text == "zaé😀\n")
        #expect(corpus.vocabulary.codePoints == [10, 97, 122, 233, 0x1F600])
    }

    @Test func `a byte order mark goes and CRLF becomes LF, lone returns stay`() throws {
        let bytes = [0xEF, 0xBB, 0xBF] + Array("a\r\nb\rc\r".utf8)
        #expect(try roundTrip(encoder([try file("a", bytes)])).0 == "a\nb\rc\r")
    }

    @Test func `files are joined in order and cut to so many characters`() throws {
        let files = [try file("a", Array("één".utf8)), try file("b", Array("twee".utf8))]
        #expect(try roundTrip(encoder(files)).0 == "ééntwee")
        #expect(try roundTrip(encoder(files, limit: 4)).0 == "éént")
        #expect(try roundTrip(encoder(files, limit: 2)).0 == "éé")
    }

    @Test func `characters survive the borders of what is read at once`() throws {
        // Three-byte characters and CRLF pairs across each megabyte, at every possible place.
        for shift in 0..<3 {
            let text = String(repeating: "x", count: shift) + String(repeating: "€\r\n", count: 500_000)
            let (back, corpus) = try roundTrip(encoder([try file("long", Array(text.utf8))]))
            #expect(corpus.text.count == shift + 1_000_000)
            #expect(back == text.replacing("\r\n", with: "\n"))
        }
    }

    @Test(
        arguments: [
            ([0x61, 0x0A, 0x62, 0xFF, 0x63], 3, 2), ([0x61, 0xC3], 1, 1), ([0xC0, 0x80], 0, 1),
            ([0xED, 0xA0, 0x80], 0, 1),
            ([0xF4, 0x90, 0x80, 0x80], 0, 1), ([0x0A, 0x0A, 0xE2, 0x82], 2, 3), ([0x80], 0, 1),
        ] as [([UInt8], Int, Int)])
    func `a broken byte is told with its offset and line`(bytes: [UInt8], offset: Int, line: Int) throws {
        let source = try file("broken", bytes)
        let error = #expect(throws: CorpusError.self) {
            try encoder([source]).encode(to: folder.path.appending("corpus.bin"))
        }
        #expect(error?.code == .undecodable)
        #expect(error?.description.contains("at byte \(offset), line \(line)") == true)
        #expect(try storage.status(of: folder.path.appending("corpus.bin")) == nil)
    }

    @Test func `a broken byte far into a file has its own offset`() throws {
        let source = try file("broken", [UInt8](repeating: 0x61, count: 1 << 20) + [0x62, 0xE2, 0x82, 0x0A])
        let error = #expect(throws: CorpusError.self) {
            try encoder([source]).encode(to: folder.path.appending("corpus.bin"))
        }
        #expect(error?.description.contains("at byte \((1 << 20) + 1), line 1") == true)
    }

    @Test func `latin-1 reads every byte, bytes have all 256 symbols and change nothing`() throws {
        let source = try file("a", [0xE9, 0x0D, 0x0A, 0x00])
        #expect(try roundTrip(encoder([source], .latin1)).0 == "é\n\0")
        let (_, corpus) = try roundTrip(encoder([source], .bytes))
        #expect(corpus.vocabulary.count == 256 && (0..<4).map { corpus.text[$0] } == [0xE9, 0x0D, 0x0A, 0])
    }

    @Test func `Gutenberg's frame is cut on both sides`() throws {
        let framed = """
            Title and licence
            *** START OF THE PROJECT GUTENBERG EBOOK THE REPUBLIC ***


            I went down yesterday.
            *** This line is the book's own ***
            The end.

            *** END OF THE PROJECT GUTENBERG EBOOK THE REPUBLIC ***
            The licence
            """
        let source = try file("a", Array(framed.utf8))
        #expect(
            try roundTrip(encoder([source], strip: true)).0
                == "I went down yesterday.\n*** This line is the book's own ***\nThe end.\n\n")
        #expect(try roundTrip(encoder([source])).0 == framed)
        let plain = try file("b", Array("No frame here.".utf8))
        #expect(try roundTrip(encoder([plain], strip: true)).0 == "No frame here.")
    }

    private static let smallPrint = """
        ***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***
        Why is this "Small Print!" statement here?  You know: lawyers.
        They tell us you might sue us if there is something wrong.
        *END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*

        """
    private static let verses = (1...12).map { "Verse \($0) of the song that they sing.\n" }.joined()

    @Test(
        arguments: [
            // The nineties: small print in front.
            (
                "**The Project Gutenberg Etext of Songs**\nCopyright laws are changing.\n\n" + smallPrint + "\n\n"
                    + verses
                    + "\nEnd of the Project Gutenberg Etext of Songs\n\n", verses + "\n"
            ),
            // The same without its first line, with another spelling of the last, and nothing behind the text.
            (
                "Etext\n*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.03.17.92*END*\n\n" + verses, verses
            ),
            ("*** START OF THE SMALL PRINT ***\nsue us\n*** END OF THE SMALL PRINT ***\n" + verses, verses),
            // 2002: small print behind.
            (
                "The Project Gutenberg EBook of Songs\n\n" + verses + smallPrint,
                "The Project Gutenberg EBook of Songs\n\n" + verses
            ),
            // Posted again later: a frame within a frame.
            (
                "Title\n*** START OF THIS PROJECT GUTENBERG EBOOK SONGS ***\n\n" + smallPrint + "\n" + verses
                    + "*** END OF THIS PROJECT GUTENBERG EBOOK SONGS ***\n" + "Licence\n", verses
            ),
            // Long titles.
            (
                "Title\n*** START OF THE PROJECT GUTENBERG EBOOK SONGS OF THE\r\nWOOD, THE SEA AND THE BRIDGE ***\r\n\r\n"
                    + verses
                    + "*** END OF THE PROJECT\nGUTENBERG EBOOK SONGS OF THE\nWOOD, THE SEA AND THE BRIDGE ***\nLicence\n",
                verses
            ),
            // A marker that never ends is one line.
            (
                "*** START OF THE PROJECT GUTENBERG EBOOK SONGS\nFirst line.\n\nSecond ***\n" + verses,
                "First line.\n\nSecond ***\n" + verses
            ),
            // A text that only tells of these is left alone.
            (
                verses + "*** START OF A STORY ***\nThe small print was long, said Project Gutenberg.\n" + verses,
                verses + "*** START OF A STORY ***\nThe small print was long, said Project Gutenberg.\n" + verses
            ),
        ])
    func `old frames and markers of several lines are cut`(framed: String, text: String) throws {
        #expect(try roundTrip(encoder([try file("a", Array(framed.utf8))], strip: true)).0 == text)
    }

    @Test func `a long text with small print on either side is found where there is more`() throws {
        let long = String(repeating: Self.verses, count: 5000)
        let before = try file("a", Array((Self.smallPrint + long).utf8))
        #expect(try roundTrip(encoder([before], strip: true)).0 == long)
        let behind = try file("b", Array((long + Self.smallPrint).utf8))
        #expect(try roundTrip(encoder([behind], strip: true)).0 == long)
    }

    @Test func `wide vocabularies take wider symbols`() throws {
        let scalars = (0x4E00..<(0x4E00 + 300)).map { Unicode.Scalar($0)! }
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        let (back, corpus) = try roundTrip(encoder([try file("a", Array(String(text).utf8))]))
        #expect(corpus.text.width == 2 && back == String(text))
    }

    @Test func `a given vocabulary keeps its indices and grows`() throws {
        let base = Vocabulary(codePoints: [122, 97])!
        let (_, corpus) = try roundTrip(encoder([try file("a", Array("abz".utf8))]), base: base)
        #expect(corpus.vocabulary.codePoints == [122, 97, 98])
        #expect((0..<3).map { corpus.text[$0] } == [1, 2, 0])
    }

    @Test func `a vocabulary that does not grow leaves out, replaces or refuses what it lacks`() throws {
        let known = Vocabulary(codePoints: [32, 97, 98])!
        let path = folder.path.appending("scored.bin")
        let source = encoder([try file("a", Array("aXbY".utf8))])
        let skipped = try source.encode(to: path, with: known, unknown: .skip)
        let text = try EncodedCorpus(reading: path, in: storage).text
        #expect(skipped.count == 2 && skipped.first.map(\.position) == [1, 3])
        #expect((0..<text.count).map { text[$0] } == [1, 2])
        let others = try source.encode(to: path, with: known, unknown: .replace).replaced
        #expect((0..<4).map(others.contains) == [false, true, false, true])
        let replaced = try EncodedCorpus(reading: path, in: storage).text
        #expect((0..<replaced.count).map { replaced[$0] } == [1, 0, 2, 0])
        let error = #expect(throws: CorpusError.self) { try source.encode(to: path, with: known, unknown: .error) }
        #expect(error?.description.contains("'X' (U+0058) at position 2") == true)
    }

    @Test func `nothing to read is an error that says so`() throws {
        let empty = try file("empty", [])
        let error = #expect(throws: CorpusError.self) { try roundTrip(encoder([empty])) }
        #expect(error?.code == .empty)
        let missing = CorpusFile(path: folder.path.appending("missing"))
        #expect(throws: CorpusError.self) { try roundTrip(encoder([missing])) }
    }

    @Test func `encoding ends soon after it is asked to`() throws {
        let source = try file("a", [UInt8](repeating: 0x61, count: 5 << 20))
        var asked = 0
        let error = #expect(throws: CorpusError.self) {
            try encoder(
                [source],
                shouldStop: {
                    asked += 1
                    return asked > 2
                }
            ).encode(to: folder.path.appending("corpus.bin"))
        }
        #expect(error?.code == .interrupted && asked == 3)
    }

    @Test func `a text for which there is no room leaves nothing behind`() throws {
        var image = DiskImage()
        image.put("/text", [UInt8](repeating: 97, count: 4000))
        image.capacity = image.used + 1000
        let disk = SimulatedDisk(image)
        let files = [CorpusFile(path: "/text")]
        let origin = CorpusOrigin(paths: ["/text"], encoding: .utf8, stripsGutenberg: false, maximumCharacters: nil)
        let error = #expect(throws: CorpusError.self) {
            try CorpusEncoder(files, origin: origin, storage: disk).encode(to: "/corpus.bin", base: nil)
        }
        #expect(error?.code == .unwritable)
        #expect(disk.image.files.keys.sorted() == ["/text"])
    }

    @Test func `a damaged encoded text is found`() throws {
        _ = try roundTrip(encoder([try file("a", Array(repeating: 0x61, count: 5000))]))
        let path = folder.path.appending("corpus.bin")
        let whole = try #require(try storage.contents(of: path))
        for position in [0, 9, 13, 4096, 6000, whole.count - 1] {
            var damaged = whole
            damaged[position] ^= 1
            try storage.replace(path, with: damaged)
            #expect(throws: CorpusError.self, "byte \(position)") { try EncodedCorpus(reading: path, in: storage) }
        }
        try storage.replace(path, with: Array(whole.dropLast()))
        #expect(throws: CorpusError.self) { try EncodedCorpus(reading: path, in: storage) }
    }

    @Test(
        arguments: [
            (width: 1, symbol: [2]), (width: 2, symbol: [0, 1]), (width: 4, symbol: [2, 0, 0, 0]),
            (width: 4, symbol: [255, 255, 255, 255]),
        ] as [(width: Int, symbol: [UInt8])])
    func `an encoded text with a symbol that its vocabulary lacks is refused`(width: Int, symbol: [UInt8]) throws {
        let origin = CorpusOrigin(paths: [], encoding: .utf8, stripsGutenberg: false, maximumCharacters: nil)
        let header = EncodedCorpus.Header(
            count: 3, width: width, encoding: .utf8, vocabulary: [0x61, 0x62], origin: origin)
        let path = folder.path.appending("corpus.bin")
        func write(_ last: [UInt8]) throws {
            let bytes = EncodedCorpus.prefix(header) + [UInt8](repeating: 0, count: 2 * width) + last
            try storage.replace(path, with: bytes + Array(SHA256.hash(data: bytes)))
        }
        try write([1] + [UInt8](repeating: 0, count: width - 1))
        #expect(try EncodedCorpus(reading: path, in: storage).text[2] == 1)
        try write(symbol)
        let error = #expect(throws: CorpusError.self) { try EncodedCorpus(reading: path, in: storage) }
        #expect(error?.description.contains("it has a character that its vocabulary lacks") == true)
    }

    @Test func `a link out of the root is not followed`() throws {
        let source = try file("outside", [0x61])
        let root = folder.path.appending("root")
        try storage.createDirectory(root, mode: 0o755)
        try source.path.withPlatformString { from in
            try root.appending("link").withPlatformString { to in try #require(symlink(from, to) == 0) }
        }
        let linked = CorpusFile(path: root.appending("link"), root: root)
        #expect(throws: CorpusError.self) { try roundTrip(encoder([linked])) }
    }
}
