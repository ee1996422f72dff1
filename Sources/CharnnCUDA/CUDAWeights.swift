import CharnnEngine

// The one copy of a network's parameters on a device, which training, scorers and predictors share; it owns their
// memory. What follows from the parameters is worked out in stream order: by training within each step, by the others
// where it is out of date.

/// A network's parameters on a device, and what follows from them.
final class CUDAWeights {
    let device: CUDADevice
    let network: NetworkPlan
    let layout: ParameterLayout
    /// In ``ParameterLayout``, fp32.
    let parameters: DeviceBuffer
    /// `[L, gH]`, what input products get as bias.
    private let bias: DeviceBuffer
    /// `[V, gH]`: the first layer's input product of every symbol, with its bias.
    let table: DeviceBuffer
    /// Counts changes of the parameters, for those who keep what follows from them.
    private(set) var generation = 0
    /// That of which `bias` and `table` are.
    private var preparedGeneration = -1

    var architecture: Architecture { network.architecture }

    init(_ device: CUDADevice, _ network: NetworkPlan) throws(EngineError) {
        self.device = device
        self.network = network
        layout = ParameterLayout(network)
        let (architecture, rows) = (network.architecture, network.gateUnits)
        parameters = try DeviceBuffer(device, bytes: layout.count * 4)
        bias = try DeviceBuffer(device, bytes: architecture.layerCount * rows * 4)
        table = try DeviceBuffer(device, bytes: architecture.vocabularySize * rows * 4)
    }

    /// Notes that the parameters have changed or may have.
    func touch() { generation += 1 }

    /// The address of a parameter tensor, or of its gradient or moment in another buffer of the same layout.
    func address(_ role: ParameterRole, in buffer: DeviceBuffer? = nil) -> DeviceAddress {
        (buffer ?? parameters).address + UInt64(layout[role].offset * 4)
    }

    /// The bias of a layer's input product, `[gH]`.
    func bias(ofLayer layer: Int) -> DeviceAddress {
        bias.address + UInt64(layer * network.gateUnits * 4)
    }

    /// Brings bias and table up to date if they are not.
    func prepare() throws(EngineError) {
        guard preparedGeneration != generation else { return }
        try enqueuePreparation()
        preparedGeneration = generation
    }

    /// Works bias and table out anew.
    ///
    /// - Parameter needsTable: Whether anything is looked up in it.
    func enqueuePreparation(needsTable: Bool = true) throws(EngineError) {
        let rows = network.gateUnits
        for layer in 0..<architecture.layerCount {
            try device.addBiases(
                input: address(.inputBias(layer: layer)), recurrent: address(.recurrentBias(layer: layer)),
                to: bias(ofLayer: layer), count: rows,
                // That of gates that stand apart lies inside a product, such as that with a GRU's reset gate.
                both: network.rowsBeforeApart)
        }
        guard needsTable else { return }
        try device.multiply(
            .floatNT, m: architecture.vocabularySize, n: rows, k: architecture.embeddingSize,
            Operand(address(.embedding), stride: architecture.embeddingSize),
            Operand(address(.inputWeight(layer: 0)), stride: architecture.embeddingSize),
            bias: bias(ofLayer: 0), into: Operand(table.address, stride: rows))
    }
}
