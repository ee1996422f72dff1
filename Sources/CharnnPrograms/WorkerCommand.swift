public import ArgumentParser
import CharnnJobs
import CharnnStorage
import SystemPackage

/// `worker`: what a daemon starts for one job. Not for people, and not in the help.
public struct WorkerCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Run one job of a spool for its daemon.", shouldDisplay: false)

    @Option var spool: String
    @Option var config: String?
    @Argument var job: String

    public init() {}

    public func run() throws {
        let storage = LocalStorage()
        var configuration = ServiceConfiguration()
        let path = config.map { FilePath($0) } ?? ServiceConfiguration.standardPath
        // The daemon has checked the file; what became bad since then is its to tell.
        if let bytes = try? storage.contents(of: path),
            let read = try? ServiceConfiguration.parse(bytes, fileName: path.string)
        {
            configuration = read
        }
        let exit = Worker.run(
            spool: FilePath(spool), job: job, configuration: configuration, engines: Engines(), storage: storage)
        throw ExitCode(exit.rawValue)
    }
}
