import CharnnReports
import CharnnTraining
import Testing

@Suite struct VerdictTests {
    /// Rows of a hundred steps each with these losses.
    private func rows(validation: [Double?], training: [Double]) -> [MetricsRow] {
        zip(validation, training).enumerated().map { index, losses in
            MetricsRow(
                step: (index + 1) * 100, epoch: Double(index), trainLoss: losses.1, validationLoss: losses.0,
                learningRate: 0.001, gradientNorm: 1, charactersPerSecond: 1000, elapsedSeconds: Double(index))
        }
    }

    private let falling: [Double] = (0..<20).map { 2.5 - Double($0) * 0.05 }

    /// Twenty losses that fall by a tenth and from a turning point on change by `slope`.
    private func curve(turningAt turn: Int, slope: Double) -> [Double] {
        (0..<20).map { index -> Double in
            let fallen = 2.5 - Double(min(index, turn - 1)) * 0.1
            return fallen + Double(max(0, index - turn + 1)) * slope
        }
    }

    @Test func `a loss that keeps falling is still falling`() {
        #expect(Verdict(rows(validation: falling, training: falling)) == .stillFalling)
    }

    @Test func `a loss that fell and then stays is flat`() {
        let flat = curve(turningAt: 8, slope: -0.0001)
        #expect(Verdict(rows(validation: flat, training: flat)) == .flat)
    }

    @Test func `validation that rises while training falls overfits since its best step`() {
        let validation = curve(turningAt: 10, slope: 0.02)
        #expect(Verdict(rows(validation: validation, training: falling)) == .overfitting(since: 1000))
    }

    @Test func `both losses that rise are told from overfitting`() {
        let losses = curve(turningAt: 10, slope: 0.05)
        #expect(Verdict(rows(validation: losses, training: losses)) == .rising(since: 1000))
    }

    @Test func `a rise within the margin is flat and one bad evaluation does not overfit`() {
        let small = curve(turningAt: 10, slope: 0.0001)
        #expect(Verdict(rows(validation: small, training: falling)) == .flat)
        let once = Array(falling.dropLast()) + [2.4]
        #expect(Verdict(rows(validation: once, training: falling)) == .stillFalling)
    }

    @Test func `too few evaluations say nothing`() {
        #expect(Verdict([]) == .tooEarly)
        #expect(Verdict(rows(validation: [2, 1], training: [2, 1])) == .tooEarly)
    }

    @Test func `without validation the training loss is judged`() {
        let none = [Double?](repeating: nil, count: 40)
        let losses: [Double] = (0..<40).map { 3 - Double($0) * 0.04 }
        #expect(Verdict(rows(validation: none, training: losses)) == .unvalidated(isFalling: true))
        let flat = [Double](repeating: 1.5, count: 40)
        #expect(Verdict(rows(validation: none, training: flat)) == .unvalidated(isFalling: false))
    }

    @Test func `each says in words what it found`() {
        #expect(Verdict.overfitting(since: 12000).sentences(isRunning: false).contains("since step 12,000"))
        #expect(Verdict.stillFalling.sentences(isRunning: false).contains("raise epochs"))
        #expect(Verdict.flat.short == "flat")
    }
}
