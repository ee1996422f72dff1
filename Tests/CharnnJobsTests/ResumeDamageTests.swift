import CharnnCheckpoint
import CharnnJobs
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTestSupport
import CharnnTraining
import Foundation
import SystemPackage
import Testing

/// Every file that a resume reads, damaged: the run ends in the bytes of an undisturbed one, or clearly.
@Suite struct ResumeDamageTests {
    private let fixture: JobFixture
    private let job: String

    init() throws {
        fixture = try JobFixture()
        job = JobFixture.training.replacing("epochs: 3", with: "epochs: 1\n  eval_every: 12")
    }

    /// How a file is damaged.
    enum Damage: String, CaseIterable {
        case firstBit, middleBit, lastBit, half, empty, missing, another

        func apply(to bytes: [UInt8]) -> [UInt8]? {
            var bytes = bytes
            switch self {
            case .firstBit: bytes[0] ^= 1
            case .middleBit: bytes[bytes.count / 2] ^= 1
            case .lastBit: bytes[bytes.count - 1] ^= 1
            case .half: return Array(bytes.prefix(bytes.count / 2))
            case .empty: return []
            case .missing: return nil
            case .another: return Array("none of ours\n".utf8)
            }
            return bytes
        }
    }

    /// Runs a job up to its third checkpoint, at step 30: after evaluations at 12 and 24.
    private func interrupt(_ name: String, _ job: String) throws {
        fixture.onEvent = { [unowned fixture] event in
            if event.kind == .checkpointSaved, event.fields["STEP"] == "30" { fixture.stop.set() }
        }
        #expect(try fixture.run(name, job) == .checkpointed)
        fixture.onEvent = nil
        #expect(try fixture.output(name).checkpoints.newest().checkpoint?.state.progress.bestStep == 24)
    }

    private func damage(_ path: FilePath, _ damage: Damage) throws {
        if let bytes = damage.apply(to: try fixture.bytes(path)) {
            try fixture.storage.replace(path, with: bytes)
        } else {
            try fixture.storage.remove(path)
        }
    }

    private func requireSameBytes(_ name: String, as whole: String) throws {
        let (one, other) = (fixture.output(whole), fixture.output(name))
        #expect(try fixture.bytes(one.model) == fixture.bytes(other.model))
        #expect(try fixture.bytes(one.lastModel) == fixture.bytes(other.lastModel))
        #expect(other.status()?.warnings.isEmpty == false || other.status()?.results?.isEmpty == false)
    }

    @Test(arguments: Damage.allCases)
    func `a damaged encoded text is made anew where the text is still there`(_ kind: Damage) throws {
        try fixture.run("whole", job)
        try interrupt("a", job)
        try damage(fixture.output("a").corpus, kind)
        #expect(try fixture.run("a", job) == .done)
        try requireSameBytes("a", as: "whole")
        if kind != .missing {
            #expect(fixture.output("a").status()?.warnings.contains { $0.contains("made anew") } == true)
        }
    }

    @Test func `a damaged encoded text whose text has changed or is gone ends the job clearly`() throws {
        for isGone in [false, true] {
            let name = isGone ? "gone" : "changed"
            try interrupt(name, job)
            try damage(fixture.output(name).corpus, .middleBit)
            let text = fixture.corpora.appending("text.txt")
            let bytes = try fixture.bytes(text)
            if isGone { try fixture.storage.remove(text) } else { try damage(text, .middleBit) }
            #expect(try fixture.run(name, job) == .badData)
            let reason = try #require(fixture.output(name).status()?.reason)
            #expect(reason.contains("corpus.bin is damaged") && reason.contains("cannot be made anew"))
            try fixture.storage.replace(text, with: bytes)
            // With the text as it was the job goes on.
            #expect(try fixture.run(name, job) == .done)
        }
    }

    @Test(arguments: Damage.allCases.filter { $0 != .missing })
    func `where the best model was changed the run goes back to write it again`(_ kind: Damage) throws {
        try fixture.run("whole", job)
        try interrupt("a", job)
        try damage(fixture.output("a").model, kind)
        #expect(try fixture.run("a", job) == .done)
        try requireSameBytes("a", as: "whole")
        #expect(fixture.output("a").status()?.warnings.contains { $0.contains("goes back to step 20") } == true)
    }

