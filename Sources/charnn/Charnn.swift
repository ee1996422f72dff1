import ArgumentParser
import CharnnPrograms
import CharnnSpool
import Glibc

/// The person's tool.
///
/// Each command is a type in a file of its own: `Runs/` here and now, `Queue/` what concerns jobs of a daemon,
/// `Models/` models, measurements and curves, `Machine/` what looks at the machine, `Terminal/` what all of them share.
/// A command reads its options and puts work of the floors below into words; what could be of use to the daemon too
/// does not belong here.
///
/// How all of them behave:
/// 1. `run()` does its work within ``reporting(_:)``: an error is one sentence on standard error and an exit status of
///    sysexits.h. 1 is for a job that failed, or for a look that found something.
/// 2. What was asked for goes to standard output, errors and warnings to standard error: output can be piped.
/// 3. Whatever may be another's words (names, reasons, texts) passes ``Terminal/oneLine(_:)`` or
///    ``Terminal/harmless(_:)`` on its way to a terminal.
/// 4. `--json` prints what is there, whatever the terminal.
/// 5. The help's examples are run by a test in their order, with what the ones before have made.
@main
struct Charnn: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "charnn",
        abstract: "Train character-level language models, queue them overnight, and write text with them.",
        discussion: """
            Begin with

              charnn demo

            which trains a small model in about a minute and says what to try next. Jobs for the night are YAML \
            files: look at one with `charnn check kjv.yaml`, run it here and now with `charnn run kjv.yaml`, or hand \
            it to the daemon with `charnn submit kjv.yaml`.
            """,
        version: programVersion,
        // The worker process is the same whichever program starts it.
        subcommands: [WorkerCommand.self, PageCommand.self],
        groupedSubcommands: [
            CommandGroup(
                name: "Here and now", subcommands: [Demo.self, Run.self, End.self, Generate.self, Evaluate.self]),
            CommandGroup(
                name: "The queue",
                subcommands: [
                    Submit.self, List.self, Show.self, Follow.self, Why.self, Cancel.self, Hold.self, Release.self,
                    Retry.self, Edit.self, Pause.self, Resume.self, Clean.self,
                ]),
            CommandGroup(name: "The morning after", subcommands: [Report.self, Compare.self, Plot.self]),
            CommandGroup(
                name: "Before and beside",
                subcommands: [
                    Check.self, Schema.self, Bench.self, Doctor.self, Fsck.self, Export.self, Import.self,
                    AdaptStatistics.self,
                ]),
        ])

    /// As the parser's own, but that a command which does not exist is told with the one that was probably meant.
    static func main() {
        quietDispatch()
        // Before anything is opened or written.
        StandardOutput.watch(program: "charnn")
        if let word = CommandLine.arguments.dropFirst().first, !word.hasPrefix("-") {
            // Loops: a key path of a metatype crashes the compiler (Swift 6.3.1).
            var (names, shown): ([String], [String]) = ([], [])
            for command in configuration.subcommands {
                names.append(command._commandName)
                if command.configuration.shouldDisplay { shown.append(command._commandName) }
            }
            // The parser would say that the word is unexpected, and nothing of what it might have been.
            if word != "help", !names.contains(word) {
                let near = Spelling.nearest(to: word, in: shown).map { "did you mean \($0)?" }
                Terminal.error("charnn: there is no command \(word); \(near ?? "`charnn --help` lists all")")
                Glibc.exit(Failure.usage)
            }
        }
        main(nil)
    }
}
