import CharnnCheckpoint
import CharnnEngine
import CharnnModel
import CharnnStorage
import CharnnTestSupport
import CharnnTraining
import SystemPackage
import Testing

@Suite struct CheckpointFolderTests {
    private let folder = TemporaryDirectory("checkpoints")
    private let storage = LocalStorage()
    private var checkpoints: CheckpointFolder { CheckpointFolder(folder.path.appending("checkpoints"), in: storage) }

    private func checkpoint(step: Int) -> Checkpoint {
        let architecture = Architecture(cell: .lstm, vocabularySize: 3, hiddenSize: 4, layerCount: 2)
        let parameters = Initialisation.parameters(of: architecture, seed: UInt64(step))
        var progress = TrainingProgress()
        (progress.step, progress.lossSum, progress.bestValidationLoss, progress.bestStep) = (step, 0.1, 1.5, 3)
        return Checkpoint(
            model: Model(
                architecture: architecture, vocabulary: Vocabulary(codePoints: [10, 97, 98])!, encoding: .utf8,
                parameters: []),
            state: TrainingCheckpoint(
                progress: progress,
                engine: EngineState(
                    parameters: parameters,
                    [
                        .firstMoment: parameters.map { $0 / 3 }, .secondMoment: parameters.map { $0 * $0 },
                        .hidden: [1, 2, 3, 4], .cell: [5, 6, 7, 8],
                    ])),
            identity: "a=1\nb=2",
            configuration: EngineConfiguration(
                device: "cpu", deviceName: "x", precision: "fp32", kernels: "plain", threads: 2))
    }

    @Test func `everything comes back`() throws {
        let saved = checkpoint(step: 7)
        try checkpoints.save(saved, keeping: 2)
        let (found, damaged) = try checkpoints.newest()
        let read = try #require(found)
        #expect(damaged.isEmpty && read.state.progress == saved.state.progress)
        #expect(read.state.engine == saved.state.engine && read.identity == saved.identity)
        #expect(read.configuration == saved.configuration)
    }

    @Test func `an average comes back, and a run without one has no word of it in the file`() throws {
        var saved = checkpoint(step: 7)
        saved.state.engine[.average] = saved.state.engine.parameters.map { $0 / 2 }
        try checkpoints.save(saved, keeping: 2)
        #expect(try checkpoints.newest().checkpoint?.state.engine == saved.state.engine)
        try checkpoints.save(checkpoint(step: 8), keeping: 2)
        let names = try SafeTensors(checkpoints.file(step: 8), in: storage).tensors.keys.filter {
            $0.hasPrefix("state.")
        }
        #expect(names.sorted() == ["state.cell", "state.first_moment", "state.hidden", "state.second_moment"])
    }

    @Test(arguments: 0..<20) func `moments and states that are empty come back empty`(seed: Int) throws {
        var saved = checkpoint(step: seed)
        saved.state.engine = EngineState(parameters: saved.state.engine.parameters, [.hidden: [1]])
        try checkpoints.save(saved, keeping: 2)
        #expect(try checkpoints.newest().checkpoint?.state.engine == saved.state.engine)
    }

    @Test func `the size is known before anything is written`() throws {
        let saved = checkpoint(step: 7)
        try checkpoints.save(saved, keeping: 2)
        let size = try #require(try storage.status(of: checkpoints.file(step: 7))?.size)
        #expect(size <= saved.size && saved.size - size < 16)
    }

    @Test func `anybody can read a checkpoint as a model`() throws {
        try checkpoints.save(checkpoint(step: 7), keeping: 1)
        #expect(try Model(reading: checkpoints.file(step: 7), in: storage).step == 7)
    }

    @Test func `the newest few are kept`() throws {
        for step in [1, 5, 9, 100] { try checkpoints.save(checkpoint(step: step), keeping: 2) }
        #expect(try checkpoints.steps() == [100, 9])
    }

    @Test func `a damaged newest one falls back to the one before`() throws {
        for step in [5, 9] { try checkpoints.save(checkpoint(step: step), keeping: 2) }
        let path = checkpoints.file(step: 9)
        let whole = try #require(try storage.contents(of: path))
        for position in stride(from: 0, to: whole.count, by: 61) {
            var bytes = whole
            bytes[position] ^= 0x10
            try storage.replace(path, with: bytes)
            let (found, damaged) = try checkpoints.newest()
            #expect(found?.state.progress.step == 5 && damaged.count == 1, "byte \(position)")
        }
    }

    @Test func `damaged ones and remnants of a crash are swept away, whole ones stay`() throws {
        for step in [5, 9] { try checkpoints.save(checkpoint(step: step), keeping: 2) }
        try storage.replace(checkpoints.file(step: 9), with: [1, 2, 3])
        try storage.replace(checkpoints.path.appending(".step-00000010.safetensors.partial"), with: [1])
        try checkpoints.sweep(try checkpoints.newest().damaged)
        #expect(try storage.list(checkpoints.path) == ["step-00000005.safetensors"])
    }

    @Test(arguments: SimulatedDisk.Trouble.allCases)
    func `what fails while one is written leaves the one before`(trouble: SimulatedDisk.Trouble) throws {
        let whole = SimulatedDisk()
        let folder = CheckpointFolder("/checkpoints", in: whole)
        try folder.save(checkpoint(step: 5), keeping: 2)
        let before = whole.image
        try folder.save(checkpoint(step: 9), keeping: 2)
        for at in 0..<whole.count {
            let disk = SimulatedDisk(before)
            disk.fail(.init(trouble, at: at, isLasting: true))
            let folder = CheckpointFolder("/checkpoints", in: disk)
            try? folder.save(checkpoint(step: 9), keeping: 2)
            disk.heal()
            let (found, damaged) = try folder.newest()
            #expect(found?.state.progress.step == 5 || found?.state.progress.step == 9, "at \(at)")
            #expect(damaged.isEmpty, "at \(at)")
            try folder.save(checkpoint(step: 10), keeping: 2)
            #expect(try folder.newest().checkpoint?.state.progress.step == 10)
        }
    }

    @Test func `those that a run goes back before are not brought back by a power failure`() throws {
        let disk = SimulatedDisk()
        let folder = CheckpointFolder("/checkpoints", in: disk)
        for step in [5, 9, 12] { try folder.save(checkpoint(step: step), keeping: 3) }
        try folder.discard(from: 9)
        for failure in disk.image.powerFailures(limit: 20, seed: 1) {
            let left = CheckpointFolder("/checkpoints", in: SimulatedDisk(disk.image.outcome(failure)))
            #expect(try left.newest().checkpoint?.state.progress.step == 5)
        }
    }

    @Test func `no folder means no checkpoint`() throws { #expect(try checkpoints.newest().checkpoint == nil) }
}
