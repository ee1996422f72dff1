public import CharnnSpool
public import CharnnStorage
import FoundationEssentials
import Glibc
import Synchronization
public import SystemPackage

/// The worker process: one job, told on standard output, ended by SIGTERM or by the end of standard input.
///
/// ```
///   daemon ── orders (a line), then silence ──▶ stdin ──▶ worker ──▶ stdout ── messages, a line each ──▶ daemon
///          ── SIGTERM ───────────────────────▶             │
///                                                          └─▶ stderr ── anything else ──▶ daemon's log
/// ```
///
/// 1. One process, one job, one engine: whatever happens to it (a crash, memory that runs out, a GPU in a bad state)
///    ends with it.
/// 2. It offers itself to the kernel first when memory runs out, and reads the orders before it touches the spool.
/// 3. It has the lock of the job's folder for as long as it lives, whoever started it: a daemon that was started anew
///    cannot put a second worker at a job whose first one still writes its checkpoint.
/// 4. Asked to end by SIGTERM, or because its input ends with its daemon, it writes a checkpoint and ends with 85.
/// 5. It writes neither journal nor log; its exit status says what becomes of the job.
public enum Worker {
    /// Set by the signal handler and by the thread that waits for the end of standard input.
    private static let stop = StopFlag()

    /// Runs the job whose folder is `jobs/NAME` of a spool, by the ``WorkerOrders`` on standard input.
    ///
    /// - Returns: The exit status for the daemon.
    ///
    /// - Parameters:
    ///   - spool: The root of the spool, which may be shared: the job may read what its submitter may, and no more.
    ///   - name: Of the job, which the daemon has moved to `active/`.
    public static func run(
        spool: FilePath, job name: String, engines: any EngineProvider, storage: any Storage
    ) -> WorkerExit {
        offerToOutOfMemoryKiller()
        takeNiceness()
        let reporter = PipeReporter()
        guard let configuration = readOrders() else {
            reporter.event(WorkerEvent(.failed, .error, "There are no orders on standard input; a daemon gives them."))
            return .temporary
        }
        listen()
        let jobs = spool.appending("jobs")
        let folder = JobFolder(jobs.appending(name), in: storage)
        // Held until the process ends: never two workers at one job.
        let lock: (any StorageLock)?
        do {
            lock = try storage.lock(folder.path.appending(.lock))
        } catch {
            reporter.event(WorkerEvent(.failed, .error, "Cannot lock the job folder: \(error)"))
            return .temporary
        }
        guard let lock else {
            reporter.event(WorkerEvent(.failed, .warning, "Another worker is still at this job."))
            return .temporary
        }
        return withExtendedLifetime(lock) {
            var status = JobStatus(job: name, state: .active)
            do {
                // What the queue knows of the job stands there, and is written back. Without it nobody knows who
                // submitted the job; the daemon then holds it.
                guard let known = try JobStatus.read(folder.statusFile, on: storage) else {
                    throw JobError(.temporary, "the job's folder \(folder.path) has no status.json")
                }
                status = known
                status.job = name
                guard let bytes = try storage.contents(of: folder.jobFile, limit: YAMLDocument.largestFile + 1) else {
                    throw JobError(.badJob, "the job's folder \(folder.path) has no job.yaml; drop the job again")
                }
                let corpora = spool.appending("corpora")
                let environment = JobEnvironment(
                    corpora: corpora, jobs: jobs, roots: [corpora, jobs] + configuration.corpusRoots,
                    submitter: status.submitter, configuration: configuration)
                let file = try JobFile.parse(
                    bytes, fileName: JobFolderFile.jobFile.rawValue, memory: configuration.memoryBound)
                let runner = JobRunner(
                    file, status: status, folder: folder, environment: environment, storage: storage, engines: engines,
                    reporter: reporter, stop: stop, pulse: Pulse { reporter.alive() })
                return runner.run()
            } catch {
                let error = JobError(error)
                if error.exit == .temporary {
                    reporter.event(WorkerEvent(.failed, .warning, "The job has to wait: \(error)"))
                    return error.exit
                }
                reporter.event(WorkerEvent(.failed, .error, "The job failed: \(error)"))
                status.reason = error.description
                _ = try? ResultRecord.commit(
                    status, as: .failed, results: [], at: SpoolClock.system.wall(), to: folder.statusFile, on: storage)
                return error.exit
            }
        }
    }

