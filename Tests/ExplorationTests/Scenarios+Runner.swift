import CharnnCheckpoint
import CharnnJobs
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage

/// Scenarios with the real runner of jobs.
extension Scenario {
    static let runner: [Scenario] = [
        Scenario(name: "train", work: .real, prepare: training("  strip_gutenberg: true\n")).acting(runsOne),
        Scenario(name: "stop, and go on", work: .real, prepare: training("")).acting { night in
            night.turn()
            night.stopsAfter = 1
            night.runNext()
            night.stopsAfter = nil
            night.turn()
            night.runNext()
        },
        Scenario(
            name: "write and score", work: .real,
            prepare: { night in
                training(
                    "generate:\n  - {length: 5, count: 2}\n  - {length: 3}\nevaluate:\n  corpus: text.txt\n")(night)
                night.stopsAfter = 1
                for _ in 0..<6 { night.runNext() }
                night.stopsAfter = nil
                night.settle()
            }
        ).acting { night in
            night.turn()
            night.request("t") { try $0.retry("t") }
            night.settle()
            night.runNext()
            night.settle()
        },
        Scenario(
            name: "a text that is not there", work: .real,
            prepare: { night in
                night.turn()
                night.drop("t.yaml", "# mark: t\ntrain:\n  corpus: nothing.txt\n")
                night.settle()
            }
        ).acting(runsOne),
        Scenario(
            name: "a text that comes after its job", work: .real, textGrace: 600,
            prepare: training("", on: "late.txt")
        ).acting { night in
            night.turn()
            // It waits, and that is recorded.
            night.runNext()
            night.turn()
            let text = (0..<12).map { "dog \($0 % 3)\n" }.joined()
            night.disk.change { $0.put(Night.layout.corpora.appending("late.txt"), Array(text.utf8)) }
            night.settle()
            night.stopsAfter = 1
            night.runNext()
        },
        Scenario(
            name: "write and score with another job's model", work: .real,
            prepare: { night in
                training("")(night)
                night.runAll()
                night.settle()
                night.drop(
                    "g.yaml",
                    "# mark: g\ngenerate:\n  model: t\n  length: 80\nevaluate:\n  model: t/model.safetensors\n"
                        + "  corpus: text.txt\n")
                night.settle()
            }
        ).acting(runsOne),
        Scenario(
            name: "a retry keeps the texts of before", work: .real,
            prepare: { night in
                training("")(night)
                night.runAll()
                night.settle()
                night.drop(
                    "g.yaml",
                    "# mark: g\njudge: false\ngenerate:\n  - {model: t, length: 5, count: 2}\n  - {model: t, length: 3}\n"
                )
                night.settle()
                night.runAll()
                night.settle()
            }
        ).acting { night in
            night.turn()
            night.request("g") { try $0.retry("g") }
            night.settle()
            night.runNext()
            night.settle()
        },
        Scenario(
            name: "learn from a text, and count it", work: .real,
            prepare: { night in
                training("")(night)
                night.runAll()
                night.settle()
                night.drop(
                    "g.yaml",
                    "# mark: g\njudge: false\ngenerate: {model: t, length: 3, adapt_to: text.txt}\n"
                        + "evaluate: {model: t, corpus: text.txt, adapt: dynamic, ngrams: true}\n")
                night.settle()
            }
        ).acting { night in
            night.turn()
            night.stopsAfter = 1
            night.runNext()
            night.stopsAfter = nil
            night.turn()
            night.runNext()
            night.settle()
        },
        Scenario(
            name: "a text that is no text", work: .real,
            prepare: { night in
                training("")(night)
                night.runAll()
                night.settle()
                let path = night.layout.corpora.appending("broken.txt")
                night.disk.change { $0.put(path, Array("cat\ncat ".utf8) + [0xFF, 10]) }
                night.drop("e.yaml", "# mark: e\nevaluate:\n  model: t\n  corpus: broken.txt\n")
                night.settle()
            }
        ).acting(runsOne),
        Scenario(
            name: "a full disk while a text is scored", work: .real,
            prepare: { night in
                training("")(night)
                night.runAll()
                night.settle()
                let text = (0..<700).map { "cat \($0 % 3)\n" }.joined()
                night.disk.change { $0.put(Night.layout.corpora.appending("long.txt"), Array(text.utf8)) }
                night.drop("e.yaml", "# mark: e\nevaluate:\n  model: t\n  corpus: long.txt\n")
                night.settle()
            }
        ).acting { night in
            night.turn()
            // Room for what is told of the job, and not for the encoded text.
            night.disk.change { $0.capacity = $0.used + 3500 }
            night.runNext()
            night.disk.change { $0.capacity = nil }
            night.settle()
            night.time.pass(100)
            night.runNext()
        },
        Scenario(
            name: "a job's folder comes to its owner's cap", work: .real, diskCap: 5000, prepare: training("")
        ).acting { night in
            night.turn()
            night.stopsAfter = 1
            night.runNext()
            night.stopsAfter = nil
            night.turn()
            night.runNext()
            night.settle()
        },
        Scenario(
            name: "a best model that somebody has changed", work: .real,
            prepare: { night in
                training("")(night)
                night.stopsAfter = 1
                for _ in 0..<2 { night.runNext() }
                night.stopsAfter = nil
                night.settle()
                let model = JobFolder(night.layout.folder(of: "t"), in: night.disk).model
                night.promise(.texts(["none"]))
                night.promise(.goingBack(job: "t"))
                night.disk.change { $0.put(model, Array("none".utf8)) }
            }
        ).acting { night in
            night.turn()
            night.stopsAfter = 1
            night.runNext()
        },
        Scenario(
            name: "people look", work: .real,
            prepare: { night in
                training("")(night)
                night.runAll()
                night.drop("bad.yaml", "# mark: bad\nnothing: 1\n")
                night.drop("none.yaml", "# mark: none\ntrain:\n  corpus: nothing.txt\n")
                night.settle()
                night.runAll()
                night.drop("u.yaml", "# mark: u\ngenerate:\n  model: t\n  length: 5\n")
                training("after: [later]\n", as: "v")(night)
                let lock = night.layout.lock(of: "u")
                night.disk.change { $0.put(lock, []) }
            }
        ).acting { night in
            night.turn()
            night.drop("w.yaml", "# mark: w\ngenerate:\n  model: t\n  length: 5\n")
            night.look(for: "w")
            night.runNext { night.look(for: "t") }
            night.settle()
        },
        Scenario(
            name: "runs outside the queue begin anew and are removed", work: .real,
            prepare: { night in
                training("")(night)
                night.putRun(Night.layout.folder(ofRun: "t"))
            }
        ).acting { night in
            night.turn()
            night.look(for: "runs/t")
            try? JobFolder(Night.layout.folder(ofRun: "t"), in: night.disk).removeOutput(
                beginning: JobStatus(job: "t", state: .active))
            _ = try? night.client.runs().clean(endedBefore: 4e9)
            night.runNext()
            night.settle()
        },
    ]

