import CharnnJobs
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage

/// What is going on when the power fails or an operation does.
struct Scenario: Sendable, CustomStringConvertible {
    let name: String
    var work = Night.Work.light
    var sharing = SpoolLayout.Sharing.personal
    /// Seconds for which jobs wait for texts that are missing.
    var textGrace = 0.0
    /// Bytes that a job's folder may have.
    var diskCap: UInt64?
    /// What has been going on before, with all of it on disk.
    var prepare: @Sendable (Night) -> Void = { $0.turn() }
    var act: @Sendable (Night) -> Void = { _ in }

    var description: String { name }

    /// The same with what is to happen.
    func acting(_ act: @escaping @Sendable (Night) -> Void) -> Scenario {
        var scenario = self
        scenario.act = act
        return scenario
    }
}

extension Scenario {
    /// The longest first, so that no thread is left alone with one at the end.
    static let all: [Scenario] = runner + texts + sharing + spool + people + oddities + rarities

    // MARK: - Accept, start, checkpoint, finish

    private static let spool: [Scenario] = [
        Scenario(name: "first start", prepare: { _ in }).acting { $0.turn() },
        Scenario(name: "first start of a shared spool", sharing: .group, prepare: { _ in }).acting { $0.turn() },
        Scenario(name: "start after a first one that was killed", prepare: { _ in }).acting { night in
            for (path, rights) in night.layout.directories(.personal) {
                let mode = rights.mode
                try? night.disk.createDirectory(path, mode: mode)
            }
            night.turn()
            // Where a fault has left no place for it, nobody drops anything.
            if (try? night.disk.list(night.layout.incoming)) != nil { night.drop("a.yaml", "mark: a\n") }
            night.settle()
        },
        Scenario(
            name: "accept",
            prepare: { night in
                night.turn()
                night.drop("a.yaml", "mark: a\npriority: 1\n")
                night.drop("a.yml", "mark: a-2\n")
                night.drop("b.yaml", "mark: b\nafter: a\n")
            }
        ).acting { $0.settle() },
        Scenario(
            name: "reject",
            prepare: { night in
                night.turn()
                night.drop("bad.yaml", "mark: bad\nthis is nothing\n")
                night.drop("bad?.yaml", "mark: name\n")
                night.drop("round.yaml", "mark: round\nafter: round\n")
            }
        ).acting { $0.settle() },
        Scenario(
            name: "accept into held/",
            prepare: { night in
                night.turn()
                night.put("mark: a\n", "a.yaml", in: .held)
                night.put("mark: b\n", "b.yaml", in: .queue)
            }
        ).acting { $0.settle() },
        Scenario(
            name: "submit",
            prepare: { night in
                night.turn()
                night.promise(.texts(["mark: file\n"]))
                night.disk.change { $0.put("/file.yaml", Array("mark: file\n".utf8)) }
            }
        ).acting { night in
            if (try? night.client.submit("/file.yaml")) != nil { night.promise(.dropped(text: "mark: file\n")) }
            for name in ["a.yaml", "a.yaml", "b.yml"] {
                let text = "mark: \(night.disk.count)\n"
                night.promise(.texts([text]))
                if (try? night.client.submit(Array(text.utf8), fileName: name)) != nil {
                    night.promise(.dropped(text: text))
                }
            }
            night.settle()
        },
        Scenario(name: "start and crash", prepare: accepted("steps: 2")).acting { night in
            night.turn()
            for _ in 0..<3 { night.runNext(dies: .signalled(11)) }
        },
        Scenario(name: "checkpoint", prepare: accepted("steps: 5")).acting { night in
            night.turn()
            night.stopsAfter = 3
            night.runNext()
            night.turn()
        },
        Scenario(name: "finish", prepare: accepted("steps: 2")).acting { night in
            night.turn()
            night.runNext()
            night.settle()
        },
        Scenario(name: "fail", prepare: accepted("ends: 66")).acting { night in
            night.turn()
            night.runNext()
            night.settle()
        },
        Scenario(name: "temporary failure", prepare: accepted("ends: 75")).acting { night in
            night.turn()
            night.runNext()
            night.settle()
            night.time.pass(100)
            night.runNext()
        },
        Scenario(
            name: "recover an interrupted job",
            prepare: { night in
                accepted("steps: 4")(night)
                night.turn()
                night.stopsAfter = 2
                night.runNext(dies: .signalled(9), settling: false)
                night.addRow(3, to: "a")
            }
        ).acting { night in
            night.settle()
            night.runNext()
        },
        Scenario(
            name: "recover a result that was not filed",
            prepare: { night in
                accepted("steps: 1")(night)
                night.turn()
                night.runNext(settling: false)
            }
        ).acting { $0.settle() },
    ]

