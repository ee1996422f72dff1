public import CharnnSpool
public import CharnnStorage
public import CharnnTexts
public import CharnnTraining
import CharnnWords
import FoundationEssentials
public import SystemPackage

/// All that a job's folder tells, read for a page; what is not there or cannot be read is left out.
///
/// It is a value, read once: pages, tables and charts are made of it without touching the disk again, and none of them
/// says anything that is not in it. Whether somebody may see the job is decided by who reads it; the record asks
/// nobody.
///
/// Whatever fails to be read leaves a gap in the page instead of none, for a job may be at work in its folder
/// meanwhile. Nothing that decides over a job is ever taken from here.
public struct JobRecord: Sendable {
    /// A text of the job.
    public struct Text: Sendable {
        /// Relative to the job folder.
        public var file: String
        /// For a sample the step it was written at.
        public var step: Int?
        /// As characters of the model: of Latin-1 and bytes one each.
        public var text: String
        /// Bytes in all, where more than ``JobRecord/longestText`` are there.
        public var wholeSize: Int?

        /// - Parameter wholeSize: nil: `text` is all of it.
        public init(file: String, step: Int?, text: String, wholeSize: Int?) {
            self.file = file
            self.step = step
            self.text = text
            self.wholeSize = wholeSize
        }
    }

    /// As it is told to people: a job's, or of a run outside the queue its title. An address is made of it too.
    public var name: String
    /// Where the job's file lies, or what the status says where the caller does not know.
    public var state: JobState
    /// Whether somebody is at it now.
    public var isRunning: Bool
    /// nil: there is none, or none that can be read; everything that is told of it is left out then.
    public var status: JobStatus?
    /// In the order of the file, which is that of steps; empty for a job that trains nothing.
    public var rows: [MetricsRow] = []
    /// At most ``mostTexts``, evenly apart, with the first and the last: they show how the model learned.
    public var samples: [Text] = []
    /// The first ``mostTexts``, by number.
    public var generated: [Text] = []
    /// How many there are of which only some are in ``samples`` and ``generated``.
    public var sampleCount = 0
    /// The same of ``generated``; texts of earlier attempts do not count.
    public var generatedCount = 0
    /// Folders with texts of earlier attempts.
    public var earlierAttempts = 0
    /// The lines of `resolved.yaml` as key and value, a section's keys after `section.`.
    public var settings: [(key: String, value: String)] = []
    /// Device and kernels, as `resolved.yaml` begins.
    public var computedOn: String?
    /// `comparison.json`; nil where the job was not judged, or not yet.
    public var comparison: Comparison?
    /// `copies.json`, of the texts in ``generated`` and perhaps of more.
    public var copies: CopiesRecord?
    /// `evaluation.json`; nil where the job scores no text, or has not yet.
    public var evaluation: EvaluationRecord?
    /// Which of the files are there that a page may name.
    var hasMetrics = false
    var hasModel = false

    /// The most of a text that a page shows, bytes.
    public static let longestText = 20_000
    /// The most texts of a kind that a page shows.
    public static let mostTexts = 24

    /// Judged anew at each call, of all ``rows``.
    public var verdict: Verdict { Verdict(rows) }

    /// Bits per character of the best evaluation.
    ///
    /// It is the status's word and not the rows', which may be cut at the front in a very long run.
    public var bestBits: Double? { status?.bestValidationLoss.map(bits) }

    /// Bits per character of the text that it was asked to score.
    public var scoredBits: Double? { evaluation?.bitsPerCharacter }

    /// What it did, in a few words: its network, or what it scored or wrote without one of its own.
    public var work: String? {
        if let network { return network }
        if let evaluation { return "scores \(evaluation.corpus.joined(separator: ", ")) with \(evaluation.model)" }
        return generatedCount > 0 ? "\(grouped(generatedCount)) text\(generatedCount == 1 ? "" : "s") written" : nil
    }

    /// The training loss of the last row, as every curve and table has it; nats.
    public var lastTrainLoss: Double? { rows.last { $0.trainLoss != nil }?.trainLoss ?? status?.trainLoss }

    /// What it is ranked by, nats: its best validation loss, else the loss of the text that it was asked to score.
    var rankedLoss: Double? { status?.bestValidationLoss ?? evaluation?.natsPerCharacter }

    /// The evaluation by which the model was chosen.
    var best: (step: Int, loss: Double, isAverage: Bool)? {
        rows.compactMap { row in
            row.betterValidationLoss.map { (step: row.step, loss: $0, isAverage: $0 != row.validationLoss) }
        }.min { $0.loss < $1.loss }
    }

    /// Bits per character of the text trained on: of a run without validation all that is known, and no measure of another.
    var trainingBits: Double? { lastTrainLoss.map(bits) }

    /// What tells its validation text from others; nil: it has none, or none that is known.
    var validationKey: String? {
        if let text = status?.validationText { return text }
        // Those that only score compare where they score the same texts.
        if bestBits == nil, let evaluation { return "scored\n" + evaluation.corpus.joined(separator: "\n") }
        // Jobs of before have no checksum there.
        return bestBits == nil ? nil : Self.textKeys.map { setting("train.\($0)") ?? "" }.joined(separator: "\n")
    }

    private static let textKeys = [
        "corpus", "encoding", "strip_gutenberg", "max_chars", "val_fraction", "val_max_chars",
    ]

    /// What a setting was; nil where it is not told.
    public func setting(_ key: String) -> String? { settings.first { $0.key == key }?.value }

