import ArgumentParser
import CharnnCorpus
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnPrograms
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTraining
import Glibc
import SystemPackage

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what the daemon would say of a job file: errors, parameters, memory, steps, time.",
        discussion: """
            The time is measured: a few steps of that very network are made on this machine.

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
            if bad > 0 { throw ExitCode(65) }
        }
    }

    private func check(_ file: String) throws {
        let storage = LocalStorage()
        let given = try NamedJobFile(file, in: storage)
        let job = try JobFile.parse(given.bytes, fileName: file)
        let caps = ServiceConfiguration.caps(of: getuid(), in: try spool.layout, on: storage)
        // Nothing is called valid before all of it has been looked at.
        var lines = ["\(file): valid"]
        if let broken = caps.violation(of: try JobFile.requirements(given.bytes, file)) {
            throw Failure(broken, status: 65)
        }
        try requireModelFiles(of: job, beside: given.path.removingLastComponent(), storage)
        if let section = job.train {
            lines += try description(of: section, job, beside: given.path.removingLastComponent(), caps, storage)
        }
        lines += job.notes.map { "  warning: \($0)" }
        lines += job.generate.map { "  writes \($0.request.count) x \(grouped($0.request.length)) characters" }
        if let section = job.evaluate { lines.append("  scores \(section.corpus.joined(separator: ", "))") }
        lines.forEach(Terminal.line)
    }

    /// Refuses a path of a model where there is none, beside the job file or in the spool.
    private func requireModelFiles(of job: JobFile, beside folder: FilePath, _ storage: any Storage) throws {
        let layout = try spool.layout
        let files = FilesBeside(folder: folder, storage: storage)
        for text in job.modelPaths where try files.find(text) == nil {
            let path = FilePath(text)
            guard try path.isRelative && files.mayLieInSpool(path, .model, layout) else {
                throw Failure(
                    "\(text): there is no such model beside the job file, in \(layout.corpora) or \(layout.jobs); put it "
                        + "there, or mend the path", status: 66)
            }
        }
    }

    private func description(
        of section: TrainSection, _ job: JobFile, beside folder: FilePath, _ caps: Caps, _ storage: any Storage
    ) throws -> [String] {
        let corpora = try spool.layout.corpora
        let files = try section.corpus.map { text in
            let candidates = [folder, corpora].map {
                $0.pushing(FilePath(text)).lexicallyNormalized().real
            }
            guard let path = try candidates.first(where: { try storage.status(of: $0)?.kind == .regular }) else {
                throw Failure(
                    "\(text): there is no such text beside the job file or in \(corpora); put it there",
                    status: 66)
            }
            return CorpusFile(path: path)
        }
        let origin = CorpusOrigin(
            paths: section.corpus, encoding: section.encoding, stripsGutenberg: section.stripGutenberg,
            maximumCharacters: section.maxChars)
        var lines: [String] = []
        let encoder = CorpusEncoder(
            files, origin: origin, storage: storage, note: { lines.append("  warning: \($0)") })
        let (characters, known) = try encoder.measure()
        let vocabulary = known?.count ?? 0
        let split = TextSplit(
            count: characters, validationFraction: section.valFraction, validationLimit: section.valMaxChars)
        let plan = try BatchPlan(count: split.training.count, settings: section.settings)
        lines.append(
            "  \(grouped(characters)) characters, \(vocabulary) different; \(grouped(split.training.count)) to train "
                + "on, \(grouped(split.validation.count)) for validation")
        let steps = plan.stepsPerEpoch * section.settings.epochs
        lines.append(
            "  \(grouped(steps)) steps: \(section.settings.epochs) epochs of \(grouped(plan.stepsPerEpoch))")
        if steps < 2000 {
            lines.append("  warning: most texts need 2,000 steps or more before words come out")
        }
        let isOwn = section.from == nil
        lines += section.notes(steps: steps, layers: isOwn ? section.numLayers : nil).map { "  warning: \($0)" }
        // Another model's vocabulary has more.
        if isOwn, let known {
            lines += job.generate.filter { $0.model == nil }
                .compactMap { $0.request.note(ofStopIn: known, section.encoding) }.map { "  warning: \($0)" }
        }
        guard section.from == nil else {
            return lines + ["  goes on from \(section.from?.description ?? "")"]
        }
        let architecture = section.architecture(vocabularySize: vocabulary)
        let wanted = EngineChoice(device: job.device, precision: section.precision, threads: job.threads)
        let (choice, reason) = try Engines().resolve(
            wanted, architecture: architecture, batchSize: section.settings.batchSize,
            sequenceLength: section.settings.sequenceLength)
        if let reason { lines.append("  warning: \(reason)") }
        let memory = Engines().predictedBytes(
            choice, architecture: architecture, batchSize: section.settings.batchSize,
            sequenceLength: section.settings.sequenceLength)
        lines.append("  \(grouped(ParameterLayout(architecture).count)) parameters, \(byteCount(memory)) of memory")
        guard memory <= Machine.memory else {
            throw Failure(
                "\(byteCount(memory)) of memory are needed, and there are \(byteCount(Machine.memory)); make "
                    + "hidden_size, num_layers, batch_size or seq_length smaller", status: 65)
        }
        if let cap = caps.memory, memory > cap.value {
            throw Failure(
                "\(byteCount(memory)) of memory are needed, and you may have \(byteCount(cap.value)) (\(cap.key)); make "
                    + "hidden_size, num_layers, batch_size or seq_length smaller", status: 65)
        }
        guard time else { return lines }
        let measured = try Benchmark(
            architecture: architecture, batchSize: section.settings.batchSize,
            sequenceLength: section.settings.sequenceLength, choice: choice
        ).training(seconds: 2)
        lines.append(
            "  about \(duration(measured.secondsPerStep * Double(steps))) of training on \(measured.engine.deviceName), "
                + "\(fixed(measured.secondsPerStep * 1000, 0)) ms a step")
        let seconds = measured.secondsPerStep * Double(steps)
        if let cap = caps.time, seconds > cap.value {
            lines.append(
                "  warning: it is ended after \(duration(cap.value)) of work (\(cap.key)), with its best model kept: "
                    + "\(max(1, Int(Double(section.settings.epochs) * cap.value / seconds))) epochs would do")
        }
        return lines
    }
}
