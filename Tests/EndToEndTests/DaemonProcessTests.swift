import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// The daemon's own program with its own workers, killed.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct DaemonProcessTests {
    let folder = TemporaryDirectory("process")
    let disk = LocalStorage()
    var layout: SpoolLayout { SpoolLayout(root: folder.path.appending("spool")) }

    private func start(once: Bool = false) throws -> Process {
        let process = Process()
        process.executableURL = Programs.folder.appending(path: "charnnd")
        process.arguments = ["--spool", layout.root.string] + (once ? ["--once"] : [])
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    private func drop(_ name: String, epochs: Int) throws {
        let text = """
            train:
              corpus: text.txt
              hidden_size: 16
              num_layers: 1
              dropout: 0.1
              epochs: \(epochs)
              seq_length: 20
              batch_size: 8
              checkpoint_every: 50
            """
        try disk.replace(layout.incoming.appending("\(name).yaml"), with: Array(text.utf8))
    }

    private func prepare() throws {
        try layout.create(.personal, on: disk)
        let words = ["and the light ", "shone in the ", "darkness of it ", "for all, "]
        let text = (0..<800).map { words[($0 * $0 + $0 / 7) % 4] }.joined()
        try disk.replace(layout.corpora.appending("text.txt"), with: Array(text.utf8))
    }

    /// Waits until the job's newest checkpoint is at `step` or later.
    ///
    /// It keeps its thread: other tests in this process could delay a task until the job has ended.
    private func wait(for job: String, step: Int) throws {
        while true {
            let names = (try? disk.list(layout.folder(of: job).appending("checkpoints"))) ?? []
            let steps = names.compactMap { Int($0.filter(\.isNumber)) }
            if steps.contains(where: { $0 >= step }) { return }
            usleep(10000)
        }
    }

    private func worker(of daemon: Process) throws -> pid_t {
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
            guard let pid = pid_t(name), let stat = try? String(contentsOfFile: "/proc/\(name)/stat", encoding: .utf8),
                let end = stat.lastIndex(of: ")")
            else { continue }
            if stat[end...].split(separator: " ")[2] == "\(daemon.processIdentifier)" { return pid }
        }
        throw POSIXError(.ESRCH)
    }

    private func model(_ job: String) throws -> [UInt8]? {
        try disk.contents(of: layout.folder(of: job).appending("model.safetensors"))
    }

    @Test(arguments: ["worker", "daemon", "stop"])
    func `a killed run ends with the same model as an undisturbed one`(victim: String) throws {
        try prepare()
        try drop("calm", epochs: 150)
        let calm = try start(once: true)
        calm.waitUntilExit()
        #expect(calm.terminationStatus == 0)

        try drop("disturbed", epochs: 150)
        let daemon = try start()
        // Whatever fails, nothing stays behind.
        defer { if daemon.isRunning { daemon.terminate() } }
        try wait(for: "disturbed", step: 100)
        switch victim {
        case "worker": kill(try worker(of: daemon), SIGKILL)
        case "daemon": kill(daemon.processIdentifier, SIGKILL)
        default: daemon.terminate()
        }
        if victim == "worker" {
            while try SpoolClient(layout).find("disturbed")?.state != .done {
                usleep(50000)
            }
            daemon.terminate()
        }
        daemon.waitUntilExit()
        if victim != "worker" {
            let next = try start(once: true)
            next.waitUntilExit()
            #expect(next.terminationStatus == 0)
        }
        #expect(daemon.terminationStatus == (victim == "daemon" ? 9 : 0))
        let status = try #require(try JobStatus.read(layout.status(of: "disturbed"), on: disk))
        #expect(status.state == .done && status.attempts == 2)
        let (expected, found) = (try model("calm"), try model("disturbed"))
        #expect(expected != nil && expected == found)
    }

    @Test func `an idle daemon stays below forty megabytes`() throws {
        let daemon = try start()
        defer { if daemon.isRunning { daemon.terminate() } }
        while SpoolClient(layout).hasDaemon() != true { usleep(20000) }
        usleep(300000)
        let status = try String(contentsOfFile: "/proc/\(daemon.processIdentifier)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS") })
        let kilobytes = try #require(Int(line.filter(\.isNumber)))
        #expect(kilobytes < 40 * 1024)
    }
}