    // MARK: - Cancel, hold, retry, prune

    private static let people: [Scenario] = [
        Scenario(name: "cancel", prepare: accepted("steps: 1", "steps: 1")).acting { night in
            night.turn()
            night.move("a", to: .cancelled) { try $0.cancel("a") }
            night.settle()
        },
        Scenario(name: "cancel while running", prepare: accepted("steps: 4", "steps: 1")).acting { night in
            night.turn()
            night.stopsAfter = 1
            night.runNext { night.move("a", to: .cancelled) { try $0.cancel("a") } }
            night.settle()
        },
        Scenario(name: "hold", prepare: accepted("steps: 1", "steps: 1")).acting { night in
            night.turn()
            night.move("a", to: .held) { try $0.hold("a") }
            night.settle()
        },
        Scenario(name: "hold while running", prepare: accepted("steps: 4")).acting { night in
            night.turn()
            night.stopsAfter = 1
            night.runNext { night.move("a", to: .held) { try $0.hold("a") } }
            night.settle()
        },
        Scenario(
            name: "release",
            prepare: { night in
                accepted("steps: 1")(night)
                night.move("a", to: .held) { try $0.hold("a") }
                night.settle()
            }
        ).acting { night in
            night.turn()
            night.request("a") { try $0.release("a") }
            night.settle()
        },
        Scenario(
            name: "retry",
            prepare: { night in
                accepted("steps: 1", "ends: 66")(night)
                night.runAll()
                night.settle()
            }
        ).acting { night in
            night.turn()
            for job in ["a", "b"] { night.request(job) { try $0.retry(job) } }
            night.settle()
            night.runNext()
        },
        Scenario(
            name: "prune",
            prepare: { night in
                accepted("steps: 1", "ends: 66")(night)
                night.drop("bad.yaml", "mark: bad\nthis is nothing\n")
                night.runAll()
                night.settle()
                night.drop("c.yaml", "mark: c\n")
                night.settle()
                night.move("c", to: .cancelled) { try $0.cancel("c") }
                night.settle()
                night.promise(.texts(["no status\n"]))
                night.disk.change { $0.put(Night.layout.status(of: "c"), Array("no status\n".utf8)) }
            }
        ).acting { night in
            night.promise(.removing(["a", "b", "bad"]))
            // One whose status cannot be read is left alone.
            if let removed = try? night.client.clean(endedBefore: 2e9) { night.promise(.removed(removed)) }
            night.settle()
        },
        Scenario(name: "remove a queued file", prepare: accepted("steps: 1")).acting { night in
            night.turn()
            night.promise(.moving("a"))
            try? night.disk.remove(night.layout.file("a.yaml", in: .queue))
            night.settle()
        },
        Scenario(name: "edit", prepare: accepted("steps: 1", "steps: 1")).acting { night in
            night.turn()
            night.put("mark: a\nsteps: 2\npriority: 3\n", "a.yaml", in: .queue, isNew: false)
            night.put("mark: b\nnothing\n", "b.yaml", in: .queue, isNew: false)
            night.settle()
            night.edit("a", "mark: a\nsteps: 2\npriority: 4\n")
            night.settle()
            night.runNext()
            night.runNext()
        },
        Scenario(
            name: "what waits for a cancelled job is held",
            prepare: { night in
                night.turn()
                night.drop("a.yaml", "mark: a\n")
                night.drop("b.yaml", "mark: b\nafter: a\n")
                night.settle()
            }
        ).acting { night in
            night.turn()
            night.move("a", to: .cancelled) { try $0.cancel("a") }
            night.settle()
        },
        Scenario(name: "an edit makes jobs wait for each other", prepare: accepted("ends: 0", "ends: 0")).acting {
            night in
            night.turn()
            night.put("mark: a\nafter: b\n", "a.yaml", in: .queue, isNew: false)
            night.put("mark: b\nafter: a\n", "b.yaml", in: .queue, isNew: false)
            night.settle()
        },
    ]

    // MARK: - What else may be found

