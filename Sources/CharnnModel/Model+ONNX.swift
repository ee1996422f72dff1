import CharnnEngine
import CharnnProtobuf
import CharnnWords

/// A model as ONNX (https://onnx.ai): the same network for runtimes that know neither PyTorch nor this program.
extension Model {
    /// The largest file that ONNX allows without weights beside it: a message of protocol buffers ends there.
    private static let largestONNX = Int(Int32.max)

    /// The bytes of an ONNX model file.
    ///
    /// Inputs: `symbols`, int64 `[batch, time]`; `h0`, float `[L, batch, H]`, and for LSTM `c0` of the same shape, zeros
    /// at a text's beginning. Outputs: `logits`, float `[batch, time, V]`, and `hn` (and `cn`), the states to go on
    /// with. `batch` and `time` are free. The metadata is that of `model.safetensors`, the vocabulary among it.
    ///
    /// Operators of version 14 and file format 7: what runtimes since 2021 read.
    ///
    /// - Throws: `ModelError` of the code `unwritable` if the weights are too large for one file, or ONNX has no such
    ///   cell.
    public func onnx() throws(ModelError) -> [UInt8] {
        let size = parameters.count * 4
        guard size < Self.largestONNX - (64 << 20) else {
            throw ModelError(
                .unwritable,
                "the weights take \(byteCount(Double(size))), and an ONNX file holds less than 2 GiB; export this model with --pytorch"
            )
        }
        guard let operation = ONNXCell(architecture) else {
            throw ModelError(
                .unwritable, "ONNX has no operator for the cell \(architecture.cell.rawValue), and none is made up here"
            )
        }
        var version = ProtobufMessage()
        version.add(1, "")
        version.add(2, 14)
        var file = ProtobufMessage()
        file.add(1, 7)
        file.add(2, "charnn")
        file.add(3, Self.programVersion)
        file.add(7, ONNXGraph(self, operation).message)
        file.add(8, version)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            var entry = ProtobufMessage()
            entry.add(1, key)
            entry.add(2, value)
            file.add(14, entry)
        }
        return file.bytes
    }
}

/// How ONNX computes a cell.
private struct ONNXCell {
    let operation: String
    /// Our gates in ONNX's order.
    let gates: [Int]
    let attributes: [ONNXAttribute]

    /// nil: it has no operator for the cell.
    init?(_ architecture: Architecture) {
        let activation = architecture.nonlinearity == .tanh ? "Tanh" : "Relu"
        let known: [Cell: ONNXCell] = [
            .rnn: ONNXCell("RNN", [0], [.strings("activations", [activation])]),
            // `z, r, n` of our `r, z, n`. As PyTorch and we do it, the reset gate multiplies the recurrent product with
            // its bias.
            .gru: ONNXCell("GRU", [1, 0, 2], [.integer("linear_before_reset", 1)]),
            // `i, o, f, g` of our `i, f, g, o`.
            .lstm: ONNXCell("LSTM", [0, 3, 1, 2], []),
        ]
        guard let cell = known[architecture.cell] else { return nil }
        self = cell
    }

    private init(_ operation: String, _ gates: [Int], _ attributes: [ONNXAttribute]) {
        (self.operation, self.gates, self.attributes) = (operation, gates, attributes)
    }
}

private enum ONNXAttribute {
    case integer(String, Int)
    case integers(String, [Int])
    case strings(String, [String])

    var message: ProtobufMessage {
        var message = ProtobufMessage()
        switch self {
        case .integer(let name, let value):
            message.add(1, name)
            message.add(3, value)
            message.add(20, 2)
        case .integers(let name, let values):
            message.add(1, name)
            for value in values { message.add(8, value) }
            message.add(20, 7)
        case .strings(let name, let values):
            message.add(1, name)
            for value in values { message.add(9, value) }
            message.add(20, 8)
        }
        return message
    }
}

/// The graph of a model, in the messages of `onnx.proto`.
///
/// Letters: `B` texts at once, `T` symbols of each, `E` embedding size, `H` units, `L` layers, `V` symbols in all.
private struct ONNXGraph {
    private let model: Model
    private let architecture: Architecture
    private let plan: NetworkPlan
    private let layout: ParameterLayout
    private let cell: ONNXCell
    private(set) var message = ProtobufMessage()

    /// `TensorProto.DataType` and `AttributeProto.AttributeType`.
    private static let (float, int64) = (1, 7)

    init(_ model: Model, _ cell: ONNXCell) {
        self.model = model
        self.cell = cell
        architecture = model.architecture
        plan = NetworkPlan(architecture)
        layout = ParameterLayout(plan)
        addNodes()
        message.add(2, "charnn")
        addWeights()
        addSignature()
    }

    /// Recurrent states, as they are called before and after.
    private var states: [(before: String, after: String)] {
        [("h0", "hn")] + (plan.has(.cell) ? [("c0", "cn")] : [])
    }

    // MARK: - Nodes

