import CharnnCPU
import CharnnEngine
import CharnnModel
import CharnnTraining
import Testing

@Suite struct TemperatureFitTests {
    /// A network that is sure of itself by a factor, of a text that it has never seen.
    private static func engine(_ sureness: Float) throws -> any Engine {
        let run = Run()
        let trained = try run.run()
        let engine = try run.engine()
        var parameters = trained.recorder.best.last?.parameters ?? []
        for slot in ParameterLayout(engine.architecture).slots where [.headWeight, .headBias].contains(slot.role) {
            for index in slot.range { parameters[index] *= sureness }
        }
        try engine.install(EngineState(parameters: parameters))
        return engine
    }

    private static let range = 0..<5401

    /// The summed loss of the halves at a temperature, asked directly.
    private static func losses(_ engine: any Engine, at temperature: Double) throws -> [Double] {
        let evaluator = Evaluator(Run.sentence, range: range)
        let score = try #require(try evaluator.score(with: engine, temperatures: [temperature]))
        return score.halves.map { $0[0] }
    }

    /// The least of a convex function, by comparing.
    private static func least(_ loss: (Double) throws -> Double) rethrows -> Double {
        var (low, high) = (TemperatureFit.range.lowerBound, TemperatureFit.range.upperBound)
        while high - low > 1e-6 {
            let (a, b) = (low + (high - low) / 3, high - (high - low) / 3)
            if try loss(a) < loss(b) { high = b } else { low = a }
        }
        return (low + high) / 2
    }

    @Test(arguments: [1.6, 1.9, 2.3] as [Float])
    func `one reading finds the temperature that many readings find`(sureness: Float) throws {
        let engine = try Self.engine(sureness)
        let evaluator = Evaluator(Run.sentence, range: Self.range)
        let score = try #require(try evaluator.score(with: engine, temperatures: TemperatureFit.nodes))
        let fit = try #require(score.fit)
        let whole = try Self.least { try Self.losses(engine, at: $0).reduce(0, +) }
        #expect(abs(fit.temperature - whole) < 1e-3, "\(fit.temperature), \(whole)")
        let halves = try (0..<2).map { half in try Self.least { try Self.losses(engine, at: $0)[half] } }
        #expect(halves[0] != halves[1])
        // Each half at the temperature of the other.
        let crossed = try Self.losses(engine, at: halves[1])[0] + Self.losses(engine, at: halves[0])[1]
        #expect(abs(fit.nats - crossed) / Double(score.count) < 1e-5)
        #expect(try abs(score.nats - Self.losses(engine, at: 1).reduce(0, +)) / score.nats < 1e-6)
    }

    @Test(arguments: [(0.2, 0.7), (4, 1.5)] as [(Float, Double)])
    func `what fits best outside the range is its end`(sureness: Float, expected: Double) throws {
        let evaluator = Evaluator(Run.sentence, range: Self.range)
        let engine = try Self.engine(sureness)
        let score = try #require(try evaluator.score(with: engine, temperatures: TemperatureFit.nodes))
        #expect(score.fit?.temperature == expected)
    }

    @Test func `a short text fits no temperature`() throws {
        let engine = try Self.engine(1.2)
        for (count, isFitted) in [(2000, false), (2001, true)] {
            let evaluator = Evaluator(Run.sentence, range: 0..<count)
            let score = try #require(try evaluator.score(with: engine, temperatures: TemperatureFit.nodes))
            #expect((score.fit != nil) == isFitted)
        }
        let plain = try #require(try Evaluator(Run.sentence, range: Self.range).score(with: engine))
        #expect(plain.fit == nil)
    }
}
