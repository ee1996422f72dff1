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
        #expect(plan(.gru).mask(below: 0) == nil && plan(.gru).mask(below: 3) == nil)
        #expect(plan(.gru, dropout: 0).masks.isEmpty && plan(.gru, layers: 1).masks.isEmpty)
        #expect(plan(.gru, layers: 1).architecture.dropsNothing && !plan(.gru).architecture.dropsNothing)
    }

    @Test func `dropout below and above the layers has numbers of its own, and a width`() {
        var architecture = plan(.lstm).architecture
        (architecture.dropoutInput, architecture.dropoutOutput) = (0.1, 0.2)
        architecture.dropoutMask = .sequence
        let all = NetworkPlan(architecture)
        #expect(all.masks.map(\.counter) == [0, 1, 2, 0xFFFF] && all.masks.map(\.width) == [4, 4, 4, 5])
        #expect(all.masks.map(\.probability) == [0.5, 0.5, 0.2, 0.1] && all.masks.allSatisfy { $0.isLocked })
        #expect(all.mask(below: 0)?.place == .input && all.mask(below: 3)?.place == .output(layer: 2))
        // What is dropped of the embedding is another thing for each character, and so is its product.
        #expect(!all.looksUpInput && all.products.allSatisfy { !$0.isLookedUp })
        #expect(all.operations(streams: 2, steps: 3) == plan(.lstm).operations(streams: 2, steps: 3) + 2 * 6 * 16 * 5)

        architecture.layerCount = 1
        #expect(NetworkPlan(architecture).masks.map(\.place) == [.output(layer: 0), .input])
        #expect(!architecture.dropsNothing && architecture.withoutDropout.dropsNothing)
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
