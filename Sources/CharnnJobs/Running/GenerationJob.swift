import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnSpool
import CharnnStorage
import CharnnTraining
import CharnnWords
import Crypto
import FoundationEssentials
import SystemPackage

/// A model in memory and what to call it.
///
/// A name is the job's or the path, as the job file has it; of the model that the job trained itself, its file.
struct LoadedModel {
    var model: Model
    var name: String
    /// Where it lies.
    var file: CorpusFile
}

extension JobContext {
    /// The models of a section: those that are named, or the one that this job trained.
    ///
    /// A file is opened as the one whose rights were looked at: one that was put in its place meanwhile is refused.
    func load(_ references: [ModelReference], trained: LoadedModel?) throws -> [LoadedModel] {
        guard !references.isEmpty else {
            guard let trained else { throw JobError(.badJob, "name a model: a job or a model file") }
            return [trained]
        }
        return try references.map { reference in
            let file = try environment.modelFile(reference, in: storage)
            return LoadedModel(
                model: try Model(reading: file.path, beneath: file.root, expecting: file.found, in: storage),
                name: reference.description, file: file)
        }
    }

    /// An engine that reads and writes text with a model.
    func engine(for model: Model) throws -> any Engine {
        try engines.makeEngine(
            engineChoice(precision: .fp32), architecture: model.architecture.withoutDropout,
            parameters: model.parameters)
    }
}

/// The `generate` sections of a job at work: `generated/1.txt`, `2.txt` …, in order.
///
/// What an earlier attempt wrote under these names is somebody's night: before it would be replaced it is moved to
/// `generated/attempt-N/`. Texts of the same attempt, interrupted, are gone on with behind.
///
/// ```
/// 1. keep     texts of an earlier attempt under the section's numbers move to attempt-N/
/// 2. note     durably: what has these numbers from now on is this attempt's
/// 3. write    sixteen texts side by side, each into a hidden file
/// 4. publish  each gets its name; then the count is noted
/// ```
///
/// A crash between 1 and 2 finds nothing to move; between 3 and 4 leaves hidden files, which are removed when all is
/// written; within 4 some texts are whole and are written once more, to the same bytes. A text under its name is always
/// whole.
///
/// Which texts are the same as those of an attempt before is decided by what they follow from
/// (``GenerationProgress/identity(_:_:_:text:)``), never by times or names.
struct GenerationJob {
    private let context: JobContext
    private var folder: JobFolder { context.folder }

    /// The most texts that are written side by side.
    // Any number gives the same texts; more at once are faster and take more memory.
    private static let streams = 16

    init(_ context: JobContext) { self.context = context }

    /// Writes what the sections ask for, numbered through from 1.
    func run(_ trained: LoadedModel?) throws {
        let sections = context.job.generate
        // A job that asks for none any more has none but those of before.
        guard !sections.isEmpty || folder.exists(folder.generated) else { return }
        context.keeper.enter("generating")
        try context.storage.createDirectories(folder.generated, mode: 0o750)
        var progress = GenerationProgress.read(progressFile, in: context.storage)
        var number = 0
        for (index, section) in sections.enumerated() {
            try write(section, trained: trained, after: number, &progress, index)
            number += section.request.count
        }
        // Of a job file that asked for more texts before, the last ones are left over.
        try keep(&progress) { $0 > number }
        try removeLeftovers()
    }

    private var progressFile: FilePath { folder.generated.appending(".progress.json") }

    /// Removes what is of use only as long as the job has not ended.
    func forgetProgress() {
        try? context.storage.discard(progressFile)
        let adaptations = folder.path.appending(.partialAdaptation)
        if folder.exists(adaptations) { try? context.storage.removeTree(adaptations) }
    }

