import CharnnJobs
import CharnnModel
import CharnnSpool
import CharnnStorage
import SystemPackage

/// Gives a daemon the texts and models that it could not see, such as those in a home folder: copies them into `corpora/`.
///
/// ```
///  each path ─▶ absolute, below a root that jobs may read ──▶ stays
///            ─▶ beside the job file ──▶ copied, unless corpora/ has it ──▶ stays, or the file says the new name
///            ─▶ elsewhere ──▶ stays if the spool may have it, else the job is not handed over
/// ```
///
/// 1. Nothing is copied before it is certain that the whole job can be handed over: every path is found, and the file
///    can say the new names.
/// 2. A file in `corpora/` is never replaced, whosever it is: one of other contents gets a number.
/// 3. A copy is read by nobody who could not read the original: of a text that is its owner's alone the copy is theirs
///    and the daemon's.
/// 4. `corpora/` is written by many: no name on the way is trusted, and no link followed.
struct FileProvider {
    var layout: SpoolLayout
    var storage: LocalStorage

    /// A file that is to be copied into `corpora/`.
    ///
    /// Planned first, made when all is known.
    private struct Copy {
        var source: FilePath
        var target: FilePath
    }

    /// Copies what a job file names and the spool lacks, once it is certain that the job can be handed over.
    ///
    /// A relative path is looked for beside the job file, and what lies there is what the job gets: where another file has
    /// its name in `corpora/`, it is copied under a number, and the job file changed to say so. So is an absolute one
    /// outside the folders that jobs may read.
    /// - Returns: The job file's contents, as they are to be handed over.
    func provide(for bytes: [UInt8], fileName: String, beside file: FilePath) throws -> [UInt8] {
        while true {
            let (changed, copies) = try plan(for: bytes, fileName: fileName, beside: file)
            do {
                for planned in copies { try copy(planned) }
                return changed
            } catch let error as StorageError where error.code == .alreadyExists {
                // Somebody else took the name meanwhile: the next one, then. What was copied is found to be there.
                continue
            }
        }
    }

    /// Refuses what ``provide(for:fileName:beside:)`` would refuse, and files beside the job file that no job can use; nothing
    /// is copied.
    func check(_ bytes: [UInt8], fileName: String, beside file: FilePath) throws {
        _ = try plan(for: bytes, fileName: fileName, beside: file)
        let job = try JobFile.parse(bytes, fileName: fileName)
        let beside = FilesBeside(folder: file.removingLastComponent(), storage: storage)
        for source in try Set(job.textPaths).sorted().compactMap({ try source(of: $0, beside) }) {
            guard try storage.open(source, beneath: nil).status().size == 0 else { continue }
            throw Failure("\(fileName): there is no text in \(source); name a file that has some", status: 65)
        }
        for source in try Set(job.modelPaths).sorted().compactMap({ try source(of: $0, beside) }) {
            do {
                _ = try Model(reading: source, in: storage)
            } catch {
                let failure = Failure(error)
                throw Failure("\(fileName): \(failure.message)", status: failure.status)
            }
        }
    }

    /// What the job file is to say, and what is to be copied before.
    private func plan(
        for bytes: [UInt8], fileName: String, beside file: FilePath
    ) throws -> (bytes: [UInt8], copies: [Copy]) {
        let job = try JobFile.parse(bytes, fileName: fileName)
        let beside = FilesBeside(folder: file.removingLastComponent(), storage: storage)
        var copies: [Copy] = []
        func names(_ paths: [String], _ kind: FilesBeside.Kind) throws -> [String: String] {
            var names: [String: String] = [:]
            for path in Set(paths).sorted() {
                let name = try name(for: path, kind, beside, after: job.after, &copies)
                if name != path { names[path] = name }
            }
            return names
        }
        // All paths before any copy; see rule 1.
        let (texts, models) = (try names(job.textPaths, .text), try names(job.modelPaths, .model))
        var changed = bytes
        if let (path, name) = (texts.first ?? models.first) {
            let result = try JobFile.replacingPaths(in: bytes, fileName: fileName, texts: texts, models: models)
            guard let result else {
                throw Failure(
                    "\(path): another file of that name may be in \(layout.corpora), and \(fileName) names this one in a way "
                        + "that cannot be changed; copy it there as \(name), and name it so", status: Failure.usage)
            }
            changed = result
        }
        return (changed, copies)
    }

    // MARK: - What is to be copied

