import CharnnCheckpoint
import CharnnJobs
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import SystemPackage

/// What only a crash at an unlucky moment, a damaged disk or an odd hand brings about.
extension Scenario {
    static let rarities: [Scenario] = [
        Scenario(
            name: "moves that a crash left with both names",
            prepare: { night in
                accepted("steps: 1", "steps: 1")(night)
                night.close()
                night.promise(.moving("a"))
                for name in ["c", "d"] { night.drop("\(name).yaml", "mark: \(name)\n") }
                for name in ["e", "f"] { night.drop("\(name).yaml", "mark: \(name)\nnothing\n") }
                night.put("mark: g\n", "g.yaml", in: .queue)
                night.disk.change { image in
                    let layout = Night.layout
                    image.link(layout.file("a.yaml", in: .queue), as: layout.file("a.yaml", in: .cancelled))
                    // Submitted, on the way into the queue, and rejected from incoming/ and on the way.
                    let incoming = { (name: String) in layout.incoming.appending(name) }
                    image.link(incoming("c.yaml"), as: incoming(".c.yaml.partial"))
                    image.link(incoming("d.yaml"), as: layout.accepting.appending("000000000011.d.yaml"))
                    image.link(
                        layout.file("g.yaml", in: .queue), as: layout.accepting.appending("000000000012.g.yaml"))
                    for name in ["e.yaml", "f.yaml"] {
                        image.link(incoming(name), as: layout.file(name, in: .rejected))
                        image.put(layout.file("\(name).reason.txt", in: .rejected), Array("nothing\n".utf8))
                    }
                    image.link(incoming("f.yaml"), as: layout.accepting.appending("000000000013.f.yaml"))
                    image.drop(incoming("f.yaml"))
                }
            }
        ).acting { $0.settle() },
        Scenario(
            name: "jobs that a crash left unpublished, or with their drops",
            prepare: { night in
                accepted("steps: 1", "steps: 1")(night)
                night.close()
                night.disk.change { image in
                    for (number, name) in [(1, "a.yaml"), (2, "b.yaml")] {
                        let bytes = image.files["\(Night.layout.file(name, in: .queue))"] ?? []
                        image.put(Night.layout.accepting.appending("00000000000\(number).\(name)"), bytes)
                    }
                    image.drop(Night.layout.file("a.yaml", in: .queue))
                }
            }
        ).acting { $0.settle() },
        Scenario(
            name: "a daemon that was killed when it had published a job",
            prepare: { night in
                accepted("steps: 1")(night)
                night.close()
                night.disk.change { image in
                    let bytes = image.files["\(Night.layout.file("a.yaml", in: .queue))"] ?? []
                    image.put(Night.layout.accepting.appending("000000000001.a.yaml"), bytes)
                    image.put(Night.layout.file(".1.copy", in: .queue), bytes)
                    image.drop(Night.layout.file("a.yaml", in: .queue))
                }
            }
        ).acting { night in
            // Not on disk yet: its daemon was killed, and the power fails only now.
            try? night.disk.rename(
                night.layout.file(".1.copy", in: .queue), to: night.layout.file("a.yaml", in: .queue), replacing: false)
            night.settle()
        },
        Scenario(name: "a drop that has a second name for a while").acting { night in
            night.turn()
            night.drop("a.yaml", "mark: a\n")
            night.attempt { () throws(StorageError) in try night.keeper?.scan() }
            let name = night.layout.incoming.appending("a.yaml")
            let other = night.layout.incoming.appending(".a.partial")
            night.disk.change { image in if image.has(name) { image.link(name, as: other) } }
            night.turn()
            night.disk.change { image in if image.has(other) { image.drop(other) } }
            night.settle()
        },
        Scenario(
            name: "a file of the daemon's own in a job's place", sharing: .group,
            prepare: accepted("steps: 1", "steps: 1")
        ).acting { night in
            night.turn()
            night.promise(.texts(["priority: 2\n"]))
            night.promise(.moving("b"))
            let file = night.layout.file("b.yaml", in: .queue)
            night.disk.change { $0.put(file, Array("priority: 2\n".utf8), owner: Night.daemon) }
            night.settle()
        },
        Scenario(name: "hints", prepare: accepted("steps: 1", "steps: 1")).acting { night in
            night.turn()
            night.drop("c.yaml", "mark: c\n")
            night.hint(.arrived(directory: night.layout.incoming, name: "c.yaml"))
            night.turn()
            night.hint(.arrived(directory: night.layout.directory(.queue), name: "c.yaml"))
            night.shift("b.yaml", from: .queue, to: .held)
            night.hint(.changed(directory: night.layout.directory(.queue), name: "b.yaml"))
            night.hint(.arrived(directory: night.layout.directory(.held), name: "b.yaml"))
            night.hint(.overflow)
            night.move("a", to: .cancelled) { _ in night.ask(.cancel, "a", "1") }
            night.hint(.arrived(directory: night.layout.requests, name: "1.request"))
            night.attempt { () throws(StorageError) in try night.keeper?.answerRequests() }
            night.settle()
        },
        Scenario(name: "a full disk", prepare: accepted("steps: 3")).acting { night in
            night.turn()
            night.stopsAfter = 1
            night.runNext()
            night.stopsAfter = nil
            night.turn()
            // Room for a model, and not for a checkpoint.
            let checkpoint = JobFolder(night.layout.folder(of: "a"), in: night.disk).checkpoints.file(step: 1)
            night.disk.change { $0.capacity = $0.used + ($0.files["\(checkpoint)"]?.count ?? 0) - 100 }
            night.runNext()
            night.disk.change { $0.capacity = nil }
            night.settle()
            night.time.pass(100)
            night.runNext()
        },
        Scenario(
            name: "damaged checkpoints",
            prepare: { night in
                accepted("steps: 4")(night)
                night.stopsAfter = 2
                night.runNext()
                night.stopsAfter = nil
                night.close()
                night.damageCheckpoints(of: "a")
            }
        ).acting { night in
            night.turn()
            night.runNext()
            night.settle()
        },
        Scenario(
            name: "charnn fsck --repair of damage",
            prepare: { night in
                accepted("steps: 4", "steps: 1")(night)
                night.stopsAfter = 2
                night.runNext()
                night.stopsAfter = nil
                night.close()
                night.damageCheckpoints(of: "a")
                var unticketed = JobStatus(job: "c", state: .queue)
                unticketed.sequence = 9
                let bytes = unticketed.encoded
                night.promise(.texts(["no status\n", String(decoding: bytes, as: UTF8.self)]))
                night.promise(.unexplained("odd.yaml"))
                night.put("mark: c\n", "c.yaml", in: .queue)
                night.put("nothing\n", "odd.yaml", in: .rejected, isNew: false)
                night.drop("d.yaml", "mark: d\n")
                try? night.disk.createDirectory(night.layout.folder(of: "c"), mode: 0o750)
                try? night.disk.setMode(0o777, of: night.layout.directory(.done))
                night.disk.change { image in
                    image.put(Night.layout.status(of: "b"), Array("no status\n".utf8))
                    image.put(Night.layout.status(of: "c"), bytes)
                }
            }
        ).acting { night in
            night.repair()
            night.settle()
            night.runNext()
        },
    ]
}

extension Night {
    /// The daemon hears of a change.
    func hint(_ hint: StorageHint) {
        attempt { () throws(StorageError) in try keeper?.handle(hint) }
    }

    /// A checkpoint newer than all others is none, and one was cut short.
    func damageCheckpoints(of job: String) {
        let folder = JobFolder(layout.folder(of: job), in: disk).checkpoints
        promise(.texts(["none"]))
        disk.change { image in
            image.put(folder.file(step: 99), Array("none".utf8))
            image.put(folder.path.appending(".half.partial"), Array("no".utf8))
        }
    }
}
