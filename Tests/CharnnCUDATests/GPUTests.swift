import CharnnEngine
import CharnnTestSupport
import Testing

@testable import CharnnCUDA

/// The GPU that the driver shows first; nil where there is none that works.
private let gpu = try? CUDADevice.shared(ordinal: 0)

/// The engine on a real GPU, where there is one.
@Suite(.serialized, .enabled("an NVIDIA GPU and its driver are needed") { gpu != nil })
struct GPUTests {
    private func engine(
        _ plan: NetworkPlan, _ parameters: [Float], _ precision: CUDAEngine.Precision,
        _ tuning: Tuning = Tuning()
    ) throws -> CUDAEngine {
        try CUDAEngine(
            try #require(gpu), plan, parameters: parameters, precision: precision, tuning: tuning)
    }

    @Test(arguments: CUDAEngine.Precision.allCases, StepWays.allCases)
    func `it computes what the reference engine computes`(
        precision: CUDAEngine.Precision, ways: StepWays
    ) throws {
        let cases = precision == .fp32 ? ConformanceCase.all + CUDAEngineTests.large : CUDAEngineTests.smooth
        for tested in cases {
            let differences = try EngineConformance.differences(
                of: tested, tolerance: CUDAEngineTests.tolerance(precision)
            ) { try engine($0, $1, precision, Tuning(steps: ways)) }
            #expect(differences == [], "\(tested)")
        }
    }

    @Test(arguments: PyTorchRecording.cells)
    func `50 steps equal those of PyTorch`(cell: String) throws {
        let differences = try PyTorchRecording.differences(cell: cell, optimizer: .adam) {
            try engine(NetworkPlan($0), $1, .fp32)
        }
        #expect(differences == [])
    }

    // What one branch of a step reads before another has written it differs from run to run.
    @Test(arguments: Cell.allCases, CUDAEngine.Precision.allCases)
    func `neither chance nor the chunks nor a resume change a bit`(
        cell: Cell, precision: CUDAEngine.Precision
    ) throws {
        let tested = ConformanceCase(
            Architecture(cell: cell, vocabularySize: 90, hiddenSize: 200, layerCount: 3, dropout: 0.3), batchSize: 40,
            sequenceLength: 33)
        let parameters = EngineConformance.parameters(of: tested.architecture)
        for ways in StepWays.allCases {
            var states: [EngineState] = []
            for chunkSteps in [33, nil, 1, 3, 8, 8, 8, 8] {
                let tuning = Tuning(chunkSteps: chunkSteps, steps: ways)
                var engine = try engine(tested.plan, parameters, precision, tuning)
                for number in 1...10 {
                    if number == 6, chunkSteps == 3 {
                        let middle = try engine.snapshot()
                        engine = try self.engine(tested.plan, parameters, precision, tuning)
                        try engine.install(middle)
                    }
                    try engine.submit(tested.step(number), of: tested.text)
                }
                states.append(try engine.snapshot())
            }
            #expect(states.allSatisfy { $0 == states[0] }, "\(ways)")
        }
    }
}
