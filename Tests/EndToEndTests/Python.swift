import Foundation
import SystemPackage
import Testing

/// The Python of `CHARNND_PYTHON`, for tests that hold a file against the program that it is made for.
enum Python {
    static let path = ProcessInfo.processInfo.environment["CHARNND_PYTHON"].flatMap { $0.isEmpty ? nil : $0 }

    static let withTorch = having("torch", "numpy", "safetensors")
    static let withONNX = having("onnx", "onnxruntime", "numpy")
    static let withSchemas = having("jsonschema", "yaml")
    static let withTensorBoard = having("tensorboard")

    /// That Python, if it can import these modules; nil: the test that asks is to be skipped.
    private static func having(_ modules: String...) -> String? {
        guard let path else { return nil }
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = ["-c", "import " + modules.joined(separator: ", ")]
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        process.waitUntilExit()
        return process.terminationStatus == 0 ? path : nil
    }
}
