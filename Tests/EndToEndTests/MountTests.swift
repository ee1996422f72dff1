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

    /// Runs a script in which `HOME` is a folder of a network file system, and `/var/tmp` one of the test's own.
    private func onNetwork(_ spool: TestSpool, _ script: String) throws -> Outcome {
        let (home, local) = (spool.folder.path.appending("home"), spool.folder.path.appending("local"))
        for path in [home, local] { try spool.storage.createDirectory(path, mode: 0o700) }
        let server = FilePath(#filePath).removingLastComponent().appending("network.py")
        let mounts = """
            python3 '\(server)' '\(home)' fuse.sshfs host:/home </dev/null >/dev/null 2>&1 || exit 99
            mount --bind '\(local)' /var/tmp
            charnnd() { '\(Program.charnnd.path)' --once "$@"; }
            charnn() { '\(Program.charnn.path)' "$@"; }
            \(script)
            status=$?
            umount '\(home)'
            exit $status
            """
        return try RunningProgram(
            "/usr/bin/unshare", Namespace.options + ["sh", "-c", mounts], in: spool.folder.path,
            environment: ["JOURNAL_STREAM": "", "HOME": home.string, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"]
        ).end()
    }

    @Test(.enabled(if: Namespace.mayServe, "no FUSE, or no Python"))
    func `a spool on a network file system is refused, and a folder that would do is named`() throws {
        let spool = try TestSpool()
        let end = try onNetwork(spool, #"charnnd --spool "$HOME/spool""#)
        let folder = spool.folder.path.appending("home/spool")
        #expect(end.status == 73)
        #expect(
            end.error == "charnnd: the spool \(folder) cannot be used: \(folder) lies on a network file system "
                + "(fuse.sshfs), where locks and notices of changes cannot be relied on; name a folder on a local disk, "
                + "such as /var/tmp/charnnd-\(Namespace.user)\n")
        let other = try onNetwork(try TestSpool(), #"charnn demo --spool "$HOME/spool""#)
        #expect(other.status == 74)
        #expect(other.error.hasSuffix("name a folder on a local disk, such as /var/tmp/charnnd-\(Namespace.user)\n"))
    }

    @Test(.enabled(if: Namespace.mayServe, "no FUSE, or no Python"))
    func `a home on a network file system has its spool in a local folder, which is told once`() throws {
        let spool = try TestSpool()
        let end = try onNetwork(spool, "charnnd && echo again >&2 && charnnd && charnn list")
        #expect(end.status == 0, "\(end.error)")
        let parts = end.error.components(separatedBy: "again\n")
        #expect(parts.first?.contains("lies on a network file system (fuse.sshfs), so the spool is made in ") == true)
        #expect(parts.last?.contains("network") == false)
        #expect(end.output.contains("There are no jobs in /var/tmp/charnnd-\(Namespace.user)"))
        let made = spool.folder.path.appending("local/charnnd-\(Namespace.user)")
        #expect(try spool.storage.status(of: made)?.mode == 0o700)
    }

    @Test(.enabled(if: Namespace.mayServe, "no FUSE, or no Python"))
    func `a local folder that another has prepared is refused`() throws {
        let script = "ln -s /tmp /var/tmp/charnnd-\(Namespace.user); charnnd"
        let end = try onNetwork(try TestSpool(), script)
        #expect(end.status == 73)
        #expect(
            end.error
                == "charnnd: /var/tmp/charnnd-\(Namespace.user) must be a folder of your own in which nobody else may "
                + "write, and is a link; have it removed, or name another place\n")
    }

    @Test func `texts may lie on another file system`() throws {
        let spool = try TestSpool()
        let end = try once(spool, mounting: "mount -t tmpfs none SPOOL/corpora")
        #expect(end.status == 0, "\(end.error)")
    }
}

private enum Namespace {
    static let options = getuid() == 0 ? ["--mount"] : ["--mount", "--map-root-user"]

    /// Who the programs are: in a namespace of one's own root.
    static let user = 0

    static let mayServe =
        mayMount && access("/dev/fuse", R_OK | W_OK) == 0 && access("/usr/bin/python3", X_OK) == 0

    static let mayMount: Bool = {
        guard let folder = try? TestSpool().folder, FileManager.default.fileExists(atPath: "/usr/bin/unshare"),
            let program = try? RunningProgram(
                "/usr/bin/unshare", options + ["mount", "-t", "tmpfs", "none", "/mnt"], in: folder.path,
                environment: [:])
        else { return false }
        return (try? program.end().status) == 0
    }()
}
