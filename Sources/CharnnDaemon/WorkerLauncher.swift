public import CharnnJobs
public import CharnnSpool
public import SystemPackage

/// A worker that was started for a job, wherever it runs.
public protocol RunningWorker: Sendable {
    /// Asks the worker to checkpoint and end.
    func terminate()

    /// Ends the worker at once.
    func kill()
}

/// What a worker is heard of.
public enum WorkerNews: Sendable {
    case started(process: Int32)
    case message(WorkerMessage)
    /// A line on standard error, or one on standard output that is no message.
    case line(String)
    /// The last of a worker.
    case ended(WorkerEnd)
}

/// The door through which workers are started: as processes here, or on other machines.
///
/// Whatever happens to a worker, and also when none could be started, ``WorkerNews/ended(_:)`` comes once and last.
public protocol WorkerLauncher: Sendable {
    /// Starts a worker for a job; everything it tells, and how it ends, goes to `news`.
    ///
    /// - Parameter spool: The root of the spool whose job it is.
    func launch(
        spool: FilePath, job: String, orders: WorkerOrders, news: @escaping @Sendable (WorkerNews) -> Void
    ) -> any RunningWorker
}

/// Starts workers as processes of this machine.
public struct ProcessLauncher: WorkerLauncher {
    /// What is started; the daemon adds `--spool`, its root, and the job.
    public var command: WorkerCommand
    /// Where the kernel counts what it kills when memory runs out.
    public var memory: MemoryGroups

    /// - Parameters:
    ///   - command: By default this very program, as a worker.
    ///   - memory: By default the groups of this process, in which its workers run, too.
    public init(_ command: WorkerCommand = .own, memory: MemoryGroups = MemoryGroups()) {
        self.command = command
        self.memory = memory
    }

    public func launch(
        spool: FilePath, job: String, orders: WorkerOrders, news: @escaping @Sendable (WorkerNews) -> Void
    ) -> any RunningWorker {
        WorkerProcess(command, memory, spool: spool, job: job, orders: orders, news: news)
    }
}
