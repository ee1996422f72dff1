import CharnnSpool
import Testing

struct JobTransitionsTests {
    /// Rows: what is recorded; columns: where the file lies. `.` nothing, `+X` adopt, `=X` record, `@X` again,
    /// `>X` move, `!` stop, `*X` restore.
    static let table = """
                     queue active held  done  failed cancelled rejected nowhere
        unknown      +q    +q     +h    .     .      .         .        .
        queued       .     >q     =h    >q    >q     =c        >q       *c
        running      !     .      !     >a    >a     !         >a       !
        interrupted  =q    >q     =h    >q    >q     =c        >q       *c
        held         =q    >q     .     >h    >h     =c        >h       *c
        succeeded    >d    >d     >d    =d    >d     >d        >d       *d
        broken       >f    >f     >f    >f    =f     >f        >f       *f
        done         @q    >q     @h    .     >d     >d        >d       .
        failed       @q    >q     @h    >f    .      >f        >f       .
        cancelled    @q    >q     @h    >c    >c     .         >c       .
        rejected     @q    >q     @h    >r    >r     >r        .        .
        """

    static let cells: [(RecordedState, JobState?, String)] = {
        let lines = table.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        return zip(RecordedState.allCases, lines.dropFirst()).flatMap { recorded, line in
            zip(lines[0], line.dropFirst()).map { (recorded, JobState(rawValue: $0), $1) }
        }
    }()

    private static func cell(_ transition: Transition) -> String {
        switch transition {
        case .nothing: "."
        case .adopt(let state): "+\(state.rawValue.prefix(1))"
        case .record(let state): "=\(state.rawValue.prefix(1))"
        case .again(let state): "@\(state.rawValue.prefix(1))"
        case .move(let state): ">\(state.rawValue.prefix(1))"
        case .stop: "!"
        case .restore(let state): "*\(state.rawValue.prefix(1))"
        }
    }

    @Test(arguments: cells)
    func `every pair of states has its answer`(recorded: RecordedState, place: JobState?, expected: String) {
        #expect(Self.cell(JobTransitions.decide(recorded, foundIn: place)) == expected)
    }

    @Test func `the table is complete`() {
        #expect(Self.cells.count == RecordedState.allCases.count * (JobState.allCases.count + 1))
    }
}

struct AttemptPolicyTests {
    private func policy(
        _ hasResult: Bool = false, stopped: Bool = false, progress: Bool = false, crashes: Int = 0, temporary: Int = 0
    ) -> AttemptPolicy {
        AttemptPolicy(
            hasResult: hasResult, wasStopped: stopped, hasProgress: progress, crashes: crashes,
            temporaryFailures: temporary)
    }

    @Test(arguments: [WorkerEnd.exited(0), .exited(85), .signalled(9), .hung])
    func `a result record decides however the worker ended`(end: WorkerEnd) {
        #expect(policy(true, crashes: 2).decide(end, lastWords: "") == .settle)
    }

    @Test func `a checkpoint or a stop puts the job back and counts for nothing`() {
        for (end, stopped) in [
            (WorkerEnd.exited(85), false), (.signalled(15), true), (.signalled(9), true), (.outOfMemory("all"), true),
        ] {
            let policy = policy(stopped: stopped, crashes: 2)
            let outcome = policy.decide(end, lastWords: "")
            #expect(outcome == .requeue(.stopped, reason: nil, delay: nil))
            #expect(policy.crashes(after: outcome) == 2)
        }
    }

    @Test func `temporary failures are tried again after one minute, then two, at most sixty`() {
        let delays = (0..<8).map { count -> Double? in
            if case .requeue(.temporary, _, let delay) = policy(temporary: count).decide(.exited(75), lastWords: "busy")
            {
                return delay
            }
            return nil
        }
        #expect(delays == [60, 120, 240, 480, 960, 1920, 3600, 3600])
    }

    @Test(arguments: [65, 66, 78])
    func `a bad job fails at once with its last words`(status: Int32) {
        guard case .fail(let reason) = policy().decide(.exited(status), lastWords: "no corpus") else {
            Issue.record("not failed")
            return
        }
        #expect(reason.hasSuffix(": no corpus"))
    }

    @Test(arguments: [
        WorkerEnd.signalled(11), .signalled(9), .outOfMemory("all"), .exited(1), .exited(0), .hung, .notStarted("gone"),
    ])
    func `the third crash in a row without a newer checkpoint holds the job`(end: WorkerEnd) {
        var crashes = 0
        var outcomes: [AttemptOutcome] = []
        for _ in 1...3 {
            let policy = policy(crashes: crashes)
            outcomes.append(policy.decide(end, lastWords: ""))
            crashes = policy.crashes(after: outcomes.last!)
        }
        guard case .requeue(.crashed, _, _) = outcomes[1], case .hold = outcomes[2] else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(policy(progress: true, crashes: 2).crashes(after: outcomes[0]) == 0)
        guard case .requeue = policy(progress: true, crashes: 2).decide(end, lastWords: "") else {
            Issue.record("held in spite of progress")
            return
        }
    }
}