    /// The first line of standard input; nil where it is none.
    ///
    /// nil also where the line is too long, or of another version of the program.
    private static func readOrders() -> ServiceConfiguration? {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        // Byte by byte: what follows is for others to read.
        while line.count < WorkerOrders.longest {
            let count = Glibc.read(0, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { return nil }
            if byte == 10 { return (try? JSONDecoder().decode(WorkerOrders.self, from: Data(line)))?.configuration }
            line.append(byte)
        }
        return nil
    }

    /// Takes the niceness that the daemon was started with: that of its main thread. This process has that of another,
    /// which the library behind Swift's tasks has set anew.
    private static func takeNiceness() {
        let process = __priority_which_t(PRIO_PROCESS.rawValue)
        setpriority(process, 0, getpriority(process, id_t(getppid())))
    }

    /// Has the worker stop when it is asked to, by a signal or by the end of its input.
    private static func listen() {
        // A daemon that is gone must not end the worker before its checkpoint.
        signal(SIGPIPE, SIG_IGN)
        // Made now: a static of Swift's is made at its first use, and a signal handler must not do that.
        _ = stop.isSet
        signal(SIGTERM) { _ in Worker.stop.set() }
        signal(SIGINT) { _ in Worker.stop.set() }
        // What is mapped may be cut short under the worker, or lie on a disk that fails. The next attempt finds it out
        // when it checks its files; this one says what ended it.
        signal(SIGBUS) { _ in
            let words: StaticString = """
                A file that was mapped could not be read to its end: it was cut short, or the disk fails. \
                `charnn fsck` looks at all of them.

                """
            _ = Glibc.write(2, words.utf8Start, words.utf8CodeUnitCount)
            signal(SIGBUS, SIG_DFL)
            raise(SIGBUS)
        }
        let thread = Thread {
            var byte: UInt8 = 0
            while true {
                let count = Glibc.read(0, &byte, 1)
                if count == 0 || (count < 0 && errno != EINTR) { break }
            }
            stop.set()
        }
        thread.start()
    }

    /// A detached thread that runs until its work ends.
    private struct Thread {
        let work: @Sendable () -> Void

        func start() {
            let box = Unmanaged.passRetained(Box(work))
            var thread = pthread_t()
            // Without the thread the worker would miss its daemon's end only; SIGTERM still reaches it.
            if pthread_create(
                &thread, nil,
                { pointer in
                    guard let pointer else { return nil }
                    Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue().work()
                    return nil
                }, box.toOpaque()) == 0
            {
                pthread_detach(thread)
            } else {
                box.release()
            }
        }

        private final class Box {
            let work: @Sendable () -> Void
            init(_ work: @escaping @Sendable () -> Void) { self.work = work }
        }
    }
}

/// Writes messages as JSON lines to standard output.
final class PipeReporter: JobReporter, Sendable {
    /// Held while a line is written: signs of life come from other threads.
    private let line = Mutex(())

    func alive() { send(.alive) }
    func event(_ event: WorkerEvent) { send(.event(event)) }
    func progress(_ status: JobStatus) { send(.progress(status)) }
    func waits(_ wait: WorkerWait) { send(.waits(wait)) }
    func savingCheckpoint(bytes: Int) { send(.savingCheckpoint(bytes: bytes)) }

    private func send(_ message: WorkerMessage) {
        guard let json = try? JSONEncoder().encode(message) else { return }
        line.withLock { _ in
            var bytes = [UInt8](json) + [10]
            while !bytes.isEmpty {
                let written = Glibc.write(1, bytes, bytes.count)
                if written < 0, errno == EINTR { continue }
                // A daemon that is gone reads nothing more; the end of standard input tells the worker so.
                guard written > 0 else { return }
                bytes.removeFirst(written)
            }
        }
    }
}
