import CharnnEngine
import CharnnModel
import CharnnStorage
import CharnnTestSupport
import Synchronization
import SystemPackage
import Testing

@testable import CharnnCorpus

/// How texts are encoded, against what Python's codecs make of the same bytes.
@Suite struct EncodingTests {
    private let folder = TemporaryDirectory("encoding")
    private let storage = LocalStorage()

    /// The text's code points as they come back, and what was noted.
    private func read(
        _ bytes: [UInt8], _ encoding: TextEncoding, strip: Bool = false
    ) throws -> (codePoints: [UInt32], notes: [String]) {
        let (path, encoded) = (folder.path.appending("text"), folder.path.appending("corpus.bin"))
        try storage.replace(path, with: bytes)
        let notes = Mutex<[String]>([])
        try CorpusEncoder(
            [CorpusFile(path: path)],
            origin: CorpusOrigin(paths: ["text"], encoding: encoding, stripsGutenberg: strip, maximumCharacters: nil),
            storage: storage, note: { note in notes.withLock { $0.append(note) } }
        ).encode(to: encoded)
        let corpus = try EncodedCorpus(reading: encoded, in: storage)
        let codePoints = (0..<corpus.text.count).map { corpus.vocabulary.codePoints[Int(corpus.text[$0])] }
        return (codePoints, notes.withLock { $0 })
    }

    private func refusal(_ bytes: [UInt8], _ encoding: TextEncoding = .utf8) -> String {
        let error = #expect(throws: CorpusError.self) { try read(bytes, encoding) }
        #expect(error?.code == .undecodable)
        return error?.description ?? ""
    }

    @Test func `bytes are the characters that Python's codecs make of them, or break at the same place`() throws {
        #expect(EncodingRecording.all.count > 400)
        for recorded in EncodingRecording.all {
            let encoding = try #require(TextEncoding(rawValue: recorded.encoding))
            if let codePoints = recorded.codePoints {
                #expect(try read(recorded.file, encoding).codePoints == codePoints, "\(recorded)")
            } else {
                let place = try #require(recorded.brokenAt)
                #expect(refusal(recorded.file, encoding).contains(" at byte \(place), line "), "\(recorded)")
            }
        }
    }

    @Test(arguments: [1, 2, 3, 5]) func `characters survive the borders of pieces`(size: Int) throws {
        for recorded in EncodingRecording.all where recorded.encoding == "utf-16" {
            guard let expected = recorded.codePoints, let mark = recorded.file.first, mark >= 0xFE else { continue }
            var decoder = TextDecoder(.utf16, isBigEndian: mark == 0xFE)
            var found: [UInt32] = []
            let bytes = recorded.file.dropFirst(2)
            for start in stride(from: bytes.startIndex, to: bytes.endIndex, by: size) {
                try decoder.decode(Array(bytes[start..<min(start + size, bytes.endIndex)]), into: &found)
            }
            try decoder.finish(into: &found)
            #expect(found == expected, "\(recorded)")
        }
    }

    private static let prose = "“Não,” disse ele – e foi-se… à praia.\n"

    private func windows1252(_ text: String) -> [UInt8] {
        text.unicodeScalars.map { scalar in
            TextEncoding.extended.firstIndex(of: scalar.value).map { UInt8($0 + 0x80) } ?? UInt8(scalar.value)
        }
    }

    private func utf16(_ text: String, mark: Bool) -> [UInt8] {
        (mark ? [0xFF, 0xFE] : []) + text.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
    }

    @Test func `UTF-16 is named with its remedy, whether it has a mark or not`() throws {
        for encoding in [TextEncoding.utf8, .latin1, .windows1252] {
            for mark in [true, false] {
                let message = refusal(utf16(String(repeating: Self.prose, count: 50), mark: mark), encoding)
                #expect(message.hasSuffix("text is UTF-16; set encoding to utf-16"), "\(message)")
            }
        }
        #expect(refusal(Array(Self.prose.utf8), .utf16).hasSuffix("is not UTF-16 but UTF-8; set encoding to utf-8"))
        #expect(try read(utf16("ab", mark: true), .bytes).codePoints == [0xFF, 0xFE, 97, 0, 98, 0])
        // A text with some zeros in it is none.
        #expect(try read(Array("a\0b\0\0c, and so on and on".utf8), .utf8).codePoints.count == 24)
    }