    /// - Parameters:
    ///   - done: How many texts the sections before it have: this one's numbers follow.
    ///   - index: Which section it is.
    private func write(
        _ section: GenerateSection, trained: LoadedModel?, after done: Int, _ progress: inout GenerationProgress,
        _ index: Int
    ) throws {
        let sources = try context.load(section.models, trained: trained)
        let adapting = section.adaptTo.isEmpty ? [] : try sources.map { try context.statistics(of: $0) }
        var ensemble = try Ensemble(
            sources.enumerated().map { index, source in
                ScoringMember(
                    name: source.name, model: source.model,
                    adaptation: adapting.isEmpty ? nil : Adaptation(to: source.model, adapting[index].statistics))
            }, section.request)
        let text = try beginning(of: section, &ensemble)
        let writer = try Generator(
            ensemble.request, vocabulary: ensemble.vocabulary, encoding: ensemble.encoding)
        if !writer.unknown.isEmpty {
            context.keeper.warn(
                "The prompt has characters that the model's vocabulary lacks, and unknown is "
                    + "\(section.request.unknown.rawValue): \(Vocabulary.list(writer.unknown)).")
        }
        let engines = try sources.map { try context.engine(for: $0.model) }
        // Texts of an attempt that was interrupted are whole; they would only be written again.
        let identity = GenerationProgress.identity(
            section, sources.map(\.model), engines[0].configuration, text: text?.sha256)
        if !progress.hasBegun(index, identity) {
            let own = done + 1...done + section.request.count
            try keep(&progress) { own.contains($0) }
            progress.note(index, identity, count: 0)
            // Durably: what is written from now on under these names is this attempt's.
            try progress.save(to: progressFile, in: context.storage)
        }
        var first = min(progress.count(index, identity), section.request.count)
        // Somebody has removed texts: they are written again, with those that were written beside them.
        for number in 0..<first where !folder.exists(folder.generated.appending("\(done + number + 1).txt")) {
            first = number / Self.streams * Self.streams
            break
        }
        if first > 0 {
            context.keeper.event(.generated, .info, "\(grouped(first)) texts were written before; the next follows.")
        }
        if let text, first < section.request.count {
            let parts = adapting.map { "\($0.model) \(text.sha256)" }
            try adapt(ensemble, engines, to: text, parts, section: index)
        }
        while first < section.request.count {
            let numbers = first..<min(first + Self.streams, section.request.count)
            let files = try numbers.map { number in
                try GeneratedFile(
                    folder.generated.appending("\(done + number + 1).txt"), in: context.storage, clock: context.clock)
            }
            let finished = try writer.write(
                numbers, with: try ensemble.predictor(engines, streams: numbers.count),
                emit: { number, bytes in
                    try files[number - first].write(bytes)
                    context.keeper.update { _ in }
                },
                shouldStop: { context.shouldPause })
            guard finished else { throw context.paused() }
            for file in files { try file.publish() }
            first = numbers.upperBound
            try context.storage.synchronizeDirectory(folder.generated)
            progress.note(index, identity, count: first)
            try progress.write(to: progressFile, in: context.storage)
        }
        try context.storage.synchronizeDirectory(folder.generated)
        let count = section.request.count
        context.keeper.event(
            .generated, .info,
            "Wrote \(count == 1 ? "a text" : "\(grouped(count)) texts") of up to \(grouped(section.request.length)) characters "
                + "with \(sources.map(\.name).joined(separator: ", ")).")
    }

    /// The text that a section's texts go on from, which the models are to learn from; nil: there is none.
    private func beginning(of section: GenerateSection, _ ensemble: inout Ensemble) throws -> EncodedCorpus? {
        guard !section.adaptTo.isEmpty else { return nil }
        let files = try context.environment.corpusFiles(section.adaptTo, in: context.storage)
        let text = try ensemble.begin(
            with: files, on: context.storage, in: folder.path, shouldStop: { context.shouldPause },
            note: { context.keeper.warn("\($0).") })
        guard let text else { throw context.paused() }
        return text
    }

    /// - Parameters:
    ///   - identities: Of what each model is and learns from.
    ///   - index: Which section it is.
    private func adapt(
        _ ensemble: Ensemble, _ engines: [any Engine], to text: EncodedCorpus, _ identities: [String],
        section index: Int
    ) throws {
        let losses = try ensemble.adapt(
            engines, to: text,
            keeping: { member in
                context.keptAdaptation("generate-\(index + 1)-\(member + 1)", identity: identities[member])
            },
            shouldStop: {
                context.keeper.update { _ in }
                return context.shouldPause
            })
        guard let losses else { throw context.paused() }
        guard !losses.isEmpty else { return }
        let needed = losses.map { fixed(bits($0), 4) }.joined(separator: ", ")
        context.keeper.event(
            .scored, .info,
            "Learned from \(grouped(text.text.count)) characters to write on, at \(needed) bits per character.")
    }

