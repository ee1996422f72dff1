import CharnnCPU
import CharnnEngine
import CharnnModel
import CharnnTraining
import Testing

@Suite struct DynamicEvaluationTests {
    private static let architecture = Architecture(
        cell: .gru, vocabularySize: Run.vocabularySize, embeddingSize: 10, hiddenSize: 17, layerCount: 2)

    /// A network that has learned a little of the first half of the text.
    private static func engine() throws -> any Engine {
        var run = Run()
        (run.cell, run.dropout, run.settings.epochs) = (.gru, 0, 1)
        return try CPUEngine(architecture: architecture, parameters: try run.run().parameters)
    }

    private static func statistics(_ engine: any Engine) throws -> GradientStatistics {
        try #require(try GradientStatistics(of: engine, Run.sentence, range: 0..<2500, seed: 3))
    }

    private static let tail = 3000..<4001

    private static func rule(_ rate: Double) -> AdaptationRule {
        var rule = AdaptationRule(rate: rate)
        rule.segment = 13
        return rule
    }

    private static func begin(
        _ rate: Double, leavingOut leftOut: PositionSet? = nil,
        goingOnFrom state: (EngineState, DynamicEvaluation.Progress)? = nil
    ) throws -> DynamicEvaluation {
        let engine = try engine()
        return try DynamicEvaluation(
            engine, Run.sentence, range: tail, leavingOut: leftOut, statistics: try statistics(engine),
            rule: rule(rate), goingOnFrom: state)
    }

    @Test func `a network that learns from what it has scored scores the rest better`() throws {
        let still = try #require(try Self.begin(0).score())
        let learning = try #require(try Self.begin(0.002).score())
        #expect(still.count == 1000 && learning.count == 1000)
        #expect(learning.loss < 0.97 * still.loss, "\(learning.loss), \(still.loss)")
        let scored = try #require(try Evaluator(Run.sentence, range: Self.tail).score(with: Self.engine()))
        #expect(abs(still.loss - scored.loss) < 1e-5)
    }

    /// What it is told of the first segment cannot have changed what it says of it.
    @Test func `a segment is scored before it is learned from`() throws {
        func first(_ rate: Double) throws -> Double {
            let evaluation = try Self.begin(rate)
            _ = try evaluation.score { evaluation.progress.done > 0 }
            #expect(evaluation.progress.count == 13)
            return evaluation.progress.nats
        }
        #expect(try first(0.05) == first(0))
    }

    @Test(arguments: [1, 7, 40]) func `one that is stopped goes on to the same figure`(segments: Int) throws {
        let whole = try #require(try Self.begin(0.002).score())
        var state: (EngineState, DynamicEvaluation.Progress)?
        var found: EvaluationScore?
        repeat {
            let evaluation = try Self.begin(0.002, goingOnFrom: state)
            var asked = 0
            found = try evaluation.score {
                asked += 1
                return asked > segments
            }
            state = (try evaluation.snapshot(), evaluation.progress)
        } while found == nil
        #expect(found == whole)
    }

    @Test func `each character that counts is told once, and their sum is the score`() throws {
        var leftOut = PositionSet()
        for position in stride(from: 3100, to: 3900, by: 29) { leftOut.insert(position) }
        let evaluation = try Self.begin(0.002, leavingOut: leftOut)
        var told: [(position: Int, logarithm: Double)] = []
        evaluation.observer = { told.append(($0, Double($1))) }
        let score = try #require(try evaluation.score())
        #expect(told.map(\.position) == Self.tail.dropFirst().filter { !leftOut.contains($0) })
        #expect(abs(told.reduce(0) { $0 - $1.logarithm } - score.nats) < 1e-3)
    }

    @Test(arguments: [1.0, 1.3]) func `each one is told by itself where nothing is learned, too`(
        temperature: Double
    ) throws {
        var leftOut = PositionSet()
        for position in stride(from: 100, to: 4000, by: 53) { leftOut.insert(position) }
        let evaluator = Evaluator(Run.sentence, range: 10..<4001, leavingOut: leftOut)
        let engine = try Self.engine()
        var told: [Int: Double] = [:]
        let score = try #require(
            try evaluator.score(
                with: engine, temperatures: [temperature],
                observer: .init(at: temperature) { position, logarithm in
                    if told.updateValue(Double(logarithm), forKey: position) != nil {
                        Issue.record("\(position) is told twice")
                    }
                }))
        #expect(told.keys.sorted() == (11..<4001).filter { !leftOut.contains($0) })
        #expect(abs(told.values.reduce(0, -) - score.halves[0][0] - score.halves[1][0]) < 1e-2)
        #expect(try evaluator.score(with: engine, temperatures: [temperature]) == score)
    }

    @Test func `characters that are left out neither count nor teach`() throws {
        var leftOut = PositionSet()
        for position in stride(from: 3100, to: 3900, by: 29) { leftOut.insert(position) }
        let still = try #require(try Self.begin(0, leavingOut: leftOut).score())
        let scored = try #require(
            try Evaluator(Run.sentence, range: Self.tail, leavingOut: leftOut).score(with: Self.engine()))
        #expect(still.count == scored.count && abs(still.loss - scored.loss) < 1e-5)
        var alone = PositionSet()
        for position in 3001..<4001 { alone.insert(position) }
        let evaluation = try Self.begin(0.01, leavingOut: alone)
        let before = try evaluation.snapshot().parameters
        #expect(try evaluation.score()?.count == 0)
        #expect(try evaluation.snapshot().parameters == before)
    }

    @Test func `where learning runs away it ends, and scoring goes on with the weights of the beginning`() throws {
        let evaluation = try Self.begin(1e30)
        let score = try #require(try evaluation.score())
        let frozen = try #require(evaluation.progress.frozenAt)
        #expect(frozen > 0 && frozen < 1000 && score.count == 1000 && score.loss.isFinite)
        #expect(try evaluation.snapshot().parameters == Self.engine().parameters())
    }

    @Test func `statistics are those of their seed, and of the text that was trained on`() throws {
        let engine = try Self.engine()
        let one = try Self.statistics(engine)
        #expect(try Self.statistics(engine) == one && one.meanSquares.allSatisfy { $0.isFinite && $0 >= 0 })
        #expect(try GradientStatistics(of: engine, Run.sentence, range: 0..<2500, seed: 4) != one)
        #expect(try GradientStatistics(of: engine, Run.sentence, range: 0..<2, seed: 4) != nil)
        #expect(try GradientStatistics(of: engine, Run.sentence, range: 0..<90, seed: 4, shouldStop: { true }) == nil)
    }
}
