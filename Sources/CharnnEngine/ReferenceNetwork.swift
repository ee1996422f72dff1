/// The network's arithmetic: forward, and backward through time.
///
/// Time-major throughout: the row of stream `b` at time `t` is `t * B + b`.
struct ReferenceNetwork<Real: ReferenceReal> {
    let plan: NetworkPlan
    /// In ``ParameterLayout``.
    let parameters: [Real]
    let layout: ParameterLayout
    var architecture: Architecture { plan.architecture }

    init(_ plan: NetworkPlan, parameters: [Real]) {
        self.plan = plan
        self.parameters = parameters
        self.layout = ParameterLayout(plan)
    }

    /// What the forward pass of one layer leaves for the backward pass.
    struct LayerTrace {
        /// `[T, B, in]`, after dropout.
        var input: [Real]
        /// `[T, B, gH]`, activated.
        var gates: [Real] = []
        /// `[T, B, H]`: `W_hn h + b_hn` of a GRU.
        var candidate: [Real] = []
        /// `[T + 1, B, H]`; the first is the state before the sequence.
        var hidden: [Real]
        /// `[T + 1, B, H]`, LSTM.
        var cell: [Real]
    }

    struct Trace {
        var symbols: [Int]
        var streams: Int
        var layers: [LayerTrace]
        /// `[T, B, H]`: what the head reads, after dropout.
        var top: [Real]
        /// `[T, B, V]`
        var logits: [Real]
        var finalState: ReferenceState<Real>
    }

    /// - Parameter symbols: `[T, B]`.
    @_specialize(where Real == Double)
    @_specialize(where Real == Float)
    func forward(_ symbols: [Int], from state: ReferenceState<Real>, dropout: ReferenceDropout?) -> Trace {
        let (B, H, E) = (state.streams, architecture.hiddenSize, architecture.embeddingSize)
        let embedding = layout[.embedding].offset
        var input = symbols.flatMap { parameters[embedding + $0 * E..<embedding + ($0 + 1) * E] }
        var layers: [LayerTrace] = []
        var final = ReferenceState<Real>(streams: B)
        for layer in 0..<architecture.layerCount {
            dropout?.apply(plan.mask(below: layer), to: &input, streams: B)
            let slice = layer * B * H..<(layer + 1) * B * H
            var trace = LayerTrace(
                input: input, hidden: Array(state.hidden[slice]),
                cell: plan.has(.cell) ? Array(state.cell[slice]) : [])
            for row in 0..<symbols.count { advance(layer, row: row, &trace) }
            input = Array(trace.hidden.dropFirst(B * H))
            final.hidden += trace.hidden.suffix(B * H)
            if plan.has(.cell) { final.cell += trace.cell.suffix(B * H) }
            layers.append(trace)
        }
        dropout?.apply(plan.mask(below: architecture.layerCount), to: &input, streams: B)
        var logits: [Real] = []
        for row in 0..<symbols.count {
            let head = product(.headWeight, input[row * H..<(row + 1) * H])
            let bias = layout[.headBias].offset
            for v in head.indices { logits.append(head[v] + parameters[bias + v]) }
        }
        return Trace(symbols: symbols, streams: B, layers: layers, top: input, logits: logits, finalState: final)
    }

    /// One cell of one layer for one stream and time; appends to the trace.
    @_specialize(where Real == Double)
    @_specialize(where Real == Float)
    private func advance(_ layer: Int, row: Int, _ trace: inout LayerTrace) {
        let (H, width) = (architecture.hiddenSize, architecture.inputSize(ofLayer: layer))
        let inputBias = layout[.inputBias(layer: layer)].offset
        let recurrentBias = layout[.recurrentBias(layer: layer)].offset
        var x = product(.inputWeight(layer: layer), trace.input[row * width..<(row + 1) * width])
        var w = product(.recurrentWeight(layer: layer), trace.hidden[row * H..<(row + 1) * H])
        for j in x.indices {
            x[j] += parameters[inputBias + j]
            w[j] += parameters[recurrentBias + j]
        }
        switch architecture.cell {
        case .rnn:
            for j in 0..<H {
                let sum = x[j] + w[j]
                trace.hidden.append(
                    architecture.nonlinearity == .tanh ? Real.hyperbolicTangent(sum) : sum < 0 ? 0 : sum)
            }
        case .gru:
            let r = (0..<H).map { Real.sigmoid(x[$0] + w[$0]) }
            let z = (0..<H).map { Real.sigmoid(x[H + $0] + w[H + $0]) }
            let n = (0..<H).map { Real.hyperbolicTangent(x[2 * H + $0] + r[$0] * w[2 * H + $0]) }
            trace.gates += r + z + n
            trace.candidate += w[(2 * H)...]
            for j in 0..<H { trace.hidden.append((1 - z[j]) * n[j] + z[j] * trace.hidden[row * H + j]) }
        case .lstm:
            let i = (0..<H).map { Real.sigmoid(x[$0] + w[$0]) }
            let f = (0..<H).map { Real.sigmoid(x[H + $0] + w[H + $0]) }
            let g = (0..<H).map { Real.hyperbolicTangent(x[2 * H + $0] + w[2 * H + $0]) }
            let o = (0..<H).map { Real.sigmoid(x[3 * H + $0] + w[3 * H + $0]) }
            trace.gates += i + f + g + o
            for j in 0..<H {
                let cell = f[j] * trace.cell[row * H + j] + i[j] * g[j]
                trace.cell.append(cell)
                trace.hidden.append(o[j] * Real.hyperbolicTangent(cell))
            }
        }
    }

