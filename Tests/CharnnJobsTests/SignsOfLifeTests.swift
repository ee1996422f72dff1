import CharnnEngine
import CharnnJobs
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import CharnnTraining
import Glibc
import Synchronization
import SystemPackage
import Testing

/// Each phase of a job gives signs of life: between two of them no more goes by than one operation takes. The clock is
/// told how long that is.
@Suite struct SignsOfLifeTests {
    private let fixture: JobFixture
    init() throws { fixture = try JobFixture() }

    /// A clock that goes on by what is done, and the longest silence by it.
    private final class Watch: Sendable {
        private struct State {
            var now = 1000.0
            var lastSign = 1000.0
            var longestSilence = 0.0
            var phase = ""
            var silentIn = ""
            var phases: Set<String> = []
        }
        private let state = Mutex(State())

        func pass(_ seconds: Double) { state.withLock { $0.now += seconds } }
        func enter(_ phase: String) {
            state.withLock {
                $0.phase = phase
                $0.phases.insert(phase)
            }
        }
        func sign() {
            state.withLock { state in
                if state.now - state.lastSign > state.longestSilence {
                    state.longestSilence = state.now - state.lastSign
                    state.silentIn = state.phase
                }
                state.lastSign = state.now
            }
        }
        var longestSilence: (seconds: Double, phase: String) { state.withLock { ($0.longestSilence, $0.silentIn) } }
        var phases: Set<String> { state.withLock { $0.phases } }
        var clock: SpoolClock {
            let now: @Sendable () -> Double = { self.state.withLock { $0.now } }
            return SpoolClock(monotonic: now, wall: { 1.7e9 + now() })
        }
    }

    /// Each operation on the disk takes half a second, and each of the engine two.
    @Test func `no phase of a job is silent for longer than one operation takes`() throws {
        let watch = Watch()
        let storage = MeddlingStorage { _, _ in watch.pass(0.5) }
        let pulse = Pulse(clock: watch.clock) { watch.sign() }
        let job =
            JobFixture.training.replacing("epochs: 3", with: "epochs: 1\n  eval_every: 25\n  sample_every: 40")
            .replacing("dropout: 0.2", with: "dropout: 0.2\n  val_fraction: 0.5")
            + "generate:\n  length: 30\n  count: 40\nevaluate:\n  corpus: text.txt\n"
        fixture.onProgress = { watch.enter($0.phase.map { String($0.prefix { $0 != " " }) } ?? "") }
        let exit = try fixture.run(
            "a", job, on: storage, clock: watch.clock, pulse: pulse,
            engines: SlowEngines(base: Engines(), watch: watch.pass)
        )
        #expect(exit == .done)
        #expect(watch.phases.isSuperset(of: ["encoding", "training", "evaluating", "generating", "judging"]))
        let (seconds, phase) = watch.longestSilence
        #expect(seconds <= 4, "\(seconds) s of silence while \(phase)")
    }

    @Test func `what is vouched for gives signs for a while, and then counts as hung`() {
        let signs = Mutex(0)
        let pulse = Pulse { signs.withLock { $0 += 1 } }
        _ = pulse.vouch(atMost: 1.5) { usleep(3_600_000) }
        // One a second, and none when the time was over.
        #expect(signs.withLock { $0 } == 1)
    }
}

/// Engines of which each operation takes two seconds.
private struct SlowEngines: EngineProvider {
    let base: Engines
    let watch: @Sendable (Double) -> Void

    func makeEngine(
        _ choice: EngineChoice, plan: NetworkPlan, parameters: [Float]
    ) throws(EngineError) -> any Engine {
        watch(1)
        return SlowEngine(try base.makeEngine(choice, plan: plan, parameters: parameters), watch)
    }

    func predictedBytes(
        _ choice: EngineChoice, architecture: Architecture, batchSize: Int, sequenceLength: Int
    ) -> UInt64 { 0 }
}

private final class SlowEngine: Engine {
    private let base: any Engine
    private let pass: (Double) -> Void

    init(_ base: any Engine, _ pass: @escaping (Double) -> Void) {
        self.base = base
        self.pass = pass
    }

    var architecture: Architecture { base.architecture }
    var configuration: EngineConfiguration { base.configuration }
    var stepsInFlight: Int { base.stepsInFlight }
    func install(_ state: EngineState) throws(EngineError) {
        pass(2)
        try base.install(state)
    }
    func snapshot() throws(EngineError) -> EngineState {
        pass(2)
        return try base.snapshot()
    }
    func parameters() throws(EngineError) -> [Float] {
        pass(2)
        return try base.parameters()
    }
    func exchangeAverage() throws(EngineError) {
        pass(2)
        try base.exchangeAverage()
    }
    func submit(_ step: TrainingStep, of text: SymbolText) throws(EngineError) {
        pass(2)
        try base.submit(step, of: text)
    }
    func drain() throws(EngineError) -> [StepOutcome] { try base.drain() }
    func characterLosses() throws(EngineError) -> [Float] { try base.characterLosses() }
    func gradient(of step: TrainingStep, of text: SymbolText) throws(EngineError) -> (loss: Double, gradient: [Float]) {
        try base.gradient(of: step, of: text)
    }
    func makeScorer(streams: Int) throws(EngineError) -> any Scorer {
        SlowScorer(try base.makeScorer(streams: streams), pass)
    }
    func makePredictor(streams: Int) throws(EngineError) -> any Predictor {
        SlowPredictor(try base.makePredictor(streams: streams), pass)
    }
}

private final class SlowScorer: Scorer {
    private let base: any Scorer
    private let pass: (Double) -> Void
    var streams: Int { base.streams }

    init(_ base: any Scorer, _ pass: @escaping (Double) -> Void) {
        self.base = base
        self.pass = pass
    }

    func reset() { base.reset() }
    func score(
        _ text: SymbolText, starts: [Int], length: Int, temperatures: [Double], observe: (([Float]) -> Void)?
    ) throws(EngineError) -> [[Double]] {
        pass(2)
        return try base.score(
            text, starts: starts, length: length, temperatures: temperatures, observe: observe)
    }
}

private final class SlowPredictor: Predictor {
    private let base: any Predictor
    private let pass: (Double) -> Void
    var streams: Int { base.streams }

    init(_ base: any Predictor, _ pass: @escaping (Double) -> Void) {
        self.base = base
        self.pass = pass
    }

    func reset() { base.reset() }
    func advance(_ symbols: [Int32], logits: inout [Float]) throws(EngineError) {
        pass(2)
        try base.advance(symbols, logits: &logits)
    }
}
