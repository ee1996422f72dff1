import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import SystemPackage

/// Shows a job that runs in the foreground: a live bar on a terminal, a line now and then elsewhere, and all of it in
/// the job's `log.txt`.
final class ConsoleReporter: JobReporter {
    private let log: (any StorageFile)?
    private var barLength = 0
    private let clock = SpoolClock.system
    private var lastBar = -Double.infinity
    /// What is shown of the log: everything but debugging and lines about progress, which the bar shows.
    private let isQuiet: Bool

    init(log path: FilePath, storage: any Storage, isQuiet: Bool) {
        log = try? storage.openForAppending(path, mode: 0o640)
        self.isQuiet = isQuiet
    }

    func event(_ event: WorkerEvent) {
        // A log that cannot be written is no reason to stop a run that can.
        try? log?.append(
            Array("\(JobStatus.time(SpoolClock.system.wall())) \(event.level.rawValue) \(event.message)\n".utf8))
        if event.kind == .failed {
            clear()
            return Terminal.error("charnn: \(event.message)")
        }
        guard event.level != .debug else { return }
        if event.kind == .progress || event.kind == .checkpointSaved, Terminal.isInteractive { return }
        if isQuiet, event.level == .info { return }
        clear()
        let mark = event.level == .warning ? "warning: " : event.level == .error ? "error: " : ""
        Terminal.line(mark + event.message)
    }

    func progress(_ status: JobStatus) {
        guard Terminal.isInteractive, clock.monotonic() - lastBar >= 0.2 else { return }
        lastBar = clock.monotonic()
        let text = ProgressBar.text(status, width: Terminal.width - 1)
        let padding = String(repeating: " ", count: max(0, barLength - text.count))
        Terminal.write("\r\(text)\(padding)")
        barLength = text.count
    }

    func savingCheckpoint(bytes: Int) {}

    /// Removes the bar, so that a line can stand in its place.
    func clear() {
        guard barLength > 0 else { return }
        Terminal.write("\r" + String(repeating: " ", count: barLength) + "\r")
        barLength = 0
    }
}

/// One line that tells how far a job is.
enum ProgressBar {
    /// As much as fits: a bar, per cent, loss, bits per character, rate, time left; what matters less goes first.
    static func text(_ status: JobStatus, width: Int) -> String {
        guard let step = status.step, let total = status.totalSteps, total > 0, status.phase == "training" else {
            return String((status.phase ?? "").prefix(width))
        }
        let part = Double(step) / Double(total)
        let percent = "\(Int(part * 100)) %"
        var facts: [String] = []
        if let left = status.secondsLeft, step < total { facts.append("\(duration(left)) left") }
        if let loss = status.trainLoss {
            facts.append("loss \(fixed(loss, 3))")
            facts.append("\(fixed(loss / 0.693_147_180_56, 2)) bits/char")
        }
        if let speed = status.charactersPerSecond { facts.append("\(grouped(Int(speed))) chars/s") }
        facts.append("step \(step)/\(total)")
        while !facts.isEmpty {
            let tail = " \(percent)  " + facts.joined(separator: "  ")
            let room = min(30, width - tail.count - 2)
            if room >= 8 { return bar(part, room) + tail }
            facts.removeLast()
        }
        return String(percent.prefix(max(0, width)))
    }

    private static func bar(_ part: Double, _ length: Int) -> String {
        let eighths = Int(part * Double(length) * 8)
        let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        let full = String(repeating: "█", count: min(length, eighths / 8)) + (eighths / 8 < length ? partial : "")
        return "▕" + full + String(repeating: " ", count: length - full.count) + "▏"
    }
}
