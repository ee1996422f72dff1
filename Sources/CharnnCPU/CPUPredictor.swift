import CCharnnKernels
import CharnnEngine

/// Predicts symbol after symbol on the calling thread, without allocation or lock.
///
/// A stream's sums do not depend on how many streams there are; several streams share the reading of the weights.
final class CPUPredictor: Predictor {
    let streams: Int
    private let engine: CPUEngine
    private let kernels: CharnnKernels
    /// Whether the first layer's input product is looked up; not for vocabularies whose table would be large.
    private let usesTable: Bool
    private var generation = -1
    /// `[L, streams, H]`, before and after a step in turn: a cell may not write what it still reads.
    private var hidden: (now: Buffer<Float>, next: Buffer<Float>)
    private var cell: (now: Buffer<Float>, next: Buffer<Float>)
    /// `[streams, gH]`, `[streams, gH]`, `[streams, H]`, `[streams, E]`
    private let gates: Buffer<Float>
    private let recurrent: Buffer<Float>
    private let candidate: Buffer<Float>
    private let embedded: Buffer<Float>

    init(engine: CPUEngine, streams: Int) throws(EngineError) {
        let d = engine.weights.dimensions
        let count = d.layerCount * streams * d.units
        self.engine = engine
        self.streams = streams
        kernels = engine.compute.kernels
        usesTable = d.symbols * d.gateUnits <= 16 << 20
        hidden = (try Buffer(count), try Buffer(count))
        let cells = d.architecture.hasCellState ? count : 0
        cell = (try Buffer(cells), try Buffer(cells))
        gates = try Buffer(streams * d.gateUnits)
        recurrent = try Buffer(streams * d.gateUnits)
        candidate = try Buffer(streams * d.units)
        embedded = try Buffer(streams * d.embedding)
    }

    func reset() {
        hidden.now.fill([])
        cell.now.fill([])
    }

    func advance(_ symbols: [Int32], logits: inout [Float]) throws(EngineError) {
        let d = engine.weights.dimensions
        guard symbols.count == streams, logits.count == streams * d.symbols,
            symbols.allSatisfy({ $0 >= 0 && $0 < d.symbols })
        else {
            throw EngineError(
                .mismatch, "The symbols or logits do not fit \(streams) streams and \(d.symbols) symbols.")
        }
        if generation != engine.generation {
            try engine.weights.prepare(table: usesTable, forward: false, backward: false, engine.compute)
            generation = engine.generation
        }
        symbols.withUnsafeBufferPointer { symbols in
            guard let symbols = symbols.baseAddress else { return }
            for layer in 0..<d.layerCount { advance(layer, symbols) }
        }
        hidden = (hidden.next, hidden.now)
        cell = (cell.next, cell.now)
        let parameters = engine.weights.parameters.base
        let top = hidden.now.base + (d.layerCount - 1) * streams * d.units
        logits.withUnsafeMutableBufferPointer { logits in
            guard let result = logits.baseAddress else { return }
            kernels.matrixVector(result, parameters + d.headWeight, top, d.symbols, d.units, streams)
            for s in 0..<streams { kernels.add(result + s * d.symbols, parameters + d.headBias, d.symbols) }
        }
    }

    /// One layer; its input is the embedding, or the layer below after this step.
    private func advance(_ layer: Int, _ symbols: UnsafePointer<Int32>) {
        let weights = engine.weights
        let d = weights.dimensions
        let parameters = weights.parameters.base
        let place = layer * streams * d.units
        let table = layer == 0 && usesTable ? weights.table : nil
        if table == nil {
            var input = UnsafePointer(hidden.next.base) + place - streams * d.units * (layer == 0 ? 0 : 1)
            if layer == 0 {
                for s in 0..<streams {
                    let source = parameters + Int(symbols[s]) * d.embedding
                    (embedded.base + s * d.embedding).update(from: source, count: d.embedding)
                }
                input = UnsafePointer(embedded.base)
            }
            kernels.matrixVector(
                gates.base, parameters + d.layers[layer].inputWeight, input, d.gateUnits, d.layers[layer].inputSize,
                streams)
        }
        kernels.matrixVector(
            recurrent.base, parameters + d.layers[layer].recurrentWeight, hidden.now.base + place, d.gateUnits,
            d.units, streams)
        let isGRU = d.architecture.cell == .gru
        var step = CharnnCellForward(
            rows: streams, units: d.units, input: table.map { UnsafePointer($0.base) } ?? UnsafePointer(gates.base),
            symbols: table == nil ? nil : symbols, recurrent: recurrent.base,
            bias: weights.bias.base + layer * d.gateUnits,
            candidateBias: isGRU ? weights.candidateBias(layer) : nil, gates: gates.base, candidate: candidate.base,
            hiddenBefore: hidden.now.base + place, cellBefore: cell.now.base + (cell.now.count == 0 ? 0 : place),
            hidden: hidden.next.base + place, cell: cell.next.base + (cell.next.count == 0 ? 0 : place))
        kernels.forward(d.architecture)(&step)
    }
}
