import Glibc

extension TrainingSettings {
    /// The learning rate of a step.
    ///
    /// - Parameters:
    ///   - step: From 1.
    ///   - stepsPerEpoch: As ``BatchPlan`` says.
    ///   - reductions: How often the `plateau` schedule has reduced the rate so far.
    ///   - restart: The step behind which a cosine begins anew: a warm restart, after Loshchilov and Hutter, "SGDR" (2017).
    public func learningRate(step: Int, stepsPerEpoch: Int, reductions: Int, restart: Int = 0) -> Double {
        if step <= warmupSteps { return learningRate * Double(step) / Double(warmupSteps) }
        switch schedule {
        case .constant:
            return learningRate
        case .cosine:
            let start = max(warmupSteps, restart)
            let total = max(1, totalSteps(perEpoch: stepsPerEpoch) - start)
            let done = Double(step - 1 - start) / Double(total)
            return leastLearningRate + (learningRate - leastLearningRate) * (1 + cos(.pi * min(1, done))) / 2
        case .step:
            let epoch = (step - 1) / stepsPerEpoch
            return max(leastLearningRate, learningRate * pow(learningRateGamma, Double(epoch / learningRateStepEvery)))
        case .plateau:
            return max(leastLearningRate, learningRate * pow(learningRateGamma, Double(reductions)))
        }
    }
}
