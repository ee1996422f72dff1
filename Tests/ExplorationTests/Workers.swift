import CharnnCheckpoint
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import CharnnTraining
import SystemPackage

extension Night.Work {
    /// What is asked of a job file.
    var check: JobCheck {
        switch self {
        case .light: Self.lightCheck
        case .real: JobFile.requirements
        }
    }

    /// Lines `mark:`, `priority: N`, `after: A B`, `share: S`, `texts: T U`, `models: J K`, `model: PATH`, `ends: N`,
    /// `steps: N`; anything else is refused.
    private static let lightCheck: JobCheck = { bytes, file throws(JobRejection) in
        var requirements = JobRequirements()
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            switch words[0] {
            case "mark:", "ends:", "steps:": break
            case "priority:": requirements.priority = Int(words[1]) ?? 0
            case "after:": requirements.after += words.dropFirst()
            case "ended:":
                requirements.after += words.dropFirst()
                requirements.ended.formUnion(words.dropFirst())
            case "texts:": requirements.texts = Array(words.dropFirst())
            case "models:": requirements.modelJobs = Array(words.dropFirst())
            case "model:": requirements.modelPaths = Array(words.dropFirst())
            case "share:": requirements.share = Share(rawValue: words[1]) ?? .auto
            default: throw JobRejection("\(file): \(line) is not understood")
            }
        }
        return requirements
    }
}

extension Night {
    /// Does a worker's work.
    ///
    /// - Returns: Its exit status.
    func perform(_ claim: Claim) -> Int32 {
        do {
            guard let lock = try disk.lock(claim.folder.appending(".lock")) else { return 75 }
            return try withExtendedLifetime(lock) {
                switch work {
                case .light: try performLight(claim)
                case .real: try performReal(claim)
                }
            }
        } catch {
            return 75
        }
    }

    private func performLight(_ claim: Claim) throws -> Int32 {
        let folder = JobFolder(claim.folder, in: disk)
        let text = String(decoding: try disk.contents(of: folder.jobFile) ?? [], as: UTF8.self)
        func number(_ key: String) -> Int? {
            text.split(separator: "\n").first { $0.hasPrefix("\(key): ") }.flatMap { Int($0.dropFirst(key.count + 2)) }
        }
        let status = try JobStatus.read(folder.statusFile, on: disk) ?? JobStatus(job: claim.job, state: .active)
        if let exit = number("ends"), exit != 0 {
            if exit == 75 { return 75 }
            try ResultRecord.commit(
                status, as: .failed, results: try folder.results(), at: 0, to: folder.statusFile, on: disk)
            promise(.finished(job: claim.job, results: try folder.results()))
            return Int32(exit)
        }
        let steps = number("steps") ?? 0
        if steps > 0, try !train(claim.job, folder, to: steps) { return 85 }
        try disk.replace(folder.evaluation, with: Array("{\"of\": \"\(claim.job)\"}\n".utf8))
        let results = try folder.results()
        try ResultRecord.commit(status, as: .done, results: results, at: 0, to: folder.statusFile, on: disk)
        promise(.finished(job: claim.job, results: results))
        return 0
    }

    /// A row of a step behind the newest checkpoint, as a worker leaves that is killed there.
    func addRow(_ step: Int, to job: String) {
        let metrics = try? MetricsFile(
            JobFolder(layout.folder(of: job), in: disk).metrics, keepingRowsTo: .max, in: disk)
        try? metrics?.append(Self.row(step))
    }

    private static func row(_ step: Int) -> MetricsRow {
        MetricsRow(
            step: step, epoch: 0, trainLoss: 1 / Double(step), validationLoss: nil, learningRate: 0.1,
            gradientNorm: nil, charactersPerSecond: nil, elapsedSeconds: 0)
    }