    /// Moves texts of an earlier attempt out of the way, durably.
    ///
    /// - Parameter isMeant: Told their numbers.
    private func keep(_ progress: inout GenerationProgress, where isMeant: (Int) -> Bool) throws {
        let storage = context.storage
        let names = try storage.list(folder.generated)
        let texts = names.filter { $0.hasSuffix(".txt") && Int($0.dropLast(4)).map(isMeant) == true }
        guard !texts.isEmpty else { return }
        var attempt = progress.keptAttempt ?? 0
        var kept = folder.generated.appending(JobFolder.name(ofAttempt: attempt))
        // One that failed and was changed since has left texts of its own.
        if attempt == 0 || texts.contains(where: { folder.exists(kept.appending($0)) }) {
            attempt = (names.compactMap(JobFolder.attempt).max() ?? 0) + 1
            kept = folder.generated.appending(JobFolder.name(ofAttempt: attempt))
            // Before anything is moved: after a crash the rest goes where the beginning is.
            progress.keptAttempt = attempt
            try progress.save(to: progressFile, in: storage)
        }
        try storage.createDirectories(kept, mode: 0o750)
        for name in texts {
            try storage.rename(folder.generated.appending(name), to: kept.appending(name), replacing: false)
        }
        try storage.synchronizeDirectory(kept)
        try storage.synchronizeDirectory(folder.generated)
        let what = texts.count == 1 ? "A text" : "\(grouped(texts.count)) texts"
        context.keeper.event(
            .generated, .notice,
            "\(what) of an earlier attempt moved to generated/\(JobFolder.name(ofAttempt: attempt))/.")
    }

    /// Removes what was begun and left.
    private func removeLeftovers() throws {
        for name in try context.storage.list(folder.generated)
        where name.hasPrefix(".") && name != progressFile.lastComponent?.string {
            try context.storage.discard(folder.generated.appending(name))
        }
    }
}

/// How many texts of each `generate` section are written: an interrupted attempt is gone on with behind them.
struct GenerationProgress: Codable, Equatable {
    private struct Section: Codable, Equatable {
        /// What the texts follow from.
        var identity: String
        var count: Int
    }

    private var sections: [Section] = []
    /// Where texts of the attempt before go: `generated/attempt-N/`.
    var keptAttempt: Int?

    /// The one in a file; an empty one where there is none, or none that can be read: then all is written again.
    static func read(_ path: FilePath, in storage: any Storage) -> GenerationProgress {
        let bytes = (try? storage.contents(of: path, limit: 1 << 20)) ?? nil
        return bytes.flatMap { try? JSONDecoder().decode(Self.self, from: Data($0)) } ?? GenerationProgress()
    }

    /// What the texts of a section follow from: other texts have another.
    static func identity(
        _ section: GenerateSection, _ models: [Model], _ configuration: EngineConfiguration, text: String?
    ) -> String {
        var configuration = configuration
        configuration.threads = 0
        var hasher = SHA256()
        hasher.update(data: [UInt8]("\(section.request)\n\(configuration)\n".utf8))
        if let text { hasher.update(data: [UInt8](text.utf8)) }
        for model in models {
            hasher.update(data: [UInt8]("\(model.metadata.sorted { $0 < $1 })".utf8))
            model.parameters.withUnsafeBytes { hasher.update(bufferPointer: $0) }
        }
        return hasher.finalize().hexadecimal
    }

    /// Whether the texts of a section, as far as there are any, are this attempt's.
    func hasBegun(_ index: Int, _ identity: String) -> Bool {
        sections.indices.contains(index) && sections[index].identity == identity
    }

    func count(_ index: Int, _ identity: String) -> Int {
        hasBegun(index, identity) ? max(0, sections[index].count) : 0
    }

    /// Takes note of texts that are whole. What is known of later sections is forgotten: they are still to be written.
    mutating func note(_ index: Int, _ identity: String, count: Int) {
        let unknown = Section(identity: "", count: 0)
        sections = sections.prefix(index) + [Section](repeating: unknown, count: max(0, index - sections.count))
        sections.append(Section(identity: identity, count: count))
    }

    /// Writes it so that others find it whole; a power failure may bring back the one before.
    func write(to path: FilePath, in storage: any Storage) throws {
        try storage.swap(path, with: [UInt8](try JSONEncoder().encode(self)))
    }

    /// The same, so that it survives a power failure.
    func save(to path: FilePath, in storage: any Storage) throws {
        try storage.replace(path, with: [UInt8](try JSONEncoder().encode(self)))
    }
}

/// A text that is written to disk as it comes, aside, and takes its name when it is whole.
private final class GeneratedFile {
    private let path: FilePath
    private let clock: SpoolClock
    private let aside: FileAside
    private var pending: [UInt8] = []
    private var lastWrite: Double

    init(_ path: FilePath, in storage: any Storage, clock: SpoolClock) throws(StorageError) {
        self.path = path
        self.clock = clock
        lastWrite = clock.monotonic()
        aside = try FileAside(path.partial, in: storage)
    }

    func write(_ bytes: [UInt8]) throws(StorageError) {
        pending += bytes
        guard pending.count >= 4096 || clock.monotonic() - lastWrite >= 0.5 else { return }
        try flush()
    }

    private func flush() throws(StorageError) {
        try aside.file.append(pending)
        pending.removeAll(keepingCapacity: true)
        lastWrite = clock.monotonic()
    }

    func publish() throws(StorageError) {
        try flush()
        try aside.publish(as: path)
    }
}
