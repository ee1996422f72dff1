import CharnnCPU
import CharnnEngine
import CharnnTestSupport
import Testing

@Suite struct PyTorchTests {
    @Test(arguments: PyTorchRecording.cells, OptimizerKind.allCases)
    func `50 steps equal those of PyTorch`(cell: String, optimizer: OptimizerKind) throws {
        func differences(_ make: (Architecture, [Float]) throws -> any Engine) throws -> [String] {
            try PyTorchRecording.differences(cell: cell, optimizer: optimizer, make)
        }
        let reference = try differences {
            try ReferenceEngine<Double>(architecture: $0, parameters: $1.map { Double($0) })
        }
        #expect(reference == [])
        let library = try differences { try CPUEngine(architecture: $0, parameters: $1, usesLibraryOnly: true) }
        #expect(library == [])
        for level in KernelLevel.available {
            let own = try differences { try CPUEngine(architecture: $0, parameters: $1, kernels: level) }
            #expect(own == [])
        }
    }

    @Test(arguments: PyTorchRecording.regularised)
    func `steps with dropout, decay and forget bias equal those of PyTorch`(name: String) throws {
        func differences(_ make: (NetworkPlan, [Float]) throws -> any Engine) throws -> [String] {
            try PyTorchRecording.differences(regularised: name, make)
        }
        let reference = try differences { try ReferenceEngine<Double>($0, parameters: $1.map { Double($0) }) }
        #expect(reference == [])
        let library = try differences { try CPUEngine($0, parameters: $1, usesLibraryOnly: true) }
        #expect(library == [])
        for level in KernelLevel.available {
            let own = try differences { try CPUEngine($0, parameters: $1, kernels: level) }
            #expect(own == [])
        }
    }

    @Test(arguments: PyTorchRecording.cells)
    func `dynamic evaluation learns as PyTorch's gradients have it learn`(cell: String) throws {
        let reference = try PyTorchRecording.differencesOfDynamicEvaluation(cell: cell) {
            try ReferenceEngine<Double>(architecture: $0, parameters: $1.map { Double($0) })
        }
        #expect(reference == [])
        for level in KernelLevel.available {
            let own = try PyTorchRecording.differencesOfDynamicEvaluation(cell: cell) {
                try CPUEngine(architecture: $0, parameters: $1, kernels: level)
            }
            #expect(own == [])
        }
    }
}
