import CharnnTestSupport
import Foundation
import Testing

/// The service under a real systemd.
///
/// It takes a program that boots one, named by CHARNND_SYSTEMD_BOX, and root. `CHARNND_BIN` names the folder of the
/// programs to install; without it those of this build are taken.
struct SystemdTests {
    static let box = ProcessInfo.processInfo.environment["CHARNND_SYSTEMD_BOX"]

    @Test(
        .enabled(if: box != nil && getuid() == 0, "needs root and CHARNND_SYSTEMD_BOX, which boots a systemd"),
        .endsWhatHangs)
    func `the installed service keeps what it promises`() throws {
        let folder = Programs.root.appending(path: "Tests/EndToEndTests/systemd")
        let programs = ProcessInfo.processInfo.environment["CHARNND_BIN"] ?? Programs.folder.path
        let process = Process()
        process.executableURL = folder.appending(path: "run.sh")
        process.arguments = [programs]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }
}

/// The built programs.
enum Programs {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static var folder: URL {
        #if DEBUG
        root.appending(path: ".build/debug")
        #else
        root.appending(path: ".build/release")
        #endif
    }
}
