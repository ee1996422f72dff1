import CharnnSpool
import CharnnStorage
import Glibc
import SystemPackage
import Testing

/// A job that is disturbed at one moment and then leaves the same bytes as one that never was.
struct Disturbance: CustomTestStringConvertible, Sendable {
    enum Blow { case stopDaemon, killDaemon, killWorker, cutText }

    var testDescription: String
    var blow = Blow.stopDaemon
    var job: String
    /// Whether the moment has come.
    var moment: @Sendable (TestSpool) throws -> Bool

    static let all = [
        Disturbance(testDescription: "SIGTERM while training", job: training) { $0.hasCheckpoint },
        Disturbance(testDescription: "SIGKILL of the daemon", blow: .killDaemon, job: training) {
            $0.hasCheckpoint
        },
        Disturbance(testDescription: "SIGKILL of the worker", blow: .killWorker, job: training) {
            $0.hasCheckpoint
        },
        Disturbance(testDescription: "the encoded text cut short under the worker", blow: .cutText, job: training) {
            $0.hasCheckpoint
        },
        Disturbance(testDescription: "SIGTERM while a text is encoded", job: encoding) {
            try $0.phase?.hasPrefix("encoding") == true
        },
        Disturbance(testDescription: "SIGTERM during validation", job: validation) { try $0.phase == "evaluating" },
        Disturbance(testDescription: "SIGTERM while samples are written", job: sampling) {
            $0.exists($0.output("job").appending("samples").appending("step-00000003.txt"))
        },
        Disturbance(testDescription: "SIGTERM during generation", job: generation) { try $0.phase == "generating" },
        Disturbance(testDescription: "SIGTERM during evaluation", job: evaluation) {
            // Validation has the same phase, before the model is there.
            try $0.phase == "evaluating" && $0.exists($0.output("job").appending("last.safetensors"))
        },
    ]

    static let training = """
        train:
          corpus: tale.txt
          cell: gru
          hidden_size: 32
          num_layers: 2
          dropout: 0.2
          epochs: 16
          seq_length: 16
          batch_size: 8
          checkpoint_every: 150
          sample_every: 500

        """

    static let encoding = """
        train:
          corpus: long.txt
          val_fraction: 0
          cell: rnn
          hidden_size: 4
          epochs: 1
          seq_length: 500
          batch_size: 256

        """

    static let validation = """
        train:
          corpus: medium.txt
          val_fraction: 0.99
          cell: lstm
          hidden_size: 64
          epochs: 2
          seq_length: 32
          batch_size: 16

        """

    static let sampling = """
        train:
          corpus: tale.txt
          max_chars: 2000
          hidden_size: 256
          num_layers: 2
          epochs: 2
          seq_length: 16
          batch_size: 16
          sample_every: 1

        """

    static let generation = """
        train:
          corpus: tale.txt
          max_chars: 2000
          hidden_size: 64
          epochs: 1
          seq_length: 16
          batch_size: 16
        generate:
          - length: 40
            count: 2
          - length: 30000
            temperature: 1.1

        """

    static let evaluation = """
        train:
          corpus: tale.txt
          max_chars: 2000
          hidden_size: 64
          num_layers: 2
          epochs: 1
          seq_length: 16
          batch_size: 16
        evaluate:
          corpus: medium.txt
          unknown: replace

        """
}

extension TestSpool {
    fileprivate var phase: String? {
        get throws {
            let status = try status("job")
            return status?.state == .active ? status?.phase : nil
        }
    }

    fileprivate var hasCheckpoint: Bool {
        let names = (try? storage.list(output("job").appending("checkpoints"))) ?? []
        return names.contains { $0.hasPrefix("step-") }
    }

    fileprivate func dropDisturbed(_ job: String) throws {
        if job.contains("tale.txt") { try corpus("tale.txt", Corpus.tale(20_000)) }
        if job.contains("medium.txt") { try corpus("medium.txt", Corpus.tale(300_000)) }
        if job.contains("long.txt") { try corpus("long.txt", Corpus.tale(3_000_000)) }
        try drop("job.yaml", job)
    }
}

@Suite struct DisturbanceTests {
    @Test(arguments: Disturbance.all) func `a disturbed job ends with the same bytes`(_ disturbance: Disturbance) throws
    {
        let undisturbed = try TestSpool()
        try undisturbed.dropDisturbed(disturbance.job)
        let untouched = try undisturbed.once()
        #expect(untouched.status == 0, "\(untouched.error)")

        let spool = try TestSpool()
        try spool.dropDisturbed(disturbance.job)
        let isOnce = disturbance.blow == .killWorker || disturbance.blow == .cutText
        let daemon = try spool.start(.charnnd, isOnce ? ["--once"] : [])
        try eventually(disturbance.testDescription) { try disturbance.moment(spool) }
        switch disturbance.blow {
        case .stopDaemon:
            daemon.signal(SIGTERM)
            let end = try daemon.end()
            #expect(end.status == 0, "\(end.error)")
            #expect(spool.worker == nil)
            #expect(try spool.state("job") == .queue)
        case .killDaemon:
            daemon.signal(SIGKILL)
            _ = try daemon.end()
            #expect(try spool.state("job") == .active)
            // The worker sees that its daemon is gone, and ends with a checkpoint by itself.
            try eventually("the worker ends") { spool.worker == nil }
            #expect(try spool.status("job")?.results == nil)
        case .killWorker:
            kill(try #require(spool.worker), SIGKILL)
            let end = try daemon.end()
            #expect(end.status == 0, "\(end.error)")
        case .cutText:
            // What is mapped is gone, as on a disk that fails: the kernel ends whoever reads it.
            #expect(truncate(spool.output("job").appending("corpus.bin").string, 100) == 0)
            let end = try daemon.end()
            #expect(end.status == 0, "\(end.error)")
            #expect(end.error.contains("cut short") && end.error.contains("made anew"), "\(end.error)")
        }
        if !isOnce {
            let end = try spool.once()
            #expect(end.status == 0, "\(end.error)")
        }
        #expect(try spool.state("job") == .done)
        #expect(try spool.status("job")?.attempts == 2)
        try spool.expectResults("job", equal: try undisturbed.results("job"))
    }

    /// The next daemon does not wait for the worker of the one before: both may be there at once.
    @Test func `a daemon started at once after a kill goes on`() throws {
        let spool = try TestSpool()
        try spool.dropDisturbed(Disturbance.training)
        let killed = try spool.start(.charnnd, [])
        try eventually("a checkpoint") { spool.hasCheckpoint }
        killed.signal(SIGKILL)
        _ = try killed.end()
        let next = try spool.once()
        #expect(next.status == 0, "\(next.error)")
        #expect(try spool.state("job") == .done)
    }
}
