/// What a parameter tensor is for.
public enum ParameterRole: Hashable, Sendable {
    case embedding
    case inputWeight(layer: Int)
    case recurrentWeight(layer: Int)
    case inputBias(layer: Int)
    case recurrentBias(layer: Int)
    case headWeight
    case headBias
}

/// One parameter tensor and its place in the flat buffer of all of them.
public struct ParameterSlot: Hashable, Sendable {
    /// By which engines, names of the model file and initialisation find the tensor; its place they take from
    /// ``offset``.
    public let role: ParameterRole
    /// Row-major; the last dimension is contiguous.
    public let shape: [Int]
    /// Position of the first element in the flat buffer.
    public let offset: Int

    /// Elements.
    public var count: Int { shape.reduce(1, *) }
    /// Its elements in the flat buffer.
    public var range: Range<Int> { offset..<(offset + count) }
}

/// The order of all parameters in one flat buffer of floats.
///
/// Every engine hands out and takes parameters, gradients and moments in this layout:
/// `embedding [V,E]`, then for each layer `inputWeight [gH,in]`, `recurrentWeight [gH,H]`, `inputBias [gH]`,
/// `recurrentBias [gH]`, then `headWeight [V,H]`, `headBias [V]`. Gates are stacked in the order of ``Cell/gates``.
public struct ParameterLayout: Hashable, Sendable {
    /// In the order of the buffer, without gaps.
    public let slots: [ParameterSlot]
    /// The number of parameters in all.
    public let count: Int

    /// The layout is a function of the architecture alone: two engines of one architecture exchange buffers as they
    /// are.
    public init(_ architecture: Architecture) {
        let rows = architecture.cell.gates * architecture.hiddenSize
        var shapes: [(ParameterRole, [Int])] = [
            (.embedding, [architecture.vocabularySize, architecture.embeddingSize])
        ]
        for layer in 0..<architecture.layerCount {
            shapes.append((.inputWeight(layer: layer), [rows, architecture.inputSize(ofLayer: layer)]))
            shapes.append((.recurrentWeight(layer: layer), [rows, architecture.hiddenSize]))
            shapes.append((.inputBias(layer: layer), [rows]))
            shapes.append((.recurrentBias(layer: layer), [rows]))
        }
        shapes.append((.headWeight, [architecture.vocabularySize, architecture.hiddenSize]))
        shapes.append((.headBias, [architecture.vocabularySize]))

        var offset = 0
        var slots: [ParameterSlot] = []
        for (role, shape) in shapes {
            let slot = ParameterSlot(role: role, shape: shape, offset: offset)
            slots.append(slot)
            offset += slot.count
        }
        self.slots = slots
        self.count = offset
    }

    /// The slot of a role; every role of the architecture's layers has one.
    public subscript(role: ParameterRole) -> ParameterSlot {
        guard let slot = slots.first(where: { $0.role == role }) else {
            preconditionFailure("the layout has no \(role)")
        }
        return slot
    }
}
