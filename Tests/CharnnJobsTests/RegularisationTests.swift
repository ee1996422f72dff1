import CharnnCheckpoint
import CharnnEngine
import CharnnJobs
import CharnnModel
import CharnnSpool
import CharnnTestSupport
import Testing

/// Jobs whose files say what is dropped, what decays, and how a forget gate begins.
@Suite struct RegularisationTests {
    private let fixture: JobFixture

    init() throws { fixture = try JobFixture() }

    @Test func `what decays and how a forget gate begins is as the file says`() throws {
        // Steps that hardly move anything, and shrink what decays.
        let job =
            JobFixture.training.replacing("lr: 0.01", with: "lr: 1e-6") + "  weight_average: 0\n  optimizer: adamw\n"
            + "  weight_decay: 100000\n"
        func last(_ name: String, _ keys: String) throws -> (parameters: [Float], layout: ParameterLayout) {
            #expect(try fixture.run(name, job + keys) == .done)
            let model = try Model(reading: fixture.output(name).lastModel, in: fixture.storage)
            return (model.parameters, ParameterLayout(model.architecture))
        }
        let (all, layout) = try last("a", "")
        #expect(all.allSatisfy { abs($0) < 1e-3 })

        let (weights, _) = try last("b", "  decay: weights\n  forget_bias: 1\n")
        for slot in layout.slots {
            let values = weights[slot.range]
            let decays = slot.shape.count == 2 && slot.role != .embedding
            #expect(values.allSatisfy { abs($0) < 1e-3 } == decays, "\(slot.name)")
        }
        for layer in 0..<2 {
            let bias = weights[layout[.inputBias(layer: layer)].range]
            let forget = bias.dropFirst(24).prefix(24)
            #expect(forget.allSatisfy { $0 > 0.7 } && bias.filter { $0 > 0.7 }.count == 24)
        }
        #expect(try fixture.run("b", job + "  decay: weights\n") == .badJob)
        #expect(fixture.output("b").status()?.reason?.contains("forget_bias=0.0 (was 1.0)") == true)
    }

    @Test(arguments: MaskSpan.allCases)
    func `a job that drops everywhere goes on to the same bytes, and with another dropout not at all`(
        span: MaskSpan
    ) throws {
        let job =
            JobFixture.training + "  dropout_input: 0.1\n  dropout_output: 0.25\n  dropout_mask: \(span.rawValue)\n"
        #expect(try fixture.run("whole", job) == .done)
        var checkpoints = 0
        fixture.onEvent = { [unowned fixture] event in
            guard event.kind == .checkpointSaved else { return }
            checkpoints += 1
            if checkpoints == 2 { fixture.stop.set() }
        }
        #expect(try fixture.run("parts", job) == .checkpointed)
        fixture.onEvent = nil
        let other = MaskSpan.allCases.filter { $0 != span }[0].rawValue
        for (own, words, told) in [
            ("dropout_input: 0.1", "dropout_input: 0.2", "dropout_input=0.2 (was 0.1)"),
            ("dropout_output: 0.25", "", "dropout_output=0.0 (was 0.25)"),
            ("mask: \(span.rawValue)", "mask: \(other)", "dropout_mask=\(other) (was \(span.rawValue))"),
        ] {
            #expect(try fixture.run("parts", job.replacing(own, with: words)) == .badJob)
            #expect(fixture.output("parts").status()?.reason?.contains(told) == true)
        }
        #expect(try fixture.run("parts", job) == .done)
        let (whole, parts) = (fixture.output("whole"), fixture.output("parts"))
        #expect(try fixture.bytes(whole.lastModel) == fixture.bytes(parts.lastModel))

        // What is fine-tuned drops as its model did, unless the file says otherwise.
        let tune = "train:\n  corpus: text.txt\n  from: whole\n  epochs: 1\n  dropout_output: 0\n"
        #expect(try fixture.run("tuned", tune) == .done)
        let tuned = try Model(reading: fixture.output("tuned").model, in: fixture.storage).architecture
        #expect(tuned.dropoutInput == 0.1 && tuned.dropoutOutput == 0 && tuned.dropoutMask == span)
        let resolved = try fixture.text(fixture.output("tuned").resolved)
        #expect(resolved.contains("\n  dropout_input: 0.1\n  dropout_output: 0.0\n  dropout_mask: \(span.rawValue)\n"))
    }
}
