import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// Jobs on texts that are not UTF-8.
@Suite struct EncodingJobTests {
    private let spool: TestSpool

    init() throws { spool = try TestSpool() }

    private static let prose = String(repeating: "“Não”, disse – à praia, além… 5 €\r\n", count: 120)

    private func job(_ encoding: TextEncoding) -> String {
        """
        device: cpu
        train: {corpus: text.txt, encoding: \(encoding.rawValue), hidden_size: 16, num_layers: 1, dropout: 0, epochs: 2,
          seq_length: 20, batch_size: 8}
        generate: {prompt: "à praia", length: 40}
        evaluate: {corpus: text.txt}

        """
    }

    @Test(arguments: [String.Encoding.windowsCP1252, .utf16LittleEndian, .utf16BigEndian])
    func `a text is learned, written and scored in its characters`(encoding: String.Encoding) throws {
        let isWide = encoding != .windowsCP1252
        let mark: [UInt8] = encoding == .utf16LittleEndian ? [0xFF, 0xFE] : isWide ? [0xFE, 0xFF] : []
        let bytes = mark + [UInt8](try #require(Self.prose.data(using: encoding)))
        try spool.storage.replace(spool.layout.corpora.appending("text.txt"), with: bytes)
        let named: TextEncoding = isWide ? .utf16 : .windows1252
        try spool.drop("text.yaml", job(named))
        let end = try spool.once()
        #expect(end.status == 0, "\(end.error)")

        let model = try Model(reading: spool.output("text").appending("model.safetensors"), in: spool.storage)
        #expect(model.encoding == named)
        let prose = Self.prose.replacing("\r\n", with: "\n").unicodeScalars
        #expect(model.vocabulary.codePoints == Set(prose.map(\.value)).sorted())
        let written = try spool.text(spool.output("text").appending("generated/1.txt"))
        #expect(written.hasPrefix("à praia") && written.unicodeScalars.count == 47)
        #expect(written.unicodeScalars.allSatisfy { prose.contains($0) })
        let score = try spool.text(spool.output("text").appending("evaluation.json"))
        #expect(score.contains("\"characters\" : \(prose.count - 1)"))

        let shown = try spool.charnn("generate", "text", "--prompt", "à praia", "--length", "40")
        #expect(shown.status == 0 && shown.output == written + "\n", "\(shown.error)")
        let evaluated = try spool.charnn("evaluate", "text", "spool/corpora/text.txt", "--json")
        #expect(evaluated.output.contains("\"characters\" : \(prose.count - 1)"), "\(evaluated.error)")
        let other = spool.folder.path.appending("other.txt")
        try spool.storage.replace(other, with: Array("“Não”\n".utf8))
        #expect(try spool.charnn("evaluate", "text", "other.txt", "--encoding", "utf-8").status == 0)
        let page = try spool.text(spool.output("text").appending("report.html"))
        #expect(page.contains("à praia") && !page.contains("Ã"))
    }

    @Test func `characters outside the vocabulary do not make a score good`() throws {
        try spool.corpus("text.txt", Corpus.tale(6000))
        // Of 1,000 characters 950 are Greek; a model that has learned spaces would predict theirs.
        let greek = String(repeating: String(repeating: "λ", count: 95) + " owl\n", count: 10)
        try spool.corpus("greek.txt", greek)
        try spool.drop(
            "text.yaml",
            job(.utf8).replacing("à praia", with: "The").replacing(
                "corpus: text.txt}", with: "corpus: greek.txt, unknown: replace}"))
        #expect(try spool.once().status == 0)
        let warning =
            "95 % of the characters are outside the model's vocabulary and left out, so that the score says little"
        #expect(try spool.status("text")?.warnings.contains { $0.hasPrefix(warning) } == true)
        let log = try spool.text(spool.output("text").appending("log.txt"))
        #expect(log.contains("bits per character on 50 characters, without 950 outside its vocabulary, of greek.txt."))
        let json = try spool.text(spool.output("text").appending("evaluation.json"))
        for field in ["\"characters\" : 50", "\"unknown_characters\" : 950", "\"warning\" : \"\(warning)"] {
            #expect(json.contains(field), "\(json)")
        }
        let nats = try #require(json.firstMatch(of: /"nats_per_character" : ([0-9.]+)/).flatMap { Double($0.output.1) })
        #expect(nats > 1)

        let shown = try spool.charnn("evaluate", "text", "spool/corpora/greek.txt", "--unknown", "replace")
        #expect(shown.output.contains(" over 50 characters; 950 outside the vocabulary are left out\n"))
        #expect(shown.error.hasPrefix("charnn: warning: \(warning)"))
        let same = try spool.charnn("evaluate", "text", "spool/corpora/greek.txt", "--unknown", "replace", "--json")
        #expect(same.output.contains("\"warning\" : \"\(warning)") && same.error == shown.error)
        try spool.corpus("all.txt", "λλλλ")
        let none = try spool.charnn("evaluate", "text", "spool/corpora/all.txt", "--unknown", "replace")
        #expect(none.status == 65 && none.error.contains("there is nothing to score"))
        let known = try spool.charnn("evaluate", "text", "spool/corpora/text.txt", "--unknown", "replace", "--json")
        #expect(
            known.error == "" && !known.output.contains("warning") && known.output.contains("\"characters\" : 5999"))
    }