    private static let runsOne: @Sendable (Night) -> Void = { night in
        night.turn()
        night.runNext()
        night.settle()
    }

    private static func training(
        _ more: String, as job: String = "t", on corpus: String = "text.txt"
    ) -> @Sendable (Night) -> Void {
        { night in
            night.turn()
            let text = (0..<12).map { "cat \($0 % 3)\n" }.joined()
            night.disk.change { $0.put(Night.layout.corpora.appending("text.txt"), Array(text.utf8)) }
            night.drop(
                "\(job).yaml",
                "# mark: \(job)\ntrain:\n  corpus: \(corpus)\n  hidden_size: 2\n  num_layers: 1\n  epochs: 2\n"
                    + "  dropout: 0\n  seq_length: 8\n  batch_size: 2\n  val_fraction: 0.2\n  checkpoint_every: 2\n"
                    + "  log_every: 1\n" + more)
            night.settle()
        }
    }
}

extension Night {
    /// What a run outside the queue leaves that was killed.
    fileprivate func putRun(_ folder: FilePath) {
        guard (try? disk.createDirectories(folder.appending(.checkpoints), mode: 0o750)) != nil else { return }
        var status = JobStatus(job: folder.lastComponent?.string ?? "", state: .active)
        status.updatedAt = JobStatus.time(0)
        disk.change { [status] in
            $0.put(folder.appending(.status), status.encoded)
            $0.put(folder.appending(.process), Array("{}".utf8))
            $0.put(folder.appending(.checkpoints).appending("step-00000001.safetensors"), [1])
        }
    }

    /// What people's commands and the daemon's page look at, and what the daemon says to them.
    func look(for job: String) {
        let jobs = (try? client.list()) ?? []
        if let runs = try? client.runs() {
            _ = try? runs.list()
            if let run = try? runs.find(job) { try? runs.end(run) }
        }
        for name in jobs.map(\.name) + [job] { _ = try? client.why(name) }
        _ = Sparkline.losses(of: JobFolder(layout.folder(of: job), in: disk).metrics, in: disk)
        try? SpoolPage.write(layout, storage: disk, clock: time.clock)
        var waits = QueueWaits()
        waits.disk = "5 bytes"
        for each in [waits, QueueWaits()] { try? each.save(layout, on: disk) }
        _ = try? SpoolCheck.findings(layout, storage: disk, check: work.check, now: time.clock.wall())
        _ = try? ResultCheck(layout, storage: disk)
    }
}
