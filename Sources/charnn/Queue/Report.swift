import ArgumentParser
import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import SystemPackage

/// `charnn report`: the same ``MorningReport`` as the spool's page, collected now and with this user's rights.
struct Report: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The morning report: what ran since yesterday, what failed and why, what comes next.",
        discussion: """
            The daemon keeps the same as a page, index.html in the spool, and each job has its own: \
            jobs/NAME/report.html.

            Example:
              charnn report
              charnn report --since 7d
              charnn report --html week.html --since 7d
            """)

    @Option(name: .long, parsing: .unconditional, help: "How far back, such as 12h or 7d.")
    var since = "24h"

    @Option(name: .long, help: ArgumentHelp("Write the page to a file instead.", valueName: "file"))
    var html: String?

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            guard let span = Duration.seconds(of: since) else {
                throw Failure(
                    "--since: found \"\(since)\"; allowed: a duration such as 12h or 7d", status: Failure.usage)
            }
            let storage = LocalStorage()
            let now = SpoolClock.system.wall()
            let report = try MorningReport.collect(
                try spool.existing(storage), storage: storage, now: now, since: now - span)
            // Reasons in it are other people's texts.
            guard let html else { return Terminal.line(Terminal.harmless(report.text)) }
            try storage.swap(FilePath(html).absolute, with: MorningPage(report).bytes)
            Terminal.line("Written: \(html)")
        }
    }
}
