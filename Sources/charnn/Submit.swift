import ArgumentParser
import CharnnJobs
import CharnnSpool
import CharnnStorage
import SystemPackage

struct Submit: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hand job files to the daemon.",
        discussion: """
            The same as copying them into the spool's incoming/. Each is checked first. A text that the daemon could \
            not see, such as one in your home folder, is copied into the spool's corpora/.

            Example:
              cp /usr/share/common-licenses/GPL-3 gpl.txt
              echo 'train: {corpus: gpl.txt, hidden_size: 64, epochs: 50}' > night.yaml
              charnn submit night.yaml
            """)

    @Argument(
        help: ArgumentHelp("Job files.", valueName: "file"), completion: .file(extensions: ["yaml", "yml", "json"]))
    var files: [String]

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let layout = try spool.prepared(storage)
            let client = SpoolClient(layout, storage: storage)
            // All are checked, and have their texts, before any is handed over.
            let given = try forAll(files) { file in
                let job = try NamedJobFile(file, in: storage)
                _ = try JobFile.parse(job.bytes, fileName: file)
                return (file: file, job: job)
            }
            let texts = TextProvider(layout: layout, storage: storage)
            let ready = try forAll(given) { file, job in
                (file: file, job: job, bytes: try texts.provide(for: job.bytes, fileName: file, beside: job.path))
            }
            for (file, job, bytes) in ready {
                let name = try client.submit(bytes, fileName: job.path.lastComponent?.string ?? "")
                let isTaken = try storage.status(of: layout.folder(of: job.name)) != nil
                let other = isTaken ? "; there is a \(job.name) already, so the job gets a number: `charnn list`" : ""
                Terminal.line("\(file): handed over as \(name)\(other)")
            }
            Terminal.line(
                client.hasDaemon() == false
                    ? "No daemon works in \(layout.root). \(client.startRemedy)"
                    : "The daemon takes it within seconds: `charnn list` shows all jobs, "
                        + "`charnn follow \(given[0].job.name)` how one goes.")
        }
    }
}

/// Does something for all elements, and throws all that went wrong as one failure.
private func forAll<Element, Result>(_ all: [Element], _ work: (Element) throws -> Result) throws -> [Result] {
    var (results, failures): ([Result], [Failure]) = ([], [])
    for element in all {
        do {
            results.append(try work(element))
        } catch {
            failures.append(Failure(error))
        }
    }
    guard let first = failures.first else { return results }
    let more = all.count > 1 ? "\nnothing was handed over" : ""
    throw Failure(failures.map(\.message).joined(separator: "\n") + more, status: first.status)
}

/// Gives a daemon the texts that it could not see, such as those in a home folder: copies them into `corpora/`.
struct TextProvider {
    var layout: SpoolLayout
    var storage: LocalStorage

    /// Copies what a job file names and the spool lacks.
    ///
    /// A relative path is looked for beside the job file. An absolute one outside the folders that jobs may read is
    /// copied under its last name, and the job file changed to say so.
    /// - Returns: The job file's contents, as they are to be handed over.
    func provide(for bytes: [UInt8], fileName: String, beside file: FilePath) throws -> [UInt8] {
        let job = try JobFile.parse(bytes, fileName: fileName)
        var text = String(decoding: bytes, as: UTF8.self)
        for named in (job.train?.corpus ?? []) + (job.evaluate?.corpus ?? []) {
            let path = FilePath(named)
            if path.isRelative {
                try provideRelative(path, beside: file)
            } else if !isReadable(path) {
                guard text.ranges(of: named).count == 1 else {
                    throw Failure(
                        "\(named): stands in \(fileName) more than once; copy this text into \(layout.corpora) and name "
                            + "it there", status: Failure.usage)
                }
                text = text.replacing(named, with: try provideAbsolute(path))
            }
        }
        let changed = Array(text.utf8)
        let names = try JobFile.parse(changed, fileName: fileName)
        let outside = ((names.train?.corpus ?? []) + (names.evaluate?.corpus ?? []))
            .first { !FilePath($0).isRelative && !isReadable(FilePath($0)) }
        if let outside {
            throw Failure("\(outside): copy this text into \(layout.corpora) and name it there", status: Failure.usage)
        }
        return changed
    }

    /// Whether jobs of this spool may read a path.
    private func isReadable(_ path: FilePath) -> Bool {
        let standard = ServiceConfiguration.standardPath
        let configured = (try? storage.contents(of: standard)).flatMap { $0 } ?? []
        let roots = (try? ServiceConfiguration.parse(configured, fileName: standard.string))?.corpusRoots ?? []
        let normal = path.lexicallyNormalized()
        return ([layout.corpora, layout.jobs] + roots).contains { normal.starts(with: $0) }
    }

