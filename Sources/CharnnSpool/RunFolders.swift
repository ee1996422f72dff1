public import CharnnStorage
internal import Glibc
public import SystemPackage

/// Runs outside the queue, by `charnn run` and `charnn demo`: each has a folder like a job's, and no part in the queue. No
/// job ever refers to one.
///
/// They lie in `runs/` of a spool of one's own. Version 0.1.0 put them beside the jobs, into `jobs/`: there they stay, and
/// keep their names from being a job's.
public struct RunFolders: Sendable {
    /// What stands before a run's name to tell it from a job of that name.
    public static let prefix = "runs/"

    /// The spool in whose `runs/` new ones lie.
    public let home: SpoolLayout
    /// Where older ones may lie.
    private let former: [SpoolLayout]
    private let storage: any Storage

    /// Those that lie in one spool.
    public init(in layout: SpoolLayout, storage: any Storage = LocalStorage()) {
        (home, former, self.storage) = (layout, [layout], storage)
    }

    /// A person's: those of a spool, and where it is shared those of the person's own.
    public init(besides layout: SpoolLayout, storage: any Storage = LocalStorage()) throws(StorageError) {
        home = try layout.homeOfRuns(on: storage)
        former = home == layout ? [layout] : [layout, home]
        self.storage = storage
    }

    /// A run as a person sees it.
    public struct Run: Sendable {
        public var name: String
        public var folder: FilePath
        /// Running, stopped, done or failed.
        public var state: JobState
        /// Its status, with that state; nil where there is none that can be read.
        public var status: JobStatus?
        /// Why the status cannot be read.
        public var problem: String?
        public var place: Place
        /// Whether it lies in `jobs/`.
        public var isFormer: Bool { place == .jobs }
        /// What names it and no job.
        public var title: String {
            switch place {
            case .runs: RunFolders.prefix + name
            case .jobs: name
            case .elsewhere: folder.string
            }
        }

        /// How it stands, and what to do about it.
        public var sentence: String {
            let step = status?.step.flatMap { step in status?.totalSteps.map { " at step \(step) of \($0)" } } ?? ""
            let reason = (status?.reason ?? problem).map { ": \($0)\($0.hasSuffix(".") ? "" : ".")" } ?? "."
            let option = place == .runs ? "" : " --output \(folder)"
            let further =
                problem == nil
                ? "`charnn run\(option)` with its job file goes on from there." : "\(RunFolders.beginningAnew)."
            let how =
                switch state {
                case .active: "is running\(step); `charnn end \(title)` ends it with a checkpoint."
                case .done: "is done."
                case .failed: "failed\(reason)"
                default: "is stopped\(step)\(reason) \(further)"
                }
            return "\(title) is a run outside the queue and \(how)"
        }
    }

    /// Where a run's folder lies.
    public enum Place: Sendable {
        /// In `runs/`.
        case runs
        /// In `jobs/`, where version 0.1.0 put it.
        case jobs
        /// Where a person wanted it; no list knows of it.
        case elsewhere
    }

    /// What to do where a run in `runs/` cannot go on, without a full stop.
    public static let beginningAnew = "`charnn run --fresh` with its job file begins anew, and removes what it made"

    // MARK: - Looking

    /// All of them, by name.
    public func list() throws(SpoolClientError) -> [Run] {
        do throws(StorageError) {
            var runs: [Run] = []
            for name in try names(in: home.runs) {
                let folder = home.folder(ofRun: name)
                guard try storage.status(of: folder)?.kind == .directory else { continue }
                runs.append(run(name, folder, place: .runs))
            }
            for layout in former { runs += try formerRuns(in: layout) }
            return runs.sorted { ($0.name, $0.folder.string) < ($1.name, $1.folder.string) }
        } catch {
            throw SpoolClientError(error)
        }
    }

    /// The run of a name, with or without ``prefix``; nil if there is none.
    public func find(_ name: String) throws(SpoolClientError) -> Run? {
        let isMarked = name.hasPrefix(Self.prefix)
        let plain = isMarked ? String(name.dropFirst(Self.prefix.count)) : name
        guard FilePath.Component(plain) != nil, !plain.hasPrefix(".") else { return nil }
        do throws(StorageError) {
            let born = SpoolLayout.bornName(of: plain, in: home.runs, on: storage)
            let folder = home.folder(ofRun: born)
            if try storage.status(of: folder)?.kind == .directory { return run(born, folder, place: .runs) }
            guard !isMarked else { return nil }
            for layout in former {
                let born = SpoolLayout.bornName(of: plain, in: layout.jobs, on: storage)
                if try formerStatus(born, layout) != nil {
                    return run(born, layout.folder(of: born), place: .jobs)
                }
            }
            return nil
        } catch {
            throw SpoolClientError(error)
        }
    }

