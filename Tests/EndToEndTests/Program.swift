import Foundation
import SystemPackage
import Testing

/// The two programs: those in the folder that `CHARNND_BIN` names, without it as they were built beside the test bundle.
enum Program: String {
    case charnnd, charnn

    var path: String { Self.folder.appending(rawValue).string }

    static let folder = ProcessInfo.processInfo.environment["CHARNND_BIN"].map { FilePath($0) } ?? bundleFolder

    /// Where what was built for the tests lies.
    static let bundleFolder: FilePath = {
        let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return FilePath(bundle).removingLastComponent()
    }()

    /// The project's root.
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
}

/// What a program did.
struct Outcome {
    /// The exit status; 128 and the signal's number where a signal ended it.
    var status: Int32
    var output: String
    var error: String
}

/// A process of a test, ended with it.
final class RunningProgram {
    let pid: pid_t
    private let files: (output: FilePath, error: FilePath)
    private var status: Int32?

    /// - Parameter environment: Beside the test's own variables and instead of them.
    init(
        _ executable: String, _ arguments: [String], in folder: FilePath, environment: [String: String]
    ) throws {
        let label = "\(FilePath(executable).lastComponent?.string ?? "")-\(UUID().uuidString)"
        files = (folder.appending(label + ".out"), folder.appending(label + ".err"))
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, files.output.string, O_WRONLY | O_CREAT, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, files.error.string, O_WRONLY | O_CREAT, 0o600)
        // A process of its own group, with no signal blocked or ignored that a test runner blocks or ignores.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        // env changes the folder and then is replaced by the program; glibc's own call for it is not seen by Swift.
        var argv = (["env", "-C", folder.string, executable] + arguments).map { strdup($0) } + [nil]
        var envp = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var pid: pid_t = 0
        #expect(access(executable, X_OK) == 0, "\(executable) is not built")
        let failure = posix_spawn(&pid, "/usr/bin/env", &actions, &attributes, &argv, &envp)
        guard failure == 0 else { throw CocoaError(.executableLoad, userInfo: [NSFilePathErrorKey: executable]) }
        self.pid = pid
    }

    deinit {
        guard status == nil else { return }
        kill(pid, SIGKILL)
        var ignored: Int32 = 0
        waitpid(pid, &ignored, 0)
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// Waits until it has ended.
    func end() throws -> Outcome {
        try eventually("\(pid) ends") { hasEnded }
        return Outcome(status: status ?? -1, output: try text(files.output), error: try text(files.error))
    }

    /// What it has written to standard error so far.
    var errorSoFar: String { (try? text(files.error)) ?? "" }

    var hasEnded: Bool {
        if status != nil { return true }
        var word: Int32 = 0
        guard waitpid(pid, &word, WNOHANG) == pid else { return false }
        status = word & 0x7F == 0 ? (word >> 8) & 0xFF : 128 + (word & 0x7F)
        return true
    }

    private func text(_ path: FilePath) throws -> String {
        guard FileManager.default.fileExists(atPath: path.string) else { return "" }
        return String(decoding: try Data(contentsOf: URL(fileURLWithPath: path.string)), as: UTF8.self)
    }
}

/// Something that did not come about.
struct NeverHappened: Error, CustomStringConvertible {
    var description: String
}

/// Waits for something that another process brings about. The limit is for what never comes; no test counts on it.
func eventually(_ what: String, _ isSo: () throws -> Bool) throws {
    let limit = ContinuousClock.now + .seconds(120)
    while try !isSo() {
        guard ContinuousClock.now < limit else { throw NeverHappened(description: "never: \(what)") }
        usleep(1000)
    }
}
