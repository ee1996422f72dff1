import CharnnModel
import CharnnSpool

extension JobFile: KeyedSection {
    /// The longest list of jobs or sections: each is looked up by the queue, which must not take long over any one
    /// file.
    static let mostEntries = 1000

    static let section = Section<JobFile>(
        place: "at the top of the file",
        keys: [
            Key(
                "priority", \.priority, .integer(in: -1_000_000...1_000_000),
                """
                Higher runs first; among equal ones what has begun, then the owner whose jobs had the least work in \
                the last day, then in order of arrival.
                """),
            Key(
                "after", \.predecessors, .predecessors(atMost: mostEntries),
                """
                Names of jobs that must have succeeded. `{job: NAME, when: ended}` in a name's place: that job need only be over, \
                whether it is done, failed, cancelled, rejected or removed.
                """),
            Key(
                "share", \.share, .choice,
                """
                Who may read in the system's spool what the job makes: `auto` (its owner alone if a text or model that \
                it reads cannot be read by the whole group, else the group), `group`, or `owner`.
                """),
            Key(
                "device", \.device, .choice,
                """
                `auto` (a GPU where there is one that can hold the job), `cpu`, or `cuda`, which never falls back: \
                without a GPU the job fails and says why.
                """),
            Key(
                "threads", optional: \.threads, .integer(in: 1...4096), default: .words("all usable cores"),
                "Results do not depend on it."),
            Key(
                "seed", \.seed, .seed, identity: .otherRun(place: 16),
                "The same seed, machine, device and precision give the same bytes."),
            Key(
                "time_limit", optional: \.timeLimit, .duration, default: .words("none"),
                "A duration such as `8h`. At its end the job fails, with a checkpoint and its best model kept."),
            Key(
                "judge", \.judge, .boolean,
                """
                When all is done, compare the model with n-grams and `xz -9`, and look in its texts for copies of what \
                it learned from: seconds for a text of some megabytes. A failure of it never fails the job.
                """),
        ])

    /// What a job does, in the order in which it does it.
    static let sections = [
        TrainSection.section.description, GenerateSection.section.description, EvaluateSection.section.description,
    ]
}

extension PredecessorKey: KeyedSection {
    static let section = Section<PredecessorKey>(
        keys: [
            Key("job", \.job, .jobName, need: .always("name a job"), "The job's name."),
            Key("when", \.when, .choice, "What is waited for: that it is `done`, or that it has `ended`, however."),
        ])
}

extension GenerateSection: KeyedSection {
    static let section = Section<GenerateSection>(
        name: "generate", place: "under generate",
        about: "Writes texts, `generated/1.txt` and so on. One section, or a list of them.",
        mostInList: JobFile.mostEntries,
        keys: [
            Key(
                "model", \.models, .models, default: .words("the job's own"),
                need: .withoutTraining("name a job or a model file"),
                """
                A job's name or the path of a model file, which has a `/` or ends in `.safetensors`. A job that is not \
                done is waited for. A relative path begins in the spool's `jobs/` or else `corpora/`, for `charnn \
                check`, `run` and `submit` beside the job file first; `charnn submit` copies what lies there. A name \
                means a job of the queue; for `charnn run`, where there is none, a run of one's own. Of a list of \
                models the probabilities are averaged. Needed where there is no `train`.
                """),
            Key(
                "adapt_to", \.adaptTo, .pathsOrNone, default: .words("none"),
                """
                A path or a list of paths: a text of any length that the model learns from as it reads it, and then \
                writes on, with the prompt behind it. The model file stays as it was. Needs `adapt.safetensors` beside it, \
                which a training leaves.
                """),
            Key(
                "prompt", \.request.prompt, .string, default: .words("a newline, not shown"),
                """
                The text to go on from. As in the text that was learned, CR LF is LF in it and a byte order mark goes.
                """),
            Key("length", \.request.length, .integer(in: 0...Int.max), "Characters written after the prompt."),
            Key(
                "temperature", \.request.sampler.temperature, .number(.notNegative),
                "Above 1 bolder, below safer; 0: always the likeliest character."),
            Key(
                "top_k", \.request.sampler.topK, .integer(in: 0...Int.max),
                "Only the so many likeliest characters; 0: all."),
            Key(
                "top_p", \.request.sampler.topP, .number(.share),
                "Only the likeliest characters that together reach this probability."),
            Key("count", \.request.count, .integer(in: 1...1_000_000), "How many texts."),
            Key(
                "seed", \.request.seed, .seed, "The same seed writes the same text, whatever the count."),
            Key(
                "stop", optional: \.request.stop, .string, default: .words("none"), "Stop after this string."),
            Key("echo", \.request.echo, .boolean, "The prompt stands before the text."),
            Key(
                "unknown", \.request.unknown, .choice,
                "Prompt characters outside the vocabulary: \(alternatives(UnknownPolicy.self))."),
        ])
}

extension EvaluateSection: KeyedSection {
    static let section = Section<EvaluateSection>(
        name: "evaluate", place: "under evaluate",
        about: "Scores a text in nats and bits per character and perplexity, `evaluation.json`.",
        keys: [
            Key(
                "model", \.models, .models, default: .words("the job's own"),
                need: .withoutTraining("name a job or a model file"),
                """
                A job's name or a path, or a list of them, as `model` of `generate`. Needed where there is no `train`.
                """),
            Key(
                "corpus", \.corpus, .paths, need: .always("name the text to score"),
                "A path or a list of paths: the text to score. Needed."),
            Key(
                "encoding", optional: \.encoding, .choice, default: .words("the model's"),
                "\(alternatives(TextEncoding.self))."),
            Key(
                "unknown", \.unknown, .choice,
                """
                Characters outside the vocabulary: `error`, `skip` (they are not there) or `replace` (others stand in \
                their place). How well they are predicted does not count; where they are more than a tenth, a warning \
                says that the score means little.
                """),
            Key(
                "adapt", \.adapt, .choice,
                """
                `none`: the model is scored as it is. `dynamic`: it learns from each segment of the text after it has scored it, which is told beside \
                the score of the model as it is; `tune` tries five rates on the first half and tells of the second \
                only. The model file stays as it was. Needs `adapt.safetensors` beside it, which a training leaves.
                """),
            Key(
                "adapt_rate", optional: \.adaptRate, .number(.positive),
                default: .words("from 512 units on `0.00005`, else `0.0002`"), "How much is learned from a segment."),
            Key(
                "adapt_decay", \.adaptDecay, .number(.notNegative),
                "How strongly the weights are drawn back to the model's."),
            Key("adapt_segment", \.adaptSegment, .integer(in: 1...100_000), "Characters of a segment."),
            Key(
                "adapt_epsilon", \.adaptEpsilon, .number(.positive),
                "What keeps weights from moving far whose gradients are small."),
            Key(
                "ngrams", \.ngrams, .boolean,
                """
                Counts n-grams in the text that the model learned from, goes on counting in this one, and mixes them in, by \
                weights that are learned on the way: told beside the other scores. Needs `corpus.bin` in the folder \
                of the job that trained the model.
                """),
        ])
}
