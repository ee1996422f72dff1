import Foundation

/// Bytes and what Python's codecs make of them, as `Fixtures/record_encodings.py` recorded it.
public struct EncodingRecording: Decodable, Sendable, CustomStringConvertible {
    public var encoding: String
    /// Hexadecimal digits.
    private var bytes: String
    public var codePoints: [UInt32]?
    public var brokenAt: Int?

    public var description: String { "\(encoding) \(bytes)" }

    /// The bytes of the file.
    public var file: [UInt8] {
        let digits = Array(bytes)
        return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) }
    }

    /// All that were recorded; none if they cannot be read.
    public static let all: [EncodingRecording] = {
        guard let path = Bundle.module.path(forResource: "Fixtures/encodings", ofType: "json"),
            let data = try? Data(contentsOf: URL(filePath: path))
        else { return [] }
        return (try? JSONDecoder().decode([EncodingRecording].self, from: data)) ?? []
    }()
}
