/// TensorFlow's `Event` messages in protocol buffers' encoding: the few fields that scalars and texts need
/// (tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto).
enum TensorBoardEvent {
    static func version(time: Double) -> [UInt8] {
        var event = Message()
        event.add(1, time)
        event.add(3, "brain.Event:2")
        return event.bytes
    }

    static func scalars(_ values: [(tag: String, value: Float)], step: Int, time: Double) -> [UInt8] {
        var summary = Message()
        for (tag, number) in values {
            var value = Message()
            value.add(1, tag)
            value.add(2, number)
            summary.add(1, value)
        }
        return event(summary, step, time)
    }

    /// A text as TensorBoard's text plugin wants it: a string tensor of one element.
    static func text(_ tag: String, _ text: String, step: Int, time: Double) -> [UInt8] {
        var dimension = Message()
        dimension.add(1, 1)
        var shape = Message()
        shape.add(2, dimension)
        var tensor = Message()
        let stringType = 7
        tensor.add(1, stringType)
        tensor.add(2, shape)
        // Markdown to TensorBoard: an indented block is shown as it is.
        tensor.add(
            8, "    " + text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n    "))
        var plugin = Message()
        plugin.add(1, "text")
        var metadata = Message()
        metadata.add(1, plugin)
        var value = Message()
        value.add(1, "\(tag)/text_summary")
        value.add(8, tensor)
        value.add(9, metadata)
        var summary = Message()
        summary.add(1, value)
        return event(summary, step, time)
    }

    private static func event(_ summary: Message, _ step: Int, _ time: Double) -> [UInt8] {
        var event = Message()
        event.add(1, time)
        event.add(2, step)
        event.add(5, summary)
        return event.bytes
    }

    /// The step of an event that was written here; 0 where it has none.
    static func step(of event: ArraySlice<UInt8>) -> Int {
        // The time, nine bytes, comes first; then the step, if there is one.
        let rest = event.dropFirst(9)
        guard rest.first == 2 << 3 else { return 0 }
        var (step, shift) = (0, 0)
        for byte in rest.dropFirst() {
            step |= Int(byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 || shift > 56 { break }
        }
        return step
    }
}

/// A protocol buffers message being written.
private struct Message {
    var bytes: [UInt8] = []

    private mutating func key(_ field: Int, _ wire: Int) { varint(UInt64(field << 3 | wire)) }

    private mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }

    mutating func add(_ field: Int, _ value: Int) {
        key(field, 0)
        varint(UInt64(max(0, value)))
    }

    mutating func add(_ field: Int, _ value: Double) {
        key(field, 1)
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> (shift * 8))) }
    }

    mutating func add(_ field: Int, _ value: Float) {
        key(field, 5)
        for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> (shift * 8))) }
    }

    mutating func add(_ field: Int, _ text: String) { add(field, Array(text.utf8)) }

    mutating func add(_ field: Int, _ message: Message) { add(field, message.bytes) }

    private mutating func add(_ field: Int, _ content: [UInt8]) {
        key(field, 2)
        varint(UInt64(content.count))
        bytes += content
    }
}