    /// In the order in which they are computed, as ONNX wants them.
    private mutating func addNodes() {
        let layers = 0..<architecture.layerCount
        node("Gather", ["embedding.weight", "symbols"], ["embedded"])  // [B, T, E]
        node("Transpose", ["embedded"], ["layer0.x"], [.integers("perm", [1, 0, 2])])  // [T, B, E]
        for state in states {
            node("Split", [state.before], layers.map { "layer\($0).\(state.before)" }, [.integer("axis", 0)])
        }
        for layer in layers { recurrence(layer) }
        for state in states {
            node("Concat", layers.map { "layer\($0).\(state.after)" }, [state.after], [.integer("axis", 0)])
        }
        node("Transpose", ["layer\(layers.upperBound).x"], ["outputs"], [.integers("perm", [1, 0, 2])])  // [B, T, H]
        node("MatMul", ["outputs", "fc.weight.transposed"], ["products"])
        node("Add", ["products", "fc.bias"], ["logits"])  // [B, T, V]
    }

    /// A layer over all of the time: from `layerN.x [T, B, in]` to `layerN+1.x [T, B, H]`.
    private mutating func recurrence(_ layer: Int) {
        let name = "layer\(layer)"
        // The fifth input, left out, is for texts of different lengths.
        let inputs = ["\(name).x", "\(name).W", "\(name).R", "\(name).B", ""]
        node(
            cell.operation, inputs + states.map { "\(name).\($0.before)" },
            ["\(name).y"] + states.map { "\(name).\($0.after)" },
            [.integer("hidden_size", architecture.hiddenSize)] + cell.attributes)
        // [T, directions, B, H], and there is one direction.
        node("Squeeze", ["\(name).y", "directions"], ["layer\(layer + 1).x"])
    }

    private mutating func node(
        _ operation: String, _ inputs: [String], _ outputs: [String], _ attributes: [ONNXAttribute] = []
    ) {
        var node = ProtobufMessage()
        for input in inputs { node.add(1, input) }
        for output in outputs { node.add(2, output) }
        node.add(3, "\(operation) \(outputs[0])")
        node.add(4, operation)
        for attribute in attributes { node.add(5, attribute.message) }
        message.add(1, node)
    }

    // MARK: - Weights

    private mutating func addWeights() {
        let (symbols, units) = (architecture.vocabularySize, architecture.hiddenSize)
        weight("embedding.weight", [symbols, architecture.embeddingSize], model.parameters[layout[.embedding].range])
        for layer in 0..<architecture.layerCount {
            let rows = plan.gateUnits
            weight(
                "layer\(layer).W", [1, rows, architecture.inputSize(ofLayer: layer)], gated(.inputWeight(layer: layer)))
            weight("layer\(layer).R", [1, rows, units], gated(.recurrentWeight(layer: layer)))
            let biases = gated(.inputBias(layer: layer)) + gated(.recurrentBias(layer: layer))
            weight("layer\(layer).B", [1, 2 * rows], biases)
        }
        let head = Array(model.parameters[layout[.headWeight].range])
        let transposed = (0..<units).flatMap { unit in (0..<symbols).map { head[$0 * units + unit] } }
        weight("fc.weight.transposed", [units, symbols], transposed[...])
        weight("fc.bias", [symbols], model.parameters[layout[.headBias].range])
        var axes = ProtobufMessage()
        axes.add(1, packed: [1])
        axes.add(2, Self.int64)
        axes.add(7, packed: [1])
        axes.add(8, "directions")
        message.add(5, axes)
    }

    /// A parameter's rows with its gates in ONNX's order.
    private func gated(_ role: ParameterRole) -> ArraySlice<Float> {
        let slot = layout[role]
        let size = slot.count / plan.gates
        return cell.gates.flatMap { model.parameters[(slot.offset + $0 * size)..<(slot.offset + ($0 + 1) * size)] }[...]
    }

    private mutating func weight(_ name: String, _ shape: [Int], _ values: ArraySlice<Float>) {
        var tensor = ProtobufMessage()
        tensor.add(1, packed: shape)
        tensor.add(2, Self.float)
        tensor.add(8, name)
        // Little-endian, as all machines that this is built for are.
        tensor.add(9, bytes: values.withUnsafeBytes { [UInt8]($0) })
        message.add(5, tensor)
    }

    // MARK: - Inputs and outputs

    private enum Dimension {
        case free(String)
        case fixed(Int)
    }

    private mutating func addSignature() {
        let state: [Dimension] = [.fixed(architecture.layerCount), .free("batch"), .fixed(architecture.hiddenSize)]
        value(11, "symbols", Self.int64, [.free("batch"), .free("time")])
        for name in states.map(\.before) { value(11, name, Self.float, state) }
        value(12, "logits", Self.float, [.free("batch"), .free("time"), .fixed(architecture.vocabularySize)])
        for name in states.map(\.after) { value(12, name, Self.float, state) }
    }

    /// A `ValueInfoProto`.
    private mutating func value(_ field: Int, _ name: String, _ type: Int, _ dimensions: [Dimension]) {
        var shape = ProtobufMessage()
        for dimension in dimensions {
            var entry = ProtobufMessage()
            switch dimension {
            case .fixed(let size): entry.add(1, size)
            case .free(let name): entry.add(2, name)
            }
            shape.add(1, entry)
        }
        var tensor = ProtobufMessage()
        tensor.add(1, type)
        tensor.add(2, shape)
        var kind = ProtobufMessage()
        kind.add(1, tensor)
        var value = ProtobufMessage()
        value.add(1, name)
        value.add(2, kind)
        message.add(field, value)
    }
}
