import CharnnEngine
import CharnnTestSupport
import Foundation
import Testing

@testable import CharnnCUDA

@Suite struct CUDADriverTests {
    @Test func `without a driver it says what to install and what to set`() {
        let error = #expect(throws: EngineError.self) { try CUDADriver(names: ["libno-such-driver.so.1"]) }
        #expect(error?.code == .unavailable)
        #expect(error?.description.contains("install the driver, 525 or newer") == true)
        #expect(error?.description.contains("set device to auto or cpu") == true)
    }

    @Test func `a library that lacks a function is called too old`() {
        // Some library that every machine has.
        let error = #expect(throws: EngineError.self) { try CUDADriver(names: ["libc.so.6"]) }
        #expect(error?.code == .unavailable)
        #expect(error?.description.contains("lacks the function cuInit") == true)
    }

    @Test func `a device that is not there is refused`() throws {
        let driver = try EmulatedDevice.driver()
        let error = #expect(throws: EngineError.self) { try CUDADevice(driver, ordinal: 99) }
        #expect(error?.code == .unavailable)
    }

    @Test func `a compiler that is not there is no trouble`() {
        #expect(throws: EngineError.self) { try CUDACompiler(path: "/nowhere/libnvrtc.so.12") }
    }
}

/// Those that count bytes have a device for themselves, one after the other.
@Suite(.serialized) struct CUDAMemoryTests {
    @Test func `memory is given back`() throws {
        let device = try CUDADevice(EmulatedDevice.driver(), ordinal: EmulatedDevice.alone.rawValue)
        let before = try device.freeMemory()
        let architecture = Architecture(cell: .gru, vocabularySize: 5, hiddenSize: 8, layerCount: 1)
        for _ in 0..<3 {
            let engine = try CUDAEngine(
                device, NetworkPlan(architecture), parameters: EngineConformance.parameters(of: architecture),
                precision: .fp16)
            let predictor = try engine.makePredictor(streams: 2)
            var logits = [Float](repeating: 0, count: 10)
            try predictor.advance([1, 2], logits: &logits)
            let during = try device.freeMemory()
            #expect(during < before)
        }
        let after = try device.freeMemory()
        #expect(after == before)
    }

    @Test(arguments: Cell.allCases, CUDAEngine.Precision.allCases)
    func `the predicted memory is what is taken`(cell: Cell, precision: CUDAEngine.Precision) throws {
        let plain = Architecture(
            cell: cell, vocabularySize: 40, embeddingSize: 30, hiddenSize: 70, layerCount: 2, dropout: 0.1)
        var dropping = plain
        (dropping.dropoutInput, dropping.dropoutOutput) = (0.1, 0.1)
        for architecture in [plain, dropping] { try expectPrediction(architecture, precision) }
    }

    private func expectPrediction(_ architecture: Architecture, _ precision: CUDAEngine.Precision) throws {
        let device = try CUDADevice(EmulatedDevice.driver(), ordinal: EmulatedDevice.alone.rawValue)
        let before = try device.freeMemory()
        let engine = try CUDAEngine(
            device, NetworkPlan(architecture), parameters: EngineConformance.parameters(of: architecture),
            // What takes most; which plan is the fastest is not known when memory is predicted.
            precision: precision, tuning: Tuning(steps: StepWays(forward: .apart, backward: .apart)))
        let step = TrainingStep(
            number: 1, starts: Array(0..<20), sequenceLength: 3, resetsState: true,
            optimizer: OptimizerStep(learningRate: 0.01, updateNumber: 1, averageRate: 1), seed: 1)
        try engine.submit(step, of: EngineConformance.text(vocabularySize: 40))
        _ = try engine.drain()
        let taken = before - (try device.freeMemory())
        let predicted = CUDAEngine.predictedBytes(
            architecture, batchSize: 20, sequenceLength: 3, precision: precision,
            multiprocessors: device.multiprocessors)
        // Beside it only the text of 4,000 bytes, and small change.
        #expect(taken <= predicted + 20_000 && predicted <= taken + 20_000, "\(taken) taken, \(predicted) predicted")
    }
}
