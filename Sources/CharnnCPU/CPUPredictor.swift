import CCharnnKernels
import CharnnEngine

/// Predicts symbol after symbol, without allocation or lock.
///
/// One symbol takes a look at every weight and hardly more, so that memory is the limit. Packed weights are read from end
/// to end; where those of a layer are many, all threads read them, each its own part. A stream's sums do not depend on how
/// many streams there are; several streams share the reading of the weights.
final class CPUPredictor: Predictor {
    let streams: Int
    private let engine: CPUEngine
    private let kernels: CharnnKernels
    /// Whether the first layer's input product is looked up; not for vocabularies whose table would be large.
    private let usesTable: Bool
    private var generation = -1
    /// As of that generation; nil where kernels of our own do not make the products.
    private var packed: PackedWeights?
    /// `[L, streams, H]`, before and after a step in turn: a cell may not write what it still reads.
    private var hidden: (now: Buffer<Float>, next: Buffer<Float>)
    private var cell: (now: Buffer<Float>, next: Buffer<Float>)
    /// `[streams, gH]`, `[streams, gH]`, `[streams, H]` for each gate that stands apart, `[streams, E]`
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
        let cells = d.plan.has(.cell) ? count : 0
        cell = (try Buffer(cells), try Buffer(cells))
        gates = try Buffer(streams * d.gateUnits)
        recurrent = try Buffer(streams * d.gateUnits)
        candidate = try Buffer(streams * d.apartUnits.count)
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
        if generation != engine.weights.generation {
            try engine.weights.prepare(table: usesTable, engine.compute)
            if let products = engine.compute.products {
                packed = try engine.weights.packed(
                    for: products, table: usesTable, backward: false, engine.compute.pool)
            }
            generation = engine.weights.generation
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
            kernels.matrixVector(result, parameters + d.headWeight, top, d.symbols, d.units, streams, d.symbols)
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
        var input = UnsafePointer(hidden.next.base) + place - streams * d.units * (layer == 0 ? 0 : 1)
        if layer == 0, table == nil {
            for s in 0..<streams {
                let source = parameters + Int(symbols[s]) * d.embedding
                (embedded.base + s * d.embedding).update(from: source, count: d.embedding)
            }
            input = UnsafePointer(embedded.base)
        }
        multiply(Products(layer: layer, input: table == nil ? input : nil, hidden: hidden.now.base + place))
        var step = CharnnCellForward(
            rows: streams, units: d.units, input: table.map { UnsafePointer($0.base) } ?? UnsafePointer(gates.base),
            symbols: table == nil ? nil : symbols, recurrent: recurrent.base,
            bias: weights.bias.base + layer * d.gateUnits,
            candidateBias: weights.candidateBias(layer), gates: gates.base, candidate: candidate.base,
            hiddenBefore: hidden.now.base + place, cellBefore: cell.now.base + (cell.now.count == 0 ? 0 : place),
            hidden: hidden.next.base + place, cell: cell.next.base + (cell.next.count == 0 ? 0 : place))
        kernels.forward(d.architecture)(&step)
    }

    /// The products of one layer: all its weights with every stream's vector.
    private struct Products {
        let layer: Int
        /// `[streams, in]`; nil: looked up.
        let input: UnsafePointer<Float>?
        /// `[streams, H]`
        let hidden: UnsafePointer<Float>
    }

    private func multiply(_ products: Products) {
        let d = engine.weights.dimensions
        let bytes = 4 * d.gateUnits * (d.units + (products.input == nil ? 0 : d.layers[products.layer].inputSize))
        // A round of the threads costs about what one thread needs to read this much from its cache.
        let tasks = bytes < 1 << 18 ? 1 : min(engine.compute.pool.count * 2, max(1, d.gateUnits / 64))
        var context = (predictor: Unmanaged.passUnretained(self), products: products, tasks: tasks)
        withUnsafeMutablePointer(to: &context) { pointer in
            engine.compute.pool.run(tasks, UnsafeMutableRawPointer(pointer)) { context, task in
                typealias Context = (predictor: Unmanaged<CPUPredictor>, products: Products, tasks: Int)
                let context = context.assumingMemoryBound(to: Context.self)
                context.pointee.predictor._withUnsafeGuaranteedRef {
                    $0.multiply(context.pointee.products, part: task, of: context.pointee.tasks)
                }
            }
        }
    }

    /// Some rows of the weights: whole panels, or a multiple of four, of which so many share the reading of a vector.
    private func multiply(_ products: Products, part: Int, of parts: Int) {
        let weights = engine.weights
        let d = weights.dimensions
        let multiple = packed == nil ? 4 : engine.compute.kernels.products.panel
        let units = (d.gateUnits - 1) / multiple + 1
        let first = part * units / parts * multiple
        let rows = min(d.gateUnits, (part + 1) * units / parts * multiple) - first
        guard rows > 0 else { return }
        let layer = d.layers[products.layer]
        func multiply(
            _ vectors: UnsafePointer<Float>, _ columns: Int, packed operand: PackedOperand?, _ weight: Int,
            into result: UnsafeMutablePointer<Float>
        ) {
            guard let words = operand?.words else {
                return kernels.matrixVector(
                    result + first, weights.parameters.base + weight + first * columns, vectors, rows, columns, streams,
                    d.gateUnits)
            }
            let panel = kernels.products.panel
            var product = CharnnProduct(
                m: streams, n: rows, words: columns, a: vectors, aTileStride: kernels.products.tileRows * columns,
                aRowStride: columns, aWordStride: 1, packed: words.base + first / panel * columns * panel,
                panelStride: columns * panel, c: result + first, cStride: d.gateUnits, accumulates: 0)
            kernels.products.multiply(&product)
        }
        let own = packed?.layers[products.layer]
        if let input = products.input {
            multiply(input, layer.inputSize, packed: own?.inputForward, layer.inputWeight, into: gates.base)
        }
        multiply(products.hidden, d.units, packed: own?.recurrentForward, layer.recurrentWeight, into: recurrent.base)
    }
}
