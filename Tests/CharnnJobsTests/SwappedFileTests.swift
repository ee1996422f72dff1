import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

@testable import CharnnJobs

/// Texts and models that are swapped once their rights were looked at.
struct SwappedFileTests {
    @Test func `a text that is swapped after its rights were looked at is not read`() throws {
        let fixture = try JobFixture()
        let (open, secret) = (fixture.corpora.appending("open.txt"), fixture.corpora.appending("secret.txt"))
        for path in [open, secret] {
            try fixture.storage.replace(path, with: Array(String(repeating: "some words\n", count: 500).utf8))
        }
        try fixture.storage.setMode(0o644, of: open)
        try fixture.storage.setMode(0o600, of: secret)
        let environment = JobEnvironment(
            corpora: fixture.corpora, jobs: fixture.corpora, roots: [fixture.corpora], submitter: 65534)
        let files = try environment.corpusFiles(["open.txt"], in: fixture.storage)
        try fixture.storage.rename(secret, to: open, replacing: true)
        let origin = CorpusOrigin(
            paths: ["open.txt"], encoding: .utf8, stripsGutenberg: false, maximumCharacters: nil)
        let encoder = CorpusEncoder(files, origin: origin, storage: fixture.storage)
        #expect(throws: CorpusError.self) { try encoder.encode(to: fixture.corpora.appending("corpus.bin")) }
    }

    @Test func `a text below very many folders is refused before it is looked for`() throws {
        let fixture = try JobFixture()
        let environment = JobEnvironment(
            corpora: fixture.corpora, jobs: fixture.corpora, roots: [fixture.corpora], submitter: 65534)
        let deep = String(repeating: "d/", count: 500) + "f"
        let error = #expect(throws: JobError.self) { try environment.corpusFiles([deep], in: fixture.storage) }
        #expect(error?.description.contains("below more than 64 folders") == true)
    }

    @Test func `a text's access list is heeded where the permission bits say otherwise`() throws {
        let fixture = try JobFixture()
        let text = fixture.corpora.appending("text.txt")
        try fixture.storage.setMode(0o644, of: text)
        let environment = JobEnvironment(
            corpora: fixture.corpora, jobs: fixture.jobs, roots: [fixture.corpora], submitter: 65534)
        // Everybody may read it but that user.
        let rights: [(tag: UInt8, rights: UInt8)] = [(1, 6), (2, 0), (4, 4), (16, 4), (32, 4)]
        let list: [UInt8] =
            [2, 0, 0, 0]
            + rights.flatMap { [$0.tag, 0, $0.rights, 0] + ($0.tag == 2 ? [254, 255, 0, 0] : [255, 255, 255, 255]) }
        for (lists, isReadable) in [([:], true), ([text: list], false)] {
            let storage = MeddlingStorage(accessLists: lists) { _, _ in }
            #expect(((try? environment.corpusFiles(["text.txt"], in: storage)) != nil) == isReadable)
        }
    }

    @Test func `a job of which nobody knows who submitted it reads neither text nor model`() throws {
        let fixture = try JobFixture()
        try fixture.run("m", JobFixture.training)
        for job in [JobFixture.training, "generate: {model: m, length: 5}", "evaluate: {model: m, corpus: text.txt}"] {
            #expect(try fixture.run("a", job, submitter: nil) == .noInput)
            #expect(fixture.output("a").status()?.reason?.contains("is not known any more") == true)
        }
    }

    @Test func `a model is read with the submitter's rights, whether its job or its path is named`() throws {
        let fixture = try JobFixture()
        try fixture.run("m", JobFixture.training)
        let (folder, model) = (fixture.output("m").path, fixture.output("m").model)
        let environment = JobEnvironment(
            corpora: fixture.corpora, jobs: fixture.jobs, roots: [fixture.corpora, fixture.jobs], submitter: 65534)
        for reference in [ModelReference.job("m"), .path("m/model.safetensors")] {
            func isReadable(_ folderMode: CharnnStorage.FileMode, _ mode: CharnnStorage.FileMode) throws -> Bool {
                try fixture.storage.setMode(folderMode, of: folder)
                try fixture.storage.setMode(mode, of: model)
                return (try? environment.modelFile(reference, in: fixture.storage)) != nil
            }
            #expect(try isReadable(0o755, 0o644))
            #expect(try !isReadable(0o700, 0o644))
            #expect(try !isReadable(0o755, 0o600))
        }
    }

    @Test func `texts of another's model are not searched in a text that its owner has shut`() throws {
        let fixture = try JobFixture()
        try fixture.run("m", JobFixture.training)
        try fixture.storage.setMode(0o755, of: fixture.output("m").path)
        try fixture.storage.setMode(0o644, of: fixture.output("m").model)
        let job = "generate:\n  model: m\n  length: 60\n  prompt: \"the\"\n"
        for (mode, isSearched) in [(0o644 as CharnnStorage.FileMode, true), (0o600, false)] {
            try fixture.storage.setMode(mode, of: fixture.output("m").corpus)
            #expect(try fixture.run("g", job, submitter: 65534) == .done)
            #expect(try (fixture.storage.status(of: fixture.output("g").copies) != nil) == isSearched)
        }
    }

    @Test func `a model that is swapped after its rights were looked at is not read`() throws {
        let fixture = try JobFixture()
        let (open, secret) = (
            fixture.corpora.appending("open.safetensors"), fixture.corpora.appending("secret.safetensors")
        )
        let architecture = Architecture(cell: .rnn, vocabularySize: 2, hiddenSize: 2, layerCount: 1)
        let model = Model(
            architecture: architecture, vocabulary: try #require(Vocabulary(codePoints: [97, 98])), encoding: .utf8,
            parameters: Initialisation.parameters(of: architecture, seed: 1))
        for path in [open, secret] { try model.write(to: path, in: fixture.storage) }
        try fixture.storage.setMode(0o644, of: open)
        try fixture.storage.setMode(0o600, of: secret)
        let environment = JobEnvironment(
            corpora: fixture.corpora, jobs: fixture.corpora, roots: [fixture.corpora], submitter: 65534)
        func read(_ file: CorpusFile) throws -> Model {
            try Model(reading: file.path, beneath: file.root, expecting: file.found, in: fixture.storage)
        }
        let file = try environment.modelFile(.path("open.safetensors"), in: fixture.storage)
        #expect(try read(file).architecture == architecture)
        try fixture.storage.rename(secret, to: open, replacing: true)
        #expect(throws: ModelError.self) { try read(file) }
    }
}
