internal import CharnnStorage
internal import SystemPackage

/// Keeps what a job makes from those who may not read what it reads.
///
/// 1. A job is its owner's alone where it says so, or where a text or model that it reads cannot be read by every member
///    of the spool's group. What cannot be looked at, or is not there, cannot be read.
/// 2. What was closed and has been worked on stays closed, whatever becomes of its texts, unless its owner says `group`.
/// 3. A folder is closed before it has its name, and before a worker writes anything into it. A file is closed from its
///    first moment: who opens it before it is written reads what is written later.
/// 4. What is closed is closed on the disk, too, before a status says so: a later start believes the status.
///
/// In a folder that is closed files have their usual rights: nobody but the daemon and the owner gets to them.
struct Privacy {
    let spool: SpoolContext
    /// Texts and models that are looked at; see also ``Reader/mostComponents``.
    private static let mostPaths = 64

    /// Whether a job is its owner's alone.
    func isPrivate(_ requirements: JobRequirements) throws(StorageError) -> Bool {
        guard spool.sharing == .group else { return false }
        switch requirements.share {
        case .owner: return true
        case .group: return false
        case .auto: break
        }
        guard let group = try spool.storage.status(of: spool.layout.jobs)?.group else { return true }
        let members = Reader(membersOf: group)
        let layout = spool.layout
        var named = Set(requirements.texts).map { (FilePath($0), base: layout.corpora) }
        named += Set(requirements.modelPaths).map { named in
            let path = FilePath(named)
            return (
                SpoolLayout.model(at: path, jobs: layout.jobs, corpora: layout.corpora, on: spool.storage), layout.jobs
            )
        }
        named += Set(requirements.modelJobs).map { (model(of: $0), base: layout.jobs) }
        // More is not looked through while the queue waits: it counts as not readable.
        guard named.count <= Self.mostPaths else { return true }
        for (name, base) in named {
            spool.signs.give()
            do throws(StorageError) {
                guard
                    case .file(let path, let root?) = try spool.readable.place(
                        of: name, relativeTo: base, in: spool.storage),
                    try members.mayRead(path, below: root, in: spool.storage)
                else { return true }
            } catch {
                // Whatever its name or its disk does: what cannot be looked at cannot be read.
                return true
            }
        }
        return false
    }

    private func model(of job: String) -> FilePath {
        let born = SpoolLayout.bornName(of: job, in: spool.layout.jobs, on: spool.storage)
        return spool.layout.folder(of: born).appending(.model)
    }

    /// Shuts a folder durably for all but the daemon and a user.
    static func close(folder: FilePath, to user: UInt32, on storage: some Storage) throws(StorageError) {
        try set(AccessList(0o700, named: [(.user(user), 5)]), of: folder, else: 0o700, on: storage)
        try storage.synchronizeDirectory(folder)
    }

    /// Lets the spool's group look into a folder, durably.
    static func open(folder: FilePath, on storage: some Storage) throws(StorageError) {
        try set(AccessList(0o750), of: folder, else: 0o2750, on: storage)
        try storage.synchronizeDirectory(folder)
    }

    /// Makes a file that the spool's group may read.
    ///
    /// - Parameter reader: The only user who may; nil: the whole group.
    static func create(
        _ path: FilePath, onlyFor reader: UInt32?, on storage: some Storage
    ) throws(StorageError) -> any StorageFile {
        let file = try storage.create(path, mode: reader == nil ? 0o640 : 0o600)
        if let reader { try close(file: path, to: reader, on: storage) }
        return file
    }

    /// Shuts a file for all but the daemon and a user; durable with the file's next sync.
    static func close(file: FilePath, to user: UInt32, on storage: some Storage) throws(StorageError) {
        try set(AccessList(0o600, named: [(.user(user), 4)]), of: file, else: 0o600, on: storage)
    }

    /// Lets the spool's group read a file; durable with the file's next sync.
    static func open(file: FilePath, on storage: some Storage) throws(StorageError) {
        try set(AccessList(0o640), of: file, else: 0o640, on: storage)
    }

    /// Where there are no access lists nobody but the daemon reads what is closed: its owner is not let in, and nor is
    /// anybody else.
    private static func set(
        _ list: AccessList, of path: FilePath, else mode: CharnnStorage.FileMode, on storage: some Storage
    ) throws(StorageError) {
        do {
            try storage.setAccessList(list, of: path)
        } catch let error where error.code == .unsupported {
            try storage.setMode(mode, of: path)
        }
    }
}
