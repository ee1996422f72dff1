import CharnnReports
import Testing

struct DisplayWidthTests {
    @Test(arguments: [
        ("", 0), ("kjv", 3), ("Übung", 5), ("e\u{301}te\u{301}", 3), ("聖書", 4), ("한국", 4), ("ｆｕｌｌ", 8), ("😀", 2),
        ("👩‍👩‍👧", 2), ("❤\u{FE0F}", 2), ("ไทย", 3), ("a\u{200B}b", 2),
    ])
    func `a text takes the columns that a terminal gives it`(text: String, width: Int) {
        #expect(DisplayWidth.of(text) == width)
    }

    @Test(arguments: [("聖書の物語", 6, "聖書…"), ("聖書", 4, "聖書"), ("owl", 2, "o…"), ("owl", 1, "…"), ("owl", 0, "")])
    func `what is too wide is cut between characters`(text: String, width: Int, cut: String) {
        #expect(DisplayWidth.cut(text, to: width) == cut)
        #expect(DisplayWidth.of(DisplayWidth.cut(text, to: width)) <= width)
    }

    @Test func `padding counts columns and not characters`() {
        #expect(DisplayWidth.padded("聖", to: 4) == "聖  ")
        #expect(DisplayWidth.padded("long", to: 2) == "long")
    }
}

struct SparklineTests {
    @Test func `a beginning far above the rest is cut off, so that the rest is seen to fall`() {
        let losses = [90.0, 9, 8, 7, 6, 5, 4, 3]
        #expect(Sparkline.text(losses, width: 8) == "↑▇▆▅▄▃▂▁")
    }

    @Test func `one wild value anywhere flattens no curve, and is seen to be cut off`() {
        #expect(Sparkline.text([10, 9, 8, 7, 450, 5, 4, 3], width: 8) == "▇▆▅▄↑▂▁▁")
        #expect(Sparkline.text([2.5, 2.4, 2.2, 2.1, 1e9], width: 5) == "▇▅▂▁↑")
        #expect(Sparkline.text([450, 2.1, 2], width: 3) == "↑▇▁")
    }

    @Test func `a curve of any numbers is drawn`() {
        let (largest, least) = (Double.greatestFiniteMagnitude, Double.leastNonzeroMagnitude)
        #expect(Sparkline.text([largest, -largest], width: 2).count == 2)
        #expect(Sparkline.text([least, 0], width: 2) == "█▁")
        // What is cut off at the top lies more heights above than there are numbers for.
        #expect(Sparkline.text([1e100] + (0..<40).map { Double($0 % 2) * least }, width: 41).first == "↑")
    }

    @Test func `a falling loss falls`() { #expect(Sparkline.text([4, 3, 2, 1], width: 4) == "█▆▃▁") }

    @Test func `many values are taken together, few are not stretched`() {
        #expect(Sparkline.text((0..<1000).map { Double(1000 - $0) }, width: 3) == "█▅▁")
        #expect(Sparkline.text([2, 1], width: 10) == "█▁")
    }

    @Test func `what is not finite leaves a gap, and what does not rise lies low`() {
        #expect(Sparkline.text([2, .nan, 1, .infinity], width: 4) == "█ ▁ ")
        #expect(Sparkline.text([1, 1, 1], width: 3) == "▁▁▁")
        #expect(Sparkline.text([.nan], width: 3) == " ")
        #expect(Sparkline.text([], width: 3) == "" && Sparkline.text([1], width: 0) == "")
    }
}
