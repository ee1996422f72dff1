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
        configuration.spool = reader.string("spool").map { FilePath($0) }
        configuration.corpusRoots = (reader.strings("corpus_roots", allowed: "a path or a list of paths") ?? [])
            .map { FilePath($0) }
        for path in configuration.corpusRoots + [configuration.spool].compactMap(\.self) where !path.isAbsolute {
            reader.report(reader.line, "\(path): allowed: an absolute path")
        }
        configuration.device = reader.choice("device", DeviceChoice.self) ?? .auto
        configuration.threads = reader.integer("threads", in: 1...4096)
        configuration.memoryLimit = reader.size("memory_limit")
        configuration.progressTimeout = reader.duration("progress_timeout") ?? configuration.progressTimeout
        configuration.retention = reader.duration("keep_jobs")
        configuration.textGrace = reader.duration("text_grace") ?? configuration.textGrace
        configuration.notifyCommand = reader.string("notify", allowed: "a command line for /bin/sh")
        if let command = configuration.notifyCommand, command.allSatisfy(\.isWhitespace) || command.contains("\0") {
            reader.report(key: "notify", "found nothing that can be run; allowed: a command line for /bin/sh")
        }
        configuration.notifyTimeout = reader.duration("notify_timeout") ?? configuration.notifyTimeout
        if let section = reader.section("caps") {
            configuration.caps = CapSections(section)
            reader.take(section.problems)
        }
        reader.finish()
        guard reader.problems.isEmpty else { throw JobFileError(problems: reader.problems.map(\.text)) }
        return configuration
    }
}

extension SectionReader {
    /// A number of bytes such as `8G` or `512M`, in powers of 1024 as systemd counts them.
    ///
    /// More than 64 bits hold is as much as there can be, and no mistake.
    func size(_ key: String) -> UInt64? {
        let allowed = "a size such as 512M or 8G"
        guard let text = string(key, allowed: allowed) else { return nil }
        let units: [Character: UInt64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard let number = UInt64(digits), number > 0 else {
            report(key: key, "found \(YAMLDocument.quoted(text)); allowed: \(allowed)")
            return nil
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
        return overflow ? .max : bytes
    }
}
