import CharnnWords
import Testing

@Suite struct FormattingTests {
    @Test(arguments: [
        (0.0, 2, "0.00"), (1.005, 1, "1.0"), (-0.04, 1, "0.0"), (-1.25, 1, "-1.3"), (123456.789, 0, "123457"),
        (0.999999, 3, "1.000"), (.infinity, 2, "inf"),
    ])
    func `numbers are rounded to the digits asked for`(value: Double, digits: Int, text: String) {
        #expect(fixed(value, digits) == text)
    }

    @Test(arguments: [
        (59.4, "59 s"), (60.0, "1 min 00 s"), (3725.0, "1 h 02 min"), (90_000.0, "1 d 1 h"),
        (Double.infinity, "unknown"),
    ])
    func `spans of time read as people say them`(seconds: Double, text: String) { #expect(duration(seconds) == text) }

    @Test func `amounts read as people say them`() {
        #expect(byteCount(999 as UInt64) == "999 B" && byteCount(38_200_000 as UInt64) == "38.2 MB")
        #expect(byteCount(999_960 as UInt64) == "1.0 MB" && grouped(-1_234_567) == "-1,234,567")
    }

    @Test func `guesses are told no finer than they are, and small numbers in three digits`() {
        #expect(about(59) == "less than a minute" && about(60) == "about 1 min" && about(3217) == "about 54 min")
        #expect(about(3599) == "about 1 h 00 min" && about(.infinity) == "unknown")
        #expect(scientific(2.187274230019781e-05) == "2.19e-5" && scientific(-0.00099999) == "-1.00e-3")
        #expect(scientific(0) == "0" && scientific(12345) == "1.23e4")
    }
}