    @Test func `another model in its place is told from it, also one of the very same sizes`() throws {
        try fixture.run("whole", job)
        try interrupt("a", job)
        let path = fixture.output("a").model
        var model = try Model(reading: path, in: fixture.storage)
        model.parameters[0] += 1
        try model.write(to: path, in: fixture.storage)
        #expect(try fixture.run("a", job) == .done)
        try requireSameBytes("a", as: "whole")
    }

    @Test(arguments: Damage.allCases.filter { $0 != .missing })
    func `without an earlier checkpoint the job ends clearly, and goes on when the file is put back or removed`(
        _ kind: Damage
    ) throws {
        let job = job.replacing("checkpoint_every: 10", with: "checkpoint_every: 10\n  keep_checkpoints: 1")
        try fixture.run("whole", job)
        for isPutBack in [true, false] {
            let name = isPutBack ? "back" : "removed"
            try interrupt(name, job)
            let path = fixture.output(name).model
            let bytes = try fixture.bytes(path)
            try damage(path, kind)
            #expect(try fixture.run(name, job) == .badData)
            #expect(fixture.output(name).status()?.reason?.contains("is not what this run wrote") == true)
            if isPutBack {
                try fixture.storage.replace(path, with: bytes)
                #expect(try fixture.run(name, job) == .done)
                try requireSameBytes(name, as: "whole")
            } else {
                try fixture.storage.remove(path)
                #expect(try fixture.run(name, job) == .done)
                #expect(fixture.output(name).status()?.warnings.contains { $0.contains("is missing") } == true)
            }
        }
    }

    @Test func `a model that claims to be newer than the checkpoint ends the job unless the run writes it again`()
        throws
    {
        try fixture.run("whole", job)
        for step in [31, 1_000_000] {
            try interrupt("a\(step)", job)
            let path = fixture.output("a\(step)").model
            var model = try Model(reading: path, in: fixture.storage)
            model.parameters[0] += 1
            model.step = step
            try model.write(to: path, in: fixture.storage)
            #expect(try fixture.run("a\(step)", job) == .done)
            try requireSameBytes("a\(step)", as: "whole")
        }
        // One that no later evaluation beats: the rate is nought from now on.
        let still = job.replacing(
            "lr: 0.01", with: "lr: 0.01\n  lr_schedule: step\n  lr_step_every: 1\n  lr_gamma: 1.0e-30"
        )
        .replacing("epochs: 1", with: "epochs: 2")
        try fixture.run("still", still)
        let best = try #require(fixture.output("still").checkpoints.newest().checkpoint?.state.progress.bestStep)
        let last = try #require(fixture.output("still").status()?.totalSteps)
        #expect(best < last)
        fixture.onEvent = { [unowned fixture] event in
            if event.kind == .checkpointSaved, event.fields["STEP"].flatMap(Int.init) ?? 0 > best + 60 {
                fixture.stop.set()
            }
        }
        #expect(try fixture.run("b", still) == .checkpointed)
        fixture.onEvent = nil
        let path = fixture.output("b").model
        var model = try Model(reading: path, in: fixture.storage)
        model.parameters[0] += 1
        model.step = 1_000_000
        try model.write(to: path, in: fixture.storage)
        let exit = try fixture.run("b", still)
        if exit == .done {
            try requireSameBytes("b", as: "still")
        } else {
            #expect(exit == .badData)
            #expect(fixture.output("b").status()?.reason?.contains("is not of this run") == true)
        }
    }

    /// Copies the folder of a job at the next evaluation of a step: what a crash leaves there.
    private func crash(_ name: String, _ job: String, at step: Int) throws {
        let copy = "\(name)-crashed"
        fixture.onEvent = { [unowned fixture] event in
            guard event.kind == .evaluated, event.fields["STEP"] == "\(step)" else { return }
            let (from, to) = (fixture.output(name).path.string, fixture.output(copy).path.string)
            try? FileManager.default.copyItem(atPath: from, toPath: to)
        }
        #expect(try fixture.run(name, job) == .done)
        fixture.onEvent = nil
        #expect(try fixture.storage.status(of: fixture.output(copy).path) != nil)
    }

    @Test func `a crash after a better model and before its checkpoint ends in the same bytes`() throws {
        try fixture.run("whole", job)
        try crash("a", job, at: 36)
        let crashed = fixture.output("a-crashed")
        #expect(try Model(reading: crashed.model, in: fixture.storage).step == 36)
        #expect(try #require(crashed.checkpoints.newest().checkpoint).state.progress.step == 30)
        #expect(try fixture.run("a-crashed", job) == .done)
        try requireSameBytes("a-crashed", as: "whole")
        // Nothing of what was kept for it stays.
        #expect(try !fixture.storage.list(crashed.path).contains { $0.hasPrefix(".model") })
    }

