import ArgumentParser
import CharnnJobs
import CharnnSpool
import CharnnStorage
import Glibc
import SystemPackage

/// `charnn edit`: a job file is replaced as a whole, and only by one that is valid. In a spool of one's own it is done
/// here, in a shared one by the daemon, which checks it anew.
struct Edit: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Change the job file of a job that does not run.",
        discussion: """
            Without a file an editor is opened, $VISUAL or $EDITOR. What is written is checked before it takes the old \
            one's place. In the system's spool you change your own jobs; members of charnnd-admin all.

            Example, with the job of `charnn submit --help`:
              sed 's/epochs: 50/epochs: 60/' night.yaml > more.yaml
              charnn edit night more.yaml
            """)

    @Argument(
        help: ArgumentHelp("The job's name.", valueName: "name"),
        completion: .custom { words, _, _ in JobNames.all(words) })
    var name: String

    @Argument(
        help: ArgumentHelp("The new job file.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"])
    )
    var file: String?

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let client = SpoolClient(try spool.existing(storage))
            guard let job = try client.find(name) else { throw Failure(try client.why(name), status: 66) }
            let old = try storage.contents(
                of: client.layout.file(job.file, in: job.state), limit: SpoolKeeper.largestFile)
            let new = try file.map { try NamedJobFile($0, in: storage).bytes } ?? edited(old ?? [], job.file, storage)
            // Before anything is changed: the old file stays where the new one cannot be used.
            _ = try JobFile.parse(new, fileName: file ?? job.file)
            if new == old { return Terminal.line("\(job.name): nothing was changed.") }
            let result = try client.edit(job.name, new)
            let more =
                [.done, .failed, .cancelled].contains(job.state)
                ? " `charnn retry \(job.name)` lets it go on with it." : ""
            Terminal.line(
                result.isAsked
                    ? Asked.line(job.name, "changed", client) : "\(job.name): its job file is changed.\(more)")
        }
    }

    /// What a person makes of a job file in an editor of theirs.
    ///
    /// In a folder that only this user sees, since the job may be theirs alone; the file keeps its name, by which
    /// editors know the language.
    private func edited(_ bytes: [UInt8], _ fileName: String, _ storage: LocalStorage) throws -> [UInt8] {
        let names: [String] = ["VISUAL", "EDITOR"]
        let variables = names.compactMap { name in getenv(name).map { String(cString: $0) } }
        let editor = variables.first { !$0.isEmpty } ?? "vi"
        var template = Array("/tmp/charnn-edit.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Failure("a folder for the editor cannot be made in /tmp; name the new file instead", status: 73)
        }
        let folder = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
        let path = folder.appending(fileName)
        // Also what an editor has left beside it, such as a backup.
        defer {
            for name in (try? storage.list(folder)) ?? [] { try? storage.discard(folder.appending(name)) }
            try? storage.removeDirectory(folder)
        }
        let writing = try storage.create(path, mode: 0o600)
        try writing.append(bytes)
        // The shell takes an editor with options; the file's name is an argument of its own.
        var process = pid_t()
        let words: [String] = ["sh", "-c", "exec \(editor) \"$0\"", path.string]
        let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        guard posix_spawn(&process, "/bin/sh", nil, nil, arguments, environ) == 0 else {
            throw Failure("the editor \(editor) cannot be started; set EDITOR to another", status: 71)
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else {
            throw Failure("the editor \(editor) ended with an error; nothing was changed", status: 1)
        }
        guard let new = try storage.contents(of: path, limit: SpoolKeeper.largestFile + 1) else {
            throw Failure("the edited file is gone; nothing was changed", status: 66)
        }
        return new
    }
}

/// What is told of something that the daemon has still to do.
///
/// Where the daemon has to do it, nothing is promised: it may refuse.
enum Asked {
    /// - Parameter word: What the job is to be, such as `held`.
    static func line(_ job: String, _ word: String, _ client: SpoolClient) -> String {
        client.hasDaemon() == false
            ? "\(job): that it be \(word) is asked for; it waits until a daemon works here (systemctl start charnnd)."
            : "\(job): that it be \(word) is asked for, and not done yet; `charnn why \(job)` says how it stands, and the "
                + "journal why it was not done, if so."
    }
}
