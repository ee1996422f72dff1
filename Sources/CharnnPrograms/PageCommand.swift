public import ArgumentParser
import CharnnJobs
import CharnnSpool
import CharnnStorage
import Glibc
import SystemPackage

/// `page`: what a daemon starts to have the spool's `index.html` written. Not for people, who have `charnn report`.
public struct PageCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "page", abstract: "Write the morning report of a spool for its daemon.", shouldDisplay: false)

    /// Seconds after which it ends itself, whatever holds it up.
    private static let longest: UInt32 = 120

    @Option var spool: String

    public init() {}

    public func run() throws {
        offerToOutOfMemoryKiller()
        // Training goes first.
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19)
        alarm(Self.longest)
        do {
            try SpoolPage.write(SpoolLayout(root: FilePath(spool)), storage: LocalStorage())
        } catch {
            let bytes = Array("\(error)\n".utf8)
            _ = Glibc.write(2, bytes, bytes.count)
            throw ExitCode(1)
        }
    }
}
