import CharnnReports
import CharnnSpool
import CharnnWords

/// One line that tells how far a job is.
///
/// For `run` and `follow` alike, from the status alone.
enum ProgressBar {
    /// As much as fits: a bar, per cent, loss, bits per character, rate, time left; what matters less goes first.
    ///
    /// - Parameters:
    ///   - width: Columns that it may take.
    ///   - isUnicode: Whether the terminal shows blocks; without, the bar is made of `#`.
    static func text(_ status: JobStatus, width: Int, isUnicode: Bool = Terminal.isUnicode) -> String {
        guard let step = status.step, let total = status.totalSteps, total > 0, status.phase == "training" else {
            return DisplayWidth.cut(Terminal.oneLine(status.phase ?? ""), to: max(0, width))
        }
        let part = min(1, max(0, Double(step) / Double(total)))
        let percent = "\(Int(part * 100)) %"
        var facts: [String] = []
        if let left = status.secondsLeft, step < total { facts.append("\(duration(left)) left") }
        if let loss = status.trainLoss {
            facts.append("loss \(fixed(loss, 3))")
            facts.append("\(fixed(bits(loss), 2)) bits/char")
        }
        if let speed = status.charactersPerSecond, speed.isFinite, speed < 1e15 {
            facts.append("\(grouped(speed)) chars/s")
        }
        facts.append("step \(step)/\(total)")
        while true {
            let tail = facts.isEmpty ? " \(percent)" : " \(percent)  " + facts.joined(separator: "  ")
            let room = min(30, width - tail.count - 2)
            if room >= 8 { return bar(part, room, isUnicode) + tail }
            if facts.isEmpty { return String(percent.prefix(max(0, width))) }
            facts.removeLast()
        }
    }

    /// With blocks it moves by an eighth of a column, so that one sees it move.
    private static func bar(_ part: Double, _ length: Int, _ isUnicode: Bool) -> String {
        guard isUnicode else {
            let done = Int(part * Double(length))
            return "[" + String(repeating: "#", count: done) + String(repeating: "-", count: length - done) + "]"
        }
        let eighths = Int(part * Double(length) * 8)
        let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        let full = String(repeating: "█", count: min(length, eighths / 8)) + (eighths / 8 < length ? partial : "")
        let inside = Terminal.coloured(full, .cyan) + String(repeating: " ", count: length - full.count)
        return "▕" + inside + "▏"
    }
}
