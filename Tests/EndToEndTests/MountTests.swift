import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// File systems mounted in odd ways, in a namespace of the test's own; skipped where the system allows none.
@Suite(.enabled(if: Namespace.mayMount, "no right to mount in a namespace")) struct MountTests {
    /// Runs the daemon over a spool after a mount.
    private func once(_ spool: TestSpool, mounting command: String) throws -> Outcome {
        let root = spool.layout.root.string
        let script = "\(command.replacingOccurrences(of: "SPOOL", with: root)) && exec \"$0\" --once --spool '\(root)'"
        return try RunningProgram(
            "/usr/bin/unshare", Namespace.options + ["sh", "-c", script, Program.charnnd.path], in: spool.folder.path,
            environment: ["JOURNAL_STREAM": "", "HOME": spool.folder.path.string]
        ).end()
    }

    @Test func `a spool on a file system mounted read-only is refused, and left as it is`() throws {
        let spool = try TestSpool()
        try spool.drop("job.yaml", QueueTests.training)
        let end = try once(spool, mounting: "mount --bind SPOOL SPOOL && mount -o remount,bind,ro SPOOL")
        #expect(end.status == 73)
        #expect(end.error.contains("the spool \(spool.layout.root) lies on a file system that is mounted read-only"))
        #expect(end.error.contains("mount it for writing, then start again"))
        #expect(try spool.storage.list(spool.layout.incoming) == ["job.yaml"])
    }

    @Test(arguments: ["queue", "incoming", "jobs"])
    func `a spool in two file systems is refused, and both are named`(part: String) throws {
        let spool = try TestSpool()
        try spool.drop("job.yaml", QueueTests.training)
        let end = try once(spool, mounting: "mount -t tmpfs none SPOOL/\(part)")
        #expect(end.status == 73)
        let root = spool.layout.root
        #expect(
            end.error.contains("\(root)/\(part) and \(root)/accepting lie on different file systems"), "\(end.error)")
        #expect(try spool.storage.list(spool.layout.incoming) == ["job.yaml"])
    }

    @Test func `texts may lie on another file system`() throws {
        let spool = try TestSpool()
        let end = try once(spool, mounting: "mount -t tmpfs none SPOOL/corpora")
        #expect(end.status == 0, "\(end.error)")
    }
}

private enum Namespace {
    static let options = getuid() == 0 ? ["--mount"] : ["--mount", "--map-root-user"]

    static let mayMount: Bool = {
        guard let folder = try? TestSpool().folder, FileManager.default.fileExists(atPath: "/usr/bin/unshare"),
            let program = try? RunningProgram(
                "/usr/bin/unshare", options + ["mount", "-t", "tmpfs", "none", "/mnt"], in: folder.path,
                environment: [:])
        else { return false }
        return (try? program.end().status) == 0
    }()
}