    /// What the job is to say for a path.
    ///
    /// - Parameter copies: What was planned for other paths of the same job; two names of one file become one copy.
    private func name(
        for text: String, _ kind: FilesBeside.Kind, _ beside: FilesBeside, after predecessors: [String],
        _ copies: inout [Copy]
    ) throws -> String {
        let path = FilePath(text)
        // Whether it is there the daemon sees; it may come later.
        if path.isAbsolute, isReadable(path) { return text }
        guard let source = try beside.find(text) else {
            if path.isRelative, try beside.mayLieInSpool(path, kind, after: predecessors, layout) { return text }
            let place = path.isAbsolute ? "" : " beside the job file or in \(layout.corpora)"
            throw Failure(
                "\(text): there is no such \(kind.rawValue)\(place); put it there, or mend the path", status: 66)
        }
        // A path that leads out of corpora/ can mean nothing there but its last name.
        let normal = path.lexicallyNormalized()
        let isBelow = path.isRelative && normal.components.first?.kind == .regular
        guard let last = path.lastComponent else { return text }
        let relative = isBelow ? normal : FilePath(last.string)
        let found = try freeName(for: source, relative, kind, &copies)
        if found == relative, isBelow { return text }
        // Without either it would be a job's name.
        let isPath = kind == .text || found.components.count > 1 || found.extension == "safetensors"
        return isPath ? found.string : "./\(found)"
    }

    /// The file that goes along with a job; nil: there is none, or jobs read it where it lies.
    private func source(of text: String, _ beside: FilesBeside) throws -> FilePath? {
        FilePath(text).isAbsolute && isReadable(FilePath(text)) ? nil : try beside.find(text)
    }

    /// The first name in `corpora/` that the file has already, or that is free for it.
    ///
    /// - Parameter path: The name that it would have, relative to `corpora/`.
    private func freeName(
        for source: FilePath, _ path: FilePath, _ kind: FilesBeside.Kind, _ copies: inout [Copy]
    ) throws -> FilePath {
        let folder = path.removingLastComponent()
        guard let last = path.lastComponent else { return path }
        var number = 1
        while true {
            let name = number == 1 ? last.string : "\(last.stem)-\(number)" + (last.extension.map { ".\($0)" } ?? "")
            number += 1
            let candidate = folder.appending(name)
            let target = layout.corpora.pushing(candidate)
            // What a job's folder has of that name would be taken first.
            if kind == .model, try storage.status(of: layout.jobs.pushing(candidate)) != nil { continue }
            if let planned = copies.first(where: { $0.target == target }) {
                if planned.source == source { return candidate }
            } else if try storage.status(of: target) == nil {
                copies.append(Copy(source: source, target: target))
                return candidate
            } else if (try? isEqual(source, target)) == true {
                return candidate
            }
        }
    }

    /// Whether jobs of this spool may read a path.
    private func isReadable(_ path: FilePath) -> Bool {
        let standard = ServiceConfiguration.standardPath
        let configured = (try? storage.contents(of: standard)).flatMap { $0 } ?? []
        let roots = (try? ServiceConfiguration.parse(configured, fileName: standard.string))?.corpusRoots ?? []
        let normal = path.lexicallyNormalized()
        return ([layout.corpora, layout.jobs] + roots).contains { normal.starts(with: $0) }
    }

    /// Whether two files have the same contents.
    ///
    /// Read to the end: a copy of last week's text must not pass for today's.
    private func isEqual(_ one: FilePath, _ other: FilePath) throws -> Bool {
        let (first, second) = (try storage.open(one, beneath: nil), try storage.open(other, beneath: nil))
        guard try first.status().size == second.status().size else { return false }
        var position = 0
        while true {
            let piece = try first.read(at: position, count: 1 << 20)
            if try second.read(at: position, count: 1 << 20) != piece { return false }
            if piece.isEmpty { return true }
            position += piece.count
        }
    }

    // MARK: - Copying

    /// Makes the folders on the way, each with the group's rights, one after the other.
    private func copy(_ planned: Copy) throws {
        // Another member may have made a folder on the way, or a link of that name.
        var parent = layout.corpora
        var folder = try storage.folder(parent, beneath: layout.corpora)
        for component in planned.target.components.dropFirst(parent.components.count).dropLast() {
            let below = folder.path.appending(component)
            if try storage.status(of: below) == nil { try storage.createDirectory(below, mode: 0o2770) }
            parent.append(component)
            folder = try storage.folder(parent, beneath: layout.corpora)
        }
        try copy(planned.source, into: folder, as: planned.target.lastComponent?.string ?? "")
    }

    /// The copy gets its rights before its contents, and its name when it is whole; the daemon never sees half of it.
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
            // Somebody may have taken the name meanwhile: then this fails, and nothing is handed over.
            try storage.rename(temporary, to: folder.path.appending(name), replacing: false)
        } catch {
            try? storage.discard(temporary)
            throw error
        }
        // In a shared spool only the daemon may open the folder; a text that a power failure takes is copied again.
        try? storage.synchronizeDirectory(folder.path)
        let whose = daemon == nil ? "" : ", where only you and the service read it"
        let whatName = name == source.lastComponent?.string ? "" : " as \(name)"
        Terminal.line("\(source): copied into \(layout.corpora)\(whatName)\(whose)")
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
