public import CharnnStorage
public import SystemPackage

/// Where everything lies in a spool.
public struct SpoolLayout: Sendable, Hashable {
    public let root: FilePath
    /// Where people drop job files.
    public let incoming: FilePath
    /// What people ask of their jobs, one small file each: ``SpoolRequest``.
    public let requests: FilePath
    /// The daemon's own: a drop on its way to `queue/`, as `SEQ.NAME.yaml`.
    public let accepting: FilePath
    /// One output folder a job.
    public let jobs: FilePath
    /// One output folder for each run outside the queue, in a spool of one's own; made by the first.
    public let runs: FilePath
    /// Texts that job files name.
    public let corpora: FilePath
    private let states: [JobState: FilePath]
    /// Why a person's spool is not where it would be; nil where it is, or was asked for.
    public let relocation: Relocation?
    /// The system's spool, where there is one that this user may not use, so that this one is taken.
    public private(set) var shut: FilePath?

    public init(root: FilePath) { self.init(root: root, relocation: nil) }

    /// The same spool, taken because another is shut.
    func instead(of shut: FilePath) -> SpoolLayout {
        var layout = self
        layout.shut = shut
        return layout
    }

    private init(root: FilePath, relocation: Relocation?) {
        self.root = root
        self.relocation = relocation
        incoming = root.appending("incoming")
        requests = root.appending("requests")
        accepting = root.appending("accepting")
        jobs = root.appending("jobs")
        runs = root.appending("runs")
        corpora = root.appending("corpora")
        states = Dictionary(uniqueKeysWithValues: JobState.allCases.map { ($0, root.appending($0.rawValue)) })
    }

    /// The same spool in another place, and why.
    func relocated(to root: FilePath, _ fileSystem: String) -> SpoolLayout {
        SpoolLayout(root: root, relocation: Relocation(from: self.root, fileSystem: fileSystem))
    }

    /// The morning report.
    public var index: FilePath { root.appending("index.html") }
    /// ``QueueWaits``, for those who may read the jobs.
    var waits: FilePath { jobs.appending(".waits.json") }
    /// ``QueuePause``, as long as nothing is started.
    var pause: FilePath { jobs.appending(".paused.json") }
    /// Held locked by the daemon of this spool.
    public var lock: FilePath { accepting.appending(".lock") }
    /// The same in a shared spool, for those to ask who may not look into `accepting/`.
    var sign: FilePath { jobs.appending(".daemon.lock") }
    /// The number from which on sequence numbers are unused.
    var sequence: FilePath { accepting.appending(".sequence") }

    /// The directory of a state.
    public func directory(_ state: JobState) -> FilePath { states[state] ?? root.appending(state.rawValue) }

    /// Where the file of a job in `state` lies.
    public func file(_ fileName: String, in state: JobState) -> FilePath { directory(state).appending(fileName) }

    /// A job's output folder.
    public func folder(of job: String) -> FilePath { jobs.appending(job) }

    /// A job's name as its folder bears it, where that is another form of Unicode than the one given: older versions
    /// kept names as they came.
    ///
    /// - Parameter jobs: ``jobs``.
    public static func bornName(of job: String, in jobs: FilePath, on storage: some Storage) -> String {
        for name in [job, job.composed] where FilePath.Component(name) != nil {
            if (try? storage.status(of: jobs.appending(name))) != nil { return name }
        }
        guard !job.utf8.allSatisfy({ $0 < 0x80 }) else { return job }
        return ((try? storage.list(jobs)) ?? []).first { $0 == job } ?? job.composed
    }

    /// The model file that a job names by a path: a relative one begins in `jobs/` where something stands there, else in
    /// `corpora/`, as texts do.
    ///
    /// - Parameters:
    ///   - jobs: ``jobs``.
    ///   - corpora: ``corpora``.
    public static func model(
        at path: FilePath, jobs: FilePath, corpora: FilePath, on storage: some Storage
    ) -> FilePath {
        guard path.isRelative else { return path.lexicallyNormalized() }
        let places = [jobs, corpora].map { $0.appending(path.components).lexicallyNormalized() }
        do throws(StorageError) {
            let place = try ReadableFolders(roots: nil).place(of: path, relativeTo: jobs, in: storage)
            guard case .file(let found, _) = place else { return places[0] }
            return try storage.status(of: found) == nil ? places[1] : found
        } catch {
            // Whoever opens it is told why it cannot be looked at.
            return places[0]
        }
    }

    /// The job file as it was when its worker was started: what the worker reads.
    public func jobFile(of job: String) -> FilePath { folder(of: job).appending(.jobFile) }

    /// A job's `status.json`.
    public func status(of job: String) -> FilePath { folder(of: job).appending(.status) }

    /// A job's `log.txt`.
    public func log(of job: String) -> FilePath { folder(of: job).appending(.log) }

