import ArgumentParser
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnWords
import Glibc

/// `charnn why`: the reason is ``SpoolClient``'s, in words; here is added what runs before, and when its turn would
/// come. The hour is a guess, and says so.
struct Why: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say why a job is where it is: what runs before it, and when it would start.",
        discussion: """
            A job that never ran is taken to need as long as those that are done: the median.

            Example, with the job of `charnn submit --help`:
              charnn why night
            """)

    @OptionGroup var job: JobArgument

    func run() throws {
        try reporting {
            let client = try job.client()
            let sentence: String
            do throws(SpoolClientError) {
                sentence = try client.why(job.name)
            } catch {
                guard error.code == .notFound, let run = try client.found(job.name)?.run else { throw error }
                return Terminal.line(Terminal.harmless(run.sentence))
            }
            Terminal.line(Terminal.harmless(sentence))
            guard let place = try client.place(of: job.name) else { return }
            if let running = place.running {
                let left = place.runningSecondsLeft.map { ", \(duration($0)) left" } ?? ""
                Terminal.line("Runs now: \(running)\(left).")
            }
            if !place.before.isEmpty {
                let shown = place.before.prefix(10).joined(separator: ", ")
                let more = place.before.count > 10 ? " and \(place.before.count - 10) more" : ""
                Terminal.line("Runs before it: \(shown)\(more).")
            }
            // Nothing runs before it, or nobody will start it: the reason above says all.
            guard place.running != nil || !place.before.isEmpty, client.hasDaemon() != false else { return }
            guard let seconds = place.secondsUntilStart else {
                return Terminal.line("When it would start cannot be told yet: no job here has run to its end.")
            }
            let guess = place.typicalSeconds.map { "; jobs that never ran taken at \(duration($0)) each" } ?? ""
            Terminal.line("It would start in \(about(seconds)), \(Self.clock(in: seconds))\(guess).")
        }
    }

    /// The local time so many seconds from now, such as `Tue 04:30`.
    ///
    /// With a date, where the day of the week could be another week's.
    private static func clock(in seconds: Double) -> String {
        var time = time_t(min(SpoolClock.system.wall() + seconds, 4e9))
        var parts = tm()
        localtime_r(&time, &parts)
        var text = [CChar](repeating: 0, count: 64)
        let count = strftime(&text, text.count, seconds > 6 * 86_400 ? "%F %H:%M" : "%a %H:%M", &parts)
        return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
