import CharnnDaemon
import CharnnJobs
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

@Suite(.endsWhatHangs)
struct DaemonTests {
    let spool: DaemonFixture
    init() throws { spool = try DaemonFixture() }

    private func once() async throws -> Daemon.Outcome {
        var options = spool.options()
        options.once = true
        return try await Daemon(options).run()
    }

    /// Runs a daemon beside `body` and stops it at the end.
    private func running(
        _ options: Daemon.Options? = nil, _ body: @Sendable (Daemon) async throws -> Void
    ) async throws -> Daemon.Outcome {
        let daemon = Daemon(options ?? spool.options())
        async let outcome = daemon.run()
        await spool.log.wait(for: "ready")
        do {
            try await body(daemon)
        } catch {
            daemon.stop()
            throw error
        }
        daemon.stop()
        return try await outcome
    }

    @Test func `all that is queued is done, and the exit tells that it succeeded`() async throws {
        for name in ["good-b.yaml", "good-a.yaml"] { try spool.drop(name) }
        #expect(try await once() == .ended)
        #expect(try spool.state("good-a") == .done)
        #expect(try spool.state("good-b") == .done)
        #expect(spool.log.events().filter { $0 == "jobDone" }.count == 2)
    }

    @Test func `a job that fails makes the exit tell so, with the worker's last words`() async throws {
        for name in ["bad.yaml", "good.yaml"] { try spool.drop(name) }
        #expect(try await once() == .someFailed)
        #expect(try spool.state("good") == .done)
        #expect(try spool.state("bad") == .failed)
        #expect(try spool.client.why("bad").contains("there is no text.txt"))
    }

