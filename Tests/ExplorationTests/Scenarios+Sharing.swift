import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import Glibc
import SystemPackage

/// What people ask for, and what is kept from whom, in a spool that several share.
extension Scenario {
    static let sharing: [Scenario] = [
        Scenario(
            name: "what people ask for", sharing: .group,
            prepare: accepted("steps: 1", "steps: 1", "steps: 1", "steps: 1")
        ).acting { night in
            night.turn()
            night.move("a", to: .held) { _ in night.ask(.hold, "a", "1") }
            night.move("b", to: .cancelled) { _ in night.ask(.cancel, "b", "2") }
            night.askToEdit("c", "3", "mark: c\npriority: 3\n")
            night.turn()
            // Another's job, a number that is another's, and two that are no requests.
            night.ask(.cancel, "d", "4", owner: Night.other)
            night.ask(.cancel, "d", "5", sequence: 99)
            night.disk.change { image in
                image.put(Night.layout.requests.appending("6.request"), Array("nothing\n\n".utf8), owner: Night.member)
            }
            try? night.disk.createDirectory(night.layout.requests.appending("7.request"), mode: 0o755)
            night.turn()
            night.promise(.moving("a"))
            night.ask(.release, "a", "8")
            night.promise(.moving("b"))
            night.ask(.retry, "b", "9")
            night.promise(.askingForPause)
            night.ask(.pause, "", "10", owner: 0)
            night.turn()
            night.promise(.askingForPause)
            night.ask(.resume, "", "11", owner: 0)
            night.settle()
            night.runNext()
        },
        Scenario(
            name: "what administrators ask for", sharing: .group, prepare: accepted("steps: 1", "steps: 1")
        ).acting { night in
            night.turn()
            night.askToEdit("a", "1", "mark: a\npriority: 3\n", owner: Night.administrator)
            // More than its submitter's own file may: to read another text.
            night.askToEdit("b", "2", "mark: b\ntexts: other.txt\n", owner: Night.administrator)
            night.settle()
        },
        Scenario(name: "an edit on a full disk", sharing: .group, prepare: accepted("steps: 1")).acting { night in
            night.turn()
            night.askToEdit("a", "1", "mark: a\nsteps: 1\npriority: 1\n")
            // No room for the new file.
            night.disk.change { $0.capacity = $0.used + 5 }
            night.turn()
            night.disk.change { $0.capacity = nil }
            night.settle()
        },
        Scenario(
            name: "a request that cannot be removed for a while", sharing: .group, prepare: accepted("steps: 1")
        ).acting { night in
            night.turn()
            night.move("a", to: .held) { _ in night.ask(.hold, "a", "1") }
            let request = night.layout.requests.appending("1.request")
            night.disk.change { $0.protect(request) }
            night.turn()
            night.turn()
            night.disk.change { $0.protect(request, false) }
            night.settle()
        },
        Scenario(
            name: "people ask while there is no daemon", sharing: .group,
            prepare: { night in
                night.turn()
                for name in ["a", "b"] { night.drop("\(name).yaml", "mark: \(name)\n", owner: getuid()) }
                night.settle()
                night.close()
            }
        ).acting { night in
            night.disk.change { $0.user = getuid() }
            night.move("a", to: .held) { try $0.hold("a") }
            night.edit("b", "mark: b\npriority: 3\n")
            night.disk.change { $0.user = Night.daemon }
            night.settle()
        },
        Scenario(
            name: "a job that is its owner's alone", sharing: .group,
            prepare: { night in
                night.turn()
                night.drop("a.yaml", "mark: a\nshare: owner\n")
                night.promise(.secret("a"))
            }
        ).acting { night in
            night.settle()
            night.runNext()
            night.settle()
        },
        Scenario(
            name: "an edit makes a job its owner's alone", sharing: .group, prepare: accepted("steps: 1")
        ).acting { night in
            night.turn()
            night.promise(.closing("a"))
            night.askToEdit("a", "1", "mark: a\nshare: owner\n")
            night.settle()
            night.promiseSecret("a")
            night.runNext()
        },
        Scenario(
            name: "a file that is lost of what is its owner's alone", sharing: .group,
            prepare: { night in
                night.turn()
                night.drop("a.yaml", "mark: a\nshare: owner\n")
                night.settle()
                night.promise(.secret("a"))
            }
        ).acting { night in
            night.turn()
            night.promise(.moving("a"))
            try? night.disk.remove(night.layout.file("a.yaml", in: .queue))
            night.settle()
        },
        Scenario(
            name: "texts are closed and opened before their jobs begin", sharing: .group, textGrace: 600,
            prepare: readingTexts
        ).acting(closingAndOpeningTexts),
        Scenario(
            name: "the same where there are no access lists", sharing: .group, textGrace: 600,
            prepare: { night in
                night.disk.change { $0.hasAccessLists = false }
                readingTexts(night)
                // As version 0.1.0 made it.
                try? night.disk.setMode(0o2770, of: night.layout.directory(.done))
            }
        ).acting(closingAndOpeningTexts),
        Scenario(
            name: "names in another form of Unicode", sharing: .group, textGrace: 600,
            prepare: { night in
                night.turn()
                night.disk.change {
                    $0.put(
                        Night.layout.corpora.appending("ga\u{308}rten.txt"), Array("cat\n".utf8), owner: Night.member)
                    $0.put(Night.layout.corpora.appending("m.safetensors"), [1], owner: Night.member)
                }
                for name in ["\u{E9}", "\u{F6}", "\u{FC}"] { night.drop("\(name).yaml", "mark: \(name)\n") }
                night.settle()
                // A move that a crash left with both names.
                night.promise(.moving("\u{F6}"))
                night.disk.change { image in
                    image.link(
                        Night.layout.file("\u{F6}.yaml", in: .queue),
                        as: Night.layout.file("o\u{308}.yaml", in: .held))
                }
                night.drop("b.yaml", "mark: b\ntexts: g\u{E4}rten.txt\nmodels: g\u{E4}rtner\nmodel: m.safetensors\n")
            }
        ).acting { night in
            night.turn()
            night.promise(.moving("\u{E9}"))
            night.shift("\u{E9}.yaml", from: .queue, to: .held, as: "e\u{301}.yaml")
            night.promise(.moving("\u{FC}"))
            try? night.disk.remove(night.layout.file("\u{FC}.yaml", in: .queue))
            night.settle()
            night.runNext()
        },
    ]

