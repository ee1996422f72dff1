import CharnnEngine
import Testing

@testable import CharnnCUDA

/// What is chosen for a device of which nothing but its size is known.
@Suite struct PlanTests {
    private func plan(_ cell: Cell = .lstm, units: Int, streams: Int, multiprocessors: Int = 132) -> StepPlan {
        let architecture = Architecture(cell: cell, vocabularySize: 90, hiddenSize: units, layerCount: 2)
        return StepPlan(
            Sizes(architecture, .fp16, streams: streams, steps: 100), multiprocessors: multiprocessors)
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

    @Test func `chunks follow each other to the last step`() {
        let architecture = Architecture(cell: .gru, vocabularySize: 9, hiddenSize: 8, layerCount: 2)
        for (streams, steps) in [(1, 1), (64, 100), (3, 100), (1000, 7)] {
            let chunks = Sizes(architecture, .fp32, streams: streams, steps: steps).chunks(of: steps)
            #expect(chunks.flatMap { Array($0) } == Array(0..<steps))
            #expect(chunks.dropLast().allSatisfy { $0.count * streams >= 256 })
        }
    }
}
