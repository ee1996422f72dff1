import Testing

@testable import CharnnTraining

@Suite struct BatchPlanTests {
    private func settings(_ batching: Batching, batch: Int = 4, length: Int = 7, stride: Int = 1) -> TrainingSettings {
        var settings = TrainingSettings()
        (settings.batching, settings.batchSize, settings.sequenceLength) = (batching, batch, length)
        (settings.stride, settings.seed) = (stride, 11)
        return settings
    }

    @Test func `streams have the number of steps that the formula says and never leave the text`() throws {
        let plan = try BatchPlan(count: 1000, settings: settings(.stream))
        #expect(plan.stepsPerEpoch == (999 / 4) / 7)
        for epoch in 0..<30 {
            for step in 0..<plan.stepsPerEpoch {
                #expect(plan.starts(epoch: epoch, step: step).allSatisfy { $0 >= 0 && $0 + 7 < 1000 })
            }
        }
    }

    @Test func `a stream goes on where its step before ended, and only an epoch's first step resets the state`() throws
    {
        let plan = try BatchPlan(count: 1000, settings: settings(.stream))
        #expect(plan.resetsState(step: 0) && !plan.resetsState(step: 1))
        for step in 1..<plan.stepsPerEpoch {
            let (one, next) = (plan.starts(epoch: 3, step: step - 1), plan.starts(epoch: 3, step: step))
            #expect(zip(one, next).allSatisfy { $0 + 7 == $1 })
        }
    }

    @Test func `every epoch begins at another offset until all have been used`() throws {
        // S = 249 has 249 mod 7 = 4 characters left over: five offsets.
        let plan = try BatchPlan(count: 1000, settings: settings(.stream))
        let offsets = (0..<5).map { plan.starts(epoch: $0, step: 0)[0] }
        #expect(offsets[0] == 0 && Set(offsets) == Set(0...4))
        #expect(plan.starts(epoch: 5, step: 0)[0] == 0)
    }

    @Test(arguments: [1, 3, 100])
    func `windows start a stride apart and each comes once an epoch, in another order each time`(stride: Int) throws {
        let plan = try BatchPlan(count: 2000, settings: settings(.windows, batch: 1, stride: stride))
        let count = (2000 - 1 - 7) / stride + 1
        #expect(plan.stepsPerEpoch == count && plan.resetsState(step: 5))
        let epochs = (0..<2).map { epoch in (0..<count).map { plan.starts(epoch: epoch, step: $0)[0] } }
        let all = Set((0..<count).map { $0 * stride })
        #expect(epochs.allSatisfy { Set($0) == all } && epochs[0] != epochs[1] && epochs[0] != epochs[0].sorted())
    }

    @Test func `the last partial batch of windows is dropped`() throws {
        #expect(try BatchPlan(count: 7 + 1 + 9, settings: settings(.windows)).stepsPerEpoch == 2)
    }

    @Test func `a text too short is an error that names numbers which fit`() throws {
        let error = #expect(throws: TrainingError.self) { try BatchPlan(count: 20, settings: settings(.stream)) }
        #expect(error?.description.contains("batch_size: 2 (or less)") == true)
        #expect(error?.description.contains("seq_length: 4 (or less)") == true)
        #expect(throws: Never.self) { try BatchPlan(count: 20, settings: settings(.stream, batch: 2)) }
        #expect(throws: Never.self) { try BatchPlan(count: 20, settings: settings(.stream, length: 4)) }
        #expect(throws: TrainingError.self) { try BatchPlan(count: 1, settings: settings(.windows)) }
        #expect(throws: TrainingError.self) { try BatchPlan(count: 0, settings: settings(.stream)) }
    }

    @Test(arguments: 1...70) func `a keyed order is a permutation`(count: Int) {
        let order = KeyedOrder(count: count, key: 3, round: 1)
        #expect((0..<count).map { order[$0] }.sorted() == Array(0..<count))
    }
}

@Suite struct LearningRateTests {
    private func rates(_ change: (inout TrainingSettings) -> Void, reductions: Int = 0) -> [Double] {
        var settings = TrainingSettings()
        (settings.epochs, settings.learningRate) = (4, 1)
        change(&settings)
        return (1...40).map { settings.learningRate(step: $0, stepsPerEpoch: 10, reductions: reductions) }
    }

    @Test func `warm-up rises in equal steps to the full rate`() {
        let rates = rates { $0.warmupSteps = 4 }
        #expect(Array(rates.prefix(6)) == [0.25, 0.5, 0.75, 1, 1, 1])
    }

    @Test func `the cosine falls from the full rate towards the least`() {
        let rates = rates { ($0.schedule, $0.leastLearningRate) = (.cosine, 0.1) }
        #expect(rates[0] == 1 && abs(rates[20] - 0.55) < 1e-12 && rates[39] < 0.102 && rates[39] > 0.1)
    }

    @Test func `steps multiply every so many epochs and never pass the least`() {
        let rates = rates { ($0.schedule, $0.learningRateStepEvery, $0.leastLearningRate) = (.step, 1, 0.2) }
        #expect(rates[9] == 1 && rates[10] == 0.5 && rates[20] == 0.25 && rates[30] == 0.2)
    }

    @Test func `a plateau multiplies by each reduction`() {
        #expect(rates({ $0.schedule = .plateau }, reductions: 2)[0] == 0.25)
    }
}

@Suite struct TextSplitTests {
    @Test func `validation is the contiguous tail`() {
        let split = ValidationSplit(count: 105, validationFraction: 0.1)
        #expect(split.training == 0..<95 && split.validation == 95..<105)
        #expect(ValidationSplit(count: 105, validationFraction: 0).validation.isEmpty)
        #expect(ValidationSplit(count: 105, validationFraction: 0.1, validationLimit: 4).validation == 95..<99)
    }
}
