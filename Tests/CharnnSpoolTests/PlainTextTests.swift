import CharnnSpool
import Testing

struct PlainTextTests {
    @Test(arguments: [
        ("plain words, é and 漢字", "plain words, é and 漢字"),
        ("a\nb\r\nc\td", "a\\nb\\r\\nc\\td"),
        ("\u{1B}[2J", "\\u{1B}[2J"),
        ("\u{202E}txt.exe\u{2066}", "\\u{202E}txt.exe\\u{2066}"),
        ("\u{85}\u{2028}\u{2029}\u{9B}m", "\\u{85}\\u{2028}\\u{2029}\\u{9B}m"),
        ("\u{200D}\u{200C}", "\u{200D}\u{200C}"),
        ("\u{FEFF}\u{0}", "\\u{FEFF}\\u{0}"),
    ])
    func `what would break or bend a line is spelled out`(text: String, line: String) {
        #expect(PlainText.line(text) == line)
        // What is plain stays as it is.
        #expect(PlainText.line(line) == line)
    }

    @Test func `lines below the first are indented, so that none looks like one of its own`() {
        #expect(PlainText.lines("a\n\nb\u{1B}", indent: "  ") == "a\n  b\\u{1B}")
        #expect(PlainText.lines("a\nb\tc\n") == "a\nb\tc\n")
    }

    @Test(arguments: 0..<40)
    func `a text is cut between scalars and says so`(bytes: Int) {
        let text = "añ漢🦉" + String(repeating: "\u{301}", count: 20)
        let cut = PlainText.cut(text, bytes)
        #expect(cut.utf8.count <= max(bytes, 3))
        #expect(cut == text || cut.hasSuffix("…"))
        #expect(!cut.unicodeScalars.contains("\u{FFFD}"))
        #expect(PlainText.line(String(repeating: "\n", count: 100), atMost: bytes).utf8.count <= max(bytes, 3))
    }
}
