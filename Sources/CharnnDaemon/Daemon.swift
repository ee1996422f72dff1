public import CharnnJobs
public import CharnnSpool
public import CharnnStorage
internal import Glibc
public import Logging
public import SystemPackage

/// The daemon: takes jobs from a spool, one after the other, and has workers do them.
///
/// One task runs ``run()``; everything that happens reaches it as a value through one queue. It never computes, and
/// touches the spool only through ``SpoolKeeper``.
///
/// Options and the inbox are all that it has; what changes while it runs is in ``MainLoop``, which ``run()`` makes
/// anew. Calls from outside, such as from signal handlers, put a value into the inbox and return at once.
public final class Daemon: Sendable {
    /// How a daemon is set up.
    public struct Options: Sendable {
        /// Where the spool is, or is to be made.
        public var spool: SpoolLayout
        /// nil: as the rights of the spool's directories say.
        public var sharing: SpoolLayout.Sharing?
        /// That of the start; it is read by whoever starts the daemon, so that a mistake in it is told before anything
        /// runs.
        public var configuration = ServiceConfiguration()
        /// From where ``Daemon/reload()`` reads; nil: the defaults hold.
        public var configurationFile: FilePath?
        /// Whether to end when all that is queued has been done.
        public var once = false
        /// How workers are started.
        public var launcher: any WorkerLauncher = ProcessLauncher()
        /// What writes the spool's `index.html`; nil: nothing does.
        public var page: WorkerCommand?
        /// Through which all of the spool is touched; tests give one that fails.
        public var storage: any Storage = LocalStorage()
        /// Wall time for what people read, monotonic time for what is measured; tests give their own.
        public var clock = SpoolClock.system
        /// Who is in which group, and what people are called.
        public var people = People.system
        /// By default systemd, if it started this process.
        public var manager = ServiceManager.current()
        /// Where lines go; by default to the journal, or to standard error.
        public var logger = Logger(label: "charnnd") { _ in JournalLogHandler() }
        /// As the first line in the journal tells it.
        public var version = "0"
        /// Where charnnd-idle.service looks whether there is work, `$RUNTIME_DIRECTORY`; nil: nobody does.
        public var runtimeFolder: FilePath?
        /// Seconds that a worker has to end after it was asked to, before it is killed; a checkpoint that is being
        /// written prolongs it.
        public var stopTimeout = 60.0

        /// A service without a page, that works until it is stopped; all else by the defaults.
        public init(spool: SpoolLayout) { self.spool = spool }
    }

    /// How a run ended.
    public enum Outcome: Sendable, Equatable {
        /// Asked to stop, or with `once` every job succeeded.
        case ended
        /// With `once`: at least one job did not succeed.
        case someFailed
        /// Another daemon has the spool.
        case spoolTaken
    }

    /// What reaches the main loop.
    enum Input: Sendable {
        /// Look at what is waiting: hints, drops, a job to start.
        case wake
        case tick
        case worker(WorkerNews, number: Int)
        case stop
        case reload
        case pageEnded(complaint: String?)
    }

    let options: Options
    let inbox: AsyncStream<Input>
    let send: AsyncStream<Input>.Continuation

    /// Nothing is touched before ``run()``. What is asked of it before then waits in the inbox.
    public init(_ options: Options) {
        self.options = options
        (inbox, send) = AsyncStream.makeStream()
    }

    /// Asks the daemon to end: a running job writes a checkpoint and goes back to the queue.
    public func stop() { send.yield(.stop) }

    /// Asks the daemon to read its configuration again.
    public func reload() { send.yield(.reload) }

    /// Runs until ``stop()`` is called or, with ``Options/once``, until all is done.
    ///
    /// - Throws: ``StorageError`` when the spool cannot be set up or taken.
    ///
    /// It is called once.
    public func run() async throws -> Outcome {
        // A worker that has ended already reads no orders; that must not end the daemon.
        signal(SIGPIPE, SIG_IGN)
        let isShared = try (options.sharing ?? options.spool.sharing(on: options.storage)) == .group
        let opened = try SpoolKeeper.open(
            options.spool, sharing: options.sharing, storage: options.storage, clock: options.clock,
            people: options.people, rules: options.configuration.rules(isShared: isShared, options.people),
            check: JobFile.requirements)
        // The lock of the spool is the keeper's, and ends with it or with this process, however that ends.
        guard let keeper = opened else { return .spoolTaken }
        let loop = MainLoop(self, keeper, isShared: isShared)
        return await loop.run()
    }

    /// Reads and checks a configuration file.
    ///
    /// - Throws: ``StorageError`` where there is no such file or it cannot be read, ``JobFileError`` with all its
    ///   mistakes.
    public static func configuration(
        from path: FilePath, _ storage: any Storage
    ) throws -> ServiceConfiguration {
        guard let bytes = try storage.contents(of: path, limit: 1 << 20) else {
            throw StorageError(.notFound, call: "open", path: path, errno: .noSuchFileOrDirectory)
        }
        return try ServiceConfiguration.parse(bytes, fileName: path.string)
    }
}