    /// Job `a` reads a text that everybody may read, and `b` one that is not there yet.
    private static let readingTexts: @Sendable (Night) -> Void = { night in
        night.turn()
        night.disk.change {
            $0.put(Night.layout.corpora.appending("text.txt"), Array("cat\n".utf8), owner: Night.member)
        }
        night.drop("a.yaml", "mark: a\ntexts: text.txt\nsteps: 1\n")
        night.drop("b.yaml", "mark: b\ntexts: late.txt\n")
        night.settle()
    }

    private static let closingAndOpeningTexts: @Sendable (Night) -> Void = { night in
        night.turn()
        try? night.disk.setMode(0o600, of: Night.layout.corpora.appending("text.txt"))
        night.promise(.closing("a"))
        night.promise(.opening("b"))
        night.runNext { night.promiseSecret("a") }
        night.disk.change {
            $0.put(Night.layout.corpora.appending("late.txt"), Array("dog\n".utf8), owner: Night.member)
        }
        night.settle()
        night.runNext()
        night.settle()
    }
}

extension Night {
    /// Somebody asks for something.
    func ask(
        _ verb: SpoolRequest.Verb, _ job: String, _ name: String, owner: UInt32? = nil, sequence: UInt64? = nil,
        file: String = ""
    ) {
        let owner = owner ?? person
        let known = (try? JobStatus.read(layout.status(of: job), on: disk))??.sequence
        let request = SpoolRequest(verb, job: job, sequence: sequence ?? known ?? 1, file: Array(file.utf8))
        disk.change { image in
            image.put(Self.layout.requests.appending("\(name).request"), request.bytes, owner: owner)
        }
    }

    /// Somebody asks for another file of a job.
    func askToEdit(_ job: String, _ name: String, _ text: String, owner: UInt32? = nil) {
        promise(.editing(job: job, text: text))
        ask(.edit, job, name, owner: owner, file: text)
    }

    /// What a job's status says to be its owner's alone is so from now on.
    func promiseSecret(_ job: String) {
        if (try? JobStatus.read(layout.status(of: job), on: disk))??.isPrivate == true { promise(.secret(job)) }
    }
}