    /// The network in a few words: `LSTM 2 × 512`; nil where nothing was trained.
    public var network: String? {
        guard let cell = setting("train.cell"), let layers = setting("train.num_layers"),
            let size = setting("train.hidden_size")
        else { return nil }
        return "\(cell.uppercased()) \(layers) × \(size)"
    }

    /// - Parameters:
    ///   - state: Where the job's file lies, which may be newer than the status.
    ///   - includingTexts: Whether samples and generated texts are read too.
    public init(
        _ name: String, folder: FilePath, state: JobState? = nil, status: JobStatus? = nil,
        in storage: some Storage, includingTexts: Bool = true
    ) {
        self.name = name
        let status = status ?? (try? JobStatus.read(folder.appending(.status), on: storage)) ?? nil
        self.status = status
        self.state = state ?? status?.state ?? .active
        // The caller may know better: a job's file lies in active/ for a moment after its worker has ended.
        isRunning = self.state == .active
        rows = (try? MetricsFile.rows(of: folder.appending(.metrics), in: storage)) ?? []
        readSettings(text(folder.appending(.resolved), in: storage) ?? "")
        comparison = decoded(folder.appending(.comparison), in: storage)
        copies = decoded(folder.appending(.copies), in: storage)
        evaluation = decoded(folder.appending(.evaluation), in: storage)
        hasMetrics = !rows.isEmpty
        hasModel = ((try? storage.status(of: folder.appending(.model))) ?? nil) != nil
        guard includingTexts else { return }
        // Texts of Latin-1 and bytes are written in that encoding. A job that trains nothing has no such setting, and
        // its texts are taken for UTF-8.
        let isUnicode = setting("train.encoding").map { !["latin-1", "bytes"].contains($0) } ?? true
        let samples = numbered(folder.appending(.samples), after: "step-", in: storage)
        sampleCount = samples.count
        self.samples = Self.spread(samples, Self.mostTexts).compactMap {
            read($0.file, .samples, step: $0.number, isUnicode, folder, storage)
        }
        let generated = numbered(folder.appending(.generated), after: "", in: storage)
        generatedCount = generated.count
        let names = (try? storage.list(folder.appending(.generated))) ?? []
        earlierAttempts = names.filter { $0.hasPrefix("attempt-") }.count
        self.generated = generated.prefix(Self.mostTexts).compactMap {
            read($0.file, .generated, step: nil, isUnicode, folder, storage)
        }
    }

    /// `count` of the elements, evenly apart, with the first and the last.
    static func spread<Element>(_ all: [Element], _ count: Int) -> [Element] {
        guard all.count > count, count > 1 else { return all }
        return (0..<count).map { all[$0 * (all.count - 1) / (count - 1)] }
    }

    /// Files named PREFIX, a number and `.txt`, by their numbers; hidden ones, which are not whole yet, are not among
    /// them.
    private func numbered(
        _ folder: FilePath, after prefix: String, in storage: some Storage
    ) -> [(file: String, number: Int)] {
        let names = (try? storage.list(folder)) ?? []
        return names.compactMap { name -> (file: String, number: Int)? in
            guard name.hasPrefix(prefix), name.hasSuffix(".txt") else { return nil }
            // Not by name: 10.txt comes behind 9.txt.
            return Int(name.dropFirst(prefix.count).dropLast(4)).map { (name, $0) }
        }.sorted { $0.number < $1.number }
    }

    private func read(
        _ file: String, _ kind: JobFolderFile, step: Int?, _ isUnicode: Bool, _ folder: FilePath,
        _ storage: some Storage
    ) -> Text? {
        let path = folder.appending(kind).appending(file)
        guard let bytes = (try? storage.contents(of: path, limit: Self.longestText)) ?? nil,
            let size = (try? storage.status(of: path))??.size
        else { return nil }
        let text =
            isUnicode
            ? String(decoding: bytes, as: UTF8.self)
            : String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
        return Text(
            file: "\(kind.rawValue)/\(file)", step: step, text: text, wholeSize: size > Self.longestText ? size : nil)
    }

    private func text(_ path: FilePath, in storage: some Storage) -> String? {
        ((try? storage.contents(of: path, limit: 1 << 20)) ?? nil).map { String(decoding: $0, as: UTF8.self) }
    }

    private func decoded<Value: Decodable>(_ path: FilePath, in storage: some Storage) -> Value? {
        guard let bytes = (try? storage.contents(of: path, limit: 16 << 20)) ?? nil else { return nil }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try? decoder.decode(Value.self, from: Data(bytes))
    }

    /// Reads `resolved.yaml` by its lines, without a YAML parser: this program wrote it, a value a line, and lists in
    /// one. Of several `generate` sections the first is found by ``setting(_:)``.
    private mutating func readSettings(_ yaml: String) {
        var section = ""
        for line in yaml.split(separator: "\n") {
            if line.hasPrefix("#") {
                if let range = line.firstRange(of: "Computed on ") {
                    computedOn = String(line[range.upperBound...].dropLast(line.hasSuffix(".") ? 1 : 0))
                }
                continue
            }
            guard let colon = line.firstIndex(of: ":") else { continue }
            let key = line[..<colon].drop { $0 == " " || $0 == "-" }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            if !line.hasPrefix(" ") { section = value.isEmpty ? "\(key)." : "" }
            if value.isEmpty { continue }
            settings.append(("\(section)\(key)", Self.plain(value)))
        }
    }

    /// A value as people write it: `["a.txt", "b.txt"]` as `a.txt, b.txt`.
    private static func plain(_ value: Substring) -> String {
        let isList = value.hasPrefix("[") && value.hasSuffix("]")
        let text = isList ? value.dropFirst().dropLast() : value
        return text.contains("\\") ? String(value) : text.filter { $0 != "\"" }
    }
}
