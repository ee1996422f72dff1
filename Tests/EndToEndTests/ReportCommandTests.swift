import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import FoundationXML
import SystemPackage
import Testing

/// `charnn report`, `compare` and `plot` on real runs.
@Suite struct ReportCommandTests {
    private func spool() throws -> TestSpool {
        let spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(12_000))
        try spool.drop("gru.yaml", QueueTests.training)
        try spool.drop("rnn.yaml", QueueTests.training.replacing("cell: gru", with: "cell: rnn"))
        try spool.drop("lost.yaml", QueueTests.training.replacing("tale.txt", with: "nowhere.txt"))
        #expect(try spool.once(textGrace: "1s").status == 1)
        return spool
    }

    @Test func `the report tells in text and as a page what ran and what failed`() throws {
        let spool = try spool()
        let text = try spool.charnn("report")
        #expect(text.status == 0, "\(text.error)")
        for word in ["2 done, 1 that did not succeed", "GRU 2 × 16", "RNN 2 × 16", "nowhere.txt", "charnn retry lost"] {
            #expect(text.output.contains(word), "\(word): \(text.output)")
        }
        #expect(try spool.charnn("report", "--html", "page.html", "--since", "7d").status == 0)
        #expect(try spool.text(spool.folder.path.appending("page.html")).contains("The morning report"))
        #expect(try spool.text(spool.layout.index).contains("jobs/gru/report.html"))
        let wrong = try spool.charnn("report", "--since", "yesterday")
        #expect(wrong.status == 64 && wrong.error.contains("12h"))
    }

    @Test func `compare puts jobs side by side`() throws {
        let spool = try spool()
        let text = try spool.charnn("compare", "gru", "rnn")
        #expect(text.status == 0, "\(text.error)")
        for word in ["validation, bits/char", "GRU 2 × 16", "RNN 2 × 16", "n-grams, bits/char", "steps"] {
            #expect(text.output.contains(word), "\(word): \(text.output)")
        }
        #expect(try spool.charnn("compare", "gru", "rnn", "--html", "both.html").status == 0)
        #expect(try spool.text(spool.folder.path.appending("both.html")).contains("Validation loss"))
        let missing = try spool.charnn("compare", "gru", "nobody")
        #expect(missing.status == 66 && missing.error.contains("nobody"))
        #expect(try spool.charnn("compare", "../gru", "rnn").status != 0)
    }

    @Test func `plot draws SVG, PNG where it can, and says how to mend the rest`() throws {
        let spool = try spool()
        #expect(try spool.charnn("plot", "gru").status == 0)
        let svg = try spool.text(spool.folder.path.appending("gru.svg"))
        #expect(svg.hasPrefix("<svg") && svg.contains("<polyline") && svg.contains("bits per character"))
        _ = try XMLDocument(xmlString: svg)
        let picture = try spool.charnn("plot", "gru", "rnn", "--output", "both.png")
        if FileManager.default.isExecutableFile(atPath: "/usr/bin/rsvg-convert") {
            #expect(picture.status == 0, "\(picture.error)")
            #expect(try spool.bytes(spool.folder.path.appending("both.png")).starts(with: [0x89, 0x50, 0x4E, 0x47]))
        } else {
            #expect(picture.status == 69 && picture.error.contains("apt-get install librsvg2-bin"))
        }
        #expect(try spool.charnn("plot", "gru", "--output", "x.gif").status == 64)
        #expect(try spool.charnn("plot", "lost").error.contains("no metrics"))
        let left = try FileManager.default.contentsOfDirectory(atPath: spool.folder.path.string)
        #expect(!left.contains { $0.hasPrefix(".") && $0.hasSuffix(".svg") })
    }
}