    /// Held locked by the one worker of a job, which takes it before it touches anything else in the folder.
    public func lock(of job: String) -> FilePath { folder(of: job).appending(.lock) }

    /// Who may do what in the spool's directories.
    public enum Sharing: Sendable {
        /// A user's own spool.
        case personal
        /// The system's: members of the submitters' group drop jobs, ask for what is to become of their own, and read
        /// results; moves are the administrators'.
        case group
    }

    /// The rights of a directory.
    public struct Rights: Sendable, Hashable {
        /// What owner, group and others have.
        public var mode: CharnnStorage.FileMode
        /// Whether ``People/administrators`` may do everything there.
        public var areAdministrators = false

        /// The access list that says so, where the group of administrators has that number.
        func accessList(_ administrators: UInt32?) -> AccessList {
            let named = administrators.map { [(who: AccessList.Who.group($0), rights: UInt32(7))] } ?? []
            return AccessList(mode, named: areAdministrators ? named : [])
        }
    }

    /// Every directory with its rights.
    ///
    /// In a shared spool `incoming/` can be written but not listed by submitters, and is sticky, so that nobody removes
    /// or replaces what another has dropped. The set-group-id bit hands the group on to what is made inside: the daemon
    /// is a member, and so can read a drop that is not open to everybody.
    public func directories(_ sharing: Sharing) -> [(path: FilePath, rights: Rights)] {
        let isShared = sharing == .group
        func rights(_ mode: CharnnStorage.FileMode, administrators: Bool = false) -> Rights {
            isShared ? Rights(mode: mode, areAdministrators: administrators) : Rights(mode: 0o700)
        }
        return [
            (root, rights(0o755)), (accepting, rights(0o700)), (incoming, rights(0o3730)), (requests, rights(0o3730)),
            (jobs, rights(0o2750, administrators: true)), (corpora, rights(0o3770)),
        ] + JobState.allCases.map { (directory($0), rights(0o2750, administrators: true)) }
    }

    /// How a spool is shared, by the rights of its `incoming/`; one that is not there yet is personal.
    public func sharing(on storage: some Storage) throws(StorageError) -> Sharing {
        let mode = try storage.status(of: incoming)?.mode.bits ?? 0
        return mode & 0o022 == 0 ? .personal : .group
    }

    /// Makes the directories that are missing; those that exist keep the rights they have.
    public func create(_ sharing: Sharing, on storage: some Storage) throws(StorageError) {
        try requireOwn(on: storage)
        for (path, rights) in directories(sharing) where try storage.status(of: path) == nil {
            let mode = rights.mode
            try storage.createDirectories(path, mode: path == root ? mode : 0o700)
            // Somebody else may have been there first.
            if path == root { try requireOwn(on: storage) }
            // A mask of the process may have taken bits away, and mkdir ignores the special ones.
            if try storage.status(of: path)?.mode != mode { try storage.setMode(mode, of: path) }
        }
        // What is there already may be of a process that was killed before it synced; above the spool nothing need be
        // readable.
        try storage.synchronizeDirectory(root)
        try? storage.synchronizeDirectory(root.removingLastComponent())
    }

    /// Gives the administrators' directories of a shared spool the rights they have to have, also those of version 0.1.0,
    /// in which every member moved everyone's jobs. Called by the daemon, whose directories they are.
    ///
    /// - Returns: What could not be done, for people to be told; nil: nothing.
    func secure(_ administrators: UInt32?, on storage: some Storage) throws(StorageError) -> String? {
        var complaint: String?
        for (path, rights) in directories(.group) where rights.areAdministrators {
            let wanted = rights.accessList(administrators)
            guard let found = try storage.status(of: path) else { continue }
            let attribute = try storage.accessList(of: path)
            if (attribute.map { AccessList($0) } ?? AccessList(found.mode)) == wanted { continue }
            do {
                try storage.setAccessList(wanted, of: path)
                try storage.synchronizeDirectory(path)
            } catch let error where error.code == .unsupported {
                // Without lists the administrators ask like everybody else.
                if found.mode.bits & 0o777 != rights.mode.bits & 0o777 { try storage.setMode(rights.mode, of: path) }
                complaint =
                    "The file system of \(root) has no access lists: members of \(People.administratorsGroup) cannot "
                    + "move jobs with mv, and private texts cannot be kept from the group"
            }
        }
        return complaint
    }

    /// Refuses a spool in parts: between file systems no rename is whole, and none can be synced together.
    func requireOneFileSystem(on storage: some Storage) throws(StorageError) {
        // With a dot behind it a path that is a link is followed.
        guard let home = try storage.status(of: accepting.appending(".")) else { return }
        for path in [incoming, requests, jobs] + JobState.allCases.map(directory) {
            guard let found = try storage.status(of: path.appending(".")), found.device != home.device else { continue }
            throw StorageError(.otherFileSystem, call: "rename", path: path, beside: accepting, errno: .improperLink)
        }
    }
}