    /// The cross-entropy of each target in nats, `[T, B]`, and the gradient of their mean in ``ParameterLayout``.
    ///
    /// - Parameter targets: `[T, B]`.
    @_specialize(where Real == Double)
    @_specialize(where Real == Float)
    func backward(_ trace: Trace, targets: [Int], dropout: ReferenceDropout?) -> (losses: [Real], gradient: [Real]) {
        let (B, H, V) = (trace.streams, architecture.hiddenSize, architecture.vocabularySize)
        var gradient = [Real](repeating: 0, count: layout.count)
        var upper = [Real](repeating: 0, count: targets.count * H)
        var losses: [Real] = []
        for (row, target) in targets.enumerated() {
            var probabilities = trace.logits[row * V..<(row + 1) * V].map { $0 }
            losses.append(ReferenceNetwork.crossEntropy(&probabilities, target: target))
            probabilities[target] -= 1
            for v in 0..<V { probabilities[v] /= Real(targets.count) }
            for v in 0..<V { gradient[layout[.headBias].offset + v] += probabilities[v] }
            addOuter(.headWeight, probabilities, trace.top[row * H..<(row + 1) * H], &gradient)
            addTransposed(.headWeight, probabilities, to: &upper, at: row * H)
        }
        dropout?.apply(plan.mask(below: architecture.layerCount), to: &upper, streams: B)
        for layer in (0..<architecture.layerCount).reversed() {
            upper = backward(layer, trace.layers[layer], upper: upper, streams: B, &gradient)
            dropout?.apply(plan.mask(below: layer), to: &upper, streams: B)
        }
        let (E, embedding) = (architecture.embeddingSize, layout[.embedding].offset)
        for (row, symbol) in trace.symbols.enumerated() {
            for e in 0..<E { gradient[embedding + symbol * E + e] += upper[row * E + e] }
        }
        return (losses, gradient)
    }

    /// One layer backward through time; returns the gradient of its input, `[T, B, in]`.
    @_specialize(where Real == Double)
    @_specialize(where Real == Float)
    private func backward(
        _ layer: Int, _ trace: LayerTrace, upper: [Real], streams: Int, _ gradient: inout [Real]
    ) -> [Real] {
        let (B, H) = (streams, architecture.hiddenSize)
        let width = architecture.inputSize(ofLayer: layer)
        let rows = upper.count / H
        var lower = [Real](repeating: 0, count: rows * width)
        // The gradient of the state before each row's time step; rows go backwards in time.
        var hidden = [Real](repeating: 0, count: B * H)
        var cell = [Real](repeating: 0, count: B * H)
        for row in (0..<rows).reversed() {
            let b = row % B
            let dh = (0..<H).map { upper[row * H + $0] + hidden[b * H + $0] }
            var dc = Array(cell[b * H..<(b + 1) * H])
            var before = [Real](repeating: 0, count: H)
            let (x, w) = cellGradients(trace, row: row, streams: B, dh, &dc, &before)
            cell.replaceSubrange(b * H..<(b + 1) * H, with: dc)
            for j in x.indices {
                gradient[layout[.inputBias(layer: layer)].offset + j] += x[j]
                gradient[layout[.recurrentBias(layer: layer)].offset + j] += w[j]
            }
            addOuter(.inputWeight(layer: layer), x, trace.input[row * width..<(row + 1) * width], &gradient)
            addOuter(.recurrentWeight(layer: layer), w, trace.hidden[row * H..<(row + 1) * H], &gradient)
            addTransposed(.inputWeight(layer: layer), x, to: &lower, at: row * width)
            addTransposed(.recurrentWeight(layer: layer), w, to: &before, at: 0)
            hidden.replaceSubrange(b * H..<(b + 1) * H, with: before)
        }
        return lower
    }

