/// A protocol buffers message being written, field by field, in the wire format
/// (https://protobuf.dev/programming-guides/encoding/): what event files and ONNX models are made of.
///
/// It only writes, and knows no schema: field numbers and types stand where a message is made.
public struct ProtobufMessage: Sendable {
    /// The message without a length before it, as a file of one has it.
    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// Adds an `int32`, `int64` or enumeration value.
    public mutating func add(_ field: Int, _ value: Int) {
        key(field, .varint)
        // A negative number is its two's complement of 64 bits.
        varint(UInt64(bitPattern: Int64(value)))
    }

    /// Adds a `double`.
    public mutating func add(_ field: Int, _ value: Double) {
        key(field, .eightBytes)
        littleEndian(value.bitPattern)
    }

    /// Adds a `float`.
    public mutating func add(_ field: Int, _ value: Float) {
        key(field, .fourBytes)
        littleEndian(value.bitPattern)
    }

    /// Adds a `string`.
    public mutating func add(_ field: Int, _ text: String) { add(field, bytes: text.utf8) }

    /// Adds a message within this one.
    public mutating func add(_ field: Int, _ message: ProtobufMessage) { add(field, bytes: message.bytes) }

    /// Adds `bytes`.
    public mutating func add(_ field: Int, bytes content: some Collection<UInt8>) {
        key(field, .lengthAndBytes)
        varint(UInt64(content.count))
        bytes += content
    }

    /// Adds a `repeated int64` in its packed form.
    public mutating func add(_ field: Int, packed values: [Int]) {
        var content = ProtobufMessage()
        for value in values { content.varint(UInt64(bitPattern: Int64(value))) }
        add(field, bytes: content.bytes)
    }

    private enum WireType: UInt64 {
        case varint = 0
        case eightBytes = 1
        case lengthAndBytes = 2
        case fourBytes = 5
    }

    private mutating func key(_ field: Int, _ type: WireType) { varint(UInt64(field) << 3 | type.rawValue) }

    private mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }

    private mutating func littleEndian(_ value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }
}
