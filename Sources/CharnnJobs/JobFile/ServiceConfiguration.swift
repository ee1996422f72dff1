public import SystemPackage

/// What the administrator decides: `/etc/charnnd/charnnd.yaml`, or the file named by `--config`.
///
/// The daemon reads it at its start and at each reload, and hands to workers what concerns them (``WorkerOrders``);
/// tools of people read it for advice only, since the daemon's word counts.
public struct ServiceConfiguration: Sendable, Equatable {
    /// The spool directory; nil: the program's own choice.
    public var spool: FilePath?
    /// Folders beside the spool's `corpora/` and `jobs/` from which corpora and models may be read.
    public var corpusRoots: [FilePath] = []
    /// The device of jobs that say `auto`.
    public var device = DeviceChoice.auto
    /// The threads of jobs that do not say; nil: all cores the process may use.
    public var threads: Int?
    /// The most memory a job may be predicted to need, bytes; nil: what the machine has.
    public var memoryLimit: UInt64?
    /// Seconds without any word from a worker after which it is ended as hung.
    public var progressTimeout: Double = 1800
    /// Seconds for which finished jobs are kept before `charnn clean` removes them; nil: for ever.
    public var retention: Double?
    /// Seconds for which a job whose turn has come waits for a text that is not there.
    public var textGrace: Double = 600
    /// What a shell runs when a job ends and when nothing is left to do; nil: nothing.
    public var notifyCommand: String?
    /// Seconds after which that command is ended.
    public var notifyTimeout: Double = 60
    /// The most that people may ask for.
    public var caps = CapSections()

    public init() {}

    /// Where the file is looked for when nobody names another.
    public static let standardPath: FilePath = "/etc/charnnd/charnnd.yaml"

    /// Reads and checks a configuration file; all problems are told at once.
    ///
    /// - Parameter fileName: How the file is called in messages.
    ///
    /// A mistake in it is an error of the whole: half a configuration would be one that nobody has written.
    public static func parse(_ bytes: [UInt8], fileName: String) throws(JobFileError) -> ServiceConfiguration {
        var configuration = ServiceConfiguration()
        // A file of comments alone is a valid configuration, unlike an empty job file.
        let isBlank = String(decoding: bytes, as: UTF8.self).split(separator: "\n").allSatisfy { line in
            let text = line.drop { $0 == " " || $0 == "\t" }
            return text.isEmpty || text.hasPrefix("#")
        }
        if isBlank { return configuration }
        let reader = SectionReader(try YAMLDocument.mapping(bytes, fileName: fileName), fileName: fileName)
        section.read(reader, into: &configuration)
        reader.finish()
        guard reader.problems.isEmpty else { throw JobFileError(problems: reader.problems.map(\.text)) }
        return configuration
    }
}