    @Test func `a prompt is taken as it is written, or refused with the reason`() throws {
        try spool.corpus("text.txt", String(repeating: "- item one\n- item two\n", count: 200))
        let prompt = "\u{FEFF}- item\r\n"
        let yaml = job(.utf8).replacing("\"à praia\"", with: #""\uFEFF- item\r\n""#)
        try spool.drop("text.yaml", yaml)
        try spool.drop("raw.yaml", job(.bytes).replacing("\"à praia\"", with: "item"))
        #expect(try spool.once().status == 0)
        #expect(try spool.text(spool.output("text").appending("generated/1.txt")).hasPrefix("- item\n"))

        for prompt in ["- item", "--item", prompt] {
            let end = try spool.charnn("generate", "text", "--prompt", prompt, "--length", "3", "--unknown", "skip")
            #expect(end.status == 0 && end.output.hasPrefix("-"), "\(end.error)")
        }
        for (option, value, words) in [
            ("--temperature", "-1", "--temperature: found -1.0; allowed: a number from 0"),
            ("--length", "-1", "--length: found -1; allowed: a whole number from 0"),
            ("--top-k", "-2", "--top-k: found -2; allowed"), ("--top-p", "-0.5", "--top-p: found -0.5; allowed"),
            ("--count", "-1", "--count: found -1; allowed"), ("--seed", "-1", "'-1' is invalid for '--seed"),
        ] {
            let end = try spool.charnn("generate", "text", option, value)
            #expect(end.status == 64 && end.error.contains(words), "\(end.error)")
        }
        #expect(try spool.charnn("bench", "--hidden-size", "-1").error.contains("--hidden-size: found -1; allowed"))
        #expect(try spool.charnn("demo", "--epochs", "-1").error.contains("--epochs: found -1; allowed"))
        #expect(try spool.charnn("report", "--since", "-1d").error.contains("--since: found \"-1d\"; allowed"))

        // Bytes that are no UTF-8 can only come from a shell.
        func shell(_ words: String) throws -> Outcome {
            try RunningProgram(
                "/bin/sh", ["-c", "\(Program.charnn.path) generate \(words) --length 2 | od -An -tx1"],
                in: spool.folder.path,
                environment: ["CHARNND_SPOOL": spool.layout.root.string, "HOME": spool.folder.path.string]
            ).end()
        }
        for words in [#"raw --prompt "$(printf 'a\377\351b')""#, #"raw --prompt="$(printf 'a\377\351b')""#] {
            let end = try shell(words)
            #expect(end.output.hasPrefix(" 61 ff e9 62 ") && end.error == "", "\(end)")
        }
        #expect(try shell("raw --prompt aé").output.hasPrefix(" 61 c3 a9 "))
        let refused = try shell(#"text --prompt "$(printf 'a\377b')""#)
        #expect(refused.error.contains("--prompt: \"a\u{FFFD}b\" is not UTF-8") && refused.output == "")
        #expect(try shell(#"text --stop "$(printf '\377')""#).error.contains("--stop: "))
    }

    @Test func `a wrong encoding is told by check, by the job's log and by a run`() throws {
        let text = spool.layout.corpora.appending("text.txt")
        try spool.storage.replace(text, with: [UInt8](try #require(Self.prose.data(using: .windowsCP1252))))
        let file = spool.folder.path.appending("text.yaml")
        try spool.storage.replace(file, with: Array(job(.utf8).utf8))
        let refused = try spool.charnn("check", "--no-time", "text.yaml")
        #expect(refused.status == 65 && refused.error.contains("looks like windows-1252; set encoding to that"))
        try spool.storage.replace(file, with: Array(job(.latin1).utf8))
        let checked = try spool.charnn("check", "--no-time", "text.yaml")
        #expect(checked.status == 0)
        #expect(
            checked.output.contains("  warning: ") && checked.output.contains("letters in windows-1252; set encoding"))
        #expect(try spool.charnn("run", "text.yaml").output.contains("letters in windows-1252; set encoding to that."))
        #expect(try spool.runStatus("text")?.warnings.contains { $0.contains("in windows-1252") } == true)
        // A terminal shows characters whatever the text's encoding was.
        let shown = try spool.charnn("generate", "text", "--prompt", "à praia", "--length", "1")
        #expect(shown.output.hasPrefix("à praia"))
    }
}
