#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The number types of the reference engine: `Float` and `Double`.
public protocol ReferenceReal: BinaryFloatingPoint, Sendable {
    /// As ``EngineConfiguration/precision`` has it.
    static var precisionName: String { get }
    static func exponential(_ x: Self) -> Self
    static func hyperbolicTangent(_ x: Self) -> Self
    static func logarithm(_ x: Self) -> Self
}

extension Float: ReferenceReal {
    public static var precisionName: String { "fp32" }
    /// From the C library, as all three; its last bit may differ between versions.
    public static func exponential(_ x: Float) -> Float { expf(x) }
    public static func hyperbolicTangent(_ x: Float) -> Float { tanhf(x) }
    public static func logarithm(_ x: Float) -> Float { logf(x) }
}

extension Double: ReferenceReal {
    public static var precisionName: String { "fp64" }
    public static func exponential(_ x: Double) -> Double { exp(x) }
    public static func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }
    public static func logarithm(_ x: Double) -> Double { log(x) }
}

extension ReferenceReal {
    static func sigmoid(_ x: Self) -> Self { 1 / (1 + exponential(-x)) }
}