    private static let oddities: [Scenario] = [
        Scenario(
            name: "files moved where they mean nothing",
            prepare: { night in
                accepted("steps: 1", "steps: 1", "steps: 1")(night)
                night.runNext()
                night.settle()
                night.shift("a.yaml", from: .done, to: .failed)
                night.shift("b.yaml", from: .queue, to: .rejected)
                night.shift("c.yaml", from: .queue, to: .active)
            }
        ).acting { $0.settle() },
        Scenario(
            name: "a lost status",
            prepare: { night in
                accepted("steps: 1")(night)
                night.disk.change { image in image.drop(Night.layout.status(of: "a")) }
            }
        ).acting { night in
            night.settle()
            night.runNext()
        },
        Scenario(
            name: "a lost folder",
            prepare: { night in
                accepted("steps: 1")(night)
                for file in ["status.json", "job.yaml"] {
                    night.disk.change { image in image.drop(Night.layout.folder(of: "a").appending(file)) }
                }
                try? night.disk.removeDirectory(night.layout.folder(of: "a"))
            }
        ).acting { night in
            night.settle()
            night.runNext()
        },
        Scenario(
            name: "leftovers of a crash",
            prepare: { night in
                accepted("steps: 1")(night)
                night.put("half", ".7.copy", in: .queue, isNew: false)
                night.put("half", ".8.copy", in: .queue, isNew: false)
                night.put("reason\n", "gone.yaml.reason.txt", in: .rejected, isNew: false)
                try? night.disk.createDirectory(night.layout.jobs.appending(".9.new"), mode: 0o700)
                let partial = night.layout.accepting.appending("..sequence.partial")
                night.disk.change { $0.put(partial, [49]) }
                night.disk.change { $0.put(Night.layout.jobs.appending(".9.new/job.yaml"), [49]) }
            }
        ).acting { $0.settle() },
        Scenario(
            name: "charnn fsck --repair",
            prepare: { night in
                accepted("steps: 1", "steps: 1")(night)
                night.close()
                night.put("half", ".7.copy", in: .queue, isNew: false)
                night.put("reason\n", "gone.yaml.reason.txt", in: .rejected, isNew: false)
                try? night.disk.createDirectory(night.layout.jobs.appending(".9.new"), mode: 0o700)
                night.disk.change { $0.put(Night.layout.jobs.appending(".9.new/job.yaml"), [49]) }
                night.disk.change { $0.drop(Night.layout.jobFile(of: "a")) }
                night.disk.change { $0.drop(Night.layout.accepting.appending(".sequence")) }
                try? night.disk.removeDirectory(night.layout.directory(.cancelled))
            }
        ).acting { night in
            // The first time makes the directories, without which the rest is not looked at.
            night.repair()
            night.repair()
            night.settle()
            night.runNext()
        },
        Scenario(
            name: "a drop of the daemon's own file", sharing: .group,
            prepare: { night in
                accepted("steps: 1")(night)
                night.drop("own.yaml", "mark: own\n", owner: Night.daemon)
            }
        ).acting { $0.settle() },
    ]

    /// Jobs `a`, `b` … with such lines, accepted.
    static func accepted(_ lines: String...) -> @Sendable (Night) -> Void {
        { night in
            night.turn()
            for (name, line) in zip(["a", "b", "c"], lines) { night.drop("\(name).yaml", "mark: \(name)\n\(line)\n") }
            night.settle()
        }
    }
}

extension Night {
    /// A person's request of which the outcome is not looked at closer.
    func request(_ job: String, _ body: (SpoolClient) throws -> Void) {
        promise(.moving(job))
        try? body(client)
    }

    /// A person writes a file into a state directory.
    ///
    /// - Parameter isNew: Whether it is to become a job.
    func put(_ text: String, _ name: String, in state: JobState, isNew: Bool = true) {
        promise(isNew ? .dropped(text: text) : .texts([text]))
        let owner = person
        disk.change { $0.put(Self.layout.file(name, in: state), Array(text.utf8), owner: owner) }
    }

    /// What `charnn fsck --repair` does before the queue's own recovery.
    func repair() {
        attempt { () throws(StorageError) in
            let found = try SpoolCheck.findings(layout, storage: disk, check: work.check, now: time.clock.wall())
            for finding in try found + ResultCheck(layout, storage: disk).findings {
                guard let repair = finding.repair, repair != .recover else { continue }
                try repair.perform(layout, on: disk)
            }
        }
    }

    /// A person moves a file.
    func shift(_ file: String, from: JobState, to: JobState, as name: String? = nil) {
        try? disk.rename(layout.file(file, in: from), to: layout.file(name ?? file, in: to), replacing: false)
    }
}
