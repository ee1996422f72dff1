public import CharnnTraining
import CharnnWords

/// A judgement of a loss curve in words.
///
/// The rule, on the validation losses `v` at their steps; the best is `v*` at step `s*`:
/// 1. With fewer than three evaluations nothing is said.
/// 2. *Overfitting since `s*`*: at least two evaluations follow the best, the last is more than 1 % above it, and the
///    training loss (the mean of the rows of the last tenth of the steps) lies below that around `s*`, so that what is
///    still learnt is of the training text alone.
/// 3. *Rising since `s*`*: the same, but the training loss has not fallen either: the learning rate is too high.
/// 4. *Still falling*: the best of the last quarter of the steps is more than 0.5 % below the best before.
/// 5. *Flat* otherwise.
///
/// Without validation rules 4 and 5 are applied to the training loss, averaged over tenths of the run.
///
/// It looks at the curve alone and decides nothing: no job ends or fails by it. Pages, the morning report and `charnn
/// compare` tell it.
public enum Verdict: Equatable, Sendable {
    case tooEarly
    case stillFalling
    case flat
    case overfitting(since: Int)
    case rising(since: Int)
    /// There is no validation: the training loss still falls, or does not.
    case unvalidated(isFalling: Bool)

    /// So much of the best loss must the last one lie above it in rule 2 and 3: less is noise of one evaluation.
    public static let overfittingMargin = 0.01
    /// So much of the loss before must the later one lie below it in rule 4.
    public static let fallingMargin = 0.005

    /// - Parameter rows: By rising step; those without a validation loss tell the training loss.
    public init(_ rows: [MetricsRow]) {
        let evaluations = rows.compactMap { row in row.betterValidationLoss.map { (step: row.step, loss: $0) } }
        guard let last = evaluations.last, let best = evaluations.min(by: { $0.loss < $1.loss }) else {
            self = Self.unvalidated(rows)
            return
        }
        guard evaluations.count >= 3 else {
            self = .tooEarly
            return
        }
        let after = evaluations.filter { $0.step > best.step }.count
        if after >= 2, last.loss > best.loss * (1 + Self.overfittingMargin) {
            let width = max(1, last.step / 10)
            let then = Self.mean(rows, in: (best.step - width)...(best.step))
            let now = Self.mean(rows, in: (last.step - width)...(last.step))
            // Where the training loss was not measured, the commoner of the two is said.
            let isLearning = Self.both(then, now).map { $0 > $1 } ?? true
            self = isLearning ? .overfitting(since: best.step) : .rising(since: best.step)
            return
        }
        let quarter = last.step - last.step / 4
        let before = evaluations.filter { $0.step <= quarter }.map(\.loss).min()
        let recent = evaluations.filter { $0.step > quarter }.map(\.loss).min()
        let isFalling = Self.both(before, recent).map { $1 < $0 * (1 - Self.fallingMargin) } ?? true
        self = isFalling ? .stillFalling : .flat
    }

    /// Compares the last tenth of the steps with the tenth that lies a tenth before it; single rows jump too much.
    private static func unvalidated(_ rows: [MetricsRow]) -> Verdict {
        guard let last = rows.last, rows.count >= 20 else { return .tooEarly }
        let width = max(1, last.step / 10)
        let recent = mean(rows, in: (last.step - width)...last.step)
        let before = mean(rows, in: (last.step - 3 * width)...(last.step - 2 * width))
        return .unvalidated(isFalling: both(before, recent).map { $1 < $0 * (1 - fallingMargin) } ?? true)
    }

    private static func mean(_ rows: [MetricsRow], in steps: ClosedRange<Int>) -> Double? {
        let losses = rows.filter { steps.contains($0.step) }.compactMap(\.trainLoss)
        return losses.isEmpty ? nil : losses.reduce(0, +) / Double(losses.count)
    }

    private static func both(_ a: Double?, _ b: Double?) -> (Double, Double)? {
        guard let a, let b else { return nil }
        return (a, b)
    }

    /// A few words, for a table.
    public var short: String {
        switch self {
        case .tooEarly: "too early to say"
        case .stillFalling: "still falling"
        case .flat: "flat"
        case .overfitting(let step): "overfitting since step \(grouped(step))"
        case .rising(let step): "rising since step \(grouped(step))"
        case .unvalidated(let isFalling): isFalling ? "training loss falls" : "training loss is flat"
        }
    }

    /// What was found and what to do about it.
    ///
    /// - Parameter isRunning: Whether the job is still at it.
    public func sentences(isRunning: Bool) -> String {
        switch self {
        case .tooEarly:
            return "It is too early to say how the loss develops; three evaluations are needed. A smaller eval_every "
                + "gives more of them."
        case .stillFalling:
            return "The validation loss is still falling. "
                + (isRunning
                    ? "More epochs than it has may pay."
                    : "More training would help: raise epochs and let it run again; it goes on from here.")
        case .flat:
            return "The validation loss has become flat: more of the same brings little. A lower learning rate at the "
                + "end (lr_schedule: cosine), a larger network or more text may."
        case .overfitting(let step):
            return "Overfitting since step \(grouped(step)): the training loss goes on falling while the validation "
                + "loss rises. Nothing is lost, model.safetensors has the weights of that step; more text, more dropout "
                + "or a smaller network would go further, and early_stop saves the time."
        case .rising(let step):
            return "The validation loss rises since step \(grouped(step)), and the training loss does not fall either: "
                + "the learning rate is probably too high. Try a smaller lr. model.safetensors has the weights of that "
                + "step."
        case .unvalidated(let isFalling):
            return "Without validation only the training loss can be told, and it "
                + (isFalling ? "still falls." : "has become flat.")
                + " Whether the model overfits cannot be seen; val_fraction turns validation on."
        }
    }
}
