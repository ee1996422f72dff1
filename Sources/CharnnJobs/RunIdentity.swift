import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnTraining

/// The settings that must not change between a checkpoint and the run that goes on from it; all others, such as
/// `epochs`, `lr` or `eval_every`, a person may edit.
enum RunIdentity {
    /// One `key=value` a line.
    static func text(_ section: TrainSection, architecture: Architecture, corpus: EncodedCorpus) -> String {
        let settings = section.settings
        let values: [(String, String)] = [
            ("corpus", section.corpus.joined(separator: " + ")),
            ("strip_gutenberg", String(section.stripGutenberg)),
            ("encoding", corpus.encoding.rawValue),
            ("max_chars", section.maxChars.map(String.init) ?? "null"),
            ("val_fraction", String(section.valFraction)),
            ("cell", architecture.cell.rawValue),
            ("nonlinearity", architecture.nonlinearity.rawValue),
            ("hidden_size", String(architecture.hiddenSize)),
            ("num_layers", String(architecture.layerCount)),
            ("embedding_size", String(architecture.embeddingSize)),
            ("seq_length", String(settings.sequenceLength)),
            ("batch_size", String(settings.batchSize)),
            ("batching", settings.batching.rawValue),
            ("stride", settings.batching == .windows ? String(settings.stride) : "-"),
            ("optimizer", settings.optimizer.rawValue),
            ("seed", String(settings.seed)),
        ]
        return values.map { "\($0.0)=\($0.1)" }.joined(separator: "\n")
    }

    /// Refuses to go on from a checkpoint of another run.
    static func check(_ identity: String, against saved: String) throws(JobError) {
        let (now, then) = (identity.split(separator: "\n"), saved.split(separator: "\n"))
        let changed = zip(now, then).filter { $0 != $1 }
        guard now.count != then.count || !changed.isEmpty else { return }
        let list = changed.map { "\($0) (was \($1.split(separator: "=", maxSplits: 1).last ?? ""))" }
        throw JobError(
            .badJob,
            "the job has checkpoints of a run with other settings: now \(list.joined(separator: ", ")). "
                + "Set them back to go on, or drop the file under another name (with from: to begin with these weights)"
        )
    }
}