    @Test func `the best model that the newest checkpoint knows is kept beside a better one, and taken back`() throws {
        try crash("a", job, at: 36)
        let crashed = fixture.output("a-crashed")
        let former = crashed.path.appending(".model-of-checkpoint.safetensors")
        #expect(try Model(reading: former, in: fixture.storage).step == 24)
        var takenBack: Int?
        fixture.onEvent = { [unowned fixture] event in
            guard event.kind == .resumed else { return }
            takenBack = try? Model(reading: crashed.model, in: fixture.storage).step
        }
        #expect(try fixture.run("a-crashed", job) == .done)
        #expect(takenBack == 24)
    }

    @Test func `it ends also where an edit keeps that model from coming again`() throws {
        try crash("a", job, at: 36)
        #expect(try fixture.run("a-crashed", job.replacing("lr: 0.01", with: "lr: 0.00001")) == .done)
        let best = try Model(reading: fixture.output("a-crashed").model, in: fixture.storage)
        #expect(fixture.output("a-crashed").status()?.bestValidationLoss == best.validationLoss)
    }

    @Test func `a stop in the middle of an evaluation and a crash right after it end in the same bytes`() throws {
        try fixture.run("whole", job)
        fixture.onProgress = { [unowned fixture] status in
            if status.phase == "evaluating", status.step ?? 0 >= 20 { fixture.stop.set() }
        }
        #expect(try fixture.run("a", job) == .checkpointed)
        fixture.onProgress = nil
        let progress = try #require(fixture.output("a").checkpoints.newest().checkpoint).state.progress
        #expect(progress.isUnfinished && progress.step == 24)
        try crash("a", job, at: 24)
        #expect(try fixture.run("a-crashed", job) == .done)
        try requireSameBytes("a-crashed", as: "whole")
        #expect(fixture.output("a-crashed").status()?.warnings.contains { $0.contains("changed") } == false)
    }

    @Test func `stops on the way back to where the model is written again go back no further`() throws {
        let job = job.replacing("checkpoint_every: 10", with: "checkpoint_every: 2\n  keep_checkpoints: 9")
        try fixture.run("whole", job)
        try interrupt("a", job)
        try damage(fixture.output("a").model, .half)
        // From 22 on, each time two steps further; the evaluation at 24 writes it.
        for step in [24, 26, 28] {
            fixture.onEvent = { [unowned fixture] event in
                if event.kind == .checkpointSaved, event.fields["STEP"] == "\(step)" { fixture.stop.set() }
            }
            #expect(try fixture.run("a", job) == .checkpointed)
        }
        fixture.onEvent = nil
        #expect(try fixture.run("a", job) == .done)
        try requireSameBytes("a", as: "whole")
    }

    @Test func `a model that is changed while the run goes on is not taken for its result`() throws {
        fixture.onEvent = { [unowned fixture] event in
            guard event.kind == .evaluated else { return }
            let path = fixture.output("a").model
            guard var model = try? Model(reading: path, in: fixture.storage) else { return }
            model.parameters[0] += 1
            try? model.write(to: path, in: fixture.storage)
        }
        #expect(try fixture.run("a", job) == .badData)
        #expect(fixture.output("a").status()?.reason?.contains("while it ran") == true)
    }

    @Test(arguments: Damage.allCases)
    func `a damaged newest checkpoint gives the same bytes`(_ kind: Damage) throws {
        try fixture.run("whole", job)
        try interrupt("a", job)
        try damage(fixture.output("a").checkpoints.file(step: 30), kind)
        #expect(try fixture.run("a", job) == .done)
        try requireSameBytes("a", as: "whole")
    }

