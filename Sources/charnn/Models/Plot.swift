import ArgumentParser
import CharnnReports
import CharnnSpool
import CharnnStorage
import FoundationEssentials
import Glibc
import SystemPackage

/// `charnn plot`: the charts are those of the pages, drawn as a file.
struct Plot: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draw the loss curves of one job, or of several in one picture.",
        discussion: """
            A name that ends in .svg gets an SVG file. One that ends in .png is made from it by rsvg-convert \
            (Debian's package librsvg2-bin).

            Example, with the jobs of `charnn compare --help`:
              charnn plot demo
              charnn plot demo demo-2 --output both.svg
            """)

    @Argument(
        help: ArgumentHelp("The jobs' names.", valueName: "name"),
        completion: .custom { words, _, _ in JobNames.all(words) })
    var names: [String]

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The picture's file, .svg or .png. Default: NAME.svg.", valueName: "file"))
    var output: String?

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let layout = try spool.existing(storage)
            let jobs = try names.map { try JobRecord(named: $0, in: layout, storage, includingTexts: false) }
            for job in jobs where job.rows.isEmpty {
                throw Failure(
                    "\(job.name) has no metrics to draw; name a job that trains, once it has begun to", status: 66)
            }
            var chart = jobs.count == 1 ? jobs[0].lossChart : JobComparison(jobs).chart
            chart.title = jobs.count == 1 ? "\(jobs[0].name): loss" : chart.title
            // A run's title has a slash.
            let file = output ?? "\(FilePath(names[0]).lastComponent?.string ?? names[0]).svg"
            let path = FilePath(file).absolute
            switch path.extension {
            case "svg": try storage.swap(path, with: Array(chart.svg().utf8), mode: 0o644)
            case "png": try png(chart.svg(), to: path, storage)
            default:
                throw Failure(
                    "--output: found \(file); allowed: a file that ends in .svg or .png", status: Failure.usage)
            }
            Terminal.line("Written: \(file)")
        }
    }

    /// Has the picture drawn by the converter that Debian has, in twice the size for sharp screens.
    ///
    /// A program of the system is started rather than a library linked: nobody needs it for anything else.
    private func png(_ svg: String, to path: FilePath, _ storage: any Storage) throws {
        // Beside the picture, where this user may write; hidden, and with the process's number, so that two at once do
        // not meet.
        let aside = path.removingLastComponent().appending(".\(path.stem ?? "plot").\(getpid()).svg")
        try storage.swap(aside, with: Array(svg.utf8))
        defer { try? storage.discard(aside) }
        let status = try Self.run(["rsvg-convert", "--zoom", "2", "--output", path.string, aside.string])
        guard status == 0 else {
            throw Failure(
                status == 127
                    ? "a PNG needs rsvg-convert, which is not installed: sudo apt-get install librsvg2-bin, or ask for "
                        + "a file that ends in .svg"
                    : "rsvg-convert failed (status \(status)); ask for a file that ends in .svg", status: 69)
        }
    }

    /// Runs a program of `$PATH` to its end.
    ///
    /// - Returns: Its exit status; 127 if there is no such program.
    private static func run(_ arguments: [String]) throws -> Int32 {
        var pid: pid_t = 0
        var pointers = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        let failure = posix_spawnp(&pid, arguments[0], nil, nil, &pointers, environ)
        guard failure == 0 else {
            if failure == ENOENT { return 127 }
            throw Failure("cannot start \(arguments[0]): \(String(cString: strerror(failure)))", status: 71)
        }
        var word: Int32 = 0
        // The word of waitpid(2): the exit status is its second byte, a signal its first; 128 and the signal is how a
        // shell says it.
        while waitpid(pid, &word, 0) < 0, errno == EINTR {}
        return word & 0x7F == 0 ? word >> 8 & 0xFF : 128 + word & 0x7F
    }
}
