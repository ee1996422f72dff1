import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// The service under a real systemd.
///
/// It takes a program that boots one, named by CHARNND_SYSTEMD_BOX, and root.
struct SystemdTests {
    static let box = ProcessInfo.processInfo.environment["CHARNND_SYSTEMD_BOX"]

    @Test(
        .enabled(if: box != nil && getuid() == 0, "needs root and CHARNND_SYSTEMD_BOX, which boots a systemd"),
        StartedAhead(), .endsWhatHangs)
    func `the installed service keeps what it promises`() async {
        #expect(await StartedAhead.run.value == 0)
    }
}

/// Starts the long run before any test: the others are done while the service waits for its clocks.
private struct StartedAhead: TestTrait {
    /// The exit status; the run waits on a thread of its own, so that no test waits for it.
    static let run = Task {
        await withCheckedContinuation { continuation in
            let process = Process()
            process.executableURL = Program.root.appending(path: "Tests/EndToEndTests/systemd/run.sh")
            process.arguments = [Program.folder.string]
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(returning: -1) }
        }
    }

    func prepare(for test: Test) async throws { _ = Self.run }
}