    /// The run whose output lies in a folder, such as that of `charnn run --output`; nil if there is none.
    ///
    /// - Parameter folder: An absolute path, with links followed.
    public func find(at folder: FilePath) throws(SpoolClientError) -> Run? {
        let directory = folder.removingLastComponent()
        guard let name = folder.lastComponent?.string else { return nil }
        if directory == home.runs { return try find(Self.prefix + name) }
        do throws(StorageError) {
            if let layout = former.first(where: { $0.jobs == directory }) {
                return try formerStatus(name, layout).map { _ in run(name, folder, place: .jobs) }
            }
            guard let status = try JobStatus.read(folder.appending(.status), on: storage), status.isOfRun else {
                return nil
            }
            return run(status.job, folder, place: .elsewhere)
        } catch {
            throw SpoolClientError(error)
        }
    }

    /// A run as it is by now.
    public func again(_ run: Run) -> Run { self.run(run.name, run.folder, place: run.place) }

    private func names(in directory: FilePath) throws(StorageError) -> [String] {
        guard try storage.status(of: directory) != nil else { return [] }
        return try storage.list(directory).filter { JobName($0) != nil }
    }

    /// A run as its folder tells; one that cannot be read keeps none of the others from being told of.
    private func run(_ name: String, _ folder: FilePath, place: Place) -> Run {
        var (status, problem): (JobStatus?, String?)
        do throws(StorageError) {
            status = try JobStatus.read(folder.appending(.status), on: storage)
        } catch {
            problem = "its status.json cannot be read (\(error))"
        }
        // Another member's lock cannot be asked about, from a time when runs lay in the shared spool.
        let isAtWork = (try? storage.isLocked(folder.appending(.lock))) ?? (status?.state == .active)
        let state: JobState =
            switch status?.state {
            case _ where isAtWork: .active
            case .done: .done
            case .failed: .failed
            default: .stopped
            }
        status?.state = state
        if state == .stopped {
            // What a process left that was killed.
            status?.phase = nil
            status?.secondsLeft = nil
        }
        return Run(name: name, folder: folder, state: state, status: status, problem: problem, place: place)
    }

    /// The runs among a spool's job folders.
    private func formerRuns(in layout: SpoolLayout) throws(StorageError) -> [Run] {
        // A status is read of what has no file in the queue only: there may be a hundred thousand jobs.
        var jobs: Set<String> = []
        for state in JobState.allCases where try storage.status(of: layout.directory(state)) != nil {
            for file in try storage.list(layout.directory(state)) {
                if let (stem, _) = JobFileName.split(file) { jobs.insert(stem) }
            }
        }
        var runs: [Run] = []
        for name in try names(in: layout.jobs) where !jobs.contains(name) {
            guard try formerStatus(name, layout) != nil else { continue }
            runs.append(run(name, layout.folder(of: name), place: .jobs))
        }
        return runs
    }

    /// The status of a job folder that is a run's.
    private func formerStatus(_ name: String, _ layout: SpoolLayout) throws(StorageError) -> JobStatus? {
        do throws(StorageError) {
            guard let status = try JobStatus.read(layout.status(of: name), on: storage), status.isOfRun else {
                return nil
            }
            return status
        } catch {
            // One that is damaged, or another's alone, is a job's.
            guard error.code == .damaged || error.code == .denied else { throw error }
            return nil
        }
    }

    // MARK: - Ending and removing

    /// Asks a run that works to end with a checkpoint.
    ///
    /// - Parameter run: As it was found.
    public func end(_ run: Run) throws(SpoolClientError) {
        guard run.state == .active else {
            throw SpoolClientError(.wrongState, "nothing is to be ended: \(run.sentence)")
        }
        guard ProcessIdentity.read(run.folder.appending(.process), on: storage)?.terminate() == true else {
            throw SpoolClientError(
                .denied,
                "the process that works at \(run.title) is not known here: end it where it was started, with Ctrl-C or kill"
            )
        }
    }

    /// Whether somebody works at a run.
    public func isAtWork(_ run: Run) throws(SpoolClientError) -> Bool {
        do throws(StorageError) {
            return try storage.isLocked(run.folder.appending(.lock))
        } catch {
            throw SpoolClientError(error)
        }
    }

