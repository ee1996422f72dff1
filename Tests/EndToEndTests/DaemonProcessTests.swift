import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// The daemon's process.
@Suite(.endsWhatHangs)
struct DaemonProcessTests {
    let folder = TemporaryDirectory("process")
    var layout: SpoolLayout { SpoolLayout(root: folder.path.appending("spool")) }

    private func start() throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: Program.charnnd.path)
        process.arguments = ["--spool", layout.root.string]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
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

    @Test func `a worker is as nice as its daemon was told to be`() throws {
        let spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(100_000))
        try spool.drop("job.yaml", Disturbance.training)
        let arguments = ["-n", "7", Program.charnnd.path, "--spool", spool.layout.root.string]
        let daemon = try RunningProgram("/usr/bin/nice", arguments, in: spool.folder.path, environment: [:])
        try eventually("a step is made") { try spool.status("job")?.step ?? 0 > 0 }
        let worker = try #require(spool.worker)
        let process = __priority_which_t(PRIO_PROCESS.rawValue)
        #expect(getpriority(process, id_t(worker)) == getpriority(process, 0) + 7)
        daemon.signal(SIGTERM)
        #expect(try daemon.end().status == 0)
    }
}
