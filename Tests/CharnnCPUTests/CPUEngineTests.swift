import CharnnCPU
import CharnnEngine
import CharnnTestSupport
import Testing

@Suite struct CPUEngineTests {
    @Test(arguments: ConformanceCase.all, KernelLevel.available)
    func `it computes what the reference engine computes`(tested: ConformanceCase, level: KernelLevel) throws {
        let differences = try EngineConformance.differences(of: tested, tolerance: 1e-4) {
            try CPUEngine(architecture: $0, parameters: $1, threads: 2, kernels: level)
        }
        #expect(differences == [])
    }
}
