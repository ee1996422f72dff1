import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// The daemon's own program at rest.
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
}
