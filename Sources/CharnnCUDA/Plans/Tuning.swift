// What may be chosen about how a step is done, and the words in which a choice is kept. Neither changes what is
// computed but in its last bits.

/// How the time steps of a layer are done in one direction.
enum StepWay: String, CaseIterable {
    /// One kernel makes the product of a few rows and units, and the cell of those: little is launched, much is read
    /// again.
    case fused
    /// A product in large tiles, and a kernel for the cells.
    case apart
}

/// How they are done there and back.
struct StepWays: Equatable, CaseIterable {
    var forward: StepWay
    var backward: StepWay

    static let allCases = StepWay.allCases.flatMap { forward in
        StepWay.allCases.map { StepWays(forward: forward, backward: $0) }
    }
}

/// Choices that the sizes decide, unless they are made here.
struct Tuning {
    /// As in ``Sizes``; the bits are the same whatever it is.
    var chunkSteps: Int?
    /// nil: what costs least.
    var steps: StepWays?
    /// What one more launch costs, in the unit of ``Work``.
    var launchCost = 400.0
}

extension Tuning {
    /// In words, as ``EngineConfiguration/plan`` has it; nil where not all is chosen.
    var plan: String? {
        guard let steps, let chunkSteps else { return nil }
        return
            "time steps \(steps.forward.rawValue) forward, \(steps.backward.rawValue) backward, in chunks of \(chunkSteps)"
    }

    /// nil where these are not the words of a plan.
    init?(_ plan: String) {
        guard
            let match = plan.wholeMatch(
                of: /time steps ([a-z]+) forward, ([a-z]+) backward, in chunks of ([0-9]{1,9})/),
            let forward = StepWay(rawValue: String(match.1)),
            let backward = StepWay(rawValue: String(match.2)), let chunkSteps = Int(match.3), chunkSteps > 0
        else { return nil }
        self.init(chunkSteps: chunkSteps, steps: StepWays(forward: forward, backward: backward))
    }
}
