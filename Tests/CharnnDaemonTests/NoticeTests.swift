import CharnnDaemon
import CharnnJobs
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import SystemPackage
import Testing

/// The administrator's command and the units that follow the queue.
struct NoticeTests {
    private let fixture: DaemonFixture

    init() throws { fixture = try DaemonFixture() }

    private func options(_ command: String, timeout: Double = 60, once: Bool = true) -> Daemon.Options {
        var options = fixture.options()
        options.once = once
        options.configuration.notifyCommand = command
        options.configuration.notifyTimeout = timeout
        return options
    }

    private var notices: String { get throws { try fixture.text(fixture.folder.path.appending("notices")) } }
    private var file: String { fixture.folder.path.appending("notices").string }

    @Test func `each job that ends is told of, and then that nothing is left`() async throws {
        for name in ["good-1", "bad", "good-2"] { try fixture.drop("\(name).yaml") }
        let command = """
            case $CHARNND_NOTICE in
            job) echo "job $CHARNND_JOB $CHARNND_STATE $CHARNND_REPORT $CHARNND_REASON" ;;
            idle) echo "idle $CHARNND_DONE $CHARNND_FAILED $CHARNND_CANCELLED $CHARNND_HELD $CHARNND_WAITING"
                echo "$CHARNND_REPORT"; echo "$CHARNND_JOBS" ;;
            esac >> '\(file)'
            """
        #expect(try await Daemon(options(command)).run() == .someFailed)
        let root = fixture.layout.root
        let lines = try notices.split(separator: "\n").map(String.init)
        let jobs = lines.filter { $0.hasPrefix("job ") }
        #expect(jobs.count == 3)
        #expect(jobs.contains("job good-1 done \(root)/jobs/good-1/report.html "))
        let bad = try #require(jobs.first { $0.hasPrefix("job bad failed \(root)/jobs/bad/report.html ") })
        #expect(bad.contains("there is no text.txt"))
        #expect(lines.dropFirst(3).first == "idle 2 1 0 0 0")
        #expect(lines.dropFirst(4).first == "\(root)/index.html")
        #expect(
            Set(lines.dropFirst(5)) == [
                "good-1\tdone\t\(root)/jobs/good-1/report.html", "good-2\tdone\t\(root)/jobs/good-2/report.html",
                "bad\tfailed\t\(root)/jobs/bad/report.html",
            ])
        #expect(!fixture.log.events().contains("notifyFailed"))
    }

    @Test func `a rejected file is told of, with its reason`() async throws {
        let file = fixture.layout.incoming.appending("wrong.yaml")
        try fixture.disk.replace(file, with: Array("train: {corpsu: text.txt}\n".utf8))
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -3600)], ofItemAtPath: file.string)
        let command = """
            printf '%s\\n' "$CHARNND_NOTICE $CHARNND_JOB $CHARNND_STATE $CHARNND_REPORT $CHARNND_REASON $CHARNND_REJECTED" >> '\(self.file)'
            """
        _ = try await Daemon(options(command)).run()
        let lines = try notices.split(separator: "\n").map(String.init)
        let reason = fixture.layout.directory(.rejected).appending("wrong.yaml.reason.txt")
        #expect(lines.count == 2)
        #expect(lines.first?.hasPrefix("job wrong rejected \(reason) wrong.yaml:1: train.corpus: ") == true, "\(lines)")
        #expect(lines.last?.hasPrefix("idle ") == true && lines.last?.hasSuffix(" 1") == true)
    }

    @Test func `the notice of an empty queue is given however many jobs with long names ended`() async throws {
        // Long names, each told with the path of its page: more than a variable may have.
        for number in 0..<420 { try fixture.drop("bad-\(String(repeating: "é", count: 59))-\(1000 + number).yaml") }
        let command = """
            [ "$CHARNND_NOTICE" = job ] || { echo "$CHARNND_FAILED"; echo "$CHARNND_JOBS"; } >> '\(file)'
            """
        #expect(try await Daemon(options(command)).run() == .someFailed)
        let lines = try notices.split(separator: "\n").map(String.init)
        #expect(lines.first == "420")
        #expect(lines.count > 100 && lines.dropFirst().allSatisfy { $0.hasSuffix("/report.html") })
        #expect(lines.last?.contains("-1419\t") == true, "the last jobs are told of")
        #expect(lines.dropFirst().reduce(0) { $0 + $1.utf8.count + 1 } <= 96 << 10)
        #expect(!fixture.log.events().contains("notifyFailed"))
    }

    @Test(arguments: [
        ("echo no such address >&2; exit 3", "it ended with status 3: no such address"),
        ("kill -9 $$", "ended it"), ("/nowhere/tell", "it ended with status 127"),
    ])
    func `a command that fails is told of and harms nothing`(command: String, says: String) async throws {
        try fixture.drop("good.yaml")
        #expect(try await Daemon(options(command)).run() == .ended)
        #expect(try fixture.state("good") == .done)
        let failures = fixture.log.all.filter { $0["CHARNND_EVENT"] == "notifyFailed" }
        #expect(failures.count == 2)
        #expect(failures.allSatisfy { $0["MESSAGE"]?.contains(says) == true }, "\(failures)")
    }

    @Test func `a command that hangs is ended with all that it started, and jobs go on meanwhile`() async throws {
        for name in ["good-1", "good-2"] { try fixture.drop("\(name).yaml") }
        let pids = fixture.folder.path.appending("pids").string
        let command = "[ $CHARNND_NOTICE = idle ] || { sleep 1000 & echo $! >> '\(pids)'; wait; }"
        #expect(try await Daemon(options(command, timeout: 2)).run() == .ended)
        #expect(try fixture.state("good-1") == .done && fixture.state("good-2") == .done)
        // The daemon waits for two such times: the second is ended by its own limit or with the daemon.
        let failures = fixture.log.all.filter { $0["CHARNND_EVENT"] == "notifyFailed" }
        #expect(failures.count { $0["MESSAGE"]?.contains("notify_timeout") == true } == 2, "\(failures)")
        let started = try fixture.text(fixture.folder.path.appending("pids")).split(separator: "\n").compactMap {
            pid_t($0)
        }
        #expect(started.count == 2)
        for pid in started {
            // Its parent is gone, and whoever takes it over may never reap it: a zombie has ended too.
            while let state = state(of: pid), state != "Z" { try await Task.sleep(for: .milliseconds(10)) }
        }
    }

    @Test func `a notice that the daemon cannot wait for is told of as such`() async throws {
        for number in 1...6 { try fixture.drop("good-\(number).yaml") }
        // Each may take a minute, the daemon ends before: asked to stop, it waits five seconds.
        let daemon = Daemon(options("sleep 1000", timeout: 60, once: false))
        async let outcome = daemon.run()
        for number in 1...6 { await fixture.log.wait(for: "jobDone", job: "good-\(number)") }
        daemon.stop()
        #expect(try await outcome == .ended)
        let messages = fixture.log.all.filter { $0["CHARNND_EVENT"] == "notifyFailed" }.compactMap { $0["MESSAGE"] }
        #expect(messages.count { $0.contains("was ended with it") } == 1, "\(messages)")
        #expect(messages.count { $0.contains("before its turn") } >= 5, "\(messages)")
    }

    /// The letter that stands for a process's state; nil: it is gone.
    private func state(of pid: pid_t) -> Character? {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return nil }
        return text.split(separator: ")").last?.dropFirst().first
    }

    @Test func `a daemon that is asked to stop does not wait for a command that hangs`() async throws {
        try fixture.drop("good.yaml")
        var options = options("sleep 1000", timeout: 1000)
        options.once = false
        let daemon = Daemon(options)
        async let outcome = daemon.run()
        await fixture.log.wait(for: "jobDone", job: "good")
        daemon.stop()
        #expect(try await outcome == .ended)
    }

    @Test func `what follows the queue sees when there is work and when there is none`() async throws {
        var options = options("cp '\(fixture.folder.path)/state' '\(file)'")
        options.runtimeFolder = fixture.folder.path
        options.once = false
        let daemon = Daemon(options)
        async let outcome = daemon.run()
        await fixture.log.wait(for: "ready")
        try fixture.drop("long.yaml")
        await fixture.log.wait(for: "worker.trainingStarted", job: "long")
        let state = fixture.folder.path.appending("state")
        #expect(try fixture.text(state) == "busy\n")
        try fixture.client.cancel("long")
        await fixture.log.wait(for: "cancelled", job: "long")
        while try fixture.text(state) != "idle\n" { try await Task.sleep(for: .milliseconds(10)) }
        daemon.stop()
        _ = try await outcome
    }

    @Test func `the configuration is checked`() throws {
        let good = try ServiceConfiguration.parse(
            Array("notify: mail -s \"$CHARNND_JOB\" root\nnotify_timeout: 5s\n".utf8), fileName: "c.yaml")
        #expect(good.notifyCommand == "mail -s \"$CHARNND_JOB\" root" && good.notifyTimeout == 5)
        #expect(throws: JobFileError.self) {
            try ServiceConfiguration.parse(Array("notify: '  '\nnotify_timeout: soon\n".utf8), fileName: "c.yaml")
        }
    }
}
