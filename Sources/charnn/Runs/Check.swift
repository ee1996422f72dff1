import ArgumentParser
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTraining
import CharnnWords
import Glibc
import SystemPackage

/// `charnn check`: what ``JobInspection`` finds, in words, and how long it would take, measured with ``Benchmark`` and
/// ``TrainingCosts``. It writes nothing but for a temporary folder; 65 where anything is wrong, and 0 where something
/// is not there yet.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what the daemon would say of a job file: errors, parameters, memory, steps, time.",
        discussion: """
            All that the job would read is read, and all that is wrong with it is told at once. A text or a job that is \
            not there yet is no error, for a daemon waits for it.

            The time is measured: a few steps of that very network are made on this machine, and what comes with each \
            epoch is done once: scoring the validation text, saving the best model, a sample, a checkpoint.

            Example:
              cp /usr/share/common-licenses/GPL-3 gpl.txt
              echo 'train: {corpus: gpl.txt, hidden_size: 64, epochs: 50}' > gpl.yaml
              charnn check gpl.yaml
            """)

    @Argument(
        help: ArgumentHelp("Job files.", valueName: "file"), completion: .file(extensions: ["yaml", "yml", "json"]))
    var files: [String]

    @Flag(name: .long, inversion: .prefixedNo, help: "Measure how long a step takes.")
    var time = true

    @OptionGroup var spool: SpoolOptions

    func run() throws {
        try reporting {
            var bad = 0
            for file in files {
                do {
                    try check(file)
                } catch {
                    bad += 1
                    let message = Failure(error).message
                    Terminal.error(message.hasPrefix(file) ? message : "\(file): \(message)")
                }
            }
            // Whatever was wrong: a script asks whether the files are valid.
            if bad > 0 { throw ExitCode(65) }
        }
    }

    /// Each file by itself; what is wrong with one is thrown, all of it in one message.
    private func check(_ file: String) throws {
        let storage = LocalStorage()
        let given = try NamedJobFile(file, in: storage)
        let layout = try spool.layout
        let job = try FilesBeside(folder: given.path.removingLastComponent(), storage: storage)
            .located(try JobFile.parse(given.bytes, fileName: file))
        // With this user's rights, and the daemon's caps: whether the daemon may read it all, only the daemon knows.
        var environment = JobEnvironment(corpora: layout.corpora, jobs: layout.jobs, roots: nil)
        environment.configuration.caps.all = ServiceConfiguration.caps(of: getuid(), in: layout, on: storage)
        let client = SpoolClient(layout, storage: storage)
        let runs = try client.runs()
        environment.runs = runs.home.runs
        // Nothing is called valid before all of it has been looked at.
        var inspection = JobInspection(job, environment, storage: storage, engines: Engines())
        let outline = inspection.inspect(in: client)
        // What its owner may not ask for is wrong in this spool, though not with the file.
        let broken = environment.configuration.caps.all.violation(of: try JobFile.requirements(given.bytes, file))
        let isOwn = try job.after.contains(given.name) && client.find(given.name) == nil
        let circle = isOwn ? "after: \(given.name) is this job, which would wait for itself; leave it out" : nil
        let mistakes = inspection.mistakes.map(\.description) + [broken, circle].compactMap(\.self)
        guard mistakes.isEmpty else {
            throw Failure(mistakes.map { "\(file): \($0)" }.joined(separator: "\n"), status: 65)
        }
        let awaited = inspection.awaited
        var lines = ["\(file): valid\(awaited.isEmpty ? "" : ", but not all of it is there")"]
        lines += awaited.map { "  not there yet: \($0)" }
        for name in job.modelJobs where try client.find(name) == nil && runs.find(name) != nil {
            lines.append(
                "  warning: \(name) is a run outside the queue, whose model `charnn run` takes; a queued job needs a job of "
                    + "that name, so submit its job file too")
        }
        if let section = job.train, let outline {
            lines += try description(of: outline, section, environment.configuration.caps.all)
        }
        if let from = job.train?.from { lines.append("  goes on from \(from)") }
        lines += (inspection.textNotes + inspection.notes + job.notes).map { "  warning: \($0)" }
        lines += job.generate.map { "  writes \($0.request.count) x \(grouped($0.request.length)) characters" }
        if let section = job.evaluate { lines.append("  scores \(section.corpus.joined(separator: ", "))") }
        lines.forEach(Terminal.line)
    }

    /// What the training comes to, a line each; without an engine that has the room, the text alone.
    private func description(of outline: TrainingOutline, _ section: TrainSection, _ caps: Caps) throws -> [String] {
        let (training, validation) = (outline.split.training.count, outline.split.validation.count)
        var lines = [
            "  \(grouped(outline.characters)) characters, \(outline.vocabulary.count) different; \(grouped(training)) to "
                + "train on, \(grouped(validation)) for validation",
            "  \(grouped(outline.steps)) steps: \(outline.settings.epochs) epochs of \(grouped(outline.stepsPerEpoch))"
                + (outline.isChosen
                    ? ", in batches of \(outline.settings.batchSize), chosen for a text of this length" : ""),
        ]
        if let note = outline.noteOfFewSteps { lines.append("  warning: \(note)") }
        guard let choice = outline.choice else { return lines }
        lines.append(
            "  \(grouped(ParameterLayout(outline.architecture).count)) parameters, \(byteCount(outline.memory)) of memory"
        )
        if time { lines += try forecast(of: outline, section, choice, caps) }
        return lines
    }

    /// How long it takes here and now. What else the machine does meanwhile makes it longer.
    private func forecast(
        of outline: TrainingOutline, _ section: TrainSection, _ choice: EngineChoice, _ caps: Caps
    ) throws -> [String] {
        let benchmark = Benchmark(
            architecture: outline.architecture, batchSize: outline.settings.batchSize,
            sequenceLength: outline.settings.sequenceLength, choice: choice)
        let measured = try benchmark.training(seconds: 2)
        var costs = TrainingCosts()
        let each: String
        do {
            // Of a folder on a disk, as a job's is.
            let folder = try TemporaryFolder(in: "/var/tmp")
            costs = try TrainingCosts.measured(
                outline, with: try benchmark.makeEngine(), in: folder.path, LocalStorage(),
                now: SpoolClock.system.monotonic)
            each =
                "\(milliseconds(costs.evaluation)) an evaluation, \(milliseconds(costs.improvement)) a better model, "
                + "\(milliseconds(costs.sample)) a sample, \(milliseconds(costs.checkpoint)) a checkpoint"
        } catch {
            // It says nothing against the job, whose files lie elsewhere.
            each = "the steps alone, for what comes with each epoch cannot be measured (\(Failure(error).message))"
        }
        let seconds = costs.total(of: outline, outline.settings, secondsPerStep: measured.secondsPerStep)
        var lines = [
            "  about \(duration(seconds)) of training on \(measured.engine.deviceName): "
                + "\(milliseconds(measured.secondsPerStep)) a step, \(each)"
        ]
        if let cap = caps.time, seconds > cap.value {
            lines.append(
                "  warning: it is ended after \(duration(cap.value)) of work (\(cap.key)), with its best model kept: "
                    + "\(max(1, Int(Double(outline.settings.epochs) * cap.value / seconds))) epochs would do")
        }
        return lines
    }

    private func milliseconds(_ seconds: Double) -> String {
        "\(fixed(seconds * 1000, seconds < 0.01 ? 1 : 0)) ms"
    }
}
