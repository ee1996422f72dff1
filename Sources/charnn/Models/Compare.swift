import ArgumentParser
import CharnnReports
import CharnnSpool
import CharnnStorage
import SystemPackage

/// `charnn compare`: reads the records and hands them to ``JobComparison``, which ranks them.
struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare jobs: losses, speed, and the settings in which they differ.",
        discussion: """
            Jobs that were scored on the same text stand together, the best first: bits per character compare only on the \
            same text.

            Example:
              charnn demo --epochs 10
              charnn demo --epochs 20
              charnn compare demo demo-2
              charnn compare demo demo-2 --html both.html
            """)

    @Argument(
        help: ArgumentHelp("The jobs' names.", valueName: "name"),
        completion: .custom { words, _, _ in JobNames.all(words) })
    var names: [String]

    @Option(name: .long, help: ArgumentHelp("Write a page with their curves to a file instead.", valueName: "file"))
    var html: String?

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let layout = try spool.existing(storage)
            // Texts are for the page only; a terminal shows figures.
            let jobs = try names.map { try JobRecord(named: $0, in: layout, storage, includingTexts: html != nil) }
            let comparison = JobComparison(jobs)
            guard let html else {
                let rows = comparison.table
                let table = Table(
                    columns: rows[0].map { Table.Column($0) },
                    rows: rows.dropFirst().map { row in row.map { Table.Cell($0) } })
                return Terminal.line(table.text(room: Terminal.room))
            }
            let time = JobStatus.time(SpoolClock.system.wall())
            try storage.swap(FilePath(html).absolute, with: comparison.page(time: time))
            Terminal.line("Written: \(html)")
        }
    }
}

extension JobRecord {
    /// A job of a spool or a run outside the queue, or the reason why there is nothing to show of it.
    init(
        named name: String, in layout: SpoolLayout, _ storage: any Storage, includingTexts: Bool
    ) throws {
        let client = SpoolClient(layout, storage: storage)
        guard let found = try client.found(name), case let folder = found.folder(in: layout),
            try storage.status(of: folder)?.kind == .directory
        else { throw Failure(try client.why(name), status: 66) }
        self.init(
            found.title, folder: folder, state: found.state, status: found.status, in: storage,
            includingTexts: includingTexts)
    }
}
