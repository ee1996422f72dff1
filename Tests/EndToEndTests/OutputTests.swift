import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// Standard output that takes nothing, as a full disk does; `/dev/full` is one.
@Suite(.endsWhatHangs) struct OutputTests {
    private let spool: TestSpool

    init() throws {
        spool = try TestSpool()
        try spool.corpus("tale.txt", Corpus.tale(6000))
        try spool.storage.replace(spool.folder.path.appending("tale.yaml"), with: Array(QueueTests.training.utf8))
    }

    private func shell(_ line: String) throws -> Outcome {
        let environment = [
            "PATH": "\(Program.folder):/usr/bin:/bin", "CHARNND_SPOOL": spool.layout.root.string,
            "HOME": spool.folder.path.string, "TERM": "dumb", "JOURNAL_STREAM": "",
        ]
        return try RunningProgram(
            "/bin/sh", ["-c", line], in: spool.folder.path, environment: environment
        ).end()
    }

    private static let complaint =
        "standard output cannot be written (No space left on device), and what it got is not whole; make room there, or "
        + "send it elsewhere\n"

    @Test func `what cannot be written to a full disk is told, once, with status 74`() throws {
        #expect(try shell("charnn run tale.yaml").status == 0)
        for command in [
            "generate tale --length 20000", "generate tale --length 5",
            "evaluate spool/runs/tale spool/corpora/tale.txt",
            "evaluate --json tale spool/corpora/tale.txt", "report", "show tale", "show --json tale", "list --json",
            "list", "fsck", "check --no-time tale.yaml", "doctor --json", "--help", "help generate",
            "--generate-completion-script bash", "--version",
        ] {
            let end = try shell("charnn \(command) > /dev/full")
            // doctor has a status of its own where something is to be mended.
            #expect(end.status == 74 || command.hasPrefix("doctor") && end.status == 1, "\(command)")
            #expect(end.error == "charnn: " + Self.complaint, "\(command)")
        }
        let help = try shell("charnnd --help > /dev/full")
        #expect(help.status == 74 && help.error == "charnnd: " + Self.complaint)
    }

    @Test func `a run whose lines cannot be written goes on to its end`() throws {
        let end = try shell("charnn run tale.yaml > /dev/full")
        #expect(end.status == 74 && end.error == "charnn: " + Self.complaint)
        #expect(try spool.runStatus("tale")?.state == .done)
        try spool.storage.replace(
            spool.folder.path.appending("bad.yaml"), with: Array("evaluate: {model: nobody, corpus: tale.txt}".utf8))
        #expect(try shell("charnn run bad.yaml > /dev/full").status == 1, "a status of its own is kept")
    }

    @Test func `what is written to closed descriptors gets into no file`() throws {
        let end = try shell("charnn run tale.yaml <&- >&- 2>&-")
        #expect(end.status == 74)
        #expect(try spool.runStatus("tale")?.state == .done)
        // Lines of the log have a time in front.
        for line in ["The text has .*", "Everything lies in .*", ".*cannot be written.*"] {
            #expect(try shell("grep -rx '\(line)' spool").output == "", "\(line)")
        }
        let told = try shell("charnn list --runs >&-")
        #expect(told.status == 74 && told.error.contains("standard output cannot be written (Bad file descriptor)"))
    }

    @Test func `a reader that has gone is no failure`() throws {
        #expect(try shell("charnn run tale.yaml").status == 0)
        for command in ["generate tale --length 20000", "generate tale --length 5", "list", "report", "--help"] {
            for ignored in ["", "trap '' PIPE; "] {
                let end = try shell(
                    "rm -f status; \(ignored)(sleep 0.2; charnn \(command); echo $? > status) | true; "
                        + "while [ ! -s status ]; do sleep 0.1; done")
                #expect(end.error == "", "\(ignored)\(command)")
                let status = try spool.text(spool.folder.path.appending("status"))
                #expect(status == (ignored.isEmpty ? "141\n" : "0\n"), "\(ignored)\(command)")
            }
        }
    }
}
