import CharnnEngine
import Foundation

@testable import CharnnCUDA

/// The emulated devices of `Tests/CUDAEmulation`, which say what each is.
enum EmulatedDevice: Int, CaseIterable, Sendable {
    case inOrder, backwards, mixed, manyProcessors, small, alone

    /// The driver library that the package builds beside the tests.
    static var library: String {
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(filePath: program).deletingLastPathComponent().appending(path: "libCUDAEmulation.so").path
    }

    static func driver() throws -> CUDADriver { try CUDADriver(names: [library]) }

    func engine(
        _ architecture: Architecture, _ parameters: [Float], _ precision: CUDAEngine.Precision = .fp32,
        tuning: Tuning = Tuning()
    ) throws -> CUDAEngine {
        try engine(plan: NetworkPlan(architecture), parameters, precision, tuning: tuning)
    }

    func engine(
        plan: NetworkPlan, _ parameters: [Float], _ precision: CUDAEngine.Precision, tuning: Tuning
    ) throws -> CUDAEngine {
        try CUDAEngine(
            CUDADevice(Self.driver(), ordinal: rawValue), plan, parameters: parameters, precision: precision,
            tuning: tuning)
    }
}
