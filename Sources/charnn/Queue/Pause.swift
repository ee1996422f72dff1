import ArgumentParser
import CharnnJobs
import CharnnSpool
import CharnnStorage
import Glibc

/// `charnn pause`: the daemon is asked for it, and does it within a moment; where none works the next one begins with
/// it.
struct Pause: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start no more jobs for now; what runs writes a checkpoint.",
        discussion: """
            It holds over restarts, until the time given or `charnn resume`. In the system's spool it is for members of \
            charnnd-admin.

            Example:
              charnn pause
              charnn pause --until 22:00
            """)

    @Option(
        name: .long,
        help: ArgumentHelp("When the queue goes on: 22:00 (its next coming), +2h.", valueName: "time"))
    var until: String?

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let client = SpoolClient(try spool.existing(LocalStorage()))
            let end = try until.map { text in
                guard let time = Moment.next(text, after: SpoolClock.system.wall()) else {
                    throw Failure(
                        "--until: found \"\(text)\"; allowed: an hour such as 22:00, or a duration such as +2h",
                        status: Failure.usage)
                }
                return time
            }
            let isDone = try client.pause(until: end)
            let when = end.map { " until \(Moment.text($0))" } ?? "; `charnn resume` lets it go on"
            Terminal.line(
                isDone
                    ? "The queue is paused\(when)."
                    : client.hasDaemon() == false
                        ? "A pause is asked for; the next daemon here begins with it."
                        : "A pause is asked for, and not begun yet; `charnn list` shows when it is.")
        }
    }
}

/// `charnn resume`: the other half of `pause`, and the end of one that was to last longer.
struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a paused queue go on.",
        discussion: """
            Example:
              charnn resume
            """)

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let client = SpoolClient(try spool.existing(LocalStorage()))
            guard client.queuePause != nil else { return Terminal.line("The queue is not paused.") }
            Terminal.line(
                try client.resume()
                    ? "The queue goes on." : "That the queue goes on is asked for; a daemon here does it when it works."
            )
        }
    }
}

/// Points in time as people name them.
///
/// Hours are local and without a date, as people say them in the evening; the instant is fixed here, and kept as
/// seconds since 1970.
enum Moment {
    /// Seconds since 1970 of `22:00`, its next coming by the local clock, or of `+2h`; nil for what is neither.
    ///
    /// An hour that the clock skips means the first minute after it.
    static func next(_ text: String, after now: Double) -> Double? {
        if text.hasPrefix("+") { return Duration.seconds(of: String(text.dropFirst())).map { now + $0 } }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ (1...2).contains($0.count) && $0.allSatisfy(\.isNumber) }),
            let hour = Int(parts[0]), let minute = Int(parts[1]), (0..<24).contains(hour), (0..<60).contains(minute)
        else { return nil }
        let wanted = hour * 60 + minute
        var time = (now / 60).rounded(.down) * 60
        var before = local(time)
        // At most two days and an hour: the clock may be set back in between.
        // Minute by minute: only the C library knows when the clock is set forward or back.
        for _ in 0..<(49 * 60) {
            time += 60
            let current = local(time)
            let isSkipped = current.day == before.day && before.minute < wanted && current.minute > wanted
            if current.minute == wanted || isSkipped { return time }
            before = current
        }
        return nil
    }

    /// The local time, such as `Tue 04:30`.
    static func text(_ time: Double) -> String {
        var seconds = time_t(time)
        var parts = tm()
        localtime_r(&seconds, &parts)
        var text = [CChar](repeating: 0, count: 64)
        let count = strftime(&text, text.count, "%a %H:%M", &parts)
        return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The day of the year, and the minute of that day, by the local clock.
    private static func local(_ time: Double) -> (day: Int, minute: Int) {
        var seconds = time_t(time)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return (Int(parts.tm_yday), Int(parts.tm_hour) * 60 + Int(parts.tm_min))
    }
}
