import ArgumentParser
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnReports
import CharnnSpool
import CharnnStorage
import Glibc
import SystemPackage

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at this machine: what is right, and how to mend the rest.",
        discussion: """
            Example:
              charnn doctor
            """)

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let findings = [engine(), device(), directory(), daemon(), room(), journal()]
            for finding in findings {
                let mark = finding.isRight ? Terminal.bold("ok  ") : Terminal.bold("mend")
                Terminal.line("\(mark)  \(finding.text)")
            }
            if findings.contains(where: { !$0.isRight }) { throw ExitCode(1) }
        }
    }

    private typealias Finding = (isRight: Bool, text: String)

    private func engine() -> Finding {
        let tiny = Architecture(cell: .rnn, vocabularySize: 2, hiddenSize: 2, layerCount: 1)
        do {
            let made = try Engines().makeEngine(
                EngineChoice(device: .cpu), architecture: tiny,
                parameters: Initialisation.parameters(of: tiny, seed: 1)
            ).configuration
            return (true, "CPU: \(made.deviceName), \(made.kernels), \(made.threads) threads")
        } catch {
            return (false, "CPU: \(error.description)")
        }
    }

    private func device() -> Finding { (true, "GPU: this build has no CUDA engine; jobs run on the CPU") }

    private func directory() -> Finding {
        let layout = spool.layout
        if access(layout.root.string, F_OK) != 0 {
            return (true, "Spool: \(layout.root), not made yet; the first job or daemon makes it")
        }
        if access(layout.incoming.string, W_OK | X_OK) != 0 {
            return (
                false,
                "Spool: you may not drop jobs into \(layout.incoming); become a member of the group charnnd-submit "
                    + "(sudo adduser $USER charnnd-submit) or use --spool"
            )
        }
        return (true, "Spool: \(layout.root)")
    }

    private func daemon() -> Finding {
        switch SpoolClient(spool.layout).hasDaemon() {
        case true?: (true, "Daemon: works in this spool")
        case false?: (true, "Daemon: none in this spool; `charnnd` starts one, `charnnd --once` does what waits")
        case nil: (true, "Daemon: you may not look into \(spool.layout.accepting); ask systemctl status charnnd")
        }
    }

    private func room() -> Finding {
        var folder = spool.layout.root
        while access(folder.string, F_OK) != 0, folder.lastComponent != nil { folder = folder.removingLastComponent() }
        guard let space = try? LocalStorage().space(at: folder) else {
            return (false, "Disk: cannot look at \(folder)")
        }
        let text = "Disk: \(byteCount(space.bytes)) free at \(folder)"
        return space.bytes < 1_000_000_000 ? (false, "\(text); make room, or set spool to a larger disk") : (true, text)
    }

    private func journal() -> Finding {
        access("/run/systemd/journal/socket", W_OK) == 0
            ? (true, "Journal: there")
            : (true, "Journal: none on this machine; the daemon writes to standard error")
    }
}
