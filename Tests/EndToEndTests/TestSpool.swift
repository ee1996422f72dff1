import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// A spool of a test's own and the programs at work in it.
final class TestSpool: Sendable {
    let folder = TemporaryDirectory("end-to-end")
    let storage = LocalStorage()
    var layout: SpoolLayout { SpoolLayout(root: folder.path.appending("spool")) }
    private var client: SpoolClient { SpoolClient(layout) }

    init() throws { try layout.create(.personal, on: storage) }

    // MARK: - Before

    func corpus(_ name: String, _ text: String) throws {
        try storage.replace(layout.corpora.appending(name), with: Array(text.utf8))
    }

    /// Drops a job file, complete and a while ago.
    func drop(_ name: String, _ text: String) throws { try drop(name, bytes: Array(text.utf8)) }

    func drop(_ name: String, bytes: [UInt8]) throws {
        let path = layout.incoming.appending(name)
        try Data(bytes).write(to: URL(fileURLWithPath: path.string))
        let past = timespec(tv_sec: time(nil) - 3600, tv_nsec: 0)
        #expect(utimensat(AT_FDCWD, path.string, [past, past], 0) == 0)
    }

    // MARK: - Programs

    private var environment: [String: String] {
        [
            "CHARNND_SPOOL": layout.root.string, "HOME": folder.path.string, "XDG_STATE_HOME": "", "TERM": "dumb",
            // Standard error is the test's file, whatever the test itself writes to.
            "JOURNAL_STREAM": "",
        ]
    }

    /// - Parameter variables: Beside those of every program here.
    func start(
        _ program: Program, _ arguments: [String], _ variables: [String: String] = [:]
    ) throws -> RunningProgram {
        try RunningProgram(
            program.path, arguments, in: folder.path, environment: environment.merging(variables) { $1 })
    }

    /// Does all that is queued.
    ///
    /// - Parameter textGrace: How long texts are waited for; nil: the default.
    func once(_ variables: [String: String] = [:], textGrace: String? = nil) throws -> Outcome {
        guard let textGrace else { return try start(.charnnd, ["--once"], variables).end() }
        let configuration = folder.path.appending("charnnd.yaml")
        try storage.replace(configuration, with: Array("text_grace: \(textGrace)\n".utf8))
        return try start(.charnnd, ["--once", "--config", configuration.string], variables).end()
    }

    func charnn(_ arguments: String..., with variables: [String: String] = [:]) throws -> Outcome {
        try start(.charnn, arguments, variables).end()
    }

    /// The worker process in this spool; nil: there is none.
    var worker: pid_t? {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        for pid in processes.compactMap(pid_t.init) {
            let line = (try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/cmdline"))) ?? Data()
            let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            if words.contains("worker"), words.contains(layout.root.string) { return pid }
        }
        return nil
    }

    // MARK: - After

    func output(_ job: String) -> FilePath { layout.folder(of: job) }

    /// The folder of a run outside the queue.
    func run(_ name: String) -> FilePath { layout.folder(ofRun: name) }

    func runStatus(_ name: String) throws -> JobStatus? {
        try JobStatus.read(run(name).appending(.status), on: storage)
    }

    func state(_ job: String) throws -> JobState? { try client.find(job)?.state }

    func status(_ job: String) throws -> JobStatus? { try JobStatus.read(layout.status(of: job), on: storage) }

    func bytes(_ path: FilePath) throws -> [UInt8] {
        try #require(try storage.contents(of: path), "\(path) is missing")
    }

    func text(_ path: FilePath) throws -> String { String(decoding: try bytes(path), as: UTF8.self) }

    func exists(_ path: FilePath) -> Bool { FileManager.default.fileExists(atPath: path.string) }

    /// All that a job leaves behind that must be the same whatever happened on the way, by file, but for texts of earlier
    /// attempts; of the metrics the columns that tell no times.
    func results(_ job: String) throws -> [String: [UInt8]] { try results(in: output(job)) }

    private func results(in folder: FilePath) throws -> [String: [UInt8]] {
        var results: [String: [UInt8]] = [:]
        for result in try #require(try JobStatus.read(folder.appending(.status), on: storage)?.results)
        where !result.path.hasPrefix("generated/attempt-") {
            results[result.path] = try bytes(folder.pushing(FilePath(result.path)))
        }
        if let metrics = results["metrics.csv"] {
            let rows = String(decoding: metrics, as: UTF8.self).split(separator: "\n")
            let timeless = rows.map {
                $0.split(separator: ",", omittingEmptySubsequences: false).prefix(6).joined(separator: ",")
            }
            results["metrics.csv"] = Array(timeless.joined(separator: "\n").utf8)
        }
        return results
    }

    /// Compares results; a failure tells which differ, and not a megabyte of bytes.
    func expectResults(_ job: String, equal expected: [String: [UInt8]]) throws {
        try expectResults(in: output(job), equal: expected)
    }

    func expectResults(in folder: FilePath, equal expected: [String: [UInt8]]) throws {
        let found = try results(in: folder)
        #expect(found.keys.sorted() == expected.keys.sorted())
        let different = expected.keys.filter { found[$0] != expected[$0] }.sorted()
        #expect(different == [])
    }
}

/// Texts to learn.
enum Corpus {
    /// Sentences that have something to learn in them, each different.
    static func tale(_ characters: Int) -> String {
        let owls = ["owl", "cat", "king", "queen", "miller"]
        let deeds = ["sings", "sleeps", "counts the stars", "bakes bread"]
        let places = ["in the wood", "by the sea", "under the old bridge"]
        var text = ""
        var number = 0
        while text.utf8.count < characters {
            text += "The \(owls[number % 5]) \(deeds[number * 7 / 3 % 4]) "
            text += "\(places[number / 5 % 3]), \(number) nights.\n"
            number += 1
        }
        return String(text.prefix(characters))
    }
}