    private func provideRelative(_ path: FilePath, beside file: FilePath) throws {
        let target = layout.corpora.pushing(path).lexicallyNormalized()
        guard target.starts(with: layout.corpora) else { return }
        let source = file.removingLastComponent().pushing(path).lexicallyNormalized().real
        let found = try storage.status(of: source)
        if let there = try storage.status(of: target) {
            if found?.kind == .regular, there.kind == .regular, try !isEqual(source, target) {
                Terminal.line("\(path): the text of that name in \(layout.corpora) is taken, not \(source)")
            }
            return
        }
        guard found?.kind == .regular else {
            throw Failure(
                "\(path): there is no such text beside \(file) or in \(layout.corpora); put it there", status: 66)
        }
        guard let name = target.lastComponent else { return }
        // Another member may have made a folder on the way, or a link of that name.
        var parent = layout.corpora
        var folder = try storage.folder(parent, beneath: layout.corpora)
        for component in path.lexicallyNormalized().removingLastComponent().components {
            let below = folder.path.appending(component)
            if try storage.status(of: below) == nil { try storage.createDirectory(below, mode: 0o2770) }
            parent.append(component)
            folder = try storage.folder(parent, beneath: layout.corpora)
        }
        try copy(source, into: folder, as: name.string)
    }

    /// - Returns: The name in `corpora/`.
    private func provideAbsolute(_ path: FilePath) throws -> String {
        let source = path.real
        guard try storage.status(of: source)?.kind == .regular, let last = path.lastComponent else {
            throw Failure("\(path): there is no such text; put it there, or mend the path under corpus", status: 66)
        }
        // Another text of that name stays; this one takes the next free number.
        var number = 1
        while true {
            let name = number == 1 ? last.string : "\(last.stem)-\(number)" + (last.extension.map { ".\($0)" } ?? "")
            let target = layout.corpora.appending(name)
            guard try storage.status(of: target) != nil else {
                try copy(source, into: storage.folder(layout.corpora, beneath: layout.corpora), as: name)
                return name
            }
            if (try? isEqual(source, target)) == true { return name }
            number += 1
        }
    }

    /// Whether two files have the same contents.
    private func isEqual(_ one: FilePath, _ other: FilePath) throws -> Bool {
        let (first, second) = (try storage.open(one, beneath: nil), try storage.open(other, beneath: nil))
        var position = 0
        while true {
            let piece = try first.read(at: position, count: 1 << 20)
            if try second.read(at: position, count: 1 << 20) != piece { return false }
            if piece.isEmpty { return true }
            position += piece.count
        }
    }

    private func copy(_ source: FilePath, into folder: LocalFolder, as name: String) throws {
        let reading = try storage.open(source, beneath: nil)
        let daemon = try onlyReader(of: source)
        // A name that another member could guess could be taken before.
        let temporary = folder.path.appending(".\(UInt64.random(in: 0 ... .max)).partial")
        let writing = try storage.create(temporary, mode: daemon == nil ? 0o640 : 0o600)
        do {
            if let daemon {
                try keep(temporary, for: daemon, source)
            } else {
                // The daemon is another user of a shared spool's group, and must read it whatever this user's mask.
                try storage.setMode(0o640, of: temporary)
            }
            try writing.append(contentsOf: reading)
            try writing.synchronize()
            try storage.rename(temporary, to: folder.path.appending(name), replacing: false)
        } catch {
            try? storage.discard(temporary)
            throw error
        }
        // In a shared spool only the daemon may open the folder; a text that a power failure takes is copied again.
        try? storage.synchronizeDirectory(folder.path)
        let whose = daemon == nil ? "" : ", where only you and the service read it"
        Terminal.line("\(source): copied into \(layout.corpora)\(whose)")
    }

    /// The daemon's user, where a text cannot be read by every member of a shared spool's group, and its copy must not be
    /// either; nil: they may.
    private func onlyReader(of source: FilePath) throws -> UInt32? {
        guard try layout.sharing(on: storage) == .group, let spool = try storage.status(of: layout.jobs) else {
            return nil
        }
        let isOpen = try Reader(membersOf: spool.group).mayRead(source, below: "/", in: storage)
        return isOpen ? nil : spool.owner
    }

    /// Lets the daemon read a file of this user's, and nobody else.
    private func keep(_ copy: FilePath, for daemon: UInt32, _ source: FilePath) throws {
        let list = AccessList(0o600, named: [(.user(daemon), 4)])
        do throws(StorageError) {
            try storage.setAccessList(list, of: copy)
        } catch {
            guard error.code == .unsupported else { throw error }
            throw Failure(
                "\(source) is for you alone, and the file system of \(layout.corpora) has no access lists to keep a copy so: "
                    + "let the group read it (chmod o+r, and o+x for its folders), or use a spool of your own (--spool)",
                status: 77)
        }
    }
}
