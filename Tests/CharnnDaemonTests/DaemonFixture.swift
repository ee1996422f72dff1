import CharnnDaemon
import CharnnJobs
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Foundation
import Logging
import Synchronization
import SystemPackage
import Testing

/// A daemon in a spool of its own, with a shell script as its worker: what the script does follows from the job's name.
final class DaemonFixture: Sendable {
    let folder = TemporaryDirectory("daemon")
    let disk = LocalStorage()
    let log = LogCapture()
    let manager = ManagerCapture()
    var layout: SpoolLayout { SpoolLayout(root: folder.path.appending("spool")) }
    var client: SpoolClient { SpoolClient(layout) }

    init() throws {
        try layout.create(.personal, on: disk)
        try disk.replace(layout.corpora.appending("text.txt"), with: Array("once\n".utf8))
        try disk.replace(folder.path.appending("worker.sh"), with: Array(Self.script.utf8))
        try makeMemoryGroup()
    }

    func options() -> Daemon.Options {
        var options = Daemon.Options(spool: layout)
        options.launcher = ProcessLauncher(
            WorkerCommand(executable: "/bin/sh", arguments: [folder.path.appending("worker.sh").string]),
            memory: MemoryGroups(root: folder.path.string))
        let (log, manager) = (log, manager)
        options.logger = Logger(label: "test") { _ in JournalLogHandler(.capture { log.add($0) }) }
        options.manager = ServiceManager { manager.add($0) }
        return options
    }

    /// What the kernel shows of a control group with a limit, below the test's folder.
    private func makeMemoryGroup() throws {
        let group = folder.path.pushing("sys/fs/cgroup/charnnd.service")
        try disk.createDirectories(group, mode: 0o755)
        try disk.createDirectories(folder.path.pushing("proc/self"), mode: 0o755)
        for (file, text) in [
            ("proc/self/cgroup", "0::/charnnd.service\n"),
            ("proc/self/mountinfo", "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/charnnd.service/memory.max", "700000000\n"),
            ("sys/fs/cgroup/charnnd.service/memory.events", "oom 4\noom_kill 3\n"),
        ] {
            try disk.replace(folder.path.pushing(FilePath(file)), with: Array(text.utf8))
        }
    }

    func drop(_ name: String, device: String = "auto") throws {
        let text = "device: \(device)\ntrain:\n  corpus: text.txt\n"
        let partial = layout.incoming.appending(".\(name).part")
        try disk.replace(partial, with: Array(text.utf8))
        try disk.rename(partial, to: layout.incoming.appending(name), replacing: false)
    }

    func state(_ job: String) throws -> JobState? { try client.find(job)?.state }

    func status(_ job: String) throws -> JobStatus {
        try #require(try JobStatus.read(layout.status(of: job), on: disk))
    }

    func text(_ path: FilePath) throws -> String {
        String(decoding: try #require(try disk.contents(of: path)), as: UTF8.self)
    }

    static let script = #"""
        spool=$2
        for job in "$@"; do :; done
        folder=$spool/jobs/$job
        exec 3<&0
        exec 9>>"$folder/.lock"
        flock -n 9 || exit 75
        say() { printf '{"event":{"_0":{"kind":"%s","level":"info","message":"%s","fields":{"STEP":"7"}}}}\n' "$1" "$2"; }
        finish() {
            sed 's/"state" : "active"/"state" : "done"/' "$folder/status.json" > "$folder/.new"
            mv "$folder/.new" "$folder/status.json"
            exit 0
        }
        wait_for_stop() {
            trap 'say interrupted "Stopped."; touch "$folder/stopped"; exit 85' TERM
            (cat <&3 >/dev/null; kill -TERM $$) 9>&- &
            say trainingStarted "Training."
            while :; do wait; sleep 0.05; done
        }
        case $job in
        orders*) IFS= read -r line <&3; printf '%s\n' "$line" > "$folder/orders"; finish ;;
        good*) say trainingStarted "Training."; say progress "Step 1."; say progress "Step 2."; finish ;;
        long*) wait_for_stop ;;
        twice*) [ -e "$folder/stopped" ] && finish; wait_for_stop ;;
        bad*) echo "there is no text.txt" >&2; exit 66 ;;
        gpu*)
            printf '{"waits":{"_0":{"gpu":{}}}}\n'
            say failed "No GPU."
            echo "the GPU is gone" >&2
            exit 75
            ;;
        crash*) kill -SEGV $$ ;;
        greedy*)
            printf '{"progress":{"_0":{"job":"greedy","state":"active","attempts":1,"crashes":0,"warnings":[],"neededMemory":5300000000}}}\n'
            counter=$spool/../sys/fs/cgroup/charnnd.service/memory.events
            printf 'oom 9\noom_kill %s\n' "$(($(sed -n 's/oom_kill //p' "$counter") + 1))" > "$counter"
            kill -KILL $$
            ;;
        killed*) kill -KILL $$ ;;
        hang*) trap '' TERM; say trainingStarted "Training."; while :; do sleep 1; done ;;
        *) exit 1 ;;
        esac
        """#
}

/// The journal entries of a daemon, as they come.
final class LogCapture: Sendable {
    typealias Entry = [String: String]
    private let entries = Mutex<[Entry]>([])
    private let stream: AsyncStream<Entry>
    private let continuation: AsyncStream<Entry>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func add(_ fields: [(name: String, value: String)]) {
        let entry = Entry(fields.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
        entries.withLock { $0.append(entry) }
        continuation.yield(entry)
    }

    var all: [Entry] { entries.withLock { $0 } }

    func events(of job: String? = nil) -> [String] {
        all.filter { job == nil || $0["CHARNND_JOB"] == job }.compactMap { $0["CHARNND_EVENT"] }
    }

    /// Waits for an event; one that was waited for is not found again.
    @discardableResult
    func wait(for event: String, job: String? = nil) async -> Entry? {
        for await entry in stream
        where entry["CHARNND_EVENT"] == event && (job == nil || entry["CHARNND_JOB"] == job) {
            return entry
        }
        return nil
    }
}

final class ManagerCapture: Sendable {
    private let messages = Mutex<[String]>([])
    func add(_ message: String) { messages.withLock { $0.append(message) } }
    var all: [String] { messages.withLock { $0 } }
}
