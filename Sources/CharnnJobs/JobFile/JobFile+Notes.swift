import CharnnEngine
public import CharnnModel
import CharnnReports
import CharnnTraining
import CharnnWords

/// What a job asks for that will do nothing, told by check and in the job's log: sentences without their full stops.
extension TrainSection {
    /// - Parameters:
    ///   - steps: All steps of the run.
    ///   - layers: Of the network; nil: not known.
    ///   - characters: That are trained on.
    public func notes(steps: Int, layers: Int?, characters: Int) -> [String] {
        var notes: [String] = []
        let measured = AutomaticSettings.measured
        if epochs == nil, !measured.contains(characters) {
            notes.append(
                "epochs: auto is a guess for \(grouped(characters)) characters to train on: it was measured with "
                    + "\(grouped(measured.lowerBound)) to \(grouped(measured.upperBound)) of them")
        }
        if settings.warmupSteps > steps {
            notes.append(
                "warmup_steps: \(settings.warmupSteps) is longer than the run of \(steps) steps, which never reaches lr; "
                    + "make it smaller")
        }
        if given.contains("dropout"), dropout > 0, layers == 1 {
            notes.append(
                "dropout: \(dropout) does nothing, for it acts between layers and there is one; take it out, or raise "
                    + "num_layers")
        }
        if given.contains("dropout_mask"), from == nil, architecture(vocabularySize: 1).dropsNothing {
            notes.append(
                "dropout_mask: \(dropoutMask.rawValue) does nothing, for nothing is dropped; set dropout_input or "
                    + "dropout_output, or take it out")
        }
        if forgetBias != 0, from != nil {
            notes.append(
                "forget_bias: \(forgetBias) does nothing, for the weights begin with those of the model in from; take it "
                    + "out")
        }
        if decay != .all, settings.optimizer.weightDecay == 0 {
            notes.append("decay: \(decay.rawValue) does nothing, for weight_decay is 0; set that, or take it out")
        }
        return notes
    }
}

/// Said of runs in which hardly any model learns words.
enum FewSteps {
    /// Steps. With fewer, most models still write letters without words.
    static let enough = 2000

    /// - Returns: A sentence without its full stop; nil: there are enough.
    ///
    /// - Parameter perEpoch: Steps of an epoch; from it follows how many epochs would do.
    static func note(steps: Int, perEpoch: Int) -> String? {
        guard steps < enough else { return nil }
        let epochs = (enough + perEpoch - 1) / perEpoch
        return
            "only \(grouped(steps)) steps: most texts need \(grouped(enough)) or more before words come out; "
            + "epochs: \(epochs) would do, or a smaller batch_size"
    }
}

extension GenerationRequest {
    /// What to say of a `stop` that the text will never have; nil where it may.
    public func note(ofStopIn vocabulary: Vocabulary, _ encoding: TextEncoding) -> String? {
        let lacking = codePointsOfStop(vocabulary, encoding).enumerated().filter { vocabulary.index(of: $1) == nil }
        guard !lacking.isEmpty else { return nil }
        return "stop never occurs: the vocabulary lacks \(Vocabulary.list(lacking.map { ($0, $1) }))"
    }
}
