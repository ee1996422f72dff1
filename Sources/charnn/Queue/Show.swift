import ArgumentParser
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnWords
import SystemPackage

/// `charnn show`: what the status says, a line a fact, those that are known.
struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show how one job, or one run outside the queue, stands.",
        discussion: """
            A run outside the queue that was begun with --output is named by the path of its folder.

            Example, with the job of `charnn submit --help`:
              charnn show night
              charnn show night --json
            """)

    @OptionGroup var job: JobArgument

    @Flag(name: .long, help: "Print the job's status.json.")
    var json = false

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let client = try job.client()
            let found = try client.found(job.name)
            guard let found, let status = found.status else { throw Failure(try client.why(job.name), status: 66) }
            // As it is kept, for programs; it ends with its own line's end.
            if json { return Terminal.write(String(decoding: status.encoded, as: UTF8.self)) }
            let (state, folder) = (found.state, found.folder(in: client.layout))
            let losses = Sparkline.losses(of: folder.appending(.metrics), in: storage)
            let kind = found.run == nil ? "job" : "run"
            for case (let name, let value?) in [(kind, found.title)] + facts(status, state) + curve(losses) + [
                ("folder", folder.string)
            ] {
                line(name, value, name == "state" ? state.colour : name == "curve" ? .cyan : nil)
            }
            for warning in status.warnings { line("warning", warning, .yellow) }
            guard state == .active, Terminal.isInteractive else { return }
            Terminal.line()
            Terminal.line(ProgressBar.text(status, width: Terminal.width - 1))
        }
    }

    /// A fact in one line, whoever wrote it.
    private func line(_ name: String, _ value: String, _ colour: Terminal.Colour?) {
        let label = Terminal.dim(DisplayWidth.padded(name, to: 12))
        Terminal.line(label + Terminal.coloured(Terminal.oneLine(value), colour))
    }

    /// - Parameter state: Where the job's file lies, which may be newer than the status.
    private func facts(_ status: JobStatus, _ state: JobState) -> [(String, String?)] {
        [
            ("owner", status.owner ?? status.submitter.map { People.system.name(of: $0) }),
            ("shared", status.isPrivate == true ? "no: it is its owner's alone" : nil), ("state", state.rawValue),
            ("phase", status.phase), ("reason", status.reason),
            ("step", status.step.map { Self.step($0, of: status.totalSteps ?? 0, state) }),
            ("epoch", status.epoch.flatMap { epoch in status.totalEpochs.map { "\(epoch) of \($0)" } }),
            ("loss", status.trainLoss.map { Self.loss($0) }),
            ("validation", status.validationLoss.map { Self.loss($0) }),
            ("best", status.bestValidationLoss.map { Self.loss($0) }),
            ("fitted", status.fittedValidationLoss.map { Self.fitted($0, status.fittedTemperature) }),
            ("score", status.evaluationLoss.map { Self.loss($0) }),
            ("speed", status.charactersPerSecond.map { "\(grouped($0)) characters/s" }),
            ("left", state == .active ? status.secondsLeft.map(duration) : nil),
            ("worked", status.elapsedSeconds.map(duration)), ("attempts", String(status.attempts)),
            ("accepted", status.acceptedAt.map(Self.time)), ("started", status.startedAt.map(Self.time)),
            ("ended", status.endedAt.map(Self.time)),
        ]
    }

    /// The loss over all steps, where the output can show it.
    private func curve(_ losses: [Double]) -> [(String, String?)] {
        guard Terminal.isInteractive, Terminal.isUnicode, losses.count > 1, let low = losses.min(),
            let high = losses.max()
        else { return [] }
        // Highest and lowest, for the picture has no axis.
        let range = "  \(fixed(high, 2)) to \(fixed(low, 2))"
        let width = min(60, Terminal.width - 12 - range.count - 1)
        return width < 8 ? [] : [("curve", Sparkline.text(losses, width: width) + range)]
    }

    private static func step(_ step: Int, of total: Int, _ state: JobState) -> String {
        total > 0 ? "\(grouped(step)) \(stepsOf(total, step, state))" : grouped(step)
    }

    /// `2026-01-31T23:59:00Z` as `2026-01-31 23:59:00 UTC`.
    private static func time(_ time: String) -> String {
        time.replacing("T", with: " ").replacing("Z", with: " UTC")
    }

    private static func loss(_ nats: Double) -> String {
        "\(fixed(nats, 4)) nats, \(fixed(bits(nats), 3)) bits/char"
    }

    private static func fitted(_ nats: Double, _ temperature: Double?) -> String {
        loss(nats) + (temperature.map { " at temperature \(fixed($0, 3))" } ?? "")
    }
}
