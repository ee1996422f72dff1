public import CharnnTraining

// A job file that names only its text leaves the training's length open. What is chosen for it is a function of the text
// (`AutomaticSettings`), chosen once: it stands in each checkpoint from before the first step on, and a run that goes on
// reads it there.

extension TrainSection {
    /// Keys whose values are chosen where the file leaves them open.
    private static let choosable = [
        "epochs", "batch_size", "max_steps", "lr_schedule", "eval_every", "early_stop", "early_stop_after",
    ]

    /// Takes what the file says of them over into the settings.
    mutating func useWhatIsGiven() {
        settings.epochs = epochs ?? settings.epochs
        settings.batchSize = batchSize ?? settings.batchSize
        settings.mostSteps = maxSteps
        settings.schedule = schedule ?? .constant
        settings.earlyStop = earlyStop.flatMap { $0 > 0 ? $0 : nil }
        settings.earlyStopAfter = earlyStopAfter ?? 0
    }

    /// The section with all that it leaves open chosen for a text.
    ///
    /// - Parameter characters: That are trained on.
    /// - Throws: ``TrainingError/Code/tooShort``.
    public func choosing(characters: Int) throws(TrainingError) -> TrainSection {
        var section = self
        section.batchSize =
            batchSize
            ?? AutomaticSettings.batchSize(characters: characters, sequenceLength: settings.sequenceLength)
        section.useWhatIsGiven()
        let perEpoch = try BatchPlan(count: characters, settings: section.settings).stepsPerEpoch
        if epochs == nil {
            let epochs = AutomaticSettings.epochs(characters: characters, stepsPerEpoch: perEpoch)
            section.epochs = epochs
            section.schedule = schedule ?? .cosine
            if valFraction > 0 { section.watch(stepsPerEpoch: perEpoch, steps: epochs * perEpoch) }
        }
        section.schedule = section.schedule ?? .constant
        section.useWhatIsGiven()
        section.settings.savesBeforeFirstStep = epochs == nil || batchSize == nil || budget != nil
        return section
    }

    /// How a run of chosen length is watched.
    private mutating func watch(stepsPerEpoch: Int, steps: Int) {
        settings.evaluateEvery =
            settings.evaluateEvery
            ?? AutomaticSettings.evaluateEvery(stepsPerEpoch: stepsPerEpoch, steps: steps)
        if earlyStop == nil {
            earlyStop = AutomaticSettings.earlyStop.evaluations
            earlyStopAfter = earlyStopAfter ?? AutomaticSettings.earlyStop.after
        }
    }

    /// The section with so many steps at most in place of its budget: the run is one of that length from now on.
    func limited(to steps: Int) -> TrainSection {
        var section = self
        (section.budget, section.maxSteps) = (nil, steps)
        section.useWhatIsGiven()
        return section
    }

    /// What was chosen, by key, in the words of `resolved.yaml`.
    func choices(in chosen: TrainSection) -> [String: String] {
        let open = Self.section.keys.filter { Self.choosable.contains($0.description.name) && $0.isNothing(self) }
        return Dictionary(
            uniqueKeysWithValues: open.filter { !$0.isNothing(chosen) }.map { ($0.description.name, $0.text(chosen)) })
    }

    /// The section of a run that goes on: what the file leaves open is what was chosen for the run, and a default that
    /// has become another one since the run began is what it was then.
    ///
    /// - Parameters:
    ///   - identity: That of a checkpoint of the run (``RunIdentity``).
    ///   - choices: What was chosen for it; nil: it began before anything was, with version 0.1.0.
    func goingOn(from identity: String, choices: [String: String]?) throws(JobFileError) -> TrainSection {
        let then = RunIdentity.values(identity)
        var section = self
        for key in Self.section.keys {
            let name = key.description.name
            if let choice = choices?[name], key.isNothing(self) {
                try Self.section.set(name, to: choice, in: &section)
                // What was measured by it counts.
                if name == "max_steps" { section.budget = nil }
            } else if choices == nil, !given.contains(name), let before = key.before,
                then.first(where: { $0.key == name })?.value ?? before == before
            {
                try Self.section.set(name, to: before, in: &section)
            }
        }
        section.useWhatIsGiven()
        return section
    }
}
