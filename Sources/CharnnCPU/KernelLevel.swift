import CCharnnKernels
import CharnnEngine

/// An instruction set that the kernels are compiled for.
public enum KernelLevel: String, Sendable, CaseIterable, Codable {
    case plain
    case avx2
    case avx512

    /// The levels that this processor can run, slowest first.
    public static var available: [KernelLevel] { allCases.filter { $0.table != nil } }

    private var table: UnsafePointer<CharnnKernels>? {
        switch self {
        case .plain: charnn_kernels(Int32(CharnnLevelPlain))
        case .avx2: charnn_kernels(Int32(CharnnLevelAVX2))
        case .avx512: charnn_kernels(Int32(CharnnLevelAVX512))
        }
    }

    /// - Throws: ``EngineError/Code/unavailable`` where the processor does not have these instructions.
    func kernels() throws(EngineError) -> CharnnKernels {
        guard let table else {
            throw EngineError(.unavailable, "This processor cannot run the \(rawValue) kernels.")
        }
        return table.pointee
    }
}

/// The processor's name, as it tells it.
func processorName() -> String {
    var name = [CChar](repeating: 0, count: 49)
    charnn_processor_name(&name)
    let characters = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    let text = String(decoding: characters, as: UTF8.self).split(separator: " ").joined(separator: " ")
    return text.isEmpty ? "unknown processor" : text
}