    /// Removes runs that do not work, with their folders.
    ///
    /// - Parameter endedBefore: Only those that ended or were stopped before that time, seconds since 1970.
    /// - Returns: The runs removed, or that would be removed, by their titles.
    public func clean(endedBefore: Double, dryRun: Bool = false) throws(SpoolClientError) -> [String] {
        let limit = JobStatus.time(endedBefore)
        var removed: [String] = []
        for run in try list() where run.state != .active {
            // A status that is there and cannot be read does not say that the run ended long ago.
            guard run.problem == nil, try endOf(run) < limit else { continue }
            do throws(StorageError) {
                let isGone = dryRun ? true : try remove(run)
                if isGone { removed.append(run.title) }
            } catch {
                throw SpoolClientError(error)
            }
        }
        if !dryRun { sweep() }
        return removed
    }

    private func endOf(_ run: Run) throws(SpoolClientError) -> String {
        if let status = run.status, let time = status.endedAt ?? status.updatedAt ?? status.startedAt { return time }
        do throws(StorageError) {
            return JobStatus.time(try storage.status(of: run.folder)?.modified ?? 0)
        } catch {
            throw SpoolClientError(error)
        }
    }

    /// The ending of a folder that is being removed.
    private static let removed = ".removed"

    /// Gives the folder a hidden name first: a crash leaves all of a run, or nothing that anybody takes for one.
    ///
    /// - Returns: Whether it was removed; false where somebody has begun to work at it.
    private func remove(_ run: Run) throws(StorageError) -> Bool {
        let directory = run.folder.removingLastComponent()
        for directory in [directory, run.folder] where !storage.isWritable(directory) {
            throw StorageError(.denied, call: "access", path: directory, errno: .permissionDenied)
        }
        guard let lock = try storage.lock(run.folder.appending(.lock)) else { return false }
        let aside = directory.appending(".\(run.name)\(Self.removed)")
        if try storage.status(of: aside) != nil { try storage.removeTree(aside) }
        try storage.rename(run.folder, to: aside, replacing: true)
        try storage.synchronizeDirectory(directory)
        try storage.removeTree(aside)
        withExtendedLifetime(lock) {}
        return true
    }

    /// Removes what a crash left of a removal.
    private func sweep() {
        for name in (try? storage.list(home.runs)) ?? [] where name.hasPrefix(".") && name.hasSuffix(Self.removed) {
            try? storage.removeTree(home.runs.appending(name))
        }
    }
}

extension JobStatus {
    /// Whether it is that of a run outside the queue: such a one has no number.
    public var isOfRun: Bool { sequence == nil && ticket == nil }
}

extension SpoolLayout {
    /// The output folder of a run outside the queue.
    public func folder(ofRun name: String) -> FilePath { runs.appending(name) }
}

// MARK: - What a person names

extension SpoolClient {
    /// A job of the queue, or a run outside it.
    public enum Named: Sendable {
        case job(Job)
        case run(RunFolders.Run)

        public var run: RunFolders.Run? { if case .run(let run) = self { run } else { nil } }

        public var status: JobStatus? {
            switch self {
            case .job(let job): job.status
            case .run(let run): run.status
            }
        }

        public var state: JobState {
            switch self {
            case .job(let job): job.state
            case .run(let run): run.state
            }
        }

        /// What it is called, so that it cannot be taken for another.
        public var title: String {
            switch self {
            case .job(let job): job.name
            case .run(let run): run.title
            }
        }

        /// Where its output lies.
        public func folder(in layout: SpoolLayout) -> FilePath {
            switch self {
            case .job(let job): layout.folder(of: job.name)
            case .run(let run): run.folder
            }
        }
    }

    /// What has a name: the job of the queue, else the run of one's own; with ``RunFolders/prefix`` the run. nil: nothing.
    public func named(_ name: String) throws(SpoolClientError) -> Named? {
        if !name.hasPrefix(RunFolders.prefix), let job = try find(name) { return .job(job) }
        if let run = try runs().find(name) { return .run(run) }
        // One that ended, of which somebody removed the file.
        guard FilePath.Component(name) != nil, let status = try? JobStatus.read(layout.status(of: name), on: storage),
            [.done, .failed, .cancelled, .rejected].contains(status.state)
        else { return nil }
        return .job(Job(name: name, state: status.state, file: status.ticket?.file ?? "", status: status))
    }

    /// The person's runs outside the queue.
    public func runs() throws(SpoolClientError) -> RunFolders {
        do throws(StorageError) {
            return try RunFolders(besides: layout, storage: storage)
        } catch {
            throw SpoolClientError(error)
        }
    }
}