    @Test(arguments: Damage.allCases)
    func `damaged curves change no weight, and that is told`(_ kind: Damage) throws {
        try fixture.run("whole", job)
        try interrupt("a", job)
        try damage(fixture.output("a").metrics, kind)
        #expect(try fixture.run("a", job) == .done)
        try requireSameBytes("a", as: "whole")
        // The head is written anew.
        let isMended = kind == .firstBit
        #expect(
            fixture.output("a").status()?.warnings.contains { $0.contains("metrics.csv was changed") } == !isMended)
    }

    @Test(arguments: Damage.allCases)
    func `damaged events, pages and choices change nothing`(_ kind: Damage) throws {
        try fixture.run("whole", job)
        try interrupt("a", job)
        for path in [fixture.output("a").events, fixture.output("a").page, fixture.output("a").resolved] {
            try damage(path, kind)
        }
        #expect(try fixture.run("a", job) == .done)
        try requireSameBytes("a", as: "whole")
    }

    @Test func `an interrupted generation goes on behind the texts that are whole`() throws {
        try fixture.run("m", job)
        let texts = "generate:\n  model: m\n  length: 40\n  count: 50\n  prompt: \"the\"\n"
        #expect(try fixture.run("whole", texts) == .done)
        let (output, renames) = (fixture.output("a"), fixture.renames)
        let storage = MeddlingStorage { call, path in
            guard call == "rename", path.string.contains("generated/."), path.string.hasSuffix(".txt.partial") else {
                return
            }
            if let name = path.lastComponent?.string { renames.note(name) }
        }
        var rounds = 0
        while rounds < 10 {
            rounds += 1
            renames.stopAfter(17)
            let exit = try fixture.run("a", texts, on: storage)
            if exit == .done { break }
            #expect(exit == .checkpointed)
        }
        #expect(rounds > 2)
        // Each once: nothing that was whole was written again.
        #expect(renames.names == (1...50).map { ".\($0).txt.partial" })
        for number in 1...50 {
            let name = "\(number).txt"
            #expect(
                try fixture.bytes(output.generated.appending(name))
                    == fixture.bytes(fixture.output("whole").generated.appending(name)))
        }
        // Another text is asked for: all are written.
        renames.forget()
        renames.stopAfter(.max)
        #expect(try fixture.run("a", texts.replacing("length: 40", with: "length: 30"), on: storage) == .done)
        #expect(renames.names.count == 50)
    }

    @Test func `a text that is gone is written again by a run that goes on, with those that were written beside it`()
        throws
    {
        try fixture.run("m", job)
        let texts = "generate:\n  model: m\n  length: 40\n  count: 40\n  prompt: \"the\"\n"
        let (output, renames) = (fixture.output("a"), fixture.renames)
        let storage = MeddlingStorage { call, path in
            guard call == "rename", path.string.hasSuffix(".txt.partial") else { return }
            if let name = path.lastComponent?.string { renames.note(name) }
        }
        renames.stopAfter(17)
        #expect(try fixture.run("a", texts, on: storage) == .checkpointed)
        #expect(renames.names.count == 32)
        let gone = output.generated.appending("20.txt")
        let before = try fixture.bytes(gone)
        try fixture.storage.remove(gone)
        renames.forget()
        #expect(try fixture.run("a", texts, on: storage) == .done)
        #expect(renames.names == (17...40).map { ".\($0).txt.partial" })
        #expect(try fixture.bytes(gone) == before)
    }

    @Test func `many texts are listed in a manifest, which fsck reads`() throws {
        try fixture.run("m", job)
        let texts = "generate:\n  model: m\n  length: 2\n  count: 300\n  prompt: \"the\"\n"
        #expect(try fixture.run("a", texts) == .done)
        let results = try #require(fixture.output("a").status()?.results)
        #expect(results.map(\.path) == ["manifest.sha256"])
        let lines = try fixture.text(fixture.output("a").manifest).split(separator: "\n")
        #expect(lines.count == 300 && lines.allSatisfy { $0.contains("  generated/") })
        #expect(try fixture.findings() == [])
        try damage(fixture.output("a").generated.appending("7.txt"), .firstBit)
        #expect(try fixture.findings().contains { $0.contains("7.txt") && $0.contains("checksum") })
        try damage(fixture.output("a").manifest, .lastBit)
        #expect(try fixture.findings().contains { $0.contains("manifest.sha256") })
        // With fewer of them there is none.
        #expect(try fixture.run("b", texts) == .done)
        for name in try fixture.storage.list(fixture.output("b").generated) {
            try fixture.storage.remove(fixture.output("b").generated.appending(name))
        }
        #expect(try fixture.run("b", texts.replacing("300", with: "3")) == .done)
        #expect(fixture.output("b").status()?.results?.count == 3)
        #expect(try fixture.storage.status(of: fixture.output("b").manifest) == nil)
    }
}
