import CharnnEngine
import CharnnModel
import CharnnSpool
import Foundation
import SystemPackage
import Testing

/// The example jobs of `spool/examples`, each as it is shipped but for its size.
@Suite struct ExampleTests {
    /// What is made smaller, and to which value. Everything else stays as shipped.
    static let small = [
        "max_chars": "2500", "hidden_size": "12", "embedding_size": "6", "epochs": "2", "seq_length": "12",
        "batch_size": "8", "length": "60", "warmup_steps": "5",
    ]

    static let folder = FilePath(#filePath).removingLastComponent().pushing("../../spool/examples")

    /// An example with the values of ``small`` in place of its own.
    static func shrunk(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            guard let colon = line.firstIndex(of: ":") else { return String(line) }
            let key = line[..<colon].trimmingCharacters(in: .whitespaces)
            return small[key].map { "\(line[...colon]) \($0)" } ?? String(line)
        }.joined(separator: "\n")
    }

    @Test func `shrinking changes sizes and nothing else`() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.string)
        #expect(names.count == 12)
        for name in names {
            let shipped = try String(contentsOfFile: Self.folder.appending(name).string, encoding: .utf8)
            let (before, after) = (shipped.split(separator: "\n"), Self.shrunk(shipped).split(separator: "\n"))
            #expect(before.count == after.count)
            for (old, new) in zip(before, after) where old != new {
                let key = old.prefix { $0 != ":" }
                #expect(new.hasPrefix("\(key):") && Self.small[key.trimmingCharacters(in: .whitespaces)] != nil)
            }
        }
    }

    @Test func `every example does what it says`() throws {
        let spool = try TestSpool()
        try spool.corpus(
            "kjv.txt", "In the beginning was the word. And it came to pass: Blessed are\n" + Corpus.tale(2500))
        try spool.corpus(
            "republic.txt",
            """
            § A licence §
            *** START OF THE PROJECT GUTENBERG EBOOK THE REPUBLIC ***
            Socrates: What is justice?
            \(Corpus.tale(2500))
            *** END OF THE PROJECT GUTENBERG EBOOK THE REPUBLIC ***
            § More licence §

            """)
        try spool.corpus("biblia-pt.txt", "No princípio criou Deus os céus e a terra.\n" + Corpus.tale(4000))
        try spool.corpus("tinyshakespeare.txt", "First Citizen:\n" + Corpus.tale(2500))
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.string)
        for name in names {
            let shipped = try String(contentsOfFile: Self.folder.appending(name).string, encoding: .utf8)
            try spool.drop(name, Self.shrunk(shipped))
        }
        let end = try spool.once()
        #expect(end.status == 0, "\(end.error)")
        for name in names { #expect(try spool.state(String(name.dropLast(5))) == .done, "\(name)") }

        func model(_ job: String) throws -> Model {
            try Model(reading: spool.output(job).appending("model.safetensors"), in: spool.storage)
        }
        func text(_ job: String, _ number: Int) throws -> String {
            try spool.text(spool.output(job).appending("generated").appending("\(number).txt"))
        }
        #expect(try model("kjv").architecture.layerCount == 2)
        #expect(try model("genesis-pt").architecture.layerCount == 3)
        // The frame is left out where the job asks for that, and only there.
        let paragraph = try #require("§".unicodeScalars.first).value
        #expect(try model("republic").vocabulary.index(of: paragraph) != nil)
        #expect(try model("republic-cpu").vocabulary.index(of: paragraph) == nil)
        #expect(try text("kjv", 1).hasPrefix("In the beginning"))
        #expect(try text("genesis-pt-cpu", 1).count == "No princípio".count + 60)
        #expect(try text("republic-cpu", 2).hasPrefix("What is justice?"))
        #expect(try spool.results("generate-kjv").keys.sorted() == (1...4).map { "generated/\($0).txt" })
        #expect(Set(try (1...3).map { try text("generate-kjv", $0) }).count == 3)
        let stopped = try text("generate-kjv", 4)
        #expect(stopped.hasPrefix("Blessed are"))
        #expect(stopped.dropLast().contains("\n") == false)
        #expect(try spool.text(spool.output("evaluate-kjv").appending("evaluation.json")).contains("\"perplexity\""))
        // Windows that start at every character: as many steps as the text has characters, by batches.
        let status = try #require(try spool.status("kjv"))
        let characters = try spool.bytes(spool.layout.corpora.appending("kjv.txt")).count
        let training = characters - characters / 10
        #expect(status.totalSteps == 2 * ((training - 12) / 8))
    }
}
