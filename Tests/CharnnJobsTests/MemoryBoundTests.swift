import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import CharnnWords
import SystemPackage
import Testing

/// What bounds a process's memory, from files as the kernel shows them.
@Suite struct MemoryBoundTests {
    private let folder = TemporaryDirectory("memory")
    private let storage = LocalStorage()

    private func groups(_ files: KeyValuePairs<String, String>) throws -> MemoryGroups {
        for (name, text) in files {
            let path = folder.path.pushing(FilePath(name))
            try storage.createDirectories(path.removingLastComponent(), mode: 0o755)
            try storage.replace(path, with: Array(text.utf8))
        }
        return MemoryGroups(root: folder.path.string)
    }

    @Test func `the smallest limit on the way up counts, in the unified hierarchy`() throws {
        let groups = try groups([
            "proc/self/cgroup": "0::/system.slice/charnnd.service\n",
            "proc/self/mountinfo": "35 24 0:30 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n",
            "sys/fs/cgroup/system.slice/memory.max": "700000000\n",
            "sys/fs/cgroup/system.slice/charnnd.service/memory.max": "900000000\n",
            "sys/fs/cgroup/system.slice/charnnd.service/memory.events": "low 0\noom 3\noom_kill 2\n",
            "sys/fs/cgroup/system.slice/memory.events": "oom_kill 9\n",
        ])
        let limit = try #require(groups.limit)
        #expect(limit.bytes == 700_000_000)
        #expect(limit.file.hasSuffix("/sys/fs/cgroup/system.slice/memory.max"))
        #expect(groups.kills == 2)
        #expect(Machine.memory(within: groups).bytes == min(700_000_000, Machine.memory.bytes))
    }

    @Test func `the memory controller of the first version is read, beside others`() throws {
        let groups = try groups([
            "proc/self/cgroup": "9:name=systemd:/a.service\n4:cpu,memory:/box/a.service\n0::/a.service\n",
            "proc/self/mountinfo": """
            31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
            32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
            35 31 0:32 /box /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
            """,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/cpu/memory.limit_in_bytes": "1\n",
            "sys/fs/cgroup/memory/a.service/memory.limit_in_bytes": "120000000\n",
            "sys/fs/cgroup/memory/a.service/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
        ])
        #expect(groups.limit?.bytes == 120_000_000)
        #expect(groups.kills == 5)
    }

    @Test func `a group outside of what is mounted has the limits of the mount`() throws {
        let groups = try groups([
            "proc/self/cgroup": "0::/../other\n",
            "proc/self/mountinfo": "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "sys/fs/cgroup/memory.max": "5000\n",
        ])
        #expect(groups.limit?.bytes == 5000)
    }

    @Test func `without control groups the machine's memory counts`() throws {
        let groups = try groups([:])
        #expect(groups.limit == nil && groups.kills == nil)
        #expect(Machine.memory(within: groups).bytes > 1 << 26)
        #expect(!Machine.memory(within: groups).words.contains("("))
    }

    @Test func `a job that cannot fit is refused before its engine is made, with need and limit`() throws {
        let fixture = try JobFixture()
        var configuration = ServiceConfiguration()
        configuration.memoryLimit = 1_000_000
        #expect(try fixture.run("a", JobFixture.training, configuration: configuration) == .badJob)
        let status = try #require(fixture.output("a").status())
        let needed = try #require(status.neededMemory)
        #expect(status.reason?.contains("would need \(byteCount(needed)) of memory") == true)
        #expect(status.reason?.contains("1.0 MB (memory_limit)") == true)
    }
}
