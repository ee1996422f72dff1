/// A job file that was read and found valid.
public struct JobFile: Sendable, Equatable {
    /// Higher runs first.
    public var priority: Int = 0
    /// Names of jobs that must have succeeded first.
    public var after: [String] = []
    /// Names that stand at `model:` or `from:` and are not paths: implicit predecessors if such jobs are not done.
    public var modelJobs: [String] = []

    /// Reads and checks a job file; all problems are told at once.
    ///
    /// - Parameters:
    ///   - bytes: The file's contents, at most 1 MiB.
    ///   - fileName: How the file is called in messages.
    public static func parse(_ bytes: [UInt8], fileName: String) throws(JobFileError) -> JobFile {
        JobFile()
    }
}

/// What is wrong with a job file: every problem, each on a line of its own with file, line, key, what was found and
/// what is allowed.
public struct JobFileError: Error, Hashable, CustomStringConvertible {
    public var problems: [String]
    public init(problems: [String]) { self.problems = problems }
    public var description: String { problems.joined(separator: "\n") }
}
