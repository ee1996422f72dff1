public import SystemPackage

/// What the administrator decides: `/etc/charnnd/charnnd.yaml`, or the file named by `--config`.
public struct ServiceConfiguration: Sendable, Equatable {
    /// The spool directory; nil: the program's own choice.
    public var spool: FilePath?
    /// Folders beside the spool's `corpora/` and `jobs/` from which corpora and models may be read.
    public var corpusRoots: [FilePath] = []
    /// The device of jobs that say `auto`: `auto`, `cpu` or `cuda`.
    public var device: String = "auto"
    /// The threads of jobs that do not say; nil: all cores the process may use.
    public var threads: Int?
    /// The most memory a job may be predicted to need, bytes; nil: what the machine has.
    public var memoryLimit: UInt64?
    /// Seconds without any word from a worker after which it is ended as hung.
    public var progressTimeout: Double = 1800
    /// Seconds for which finished jobs are kept before `charnn clean` removes them; nil: for ever.
    public var retention: Double?

    public init() {}

    /// Reads and checks a configuration file; all problems are told at once.
    public static func parse(_ bytes: [UInt8], fileName: String) throws(JobFileError) -> ServiceConfiguration {
        ServiceConfiguration()
    }
}
