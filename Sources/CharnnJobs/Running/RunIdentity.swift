import CharnnCheckpoint
import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnTraining

/// The settings that must not change between a checkpoint and the run that goes on from it; all others, such as
/// `epochs`, `lr` or `eval_every`, a person may edit.
///
/// The text is kept in each checkpoint and compared with that of the job file as it is now. What is in it decides which
/// character a step reads, what shape the weights have, or what the optimiser's moments mean: with another value the
/// steps so far would be of another run. Which keys these are, and each one's line, is declared with them
/// (``KeyIdentity``); lines are compared one by one, so that a key must keep its place.
enum RunIdentity {
    /// One `key=value` a line.
    ///
    /// - Parameters:
    ///   - architecture: As used: with `from` the sizes are the model's.
    ///   - encoding: As used, likewise.
    static func text(_ section: TrainSection, architecture: Architecture, encoding: TextEncoding) -> String {
        var used = section.with(architecture)
        used.encoding = encoding
        var job = JobFile()
        job.seed = section.settings.seed
        let lines = JobFile.section.identity(of: job) + TrainSection.section.identity(of: used)
        return lines.sorted { $0.place < $1.place }.map(\.line).joined(separator: "\n")
    }

    /// Refuses to go on from a checkpoint of another run.
    ///
    /// - Parameter remedy: How a person begins anew.
    static func check(_ identity: String, against saved: String, remedy: String) throws(JobError) {
        let (now, then) = (identity.split(separator: "\n"), saved.split(separator: "\n"))
        let changed = zip(now, then).filter { $0 != $1 }
        guard now.count != then.count || !changed.isEmpty else { return }
        let list = changed.map { "\($0) (was \($1.split(separator: "=", maxSplits: 1).last ?? ""))" }
        throw JobError(
            .badJob,
            "the job has checkpoints of a run with other settings: now \(list.joined(separator: ", ")). "
                + "Set them back to go on, or \(remedy)")
    }

    /// The same before the text is looked at.
    ///
    /// The vocabulary's size, which only the text tells, is no part of it.
    static func check(_ section: TrainSection, against checkpoint: Checkpoint, remedy: String) throws(JobError) {
        let model = checkpoint.model
        let isOwn = section.from == nil
        let identity = text(
            section,
            architecture: isOwn ? section.architecture(vocabularySize: model.vocabulary.count) : model.architecture,
            encoding: isOwn || section.given.contains("encoding") ? section.encoding : model.encoding)
        try check(identity, against: checkpoint.identity, remedy: remedy)
    }
}

extension JobRunner {
    /// Refuses a job file that asks for another training than the folder's checkpoints are of; nothing is changed.
    public func requireSameRun() throws {
        guard let section = context.job.train,
            let checkpoint = try context.folder.checkpoints.newest().checkpoint
        else { return }
        try RunIdentity.check(section, against: checkpoint, remedy: context.environment.startingAnew)
    }
}
