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
    /// What the plan says of it.
    public let tensor: NetworkPlan.Tensor
    /// Position of the first element in the flat buffer.
    public let offset: Int

    /// By which engines find the tensor; its place they take from ``offset``.
    public var role: ParameterRole { tensor.role }
    /// Row-major; the last dimension is contiguous.
    public var shape: [Int] { tensor.shape }
    /// What the tensor is called in model files.
    public var name: String { tensor.name }
    /// Elements.
    public var count: Int { shape.reduce(1, *) }
    /// Its elements in the flat buffer.
    public var range: Range<Int> { offset..<(offset + count) }
}

/// The order of all parameters in one flat buffer of floats: that of ``NetworkPlan/tensors``, without gaps.
///
/// Every engine hands out and takes parameters, gradients and moments in this layout. Gates are stacked in PyTorch's
/// order.
public struct ParameterLayout: Hashable, Sendable {
    /// In the order of the buffer.
    public let slots: [ParameterSlot]
    /// The number of parameters in all.
    public let count: Int

    /// The layout is a function of the architecture alone: two engines of one architecture exchange buffers as they
    /// are.
    public init(_ architecture: Architecture) { self.init(NetworkPlan(architecture)) }

    /// The layout of a plan's tensors.
    public init(_ plan: NetworkPlan) {
        var offset = 0
        slots = plan.tensors.map { tensor in
            let slot = ParameterSlot(tensor: tensor, offset: offset)
            offset += slot.count
            return slot
        }
        count = offset
    }

    /// The slot of a role; every role of the architecture's layers has one.
    public subscript(role: ParameterRole) -> ParameterSlot {
        guard let slot = slots.first(where: { $0.role == role }) else {
            preconditionFailure("the layout has no \(role)")
        }
        return slot
    }

    /// The buffer in pieces of which all elements decay or none does, as large as they can be.
    public var decayRanges: [(range: Range<Int>, decays: Bool)] {
        slots.reduce(into: []) { ranges, slot in
            if let last = ranges.last, last.decays == slot.tensor.decays {
                ranges[ranges.count - 1].range = last.range.lowerBound..<slot.range.upperBound
            } else {
                ranges.append((slot.range, slot.tensor.decays))
            }
        }
    }
}

extension ParameterLayout {
    /// Refuses another number of values than there are parameters.
    ///
    /// - Parameter what: What the values are, in the plural.
    /// - Throws: ``EngineError/Code/mismatch``.
    public func requireCount(_ count: Int, of what: String) throws(EngineError) {
        guard count == self.count else {
            throw EngineError(
                .mismatch, "The architecture has \(self.count) parameters, but \(count) \(what) were given.")
        }
    }
}
