import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// What a person sees: the tool on a terminal of its own, which `script` provides.
@Suite struct TerminalTests {
    private let spool: TestSpool

    init() throws {
        spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(6000))
    }

    /// Runs `charnn` on a terminal with so many columns.
    private func terminal(
        _ columns: Int, _ arguments: String, _ environment: [String: String] = [:]
    ) throws -> String {
        let command = "stty cols \(columns) rows 24; exec '\(Program.charnn.path)' \(arguments)"
        let variables = [
            "CHARNND_SPOOL": spool.layout.root.string, "HOME": spool.folder.path.string, "TERM": "xterm",
            "LC_ALL": "C.UTF-8", "NO_COLOR": "", "SHELL": "/bin/sh",
        ].merging(environment) { $1 }
        let end = try RunningProgram(
            "/usr/bin/script", ["-qec", command, "/dev/null"], in: spool.folder.path, environment: variables
        ).end()
        #expect(end.status == 0, "\(end.output)\(end.error)")
        return end.output.replacing("\r\n", with: "\n")
    }

    /// A text as it stands on the screen: no colours, nor other requests to the terminal.
    private func plain(_ text: String) -> String { text.replacing(/\u{1B}\[[?0-9;]*[A-Za-z]/, with: "") }

    private func coloured(_ text: String) -> Bool { text.contains(/\u{1B}\[[0-9;]*m/) }

    private func job(_ name: String, _ state: JobState, reason: String? = nil, rows: Int = 0) throws {
        var status = JobStatus(job: name, state: state)
        status.step = rows * 10
        status.totalSteps = 1000
        status.trainLoss = 1.25
        status.reason = reason
        status.secondsLeft = 3700
        status.phase = "training"
        status.ticket = JobTicket(file: "\(name).yaml")
        try spool.storage.createDirectories(spool.output(name), mode: 0o700)
        try spool.storage.replace(spool.layout.status(of: name), with: status.encoded)
        try spool.storage.replace(spool.layout.file("\(name).yaml", in: state), with: [])
        let metrics = (1...max(1, rows)).map { "\($0 * 10),0.1,\(4.0 - Double($0) / 40),,0.002,1.0,1000,\($0)\n" }
        if rows > 0 {
            try spool.storage.replace(
                spool.output(name).appending("metrics.csv"), with: Array(("header\n" + metrics.joined()).utf8))
        }
    }

    private func threeJobs() throws {
        try job("聖書", .active, rows: 80)
        try job("a-job-with-a-rather-long-name-that-people-do-give", .queue)
        try job("bad", .failed, reason: "there is no text of that name; put it into corpora/ and retry")
    }

    @Test func `what a model writes does nothing to a terminal, and is whole elsewhere`() throws {
        try spool.corpus("esc.txt", String(repeating: "\u{1B}[2J\u{7}\u{9B}31m\u{7F}é\n", count: 300))
        let job = QueueTests.training.replacing("tale.txt", with: "esc.txt").replacing("The owl", with: "é")
        try spool.drop("esc.yaml", job.replacing("epochs: 2", with: "epochs: 60"))
        #expect(try spool.once().status == 0)
        let piped = try spool.charnn("generate", "esc", "--length", "60", "--temperature", "0").output
        #expect(piped.contains("\u{1B}[2J"))
        let shown = try terminal(200, "generate esc --length 60 --temperature 0")
        #expect(shown.contains("␛[2J␇\u{FFFD}31m␡é"), "\(shown.debugDescription)")
        #expect(!shown.unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{9B}" || $0 == "\u{7}" || $0 == "\u{7F}" })
    }

    @Test(arguments: [20, 40, 60, 80, 120]) func `a list is never wider than its window`(columns: Int) throws {
        try threeJobs()
        let text = plain(try terminal(columns, "list"))
        let lines = text.split(separator: "\n")
        #expect(lines.count == 4)
        #expect(lines.allSatisfy { DisplayWidth.of($0) <= columns }, "\(text)")
        #expect(lines[0].hasPrefix("JOB") && lines.dropFirst().first?.hasPrefix("聖書") == true)
    }

    @Test func `a list has aligned columns, the curve of the loss and colours`() throws {
        try threeJobs()
        let text = try terminal(200, "list")
        #expect(coloured(text) && text.contains("\u{1B}[31mfailed\u{1B}[0m"))
        let lines = plain(text).split(separator: "\n").map(String.init)
        let place = { (line: String, word: String) in
            line.range(of: word).map { DisplayWidth.of(line[..<$0.lowerBound]) }
        }
        let column = try #require(place(lines[0], "STATE"))
        #expect(place(lines[1], "active") == column && place(lines[2], "queue") == column)
        #expect(place(lines[3], "failed") == column)
        #expect(lines[1].contains("█") && lines[1].contains("▁") && lines[1].contains("1 h 01 min"))
        #expect(lines[3].hasSuffix("put it into corpora/ and retry"))
    }

    @Test func `NO_COLOR, a pipe, a dumb terminal and a plain locale are respected`() throws {
        try threeJobs()
        let monochrome = try terminal(120, "list", ["NO_COLOR": "1"])
        #expect(!coloured(monochrome) && monochrome.contains("█"))
        #expect(!(try terminal(120, "list", ["TERM": "dumb"])).contains("\u{1B}"))
        #expect(!(try terminal(120, "list", ["LC_ALL": "C"])).contains("█"))
        let piped = try spool.charnn("list").output
        #expect(!piped.contains("\u{1B}") && !piped.contains("█"))
        #expect(piped.contains("a-job-with-a-rather-long-name-that-people-do-give"), "nothing is cut in a pipe")
    }

    @Test func `control characters of a reason reach no terminal`() throws {
        try job("evil", .failed, reason: "red\u{1B}[2J\u{07}\nnext")
        for command in ["list", "show evil", "why evil"] {
            let text = try terminal(120, command)
            #expect(!text.contains("\u{1B}[2J") && !text.contains("\u{07}"), "\(command)")
        }
    }

    @Test func `show draws the curve of a job, and how far it is`() throws {
        try job("long", .active, rows: 80)
        let text = plain(try terminal(70, "show long"))
        #expect(text.contains("curve       █") && text.contains("3.98 to 2.00") && text.contains("80 %"))
        #expect(text.split(separator: "\n").filter { $0.contains("█") }.allSatisfy { DisplayWidth.of($0) <= 70 })
        #expect(!(try spool.charnn("show", "long").output).contains("█"))
    }

    @Test(arguments: [8, 30, 80]) func `the bar of a run fits its window`(columns: Int) throws {
        let file = spool.folder.path.appending("tale.yaml")
        try spool.storage.replace(
            file, with: Array(QueueTests.training.replacing("epochs: 2", with: "epochs: 600").utf8))
        let text = try terminal(columns, "run tale.yaml")
        // The bar does not wrap, and what a window once showed is taken away before a line follows.
        let bars = text.split(separator: "\r").filter { $0.hasPrefix("\u{1B}[?7l") }
            .map { plain(String($0.prefix { $0 != "\n" })) }
        #expect(!bars.isEmpty && bars.allSatisfy { DisplayWidth.of($0) < columns }, "\(bars)")
        if columns == 80 { #expect(bars.contains { $0.contains("▕") && $0.contains(" %") }) }
        #expect(coloured(text) || columns < 20)
        let plainRun = try terminal(columns, "run tale.yaml --output other", ["NO_COLOR": "1", "LC_ALL": "C"])
        #expect(!coloured(plainRun) && !plainRun.contains("█"))
    }

    @Test func `following shows the log and, below it, a bar`() throws {
        try spool.drop("tale.yaml", QueueTests.training.replacing("epochs: 2", with: "epochs: 500"))
        let daemon = try spool.start(.charnnd, [])
        try eventually("tale is accepted") { try spool.state("tale") != nil }
        let text = try terminal(80, "follow tale")
        daemon.signal(SIGTERM)
        #expect(try daemon.end().status == 0)
        let lines = plain(text).split(whereSeparator: \.isNewline)
        for words in ["Training begins", "Validation at step", "Done; the results lie in"] {
            #expect(lines.contains { $0.contains(words) }, "\(words)")
        }
    }

    @Test func `why tells what runs before and when a job would start`() throws {
        try job("runs", .active, rows: 10)
        try job("waits", .queue)
        let lock = try #require(try spool.storage.lock(spool.layout.lock))
        let text = try spool.charnn("why", "waits").output
        withExtendedLifetime(lock) {}
        #expect(text.contains("waits is next after runs."))
        #expect(text.contains("Runs now: runs, 1 h 01 min left.") && text.contains("start in about 1 h 01 min, "))
    }
}

/// What shells and manuals know of the programs.
@Suite struct CompletionTests {
    private let spool: TestSpool

    init() throws {
        spool = try TestSpool()
        for name in ["kjv", "kjv 2", "tale"] {
            try spool.storage.replace(spool.layout.file("\(name).yaml", in: .queue), with: [])
        }
    }

    private func bash(_ line: String) throws -> [String] {
        let words = line.split(separator: " ", omittingEmptySubsequences: false).map { "'\($0)'" }
        let script = """
            PATH='\(Program.folder)':$PATH
            source <(charnn --generate-completion-script bash)
            COMP_WORDS=(\(words.joined(separator: " "))); COMP_CWORD=\(words.count - 1)
            COMP_LINE='\(line)'; COMP_POINT=\(line.count)
            _charnn charnn "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            printf '%s\\n' "${COMPREPLY[@]}"
            """
        let end = try RunningProgram(
            "/bin/bash", ["-c", script], in: spool.folder.path, environment: ["CHARNND_SPOOL": spool.layout.root.string]
        ).end()
        return end.output.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    }

    @Test func `bash completes commands, options and the spool's jobs`() throws {
        #expect(try bash("charnn sho").contains("show"))
        #expect(try bash("charnn list --j").contains("--json"))
        #expect(try bash("charnn show k").contains("kjv") && !bash("charnn show k").contains("tale"))
        #expect(try bash("charnn follow ").contains("tale"))
    }

    private static func hasShell(_ shell: String) -> Bool {
        ["zsh", shell].allSatisfy { access("/usr/bin/\($0)", X_OK) == 0 }
    }

    @Test(.enabled(if: hasShell("zsh"), "there is no zsh")) func `zsh completes the spool's jobs`() throws {
        try completes("zsh")
    }

    @Test(.enabled(if: hasShell("fish"), "there is no fish, or no zsh, which types into it"))
    func `fish completes the spool's jobs`() throws { try completes("fish") }

    /// A shell on a terminal of its own, in which a tab is pressed.
    private func completes(_ shell: String) throws {
        let folder = Program.root.appending(path: "Tests/EndToEndTests/Completions")
        let environment = [
            "PATH": "\(Program.folder):/usr/bin:/bin", "TERM": "xterm",
            "CHARNND_SPOOL": spool.layout.root.string, "HOME": spool.folder.path.string, "LC_ALL": "C.UTF-8",
        ]
        let end = try RunningProgram(
            "/usr/bin/zsh",
            ["-f", folder.appending(path: "complete.zsh").path, shell, "charnn why ta", "tale is queued"],
            in: spool.folder.path, environment: environment
        ).end()
        #expect(end.status == 0 && end.output.contains("tale is queued"), "\(end.output)\(end.error)")
    }

    @Test(.enabled(if: access("/usr/bin/mandoc", X_OK) == 0, "there is no mandoc"))
    func `the manual pages are sound`() throws {
        let pages = ["charnn.1", "charnnd.8", "charnnd.job.5"].map { Program.root.appending(path: "man/\($0)").path }
        let end = try RunningProgram(
            "/usr/bin/mandoc", ["-T", "lint", "-W", "warning"] + pages, in: spool.folder.path, environment: [:]
        ).end()
        #expect(end.status == 0 && end.output == "" && end.error == "", "\(end.output)\(end.error)")
    }

    @Test(.enabled(if: access("/usr/bin/python3", X_OK) == 0, "there is no Python"))
    func `the manual pages are what the programs say`() throws {
        let python = "/usr/bin/python3"
        let folder = Program.folder.string
        let make = Program.root.appending(path: "man/make").path
        let end = try RunningProgram(python, [make, "--check", folder], in: spool.folder.path, environment: [:]).end()
        #expect(end.status == 0, "\(end.error)")
    }
}