    /// - Returns: False when it was stopped on the way.
    private func train(_ job: String, _ folder: JobFolder, to steps: Int) throws -> Bool {
        let (found, damaged) = try folder.checkpoints.newest()
        try folder.checkpoints.sweep(damaged)
        var step = found?.state.progress.step ?? 0
        let metrics = try MetricsFile(folder.metrics, keepingRowsTo: step, in: disk)
        var saved = 0
        while step < steps {
            step += 1
            try metrics.append(Self.row(step))
            try metrics.synchronize()
            let checkpoint = LightModel.checkpoint(step: step)
            try checkpoint.model.write(to: folder.model, in: disk)
            try folder.checkpoints.save(checkpoint, keeping: 2)
            promise(.checkpoint(job: job, step: step))
            saved += 1
            if let limit = stopsAfter, saved >= limit, step < steps { return false }
        }
        try metrics.synchronize()
        try LightModel.checkpoint(step: step).model.write(to: folder.lastModel, in: disk)
        // What was published before the last checkpoint may be a newer one's, after a fault between the two.
        try LightModel.checkpoint(step: step).model.write(to: folder.model, in: disk)
        return true
    }

    private func performReal(_ claim: Claim) throws -> Int32 {
        let folder = JobFolder(claim.folder, in: disk)
        let job = try JobFile.parse(try disk.contents(of: folder.jobFile) ?? [], fileName: "job.yaml")
        let stop = StopFlag()
        let reporter = Reporter { [self] event in
            // A model has learned from a text, and has written nothing yet.
            if stopsAfter != nil, event.kind == .scored, event.message.hasPrefix("Learned from") { stop.set() }
            guard event.kind == .checkpointSaved, let step = event.fields["STEP"].flatMap(Int.init) else { return }
            promise(.checkpoint(job: claim.job, step: step))
            if stopsAfter != nil { stop.set() }
        }
        let status = try JobStatus.read(folder.statusFile, on: disk) ?? JobStatus(job: claim.job, state: .active)
        var configuration = ServiceConfiguration()
        configuration.caps.all.disk = scenario.diskCap.map { Caps.Cap($0, "caps.all.disk") }
        let environment = JobEnvironment(
            corpora: layout.corpora, jobs: layout.jobs, roots: [layout.corpora, layout.jobs],
            submitter: status.submitter, configuration: configuration)
        let runner = JobRunner(
            job, status: status,
            folder: folder, environment: environment, storage: disk, engines: ReferenceEngines(), reporter: reporter,
            stop: stop, clock: time.clock)
        let exit = runner.run()
        if exit != .checkpointed, exit != .temporary, let results = folder.status()?.results {
            promise(.finished(job: claim.job, results: results))
        }
        return exit.rawValue
    }
}

private final class Reporter: JobReporter {
    private let hear: (WorkerEvent) -> Void
    init(_ hear: @escaping (WorkerEvent) -> Void) { self.hear = hear }
    func event(_ event: WorkerEvent) { hear(event) }
    func progress(_ status: JobStatus) {}
    func savingCheckpoint(bytes: Int) {}
}

private struct ReferenceEngines: EngineProvider {
    func makeEngine(
        _ choice: EngineChoice, plan: NetworkPlan, parameters: [Float]
    ) throws(EngineError) -> any Engine {
        try ReferenceEngine<Float>(plan, parameters: parameters)
    }

    func predictedBytes(
        _ choice: EngineChoice, architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) -> UInt64 { 0 }
}

/// A model so small that thousands are written in a second.
private enum LightModel {
    private static let architecture = Architecture(cell: .rnn, vocabularySize: 2, hiddenSize: 2, layerCount: 1)

    static func checkpoint(step: Int) -> Checkpoint {
        var progress = TrainingProgress()
        progress.step = step
        let parameters = (0..<ParameterLayout(architecture).count).map { Float($0) / Float(step) }
        // The vocabulary is of two different code points.
        let vocabulary = Vocabulary(codePoints: [97, 98])!
        return Checkpoint(
            model: Model(architecture: architecture, vocabulary: vocabulary, encoding: .utf8, parameters: []),
            state: TrainingCheckpoint(
                progress: progress, engine: EngineState(parameters: parameters, [.hidden: [Float(step)]])),
            identity: "light",
            configuration: EngineConfiguration(
                device: "cpu", deviceName: "none", precision: "fp32", kernels: "none", threads: 1))
    }
}
