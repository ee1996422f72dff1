public import ArgumentParser
import CharnnJobs
import CharnnSpool
import CharnnStorage
import SystemPackage

/// `worker`: what a daemon starts for one job. Not for people, and not in the help.
public struct WorkerCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Run one job of a spool for its daemon.", shouldDisplay: false)

    @Option var spool: String
    @Argument var job: String

    public init() {}

    public func run() throws {
        let exit = Worker.run(spool: FilePath(spool), job: job, engines: Engines(), storage: LocalStorage())
        throw ExitCode(exit.rawValue)
    }
}