    @Test func `each line bears its job, its kind and its fields, and is in the job's log`() async throws {
        try spool.drop("good.yaml")
        _ = try await once()
        #expect(
            spool.log.events(of: "good") == [
                "accepted", "jobStarted", "worker.trainingStarted", "worker.progress", "jobDone",
            ])
        let entry = try #require(spool.log.all.first { $0["CHARNND_EVENT"] == "worker.trainingStarted" })
        #expect(entry["MESSAGE"] == "good: Training." && entry["CHARNND_STEP"] == "7" && entry["PRIORITY"] == "6")
        #expect(entry["MESSAGE_ID"] == EventKind.worker(.trainingStarted).messageID)
        let log = try spool.text(spool.layout.log(of: "good"))
        #expect(log.contains("info: Training.\n") && log.contains("notice: Done;"))
    }

    @Test func `three crashes in a row hold a job and leave the queue going`() async throws {
        for name in ["crash.yaml", "good.yaml"] { try spool.drop(name) }
        #expect(try await once() == .someFailed)
        #expect(try spool.state("crash") == .held)
        #expect(try spool.status("crash").attempts == 3)
        #expect(try spool.state("good") == .done)
    }

    @Test func `a job that was killed for memory is told what it needs and what there is`() async throws {
        try spool.drop("greedy.yaml")
        try spool.drop("killed.yaml")
        #expect(try await once() == .someFailed)
        let reason = try #require(try spool.status("greedy").reason)
        for words in ["memory ran out: the job needs about 5.3 GB", "700.0 MB (", "/memory.max)", "MemoryMax="] {
            #expect(reason.contains(words), "\(words): \(reason)")
        }
        // Somebody else can kill it, too.
        #expect(try spool.status("killed").reason?.contains("killed (signal 9)") == true)
    }

    @Test func `a GPU that fails again and again is told of and left alone, and the rest is done`() async throws {
        for number in 1...5 { try spool.drop("gpu\(number).yaml") }
        try spool.drop("good.yaml", device: "cpu")
        #expect(try await once() == .someFailed)
        #expect(try spool.state("good") == .done)
        let rest = try #require(spool.log.all.first { $0["CHARNND_EVENT"] == "gpuRests" })
        #expect(rest["MESSAGE"]?.contains("3 times in a row (the last time: the GPU is gone)") == true)
        #expect(rest["PRIORITY"] == "3")
        #expect(!spool.log.events(of: "gpu4").contains("jobStarted"))
        #expect(try (1...5).allSatisfy { try spool.state("gpu\($0)") == .queue })
        #expect(spool.manager.all.contains { $0.contains("Waiting for the GPU") })
    }

    @Test func `a stop sends the running job back to the queue, and the next daemon ends it`() async throws {
        try spool.drop("twice.yaml")
        let outcome = try await running { _ in
            await spool.log.wait(for: "worker.trainingStarted")
        }
        #expect(outcome == .ended)
        #expect(try spool.state("twice") == .queue)
        #expect(try spool.status("twice").crashes == 0)
        #expect(try await once() == .ended)
        #expect(try spool.status("twice").attempts == 2)
        #expect(try spool.state("twice") == .done)
    }

    @Test(arguments: [JobState.held, .cancelled])
    func `a running job that a person moves ends with a checkpoint where it was moved to`(state: JobState) async throws
    {
        try spool.drop("long.yaml")
        _ = try await running { _ in
            await spool.log.wait(for: "worker.trainingStarted")
            _ = try state == .held ? spool.client.hold("long") : spool.client.cancel("long")
            await spool.log.wait(for: state == .held ? "held" : "cancelled")
        }
        #expect(try spool.disk.status(of: spool.layout.folder(of: "long").appending("stopped")) != nil)
        #expect(try spool.state("long") == state)
        #expect(try spool.status("long").state == state)
    }

    @Test func `a drop is taken while another job runs, and runs after it`() async throws {
        try spool.drop("long.yaml")
        _ = try await running { _ in
            await spool.log.wait(for: "worker.trainingStarted")
            try spool.drop("good.yaml")
            await spool.log.wait(for: "accepted", job: "good")
            try spool.client.cancel("long")
            await spool.log.wait(for: "jobDone", job: "good")
        }
        #expect(try spool.state("good") == .done)
    }

    @Test func `a worker that falls silent is killed, which counts as a crash`() async throws {
        try spool.drop("hang.yaml")
        var options = spool.options()
        options.configuration.progressTimeout = 1
        options.stopTimeout = 1
        _ = try await running(options) { _ in
            await spool.log.wait(for: "workerHung")
            let crash = await spool.log.wait(for: "workerCrashed")
            #expect(crash?["MESSAGE"]?.contains("no sign of life") == true)
        }
        #expect(try spool.status("hang").crashes == 1)
    }

    @Test func `a second daemon is turned away`() async throws {
        let spool = spool
        _ = try await running { _ in
            let outcome = try await Daemon(spool.options()).run()
            #expect(outcome == .spoolTaken)
        }
    }

    @Test func `the service manager hears of readiness, work and the end`() async throws {
        try spool.drop("long.yaml")
        _ = try await running { daemon in
            await spool.log.wait(for: "worker.trainingStarted")
            daemon.reload()
            await spool.log.wait(for: "reloaded")
        }
        let heard = spool.manager.all
        #expect(heard.first == "READY=1\nSTATUS=Idle; 0 queued, 0 held, 0 failed")
        #expect(heard.contains { $0.hasPrefix("STATUS=long: starting; 0 queued") })
        let reloading = try #require(heard.firstIndex { $0.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") })
        #expect(heard[reloading...].contains { $0.hasPrefix("READY=1") })
        #expect(heard.contains { $0.hasPrefix("STOPPING=1") })
        #expect(heard.contains { $0.hasPrefix("EXTEND_TIMEOUT_USEC=") })
    }

    @Test func `a configuration that cannot be read leaves the old one in force`() async throws {
        var options = spool.options()
        options.configurationFile = spool.folder.path.appending("missing.yaml")
        _ = try await running(options) { daemon in
            daemon.reload()
            #expect(await spool.log.wait(for: "reloadFailed")?["PRIORITY"] == "3")
        }
    }

    /// Orders as a worker got them: a script that writes down its first line of standard input.
    private func orders(_ job: String) throws -> String {
        try spool.text(spool.layout.folder(of: job).appending("orders"))
    }

    @Test func `workers get the configuration that is in force, whatever stands in the file by then`() async throws {
        let file = spool.folder.path.appending("charnnd.yaml")
        @Sendable func write(_ text: String) throws { try spool.disk.replace(file, with: Array(text.utf8)) }
        try write("corpus_roots: /first\nthreads: 3\ndevice: cpu\nmemory_limit: 1G\n")
        var options = spool.options()
        options.configurationFile = file
        options.configuration = try Daemon.configuration(from: file, spool.disk)
        let inForce = ["\"\\/first\"", "\"threads\":3", "\"cpu\"", "\"memoryLimit\":1073741824"]
        _ = try await running(options) { daemon in
            for (number, bad) in ["thraeds: 2", "corpus_roots: [/sec", "\0\u{FF}", ""].enumerated() {
                try write(bad)
                if bad.isEmpty { try spool.disk.remove(file) }
                daemon.reload()
                _ = await spool.log.wait(for: "reloadFailed")
                try spool.drop("orders-\(number).yaml")
                _ = await spool.log.wait(for: "jobDone", job: "orders-\(number)")
                let orders = try orders("orders-\(number)")
                for words in inForce { #expect(orders.contains(words), "\(bad): \(orders)") }
            }
            try write("corpus_roots: /second\n")
            daemon.reload()
            _ = await spool.log.wait(for: "reloaded")
            try spool.drop("orders-last.yaml")
            _ = await spool.log.wait(for: "jobDone", job: "orders-last")
            #expect(try orders("orders-last").contains("second") && !orders("orders-last").contains("threads"))
        }
    }

    @Test func `a flood of bad drops is summed up`() async throws {
        for number in 0..<100 {
            try spool.disk.replace(spool.layout.incoming.appending(":\(number).yaml"), with: [1])
        }
        #expect(try await once() == .someFailed)
        #expect(spool.log.events().filter { $0 == "rejected" }.count == 20)
        let sum = spool.log.all.first { $0["CHARNND_EVENT"] == "flood" }
        #expect(sum?["CHARNND_COUNT"] == "80")
    }
}
