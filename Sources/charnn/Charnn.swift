import ArgumentParser
import CharnnPrograms

/// The person's tool.
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
            CommandGroup(name: "Here and now", subcommands: [Demo.self, Run.self, Generate.self, Evaluate.self]),
            CommandGroup(
                name: "The queue",
                subcommands: [
                    Submit.self, List.self, Show.self, Follow.self, Why.self, Cancel.self, Hold.self, Release.self,
                    Retry.self, Clean.self,
                ]),
            CommandGroup(name: "The morning after", subcommands: [Report.self, Compare.self, Plot.self]),
            CommandGroup(
                name: "Before and beside",
                subcommands: [Check.self, Bench.self, Doctor.self, Fsck.self, Export.self, Import.self]),
        ])
}