    @Test(
        arguments: [
            ([0x1F, 0x8B, 8, 0], "packed by gzip; take the text out, as with gunzip -k"),
            ([0x42, 0x5A, 0x68, 0x39], "packed by bzip2; take the text out, as with bunzip2 -k"),
            ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "packed by xz; take the text out, as with unxz -k"),
            ([0x28, 0xB5, 0x2F, 0xFD], "packed by zstd; take the text out, as with unzstd"),
            ([0x50, 0x4B, 3, 4], "a zip archive, as docx, odt and epub are too; take the text out, as with unzip"),
            (Array("%PDF-1.7".utf8), "a PDF file; take the text out, as with pdftotext"),
            ([0xFF, 0xFE, 0, 0, 0x61, 0, 0, 0], "UTF-32, which is not read here; convert it, as with iconv -f UTF-32"),
        ] as [([UInt8], String)])
    func `what is no text is named, and learned only byte by byte`(start: [UInt8], words: String) throws {
        let bytes = start + [UInt8](repeating: 0x62, count: 40)
        for encoding in TextEncoding.allCases where encoding != .bytes {
            #expect(refusal(bytes, encoding).contains("text is \(words)"), "\(encoding)")
        }
        #expect(try read(bytes, .bytes).codePoints.count == bytes.count)
    }

    @Test func `what is not UTF-8 is told what it looks like`() throws {
        #expect(refusal(windows1252(Self.prose)).hasSuffix("the file looks like windows-1252; set encoding to that"))
        #expect(
            refusal(Array("caf".utf8) + [0xE9, 0x0A]).contains(
                "is not UTF-8: 0xe9 at byte 3, line 1, stands where no such byte may; the file looks like latin-1"))
        let portuguese = Array(String(repeating: "A praia é além.\n", count: 40).utf8)
        #expect(
            refusal(portuguese + [0xFF] + portuguese).contains("damaged UTF-8; mend that place, or drop such bytes"))
        // KOI8-R, and code page 437 with its 0x81 for ü.
        let moscow: [UInt8] = [0xED, 0xCF, 0xD3, 0xCB, 0xD7, 0xC1, 0x20]
        #expect(refusal(Array(repeatElement(moscow, count: 9).joined())).contains("of another script"))
        #expect(refusal(Array("Die B".utf8) + [0x81] + Array("cher sind hier.".utf8)).contains("neither windows-1252"))
        #expect(
            refusal([0, 1, 2, 3, 0xC8, 0, 0]).contains("the file is no text; name another, or set encoding to bytes"))
    }

    @Test func `a byte that windows-1252 lacks and half a pair are told with their lines`() throws {
        #expect(
            refusal([0x61, 0x0A, 0x81], .windows1252).contains(
                "is not windows-1252: 0x81 at byte 2, line 2, stands where no such byte may; set encoding to latin-1"))
        for isBig in [false, true] {
            let units: [UInt16] = [0xFEFF, 0x61, 0x0A, 0x0A0A, 0x0A, 0xDC00]
            let bytes = units.flatMap {
                isBig ? [UInt8($0 >> 8), UInt8($0 & 255)] : [UInt8($0 & 255), UInt8($0 >> 8)]
            }
            #expect(refusal(bytes, .utf16).contains("is not UTF-16: \(isBig ? "0xdc" : "0x00") at byte 10, line 3,"))
        }
    }

    @Test func `latin-1 that has no such characters is told, and so is UTF-8 read as something else`() throws {
        let quoted = try read(windows1252(Self.prose), .latin1).notes
        #expect(quoted.count == 1)
        #expect(quoted[0].contains("has 4 bytes, the first kind of them 0x85, which are control characters in latin-1"))
        #expect(quoted[0].hasSuffix("in windows-1252; set encoding to that"))
        #expect(try read(windows1252(Self.prose), .windows1252).notes == [])
        #expect(try read([0x63, 0xE9, 0x0A], .latin1).notes == [])
        for encoding in [TextEncoding.latin1, .windows1252] {
            let notes = try read(Array("Não, além.\n".utf8), encoding).notes
            #expect(notes.first?.contains("looks like UTF-8, of which \(encoding.rawValue) makes") == true, "\(notes)")
        }
        #expect(try read(Array(Self.prose.utf8), .utf8).notes == [])
        // An even number of bytes, so that it can be read as pairs of them.
        let western = [UInt8](repeating: 0x61, count: 50) + [0xE9] + [UInt8](repeating: 0x62, count: 49)
        #expect(try read(western, .utf16).notes.first?.contains("looks like a text of one byte a character") == true)
        let units = Array("plain words, and 中文\n".utf16).flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
        #expect(try read(units, .utf16).notes == [])
    }

    @Test func `a frame that is not there is told`() throws {
        let notes = try read(Array("No frame here.".utf8), .utf8, strip: true).notes
        #expect(notes.count == 1 && notes[0].hasPrefix("strip_gutenberg cut nothing from "), "\(notes)")
        #expect(try read(Array("No frame here.".utf8), .utf8).notes == [])
        let framed = Array("*** START OF THE PROJECT GUTENBERG EBOOK X ***\nText.".utf8)
        #expect(try read(framed, .utf8, strip: true).notes == [])
    }

    @Test func `Gutenberg's frame is cut from UTF-16 too`() throws {
        let framed =
            "Title\r\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\r\n\r\nÀ praia.\r\n"
            + "*** END OF THE PROJECT GUTENBERG EBOOK X ***\r\nLicence\r\n"
        let expected = "À praia.\n".unicodeScalars.map(\.value)
        #expect(try read(utf16(framed, mark: true), .utf16, strip: true).codePoints == expected)
        #expect(try read(utf16(framed, mark: false), .utf16, strip: true).codePoints == expected)
    }
}
