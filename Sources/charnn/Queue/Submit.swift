import ArgumentParser
import CharnnJobs
import CharnnSpool
import CharnnStorage
import SystemPackage

/// `charnn submit`: three passes over all files (read and check, copy what they need, hand over), each complete before
/// the next, so that of ten files with a mistake in one nothing is handed over.
struct Submit: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hand job files to the daemon.",
        discussion: """
            The same as copying them into the spool's incoming/. Each is checked first, and so is that the texts beside it are \
            not empty and the models are such; `charnn check` looks at more. Texts and models beside the job \
            file, and others that the daemon could not see, such as those in your home folder, are copied into the \
            spool's corpora/. Where another of that name lies there the copy gets a number, and the job handed over says \
            so.

            Example:
              cp /usr/share/common-licenses/GPL-3 gpl.txt
              echo 'train: {corpus: gpl.txt, hidden_size: 64, epochs: 50}' > night.yaml
              charnn submit night.yaml
            """)

    @Argument(
        help: ArgumentHelp("Job files.", valueName: "file"), completion: .file(extensions: ["yaml", "yml", "json"]))
    var files: [String]

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            let storage = LocalStorage()
            let layout = try spool.prepared(storage)
            let client = SpoolClient(layout, storage: storage)
            let provider = FileProvider(layout: layout, storage: storage)
            // All are checked, and have their files, before any is handed over.
            let given = try forAll(files) { file in
                let job = try NamedJobFile(file, in: storage)
                try provider.check(job.bytes, fileName: file, beside: job.path)
                return (file: file, job: job)
            }
            let ready = try forAll(given) { file, job in
                (file: file, job: job, bytes: try provider.provide(for: job.bytes, fileName: file, beside: job.path))
            }
            try tellOfRuns(given.map(\.job), client)
            for (file, job, bytes) in ready {
                // What fails from here on leaves those before it handed over.
                let name = try client.submit(bytes, fileName: job.path.lastComponent?.string ?? "")
                Terminal.line("\(file): handed over as \(name)\(try whoHasTheName(job.name, client, storage))")
            }
            Terminal.line(
                client.hasDaemon() == false
                    ? "No daemon works in \(layout.root). \(client.startRemedy)"
                    : "The daemon takes it within seconds: `charnn list` shows all jobs, "
                        + "`charnn follow \(given[0].job.name)` how one goes.")
        }
    }

    /// What a person is told where the job will get a number.
    ///
    /// Words behind the sentence, or nothing. The number itself the daemon gives.
    private func whoHasTheName(_ name: String, _ client: SpoolClient, _ storage: LocalStorage) throws -> String {
        guard try storage.status(of: client.layout.folder(of: name)) != nil else { return "" }
        let former = try client.runs().list().first { $0.isFormer && $0.name == name }
        if let former {
            return
                "; \(former.folder) is a run's, so the job gets a number: moved into runs/ it would leave the name free"
        }
        return "; there is a \(name) already, so the job gets a number: `charnn list`"
    }

    /// Says where a job names a run outside the queue as if it were one of the queue: it will wait for a job of that name.
    ///
    /// A warning only: a job of that name may be about to come.
    private func tellOfRuns(_ jobs: [NamedJobFile], _ client: SpoolClient) throws {
        let names = Set(jobs.map(\.name))
        let runs = try client.runs()
        for job in jobs {
            let file = try JobFile.parse(job.bytes, fileName: job.name)
            for name in Set(file.after + file.modelJobs).subtracting(names).sorted() {
                guard try client.find(name) == nil, let run = try runs.find(name) else { continue }
                Terminal.error(
                    "charnn: \(job.name) names \(name), and there is no such job in the queue: \(run.title) is a run outside "
                        + "it, to which jobs do not refer. Submit its job file too, or name its model file, "
                        + "\(run.folder.appending(.model))")
            }
        }
    }
}

/// Does something for all elements, and throws all that went wrong as one failure.
///
/// The status is that of the first.
private func forAll<Element, Result>(_ all: [Element], _ work: (Element) throws -> Result) throws -> [Result] {
    var (results, failures): ([Result], [Failure]) = ([], [])
    for element in all {
        do {
            results.append(try work(element))
        } catch {
            failures.append(Failure(error))
        }
    }
    guard let first = failures.first else { return results }
    let more = all.count > 1 ? "\nnothing was handed over" : ""
    throw Failure(failures.map(\.message).joined(separator: "\n") + more, status: first.status)
}
