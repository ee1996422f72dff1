import CharnnCheckpoint
import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTraining
import CharnnWords
import SystemPackage

/// The engine of a run: what its job file asks for, or what an earlier attempt came to, if it has room.
struct EnginePreparation {
    let context: JobContext
    let section: TrainSection

    private var folder: JobFolder { context.folder }
    private var keeper: StatusKeeper { context.keeper }

    /// Refuses a device or precision that this machine lacks before a long text is read for nothing.
    func requireEngine(resuming checkpoint: Checkpoint?) throws {
        let choice = context.engineChoice(precision: section.precision)
        do {
            try context.engines.probe(choice)
        } catch {
            // It was there when the job began: as after an update of the driver, until the machine is started again.
            guard error.code == .unavailable, choice.device == .cuda, checkpoint?.configuration.device == "cuda" else {
                throw error
            }
            throw JobError(
                .temporary,
                "the GPU on which the job began cannot be used any more: \(error.description). The job waits for it, or "
                    + "goes on without it if device is set to cpu", waitingFor: .gpu)
        }
    }

    /// What was `auto` in the first attempt is now what it came to then. Where that is not to be had any more the job
    /// goes on with what there is, and is told that its bytes may differ; a key that says something is never departed
    /// from.
    func makeEngine(_ model: Model, resuming checkpoint: Checkpoint?) throws -> any Engine {
        var choice = context.engineChoice(precision: section.precision)
        let wanted = choice
        if let pinned = checkpoint?.configuration {
            if choice.device == .auto, let device = DeviceChoice(rawValue: pinned.device) { choice.device = device }
            if choice.precision == .auto, let precision = PrecisionChoice(rawValue: pinned.precision) {
                choice.precision = precision
            }
        }
        let engine: any Engine
        do {
            engine = try makeEngine(choice, model)
        } catch let error as EngineError {
            guard error.code == .unavailable, choice != wanted else { throw error }
            keeper.warn("\(error.description). The job goes on with what there is.")
            engine = try makeEngine(wanted, model)
        }
        if let pinned = checkpoint?.configuration {
            engine.follow(plan: pinned.plan)
            var now = engine.configuration
            now.threads = pinned.threads
            if now != pinned {
                keeper.warn(
                    "The run began with \(pinned.deviceName), \(pinned.precision), \(pinned.method) and goes on with "
                        + "\(now.deviceName), \(now.precision), \(now.method); its bytes may differ from an "
                        + "undisturbed run's.")
            }
        }
        return engine
    }

    /// The engine of a choice, if it has room for the job.
    private func makeEngine(_ choice: EngineChoice, _ model: Model) throws -> any Engine {
        let (resolved, reason) = try context.engines.resolve(
            choice, architecture: model.architecture, batchSize: section.settings.batchSize,
            sequenceLength: section.settings.sequenceLength)
        if let reason { keeper.warn(reason) }
        try checkRoom(resolved, model)
        return try context.engines.makeEngine(
            resolved, plan: NetworkPlan(model.architecture, decay: section.decay), parameters: model.parameters)
    }

    /// Refuses what cannot fit before anything is taken for it.
    ///
    /// Memory that lacks is the job's fault, for the machine has no more; room on the disk may come.
    private func checkRoom(_ choice: EngineChoice, _ model: Model) throws {
        let settings = section.settings
        let needed = context.engines.predictedBytes(
            choice, architecture: model.architecture, batchSize: settings.batchSize,
            sequenceLength: settings.sequenceLength)
        keeper.update(force: true) { $0.neededMemory = needed }
        if let refusal = context.environment.refusal(ofMemory: needed) { throw refusal }
        let weights = UInt64(ParameterLayout(model.architecture).count) * 4
        // A checkpoint is three times the weights; one more than is kept exists while it is written.
        let disk = weights * UInt64(3 * (section.keepCheckpoints + 1) + 3)
        let free = try context.storage.space(at: folder.path).bytes
        guard disk <= free else {
            throw JobError(
                .temporary,
                "checkpoints and models will take \(byteCount(disk)) in \(folder.path), and only \(byteCount(free)) "
                    + "are free; make room on that disk", waitingFor: .disk(bytes: disk))
        }
        if let cap = context.environment.configuration.caps.all.disk, disk > cap.value {
            throw JobError(
                .badJob,
                "checkpoints and models would take \(byteCount(disk)), and the job's folder may have "
                    + "\(byteCount(cap.value)) (\(cap.key)); make the network or keep_checkpoints smaller")
        }
    }
}
