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
/// steps so far would be of another run. Which keys these are is declared with them (``KeyIdentity``).
///
/// A key that a checkpoint lacks is younger than the run: it counts as the value that all runs had before there was the
/// key. A job file that leaves such a key out goes on with that value, too (`ChosenSettings.swift`).
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
        let (now, then) = (values(identity), values(saved))
        let unknown = then.filter { line in !now.contains { $0.key == line.key } }.map(\.key)
        guard unknown.isEmpty else {
            throw JobError(
                .badJob,
                "the job has checkpoints of a later version, which says \(unknown.joined(separator: ", ")): this one does "
                    + "not know what that is. Go on with that version, or \(remedy)")
        }
        let changed = now.compactMap { line -> String? in
            let former = then.first { $0.key == line.key }?.value ?? before(line.key)
            return former == line.value ? nil : "\(line.key)=\(line.value) (was \(former ?? "not there"))"
        }
        guard !changed.isEmpty else { return }
        throw JobError(
            .badJob,
            "the job has checkpoints of a run with other settings: now \(changed.joined(separator: ", ")). "
                + "Set them back to go on, or \(remedy)")
    }

    /// The lines taken apart, each key once. The path of a text may have line ends in it: what then looks like a line of
    /// its own, or like a second one of a key, is compared all the same.
    static func values(_ identity: String) -> [(key: String, value: String)] {
        var values: [(key: String, value: String)] = []
        for line in identity.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            let (key, value) = (String(parts[0]), parts.count == 2 ? String(parts[1]) : "")
            if let index = values.firstIndex(where: { $0.key == key }) {
                values[index].value += "\n" + value
            } else {
                values.append((key, value))
            }
        }
        return values
    }

    /// What a key was before checkpoints had it.
    private static func before(_ key: String) -> String? {
        TrainSection.section.keys.first { $0.description.name == key }?.before
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
        guard let checkpoint = try context.folder.checkpoints.newest().checkpoint,
            let section = try context.job.train?.goingOn(from: checkpoint.identity, choices: checkpoint.choices)
        else { return }
        try RunIdentity.check(section, against: checkpoint, remedy: context.environment.startingAnew)
    }
}