    /// The gradients of the gates before activation, as the input product and the recurrent product get them.
    ///
    /// - Parameters:
    ///   - dc: In: the gradient of the cell state after the step; out: before it.
    ///   - before: The part of the gradient of the hidden state before that passes beside the weights is added here.
    private func cellGradients(
        _ trace: LayerTrace, row: Int, streams: Int, _ dh: [Real], _ dc: inout [Real], _ before: inout [Real]
    ) -> (input: [Real], recurrent: [Real]) {
        let (H, after) = (architecture.hiddenSize, (row + streams) * architecture.hiddenSize)
        switch architecture.cell {
        case .rnn:
            let d = (0..<H).map { j in
                let h = trace.hidden[after + j]
                return architecture.nonlinearity == .tanh ? dh[j] * (1 - h * h) : h > 0 ? dh[j] : 0
            }
            return (d, d)
        case .gru:
            var (x, w) = ([Real](repeating: 0, count: 3 * H), [Real](repeating: 0, count: 3 * H))
            for j in 0..<H {
                let (r, z) = (trace.gates[row * 3 * H + j], trace.gates[row * 3 * H + H + j])
                let n = trace.gates[row * 3 * H + 2 * H + j]
                let dn = dh[j] * (1 - z) * (1 - n * n)
                x[j] = dn * trace.candidate[row * H + j] * r * (1 - r)
                x[H + j] = dh[j] * (trace.hidden[row * H + j] - n) * z * (1 - z)
                x[2 * H + j] = dn
                (w[j], w[H + j], w[2 * H + j]) = (x[j], x[H + j], dn * r)
                before[j] += dh[j] * z
            }
            return (x, w)
        case .lstm:
            var d = [Real](repeating: 0, count: 4 * H)
            for j in 0..<H {
                let (i, f) = (trace.gates[row * 4 * H + j], trace.gates[row * 4 * H + H + j])
                let (g, o) = (trace.gates[row * 4 * H + 2 * H + j], trace.gates[row * 4 * H + 3 * H + j])
                let t = Real.hyperbolicTangent(trace.cell[after + j])
                let total = dc[j] + dh[j] * o * (1 - t * t)
                d[j] = total * g * i * (1 - i)
                d[H + j] = total * trace.cell[row * H + j] * f * (1 - f)
                d[2 * H + j] = total * i * (1 - g * g)
                d[3 * H + j] = dh[j] * t * o * (1 - o)
                dc[j] = total * f
            }
            return (d, d)
        }
    }

    /// Turns logits into probabilities and returns the cross-entropy of `target` in nats.
    static func crossEntropy(_ logits: inout [Real], target: Int) -> Real {
        let largest = logits.reduce(-Real.infinity) { max($0, $1) }
        let scored = logits[target] - largest
        for v in logits.indices { logits[v] = Real.exponential(logits[v] - largest) }
        let sum = logits.reduce(0, +)
        for v in logits.indices { logits[v] /= sum }
        return Real.logarithm(sum) - scored
    }

    /// `W x` for `W` of a role, `[rows, columns]`.
    @_specialize(where Real == Double)
    @_specialize(where Real == Float)
    private func product(_ role: ParameterRole, _ x: ArraySlice<Real>) -> [Real] {
        let slot = layout[role]
        return (0..<slot.shape[0]).map { r in
            var sum: Real = 0
            let row = slot.offset + r * slot.shape[1] - x.startIndex
            for k in x.indices { sum += parameters[row + k] * x[k] }
            return sum
        }
    }

    /// Adds `W^T d` to `result` from `start` on.
    @_specialize(where Real == Double)
    @_specialize(where Real == Float)
    private func addTransposed(_ role: ParameterRole, _ d: [Real], to result: inout [Real], at start: Int) {
        let slot = layout[role]
        let columns = slot.shape[1]
        for r in d.indices {
            for k in 0..<columns { result[start + k] += parameters[slot.offset + r * columns + k] * d[r] }
        }
    }

    /// Adds `d x^T` to the gradient of a role.
    @_specialize(where Real == Double)
    @_specialize(where Real == Float)
    private func addOuter(_ role: ParameterRole, _ d: [Real], _ x: ArraySlice<Real>, _ gradient: inout [Real]) {
        let slot = layout[role]
        for r in d.indices {
            let row = slot.offset + r * x.count - x.startIndex
            for k in x.indices { gradient[row + k] += d[r] * x[k] }
        }
    }
}
