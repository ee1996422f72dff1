import CharnnEngine
import Testing

/// What a network is said to consist of, by hand and within itself.
@Suite struct NetworkPlanTests {
    private func plan(_ cell: Cell, dropout: Double = 0.5, layers: Int = 3) -> NetworkPlan {
        NetworkPlan(
            Architecture(
                cell: cell, vocabularySize: 7, embeddingSize: 5, hiddenSize: 4, layerCount: layers, dropout: dropout))
    }

    @Test(arguments: Cell.allCases)
    func `every product has the shape of its weights, and every matrix but the embedding a product`(cell: Cell) {
        let plan = plan(cell)
        let shapes = Dictionary(uniqueKeysWithValues: plan.tensors.map { ($0.role, $0.shape) })
        for product in plan.products { #expect(shapes[product.weight] == [product.n, product.k]) }
        let matrices = plan.tensors.filter { $0.shape.count == 2 && $0.role != .embedding }.map(\.role)
        #expect(Set(plan.products.map(\.weight)) == Set(matrices) && plan.products.count == matrices.count)
        #expect(plan.products.filter(\.isLookedUp).map(\.weight) == [.inputWeight(layer: 0)])
    }

    @Test(arguments: Cell.allCases)
    func `names are told apart, and the count is that of the layout`(cell: Cell) {
        let plan = plan(cell)
        #expect(Set(plan.tensors.map(\.name)).count == plan.tensors.count)
        #expect(plan.approximateParameterCount == Double(ParameterLayout(plan).count))
        #expect(plan.state.first?.name == .hidden)
        // Gates apart are the last ones.
        #expect(plan.gatesApart.isEmpty || plan.gatesApart.upperBound == plan.gates)
    }

    @Test func `an LSTM's step takes the operations that a hand counts`() {
        // Layers of H 4: an input product for two of them, a recurrent one for all three; then the head.
        let forward = 2.0 * 6 * Double(2 * 16 * 4 + 3 * 16 * 4 + 7 * 4)
        #expect(plan(.lstm).operations(streams: 2, steps: 3) == forward)
    }

    @Test func `dropout lies between layers, where there are several`() {
        #expect(plan(.gru).masks.map(\.place) == [.output(layer: 0), .output(layer: 1)])
        #expect(plan(.gru).mask(ofOutput: 2) == nil && plan(.gru).mask(ofOutput: -1) == nil)
        #expect(plan(.gru, dropout: 0).masks.isEmpty && plan(.gru, layers: 1).masks.isEmpty)
    }

    @Test(arguments: Cell.allCases)
    func `of weights alone decay the matrices that products have`(cell: Cell) {
        let all = plan(cell)
        let weights = NetworkPlan(all.architecture, decay: .weights)
        #expect(all.tensors.allSatisfy { $0.decays })
        #expect(Set(weights.tensors.filter(\.decays).map(\.role)) == Set(all.products.map(\.weight)))
    }

    @Test func `of the cells an LSTM has a gate that forgets, the second`() {
        #expect(Cell.allCases.filter(\.hasForgetGate) == [.lstm])
        #expect(plan(.lstm).forgetRows == 4..<8 && plan(.gru).forgetRows.isEmpty)
    }

    @Test func `pieces of parameters that decay are as large as they can be and leave none out`() {
        var plan = plan(.rnn)
        #expect(ParameterLayout(plan).decayRanges.map(\.range) == [0..<ParameterLayout(plan).count])
        plan.tensors[0].decays = false
        plan.tensors[3].decays = false
        let layout = ParameterLayout(plan)
        let ranges = layout.decayRanges
        #expect(ranges.map(\.decays) == [false, true, false, true])
        #expect(ranges.flatMap { Array($0.range) } == Array(0..<layout.count))
        #expect(ranges[2].range == layout.slots[3].range)
    }
}
