import CharnnCorpus
import CharnnEngine
import CharnnModel
import CharnnReports
import CharnnSpool
import CharnnStorage
import CharnnTexts
import CharnnTraining
import CharnnWords
import FoundationEssentials
import Glibc
import SystemPackage

/// "Is it any good?": what simpler means reach on the same validation text (`comparison.json`), and what of the
/// generated texts stands word for word in the text learned from (`copies.json`).
///
/// It comes after everything else, costs seconds for some millions of characters and says how many, and whatever goes
/// wrong with it is a warning: a job never fails for it. `judge: false` leaves it out.
///
/// A model's texts can be compared only with the text that it learned from, and that lies in the folder of the job that
/// trained it, as ``JobFolder/corpus``: so texts are judged in groups of one such text. Another job's is read only
/// where this job's submitter may, since its passages are shown to everybody who sees this job.
struct JudgementJob {
    private let context: JobContext
    private var folder: JobFolder { context.folder }
    private var storage: any Storage { context.storage }
    /// Beyond so many bytes the rest of a generated text is not searched.
    private static let longestText = 4 << 20
    /// Of so many generated texts the first are searched.
    private static let mostTexts = 200
    /// Seconds that one of the computations may take that give no sign of life themselves.
    static let patience = 900.0
    /// From this share of recited characters on the job's status warns.
    private static let warningShare = 0.2

    init(_ context: JobContext) { self.context = context }

    /// - Throws: Only that the work has to pause because somebody asked; it is done again at the resume.
    func run() throws {
        try? storage.discard(folder.comparison)
        try? storage.discard(folder.copies)
        guard context.job.train != nil || !context.job.generate.isEmpty else { return }
        context.keeper.enter("judging")
        var record: CopiesRecord?
        for group in groups() {
            if context.stop.isSet { throw context.paused() }
            do {
                try judge(group, &record)
            } catch {
                context.keeper.warn("The texts were not judged: \(JobError(error).description).")
            }
        }
        if context.stop.isSet { throw context.paused() }
        if let record {
            try? write(record, to: folder.copies)
            tell(record)
        }
    }

    /// Generated texts, each with where its model's own writing begins, whose model learned from the same text.
    private struct Group {
        var corpus: FilePath
        /// What the job that trained it asked for; nil: this job.
        var owner: String?
        var texts: [(file: String, section: GenerateSection)] = []
    }

    /// This job's own text first, which is also the one whose validation part is compared. Texts of a model file are in
    /// no group.
    private func groups() -> [Group] {
        var groups: [Group] = context.job.train == nil ? [] : [Group(corpus: folder.corpus, owner: nil)]
        var number = 0
        for section in context.job.generate {
            let numbers = (number + 1)...(number + section.request.count)
            number += section.request.count
            let owner: String?
            // Of several models the first: those that are averaged have mostly learned from one text.
            switch section.models.first {
            case nil: owner = nil
            case .job(let name): owner = name
            // A file alone does not tell which text it learned from.
            case .path: continue
            }
            let texts = numbers.prefix(Self.mostTexts).map { (file: "generated/\($0).txt", section: section) }
            if let index = groups.firstIndex(where: { $0.owner == owner }) {
                groups[index].texts += texts
            } else if let owner {
                let corpus = context.environment.jobs.appending(owner).appending(.corpus)
                groups.append(Group(corpus: corpus, owner: owner, texts: texts))
            }
        }
        return groups
    }

    /// - Parameter record: Made with the first group that has any texts, and added to by the others.
    private func judge(_ group: Group, _ record: inout CopiesRecord?) throws {
        guard folder.exists(group.corpus) else { return }
        // What is recited is shown to whoever sees this job: nobody reads in another's text through it.
        if group.owner != nil {
            _ = try context.environment.modelFile(.path(group.corpus.string), in: storage)
        }
        let began = context.clock.monotonic()
        let corpus = try EncodedCorpus(
            reading: group.corpus, in: storage, expecting: nil,
            shouldStop: { [context] in
                context.pulse.beat()
                return context.stop.isSet
            })
        let train = try group.owner.map(section) ?? context.job.train
        guard let train, group.owner == nil || !group.texts.isEmpty else { return }
        let split = ValidationSplit(
            count: corpus.text.count, validationFraction: train.valFraction, validationLimit: train.valMaxChars)
        // Sorting asks nobody whether to go on; for so long it counts as alive.
        let searched = context.pulse.vouch(atMost: Self.patience) {
            SearchedText(corpus, split: split, memory: context.environment.configuration.memoryBound.bytes)
        }
        if !group.texts.isEmpty {
            var found =
                record
                ?? CopiesRecord(corpus: corpus.origin.paths, charactersSearched: searched.suffixes.text.count)
            try search(group, searched, &found)
            found.seconds += context.clock.monotonic() - began
            record = found
        }
        if group.owner == nil { try compare(searched, began) }
    }

    /// The `train` section of the job that made a model.
    private func section(of job: String) throws -> TrainSection? {
        let path = context.environment.jobs.appending(job).appending(.resolved)
        guard let bytes = try storage.contents(of: path, limit: YAMLDocument.largestFile) else { return nil }
        return try JobFile.parse(bytes, fileName: path.string).train
    }

    // MARK: - Copies

