import CharnnProtobuf

/// TensorFlow's `Event` messages in protocol buffers' encoding: the few fields that scalars and texts need
/// (tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto).
enum TensorBoardEvent {
    /// The event that a file must begin with; `brain.Event:2` is the only version there is.
    static func version(time: Double) -> [UInt8] {
        var event = ProtobufMessage()
        event.add(1, time)
        event.add(3, "brain.Event:2")
        return event.bytes
    }

    /// - Parameters:
    ///   - values: Each under its tag, in one event.
    ///   - time: Seconds since 1970.
    static func scalars(_ values: [(tag: String, value: Float)], step: Int, time: Double) -> [UInt8] {
        var summary = ProtobufMessage()
        for (tag, number) in values {
            var value = ProtobufMessage()
            value.add(1, tag)
            value.add(2, number)
            summary.add(1, value)
        }
        return event(summary, step, time)
    }

    /// A text as TensorBoard's text plugin wants it: a string tensor of one element.
    static func text(_ tag: String, _ text: String, step: Int, time: Double) -> [UInt8] {
        var dimension = ProtobufMessage()
        dimension.add(1, 1)
        var shape = ProtobufMessage()
        shape.add(2, dimension)
        var tensor = ProtobufMessage()
        let stringType = 7
        tensor.add(1, stringType)
        tensor.add(2, shape)
        // Markdown to TensorBoard: an indented block is shown as it is.
        tensor.add(
            8, "    " + text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n    "))
        var plugin = ProtobufMessage()
        plugin.add(1, "text")
        var metadata = ProtobufMessage()
        metadata.add(1, plugin)
        var value = ProtobufMessage()
        value.add(1, "\(tag)/text_summary")
        value.add(8, tensor)
        value.add(9, metadata)
        var summary = ProtobufMessage()
        summary.add(1, value)
        return event(summary, step, time)
    }

    /// The time comes first and the step second: ``step(of:)`` relies on it.
    private static func event(_ summary: ProtobufMessage, _ step: Int, _ time: Double) -> [UInt8] {
        var event = ProtobufMessage()
        event.add(1, time)
        event.add(2, max(0, step))
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
