import CharnnEngine
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

@testable import CharnnCUDA

/// What is chosen for a device of which nothing but its size is known.
@Suite struct PlanTests {
    private func plan(_ cell: Cell = .lstm, units: Int, streams: Int, multiprocessors: Int = 132) -> StepPlan {
        let architecture = Architecture(cell: cell, vocabularySize: 90, hiddenSize: units, layerCount: 2)
        return StepPlan(
            Sizes(NetworkPlan(architecture), .fp16, streams: streams, steps: 100), multiprocessors: multiprocessors)
    }

    @Test func `small time steps are done by one kernel, large ones by a product in wide tiles`() {
        for cell in Cell.allCases {
            let small = plan(cell, units: 512, streams: 64)
            #expect(small.forward == nil && small.backward == nil && small.sums == 0)
        }
        let large = plan(units: 2048, streams: 256)
        #expect(large.forward?.isWide == true && large.backward?.isWide == true)
        // 32 tiles would leave three quarters of the device idle.
        #expect(large.backward?.splits == 4)
    }

    @Test(arguments: [(1, 1, 1), (33, 70, 31), (64, 512, 2048), (2048, 512, 6400), (97, 65, 100_000)])
    func `the splits of a product cover its depth, and none is empty`(m: Int, n: Int, k: Int) {
        for multiprocessors in [1, 4, 132] {
            for isHalf in [false, true] {
                let plan = ProductPlan(
                    m: m, n: n, k: k, isHalf: isHalf, multiprocessors: multiprocessors, summing: .kernel,
                    launchCost: 0)
                #expect(plan.perSplit % 32 == 0)
                #expect(plan.splits * plan.perSplit >= k && (plan.splits - 1) * plan.perSplit < k)
                #expect(!plan.isWide || isHalf)
            }
        }
    }

    @Test func `a product is not split for some hundredths of its time`() {
        func splits(_ m: Int, _ n: Int, _ k: Int, isHalf: Bool) -> Int {
            ProductPlan(
                m: m, n: n, k: k, isHalf: isHalf, multiprocessors: 132, summing: .kernel, launchCost: 400
            ).splits
        }
        #expect(splits(4 * 4096, 4096, 12_800, isHalf: false) == 1)
        #expect(splits(4 * 2048, 2048, 256_000, isHalf: false) == 1)
        #expect(splits(4 * 512, 512, 6400, isHalf: true) == 2)
    }

    @Test func `chunks follow each other to the last step`() {
        let architecture = Architecture(cell: .gru, vocabularySize: 9, hiddenSize: 8, layerCount: 2)
        for (streams, steps) in [(1, 1), (64, 100), (3, 100), (1000, 7)] {
            let chunks = Sizes(NetworkPlan(architecture), .fp32, streams: streams, steps: steps).chunks(of: steps)
            #expect(chunks.flatMap { Array($0) } == Array(0..<steps))
            #expect(chunks.dropLast().allSatisfy { $0.count * streams >= 256 })
        }
    }

    @Test func `a plan that is told in words is the same when it is read`() throws {
        for ways in StepWays.allCases {
            let tuning = Tuning(chunkSteps: 17, steps: ways)
            let plan = try #require(tuning.plan)
            let read = try #require(Tuning(plan))
            #expect(read.steps == ways && read.chunkSteps == 17)
        }
        #expect(Tuning().plan == nil)
        let words = "time steps fused forward, apart backward, in chunks of"
        #expect(Tuning("\(words) 3") != nil)
        for plan in ["", words, "\(words) 0", "\(words) 99999999999", "\(words) 3 ", "time steps by magic"] {
            #expect(Tuning(plan) == nil, "\(plan)")
        }
    }

    private static let tested = ConformanceCase(
        Architecture(cell: .gru, vocabularySize: 11, hiddenSize: 20, layerCount: 2, dropout: 0.5), batchSize: 4,
        sequenceLength: 6)

    private func engine() throws -> CUDAEngine {
        try EmulatedDevice.inOrder.engine(
            Self.tested.architecture, EngineConformance.parameters(of: Self.tested.architecture), .fp16)
    }

    @Test func `what is measured changes nothing, is kept, and is what a later engine does`() throws {
        let (streams, steps) = (Self.tested.batchSize, Self.tested.sequenceLength)
        let folder = TemporaryDirectory("plans")
        let cache = Cache(folder: folder.path.string)
        let first = try engine()
        try first.submit(Self.tested.step(1), of: Self.tested.text)
        let before = try first.snapshot()
        #expect(first.configuration.plan == nil)
        try first.findPlan(streams: streams, sequenceLength: steps, measuring: .none, cache: cache)
        #expect(first.configuration.plan == nil)
        let other = try engine()
        try other.findPlan(streams: streams, sequenceLength: steps, measuring: .notKept, cache: cache)
        #expect(other.configuration.plan != nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path.string) == [])
        try first.findPlan(streams: streams, sequenceLength: steps, measuring: .kept, cache: cache)
        let after = try first.snapshot()
        #expect(after == before)
        let plan = try #require(first.configuration.plan)
        #expect(Tuning(plan) != nil)

        let kept = try FileManager.default.contentsOfDirectory(atPath: folder.path.string)
        try #require(kept.count == 1)
        let path = folder.path.appending(kept[0]).string
        #expect(try String(contentsOfFile: path, encoding: .utf8) == plan)
        // Something else, which is not what would be measured: it is taken all the same.
        let forced =
            "time steps \(plan.contains("fused forward") ? "apart" : "fused") forward, apart backward, in chunks of 5"
        try forced.write(toFile: path, atomically: true, encoding: .utf8)
        let second = try engine()
        try second.findPlan(streams: streams, sequenceLength: steps, measuring: .kept, cache: cache)
        #expect(second.configuration.plan == forced)
        // Another size is another matter, and what is no plan is measured anew.
        try second.findPlan(streams: streams + 1, sequenceLength: steps, measuring: .kept, cache: cache)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path.string).count == 2)
        try "anything".write(toFile: path, atomically: true, encoding: .utf8)
        try second.findPlan(streams: streams, sequenceLength: steps, measuring: .kept, cache: cache)
        #expect(Tuning(try String(contentsOfFile: path, encoding: .utf8)) != nil)
    }

    @Test func `a resumed run follows the plan that it began with, to the same bits`() throws {
        let plan = "time steps apart forward, apart backward, in chunks of 4"
        let (undisturbed, resumed, own) = (try engine(), try engine(), try engine())
        undisturbed.follow(plan: plan)
        for number in 1...2 { try undisturbed.submit(Self.tested.step(number), of: Self.tested.text) }
        let middle = try undisturbed.snapshot()
        try undisturbed.submit(Self.tested.step(3), of: Self.tested.text)
        resumed.follow(plan: plan)
        own.follow(plan: "by magic")
        #expect(own.configuration.plan == nil)
        for engine in [resumed, own] {
            try engine.install(middle)
            try engine.submit(Self.tested.step(3), of: Self.tested.text)
        }
        let states = [try undisturbed.snapshot(), try resumed.snapshot(), try own.snapshot()]
        #expect(states[0] == states[1])
        // The plan does matter.
        #expect(states[0] != states[2])
        // So it does from the very next step on.
        try own.install(middle)
        own.follow(plan: plan)
        try own.submit(Self.tested.step(3), of: Self.tested.text)
        let late = try own.snapshot()
        #expect(late == states[0])
    }
}
