public import CharnnEngine
public import CharnnModel
public import CharnnStorage
public import CharnnTraining
import CharnnWords
import Crypto
import FoundationEssentials
public import SystemPackage

/// A checkpoint file: a model file that anybody can read, with the optimiser's moments, the recurrent state and the
/// trainer's progress beside the weights, under one checksum.
public struct Checkpoint: Sendable {
    /// The weights with their vocabulary; its `parameters` are those of `state.engine`.
    public var model: Model
    /// The trainer's and the engine's part; with the same settings and text it gives every later step.
    public var state: TrainingCheckpoint
    /// What must not change between a checkpoint and the run that goes on from it.
    public var identity: String

    /// What computed it; the run that goes on takes the same where it can.
    public var configuration: EngineConfiguration

    /// The SHA-256 of files beside the checkpoints that the run goes on with, by name, as it left them; empty in
    /// checkpoints of version 0.1.0.
    public var files: [String: String]

    /// What was chosen for the run where its job file left it open, by key; nil in runs that version 0.1.0 began.
    public var choices: [String: String]?

    /// - Parameter model: What the weights belong to; its parameters, step and validation loss are taken from `state`
    ///   instead.
    public init(
        model: Model, state: TrainingCheckpoint, identity: String, configuration: EngineConfiguration,
        files: [String: String] = [:], choices: [String: String]? = nil
    ) {
        self.choices = choices
        self.files = files
        self.configuration = configuration
        self.model = model
        self.state = state
        self.identity = identity
        self.model.parameters = state.engine.parameters
        self.model.step = state.progress.step
        self.model.validationLoss = state.progress.lastValidationLoss
    }

    private static func name(of buffer: EngineBuffer) -> String { "state.\(buffer.rawValue)" }

    private var sources: [SafeTensors.Source] {
        var sources = Model.sources(of: state.engine.parameters, architecture: model.architecture)
        for buffer in EngineBuffer.allCases {
            let values = state.engine[buffer]
            // The four of version 0.1.0 stand in every checkpoint; others only where there is something in them.
            if buffer == .average, values.isEmpty { continue }
            sources.append(SafeTensors.Source(name: Self.name(of: buffer), shape: [values.count], values: values[...]))
        }
        return sources
    }

    private var metadata: [String: String] {
        var metadata = model.metadata
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        // Finite numbers and booleans always encode.
        metadata["state.progress"] = (try? encoder.encode(state.progress)).map { String(decoding: $0, as: UTF8.self) }
        metadata["state.engine"] = (try? encoder.encode(configuration)).map { String(decoding: $0, as: UTF8.self) }
        metadata["state.identity"] = identity
        if !files.isEmpty { metadata["state.files"] = Self.json(files) }
        metadata["state.choices"] = choices.flatMap(Self.json)
        return metadata
    }

    private static func json(_ words: [String: String]) -> String? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? encoder.encode(words)).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func words(_ json: String?) -> [String: String]? {
        json.flatMap { try? JSONDecoder().decode([String: String].self, from: Data($0.utf8)) }
    }

    /// The SHA-256 of all metadata and all tensors, hexadecimal.
    private static func checksum(_ metadata: [String: String], _ sources: [SafeTensors.Source]) -> String {
        var hasher = SHA256()
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) where key != "state.sha256" {
            hasher.update(data: [UInt8]("\(key)=\(value)\n".utf8))
        }
        for source in sources {
            hasher.update(data: [UInt8]("\(source.name) \(source.shape)\n".utf8))
            source.values.withUnsafeBytes { hasher.update(bufferPointer: $0) }
        }
        return hasher.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// The size of the file, bytes; known before anything is written.
    public var size: Int { SafeTensors.size(of: sources, metadata: metadata) + 90 }

    /// Writes the file durably.
    public func write(to path: FilePath, in storage: any Storage) throws(CheckpointError) {
        let sources = sources
        var metadata = metadata
        metadata["state.sha256"] = Self.checksum(metadata, sources)
        do {
            try SafeTensors.write(sources, metadata: metadata, to: path, in: storage)
        } catch {
            // What was begun is removed; it may be what fills the disk.
            try? storage.discard(path.partial)
            if error.code == .noSpace {
                throw CheckpointError(
                    .noSpace,
                    "there is no room for a checkpoint of \(byteCount(Double(size))) at \(path); make room on that disk",
                    bytes: size)
            }
            throw CheckpointError(.unwritable, "cannot write a checkpoint: \(error)")
        }
    }

    /// Reads a file and checks it.
    public init(reading path: FilePath, in storage: any Storage) throws(CheckpointError) {
        do throws(ModelError) {
            let file = try SafeTensors(path, in: storage)
            let model = try Model(file, path: path)
            guard let json = file.metadata["state.progress"], let identity = file.metadata["state.identity"],
                let progress = try? JSONDecoder().decode(TrainingProgress.self, from: Data(json.utf8)),
                let engine = file.metadata["state.engine"],
                let configuration = try? JSONDecoder().decode(EngineConfiguration.self, from: Data(engine.utf8))
            else { throw ModelError(.damaged, "\(path) is a model but no checkpoint") }
            var state = EngineState(parameters: model.parameters)
            for buffer in EngineBuffer.allCases {
                if buffer == .average, file.tensors[Self.name(of: buffer)] == nil { continue }
                state[buffer] = try file.floats(Self.name(of: buffer))
            }
            let counts = EngineBuffer.ofParameters.map { state[$0].count }
            guard counts.allSatisfy({ $0 == 0 || $0 == model.parameters.count }) else {
                throw ModelError(.damaged, "the moments in \(path) do not belong to its weights")
            }
            self.state = TrainingCheckpoint(progress: progress, engine: state)
            self.model = model
            self.identity = identity
            self.configuration = configuration
            files = Self.words(file.metadata["state.files"]) ?? [:]
            choices = Self.words(file.metadata["state.choices"])
            guard Self.checksum(file.metadata, sources) == file.metadata["state.sha256"] else {
                throw ModelError(.damaged, "the checksum of \(path) does not match its contents")
            }
        } catch {
            let isUnreadable = error.code == .unreadable || error.code == .readFailed
            throw CheckpointError(isUnreadable ? .unreadable : .damaged, error.description)
        }
    }
}
