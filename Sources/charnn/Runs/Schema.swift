public import ArgumentParser
public import CharnnJobs

extension FileSchema: ExpressibleByArgument {}

/// `charnn schema`: what the keys' declarations say, for editors.
struct Schema: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the JSON Schema of job files or of charnnd.yaml.",
        discussion: """
            An editor with the YAML language server completes and explains the keys of a file by it, and marks \
            mistakes, if the file begins with

              # yaml-language-server: $schema=job.schema.json

            What several keys say together, and what the machine has, is told by `charnn check`.

            Examples:
              charnn schema > job.schema.json
              charnn schema service > charnnd.schema.json
            """)

    @Argument(help: "job: of job files; service: of /etc/charnnd/charnnd.yaml.")
    var file = FileSchema.job

    func run() throws { try reporting { Terminal.write(file.text) } }
}
