import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import Glibc
import SystemPackage
import Testing

/// The folder of a run outside the queue: what `charnn run` may overwrite and remove there, and how it is named.
@Suite struct RunFolderTests {
    private let spool: TestSpool

    init() throws {
        spool = try TestSpool()
        try write("tale.txt", Corpus.tale(6000))
        try write("tale.yaml", QueueTests.training)
    }

    private func write(_ name: String, _ text: String) throws {
        let path = spool.folder.path.pushing(FilePath(name))
        try spool.storage.createDirectories(path.removingLastComponent(), mode: 0o755)
        try spool.storage.replace(path, with: Array(text.utf8))
    }

    /// All files below a folder.
    private func files(in folder: FilePath) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder.string) {
            files[name] = FileManager.default.contents(atPath: folder.pushing(FilePath(name)).string) ?? Data()
        }
        return files
    }

    // MARK: - What --fresh removes

    static let refusals: [(job: String, says: String)] = [
        (QueueTests.training.replacing("tale.txt", with: "gone.txt"), "gone.txt does not exist"),
        ("device: cpu\n" + QueueTests.training.replacing("cell:", with: "precision: fp16\n  cell:"), "fp16"),
        (QueueTests.training.replacing("prompt: ", with: "prompt: Ω"), "generate.prompt: the model's vocabulary lacks"),
        (QueueTests.training + "evaluate: {corpus: none.txt}\n", "evaluate.corpus: the text none.txt does not exist"),
        (QueueTests.training + "after: nobody\n", "after: there is no job nobody"),
        ("generate: {model: nobody}\n", "there is no model of a job nobody"),
        ("generate: {model: tale, length: 20}\n", "--fresh would remove it"),
        (
            QueueTests.training.replacing("tale.txt", with: "spool/runs/tale/samples/step-00000001.txt"),
            "--fresh would remove it"
        ),
    ]

    @Test(arguments: refusals) func `a job that cannot begin anew is refused before anything is removed`(
        job: String, says: String
    ) throws {
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        try write("spool/runs/tale/samples/step-00000001.txt", Corpus.tale(6000))
        let before = try files(in: spool.run("tale"))
        try write("tale.yaml", job)
        let end = try spool.charnn("run", "--fresh", "tale.yaml")
        #expect(end.status != 0 && end.error.contains(says), "\(end.status) \(end.error)")
        #expect(try files(in: spool.run("tale")) == before)
    }

    @Test(.endsWhatHangs) func `a run that began anew has its log, and can be followed`() throws {
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        #expect(try spool.charnn("run", "--fresh", "tale.yaml").status == 0)
        let log = try spool.text(spool.run("tale").appending(.log))
        #expect(log.split(separator: "\n").filter { $0.contains("The text has") }.count == 1, "\(log)")
        let followed = try spool.charnn("follow", "tale")
        #expect(followed.status == 0 && followed.output == log)
    }

    // MARK: - What was there before

    @Test(arguments: [[], ["--fresh"]]) func `a folder that no run wrote stays as it is`(options: [String]) throws {
        for name in ["samples/novel.txt", "generated/1.txt", "model.safetensors", "job.yaml", "report.html"] {
            try write("own/\(name)", "mine")
        }
        let folder = spool.folder.path.appending("own")
        let before = try files(in: folder)
        let end = try spool.start(.charnn, ["run", "tale.yaml", "--output", "own"] + options).end()
        #expect(end.status == 73 && end.error.contains("is not empty"), "\(end.status) \(end.error)")
        #expect(!end.output.contains("mine"))
        #expect(try files(in: folder) == before)
    }

    @Test(arguments: [[], ["--fresh"]]) func `an empty folder is taken, and one of a run that was ended at once`(
        options: [String]
    ) throws {
        for (name, left) in [("empty", []), ("begun", [".lock", ".status.json.partial"])] {
            let folder = spool.folder.path.appending(name)
            try spool.storage.createDirectory(folder, mode: 0o755)
            for file in left { try write("\(name)/\(file)", "") }
            let end = try spool.start(.charnn, ["run", "tale.yaml", "--output", name] + options).end()
            #expect(end.status == 0, "\(end.error)")
            #expect(spool.exists(folder.appending(.model)))
        }
    }

    @Test func `a run does not take over the folder of another`() throws {
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        try write("other.yaml", "generate: {model: tale, length: 20}\n")
        let before = try files(in: spool.run("tale"))
        let folder = "spool/runs/tale"
        let other = try spool.charnn("run", "other.yaml", "--output", folder)
        #expect(other.status == 73 && other.error.contains("is the folder of a run tale"), "\(other.error)")
        try write("more/tale.yaml", "generate: {model: ../spool/runs/tale/model.safetensors, length: 20}\n")
        let kind = try spool.charnn("run", "more/tale.yaml")
        #expect(
            kind.status == 73 && kind.error.contains("is the folder of a run with generate and train")
                && kind.error.contains("has generate;") && kind.error.contains("--fresh"), "\(kind.error)")
        #expect(try files(in: spool.run("tale")) == before)
        // More work of the same kind is the same run's.
        try write("tale.yaml", QueueTests.training + "evaluate: {corpus: tale.txt}\n")
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        // Who says so has it.
        try write("another.yaml", QueueTests.training)
        #expect(try spool.charnn("run", "another.yaml", "--fresh", "--output", folder).status == 0)
        #expect(try spool.runStatus("tale")?.job == "another")
    }

    // MARK: - What is damaged

    @Test func `all that tells of a run with a damaged status says what can be done`() throws {
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        try spool.storage.replace(spool.run("tale").appending(.status), with: Array("{".utf8))
        for command in ["show", "why", "follow"] {
            let end = try spool.charnn(command, "tale")
            let words = end.output + end.error
            #expect(words.contains("). `charnn run --fresh` with its job file"), "\(command): \(words)")
            #expect(!words.contains("goes on from there"), "\(command): \(words)")
        }
        let checked = try spool.charnn("fsck")
        #expect(checked.status == 2 && checked.output.contains("status.json: it cannot be read"), "\(checked.output)")
        #expect(checked.output.contains("`charnn run --fresh`"), "\(checked.output)")
        let refused = try spool.charnn("run", "tale.yaml")
        #expect(refused.status == 65 && refused.error.contains("--fresh"), "\(refused.error)")
        #expect(try spool.charnn("run", "tale.yaml", "--fresh").status == 0)
        #expect(try spool.charnn("fsck").status == 0)
    }

    @Test func `a run is told to be run again, and no job`() throws {
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        try spool.storage.replace(spool.run("tale").appending(.model), with: Array("no model".utf8))
        let checked = try spool.charnn("fsck")
        #expect(checked.output.contains("or `charnn run --fresh` with its job file"), "\(checked.output)")
        #expect(!checked.output.contains("drop the job"))
        try write("tale.yaml", "time_limit: 1s\n" + QueueTests.training.replacing("epochs: 2", with: "epochs: 200000"))
        let ended = try spool.charnn("run", "--fresh", "tale.yaml")
        #expect(ended.status == 1 && ended.error.contains("Raise time_limit and run it again"), "\(ended.error)")
    }

    // MARK: - How it is named

    @Test(.endsWhatHangs) func `a run in a folder of one's own is shown and ended by its path`() throws {
        try write("tale.yaml", QueueTests.training.replacing("epochs: 2", with: "epochs: 200000"))
        let folder = spool.folder.path.appending("mine")
        for word in ["mine", "./mine", folder.string] {
            let run = try spool.start(.charnn, ["run", "tale.yaml", "--output", "mine"])
            try eventually("it trains") {
                let status = try JobStatus.read(folder.appending(.status), on: spool.storage)
                return run.hasEnded || (status?.state == .active && status?.phase == "training")
            }
            let shown = try spool.charnn("show", word)
            #expect(shown.output.contains("run         \(folder)\nstate       active"), "\(shown.output)\(shown.error)")
            #expect(try spool.charnn("why", word).output.contains("`charnn end \(folder)`"))
            let ended = try spool.charnn("end", word)
            #expect(
                ended.output.contains("is stopped") && ended.output.contains("`charnn run --output \(folder)`"),
                "\(ended.output)\(ended.error)")
            #expect(try run.end().status == 85)
        }
        #expect(try spool.charnn("show", "./nothing").status == 66)
        #expect(try spool.charnn("end", ".").status == 66)
    }

    @Test func `the path of a run in the spool, and of a job, means that run and no other`() throws {
        #expect(try spool.charnn("run", "tale.yaml").status == 0)
        try spool.drop("tale.yaml", QueueTests.training)
        try spool.corpus("tale.txt", Corpus.tale(6000))
        #expect(try spool.once().status == 0)
        #expect(try spool.charnn("show", spool.run("tale").string).output.contains("run         runs/tale\n"))
        #expect(try spool.charnn("show", "./tale").status == 66)
        #expect(try spool.charnn("end", spool.output("tale").string).status == 66)
    }
}
