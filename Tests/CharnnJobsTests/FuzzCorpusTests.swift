import CharnnCheckpoint
import CharnnJobs
import CharnnModel
import CharnnStorage
import CharnnTestSupport
import SystemPackage
import Testing

/// Gives the readers the inputs that lie in Tests/Fuzz/Corpus: what was found there once stays mended.
@Suite(.endsWhatHangs) struct FuzzCorpusTests {
    private static func files(_ target: String) -> [FilePath] {
        let tests = FilePath(#filePath).removingLastComponent().removingLastComponent()
        let folder = tests.appending("Fuzz").appending("Corpus").appending(target)
        let names = (try? LocalStorage().list(folder)) ?? []
        return names.sorted().map { folder.appending($0) }
    }

    @Test func `job files are read or refused`() throws {
        let files = Self.files("job-file")
        #expect(!files.isEmpty)
        for file in files {
            let bytes = try #require(try LocalStorage().contents(of: file))
            do { _ = try JobFile.parse(bytes, fileName: "fuzz.yaml") } catch { #expect(!error.description.isEmpty) }
        }
    }

    @Test(arguments: ["safetensors", "checkpoint"]) func `models are read or refused`(target: String) throws {
        let files = Self.files(target)
        #expect(!files.isEmpty)
        for file in files {
            do {
                if target == "checkpoint" {
                    _ = try Checkpoint(reading: file, in: LocalStorage())
                } else {
                    _ = try Model(reading: file, in: LocalStorage())
                }
            } catch {
                #expect(!"\(error)".isEmpty)
            }
        }
    }
}
