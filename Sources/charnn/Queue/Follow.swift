import ArgumentParser
import CharnnPrograms
import CharnnReports
import CharnnSpool
import CharnnStorage
import Glibc
import SystemPackage

/// `charnn follow`: looks at the log and the status again and again; it neither asks the daemon nor holds up the job,
/// and shows the same of a run outside the queue.
struct Follow: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a job's log as it is written, until the job ends.",
        discussion: """
            On a terminal a bar at the bottom shows how far it is. Ctrl-C stops looking, not the job.

            Example, with the job of `charnn submit --help`:
              charnn follow night
            """)

    @OptionGroup var job: JobArgument

    func run() throws {
        try reporting {
            let client = try job.client()
            guard let named = try client.found(job.name) else { throw Failure(try client.why(job.name), status: 66) }
            let bar = LiveLine()
            var log = FollowedLog(named.folder(in: client.layout).appending(.log), LocalStorage())
            // A job that waits may do so for long: why it does is told, on standard error, since it is not in the log.
            if [.queue, .held].contains(named.state) { Terminal.error("charnn: \(try client.why(job.name))") }
            while true {
                // It would follow for nobody.
                if StandardOutput.hasFailed { return }
                // Looked at before the log, which is then whole where it has ended.
                guard let found = try client.found(job.name) else {
                    throw Failure(try client.why(job.name), status: 66)
                }
                let news = log.news()
                if !news.isEmpty {
                    bar.clear()
                    Terminal.write(Terminal.harmless(news))
                }
                switch found.state {
                case .done, .failed, .cancelled, .rejected, .stopped:
                    bar.clear()
                    // The daemon moves the file first and then tells of it.
                    // A run writes its log itself, and is done with it by then.
                    if found.run == nil { usleep(300_000) }
                    Terminal.write(Terminal.harmless(log.news()))
                    if found.state == .done { return }
                    if let run = found.run { throw Failure(run.sentence, status: 1) }
                    throw ExitCode(1)
                case .active:
                    // A line of the log that is not whole yet stays as it is.
                    if let status = found.status, log.isAtLineStart {
                        bar.show(ProgressBar.text(status, width: Terminal.width - 1))
                    }
                case .queue, .held: bar.clear()
                }
                // Twice a second is as good as at once for a person, and costs a running job nothing.
                usleep(500_000)
            }
        }
    }
}

/// A log that grows while it is read.
///
/// It may not be there yet, and is only ever appended to; what is read is at the end of a whole character.
private struct FollowedLog {
    private let path: FilePath
    private let storage: any Storage
    private var position = 0
    /// Bytes of a character that is not whole yet.
    private var rest: [UInt8] = []
    private(set) var isAtLineStart = true

    init(_ path: FilePath, _ storage: any Storage) {
        self.path = path
        self.storage = storage
    }

    /// What has come since the last time.
    ///
    /// Empty where nothing has come, or there is no log.
    mutating func news() -> String {
        guard let file = try? storage.open(path, beneath: nil) else { return "" }
        var bytes = rest
        while let piece = try? file.read(at: position, count: 1 << 16), !piece.isEmpty {
            bytes += piece
            position += piece.count
        }
        // The log is lines of UTF-8: a character is at most four bytes, and only its beginning may be there.
        let last = bytes.lastIndex { $0 & 0xC0 != 0x80 } ?? bytes.endIndex
        let isWhole =
            last == bytes.endIndex || Unicode.UTF8.isASCII(bytes[last]) || bytes.count - last >= length(bytes[last])
        rest = isWhole ? [] : Array(bytes[last...])
        if !isWhole { bytes.removeSubrange(last...) }
        if let end = bytes.last { isAtLineStart = end == UInt8(ascii: "\n") }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// How many bytes a character has that begins with this one.
    private func length(_ first: UInt8) -> Int { first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2 }
}