    /// Looks for the passages of each text in the text learned from. The prompt is the person's and does not count.
    private func search(_ group: Group, _ searched: SearchedText, _ record: inout CopiesRecord) throws {
        let corpus = searched.corpus
        let lineEnds = searched.lineEnds()
        for (file, section) in group.texts {
            if context.shouldPause { return }
            context.keeper.update { _ in }
            guard let bytes = try storage.contents(of: folder.path.pushing(FilePath(file)), limit: Self.longestText)
            else { continue }
            let written = Self.symbols(of: bytes, corpus.encoding, corpus.vocabulary)
            let prompt = section.request.codePointsOfPrompt(corpus.vocabulary, corpus.encoding)
                .compactMap(corpus.vocabulary.index)
            let own = section.request.echo && written.starts(with: prompt) ? prompt.count : 0
            let copies = VerbatimCopies(of: written, from: own, in: searched.suffixes)
            let passages = copies.longest.map { copy in
                let place = searched.start + copy.place
                return CopiesRecord.Passage(
                    start: copy.start, length: copy.length, place: place,
                    line: lineEnds.isEmpty ? nil : 1 + lineEnds.count(below: place),
                    isTraining: searched.training.contains(copy.place), occurrences: copy.occurrences,
                    text: searched.excerpt(copy.place, copy.length))
            }
            record.texts.append(
                CopiesRecord.Text(
                    file: file, characters: copies.characters, recitedCharacters: copies.recitedCharacters,
                    longest: passages))
        }
    }

    /// A text that was written with a vocabulary, as its symbols; -1 for what that lacks.
    private static func symbols(of bytes: [UInt8], _ encoding: TextEncoding, _ vocabulary: Vocabulary) -> [Int32] {
        encoding.text(of: bytes).unicodeScalars.map { vocabulary.index(of: $0.value) ?? -1 }
    }

    /// Warns where much is recited: that is the one thing a person should know before showing the texts around.
    private func tell(_ record: CopiesRecord) {
        let (all, recited) = record.texts.reduce((0, 0)) { ($0.0 + $1.characters, $0.1 + $1.recitedCharacters) }
        guard all > 0,
            let text = record.texts.max(by: { ($0.longest.first?.length ?? 0) < ($1.longest.first?.length ?? 0) }),
            let longest = text.longest.first
        else { return }
        let place = longest.line.map { "line \(grouped($0))" } ?? "character \(grouped(longest.place))"
        let share = Double(recited) / Double(all)
        let words =
            "\(fixed(share * 100, 0)) % of what it wrote is recited; the longest passage that stands word for word in the "
            + "text learned from has \(grouped(longest.length)) characters (\(text.file), from \(place))"
        if share >= Self.warningShare {
            context.keeper.warn("\(words). More text, more dropout or fewer epochs recite less.")
        } else {
            context.keeper.event(.scored, .info, "\(words). Searched in \(duration(record.seconds)).")
        }
    }

    // MARK: - Comparison

    /// What counting n-grams and xz make of the validation text, with the training text known to them. The model's own
    /// figure is the best validation loss: of the same characters.
    ///
    /// xz cannot be given a text to learn from; what it needs for both less what it needs for the first is what the
    /// second costs.
    private func compare(_ searched: SearchedText, _ began: Double) throws {
        guard searched.validation.count > 1, !searched.training.isEmpty else { return }
        guard searched.hasWholeValidation else {
            return context.keeper.event(
                .scored, .info,
                "The validation text is too long to be compared in the memory there is; val_max_chars makes it shorter."
            )
        }
        let prefixes = context.pulse.vouch(atMost: Self.patience) { searched.suffixes.commonPrefixes() }
        let model = NGramModel(
            searched.suffixes, prefixes: prefixes, training: searched.training, validation: searched.validation,
            alphabet: searched.corpus.vocabulary.count, shouldStop: { context.shouldPause })
        guard let model else { return }
        var found = Comparison(characters: model.predicted, trainingCharacters: searched.training.count)
        found.modelBitsPerCharacter = context.keeper.status.bestValidationLoss.map(bits)
        found.ngramOrder = model.bestOrder
        found.ngramBitsPerCharacter = model.bitsPerCharacter[model.bestOrder]
        found.ngramBitsByOrder = model.bitsPerCharacter
        if let compressor = Compressor(), !context.shouldPause {
            let training = searched.bytes(searched.training)
            let validation = searched.bytes(searched.validation)
            func perCharacter(_ bytes: Int) -> Double { Double(bytes * 8) / Double(searched.validation.count) }
            func size(_ bytes: [UInt8]) -> Int? {
                context.pulse.vouch(atMost: Self.patience) { compressor.compressedSize(of: bytes) }
            }
            found.xzAloneBitsPerCharacter = size(validation).map(perCharacter)
            found.xzBitsPerCharacter =
                Compressor.size(of: validation, after: training) { context.shouldPause ? nil : size($0) }
                .map(perCharacter)
        }
        found.seconds = context.clock.monotonic() - began
        try write(found, to: folder.comparison)
        let own = found.modelBitsPerCharacter.map { "The model needs \(fixed($0, 3)) bits per character; " } ?? ""
        let compressed = found.xzBitsPerCharacter.map { ", xz -9 \(fixed($0, 3))" } ?? ""
        context.keeper.event(
            .scored, .info,
            "\(own)n-grams with \(model.bestOrder) characters of context need "
                + "\(fixed(model.bitsPerCharacter[model.bestOrder], 3))\(compressed). Measured in "
                + "\(duration(found.seconds)).")
    }

    /// Without a sync: what a power failure takes is made again by nobody, and missed by nobody.
    private func write(_ value: some Encodable, to path: FilePath) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        try storage.swap(path, with: [UInt8](try encoder.encode(value)) + [10])
    }
}

extension [Int] {
    /// How many of these ascending numbers are below one.
    fileprivate func count(below number: Int) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = low + (high - low) / 2
            if self[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
