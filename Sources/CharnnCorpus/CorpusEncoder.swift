public import CharnnEngine
public import CharnnModel
public import CharnnStorage
import Crypto
public import SystemPackage

/// A text file and the folder it must lie below.
public struct CorpusFile: Sendable, Hashable {
    /// Where the file lies; below ``root``, where there is one, with no link on the way.
    public var path: FilePath
    /// nil: anywhere, as for a person's own command.
    public var root: FilePath?
    /// The file as it was when its rights were looked at; nil: any is taken.
    public var found: FileStatus?

    public init(path: FilePath, root: FilePath? = nil, found: FileStatus? = nil) {
        self.path = path
        self.root = root
        self.found = found
    }
}

/// Reads text files, whatever their size, and writes them as vocabulary indices.
///
/// The text is decoded, a byte order mark removed, CRLF made LF, Gutenberg's frame stripped, the files joined and cut.
/// Files are read twice, first for the vocabulary and then for the symbols, a megabyte at a time; both readings must
/// agree. In the `bytes` encoding nothing is changed but for the frame, and the vocabulary is all 256 bytes.
public struct CorpusEncoder {
    private let files: [CorpusFile]
    private let origin: CorpusOrigin
    private let storage: any Storage
    private let shouldStop: () -> Bool
    private let progress: (Double) -> Void
    private let note: (String) -> Void

    /// - Parameters:
    ///   - files: The files, in order.
    ///   - shouldStop: Asked after every megabyte; when true, encoding ends with ``CorpusError/Code/interrupted``.
    ///   - progress: Told the part that is done, 0...1.
    ///   - note: Told what is likely a mistake though the text can be read, a sentence without its full stop.
    public init(
        _ files: [CorpusFile], origin: CorpusOrigin, storage: any Storage,
        shouldStop: @escaping () -> Bool = { false }, progress: @escaping (Double) -> Void = { _ in },
        note: @escaping (String) -> Void = { _ in }
    ) {
        self.files = files
        self.origin = origin
        self.storage = storage
        self.shouldStop = shouldStop
        self.progress = progress
        self.note = note
    }

    /// Encodes the text into `path`, durably; after a crash there is the whole file or none.
    ///
    /// - Parameter base: A vocabulary whose indices are kept; new code points are appended to it in ascending order.
    public func encode(to path: FilePath, base: Vocabulary? = nil) throws(CorpusError) {
        let survey = try survey()
        let fresh = try vocabulary(of: survey)
        let vocabulary = base?.growing(by: survey.codePoints) ?? fresh
        try write(Encoding(count: survey.count, digest: survey.digest, vocabulary: vocabulary), to: path)
    }

    /// The SHA-256 that the encoded text would have, see ``EncodedCorpus/sha256``: to see whether a text is what it was.
    ///
    /// - Parameter base: See ``encode(to:base:)``.
    public func sha256(base: Vocabulary? = nil) throws(CorpusError) -> String {
        let survey = try survey()
        let fresh = try vocabulary(of: survey)
        let encoding = Encoding(
            count: survey.count, digest: survey.digest, vocabulary: base?.growing(by: survey.codePoints) ?? fresh)
        return try write(encoding) { _ in }.hexadecimal
    }

    /// What a vocabulary lacked in a text.
    public struct Unknown: Sendable {
        /// Characters in all, not only different ones.
        public var count = 0
        /// Where others were put in their place, in the text as it was encoded.
        public var replaced = PositionSet()
        /// The first ten: place in the text (from 0) and code point.
        public var first: [(position: Int, codePoint: UInt32)] = []

        /// - Throws: ``CorpusError/Code/unknownCharacters`` if there are any and the policy is `error`.
        public func refuse(under policy: UnknownPolicy) throws(CorpusError) {
            guard policy == .error, count > 0 else { return }
            let more = count > first.count ? ", \(count) such characters in all" : ""
            throw CorpusError(.unknownCharacters, Vocabulary.describe(first) + more)
        }
    }

    /// Encodes the text into `path` with a vocabulary that does not grow.
    ///
    /// - Returns: The characters that the vocabulary lacks, which were treated as `policy` says.
    /// - Throws: ``CorpusError/Code/unknownCharacters`` if there are any and the policy is `error`.
    public func encode(
        to path: FilePath, with vocabulary: Vocabulary, unknown policy: UnknownPolicy
    ) throws(CorpusError) -> Unknown {
        let survey = try survey(known: vocabulary)
        try requireText(survey.count)
        var unknown = survey.unknown
        try unknown.refuse(under: policy)
        let encoding = Encoding(
            count: policy == .replace ? survey.count : survey.count - unknown.count, digest: survey.digest,
            vocabulary: vocabulary, replacement: policy == .replace ? vocabulary.replacement : -1)
        try write(encoding, to: path, replaced: { unknown.replaced.insert($0) })
        return unknown
    }

    private func requireText(_ count: Int) throws(CorpusError) {
        guard count == 0 else { return }
        let names = files.map(\.path.string).joined(separator: ", ")
        throw CorpusError(.empty, "there is no text in \(names); name a file that has some")
    }

    /// What one reading of a text tells.
    public struct Measure: Sendable {
        /// Of the whole text, those that ``unknown`` counts included.
        public var characters: Int
        /// The different characters of the text.
        public var vocabulary: Vocabulary
        /// What another vocabulary lacks of them.
        public var unknown: Unknown
    }

    /// Reads the text once.
    ///
    /// - Parameter known: A vocabulary that the text is to be read with; nil: none.
    /// - Throws: ``CorpusError/Code/empty`` where there is no text.
    public func measure(with known: Vocabulary? = nil) throws(CorpusError) -> Measure {
        let survey = try survey(known: known)
        return Measure(
            characters: survey.count, vocabulary: try vocabulary(of: survey), unknown: survey.unknown)
    }

    private func vocabulary(of survey: Survey) throws(CorpusError) -> Vocabulary {
        try requireText(survey.count)
        guard let vocabulary = origin.encoding == .bytes ? .bytes : Vocabulary(codePoints: survey.codePoints) else {
            throw CorpusError(.empty, "the text has no characters")
        }
        return vocabulary
    }

    private struct Survey {
        var count = 0
        /// How often each code point occurs.
        var occurrences = [Int](repeating: 0, count: 0x11_0000)
        var unknown = Unknown()
        var digest = ""

        var codePoints: [UInt32] { occurrences.indices.filter { occurrences[$0] > 0 }.map { UInt32($0) } }
    }

    /// The first reading: which code points there are, how many characters, and which of them a vocabulary lacks.
    private func survey(known: Vocabulary? = nil) throws(CorpusError) -> Survey {
        var survey = Survey()
        let table = known.map(Self.table)
        let digest = try pass(of: 0) { codePoints throws(CorpusError) in
            for codePoint in codePoints { survey.occurrences[Int(codePoint)] += 1 }
            if let table {
                for (offset, codePoint) in codePoints.enumerated() where table[Int(codePoint)] < 0 {
                    if survey.unknown.first.count < 10 {
                        survey.unknown.first.append((survey.count + offset, codePoint))
                    }
                    survey.unknown.count += 1
                }
            }
            survey.count += codePoints.count
        }
        survey.digest = digest
        noteControls(survey)
        return survey
    }

    /// In a text that people write Latin-1 has no characters where windows-1252 has quotation marks and dashes.
    private func noteControls(_ survey: Survey) {
        guard origin.encoding == .latin1, case let found = survey.occurrences[0x80..<0xA0],
            let first = found.firstIndex(where: { $0 > 0 })
        else { return }
        let names = files.map(\.path.string).joined(separator: ", ")
        note(
            "\(names) has \(found.reduce(0, +)) bytes, the first kind of them 0x\(String(first, radix: 16)), which are control "
                + "characters in latin-1 and quotation marks, dashes and letters in windows-1252; set encoding to that")
    }

    /// The index of every code point; -1 for those that the vocabulary lacks.
    private static func table(_ vocabulary: Vocabulary) -> [Int32] {
        var table = [Int32](repeating: -1, count: 0x11_0000)
        for (index, codePoint) in vocabulary.codePoints.enumerated() { table[Int(codePoint)] = Int32(index) }
        return table
    }

    /// What the second reading makes of the text that the first has seen.
    private struct Encoding {
        /// The symbols that will be written.
        var count: Int
        /// Of the bytes that the first reading saw.
        var digest: String
        var vocabulary: Vocabulary
        /// The symbol of unknown characters; -1: they are left out; nil: there are none.
        var replacement: Int32?
    }

    /// Writes an encoded text durably.
    ///
    /// - Parameter replaced: Told where the symbol of unknown characters stands.
    private func write(
        _ encoding: Encoding, to path: FilePath, replaced: (Int) -> Void = { _ in }
    ) throws(CorpusError) {
        do {
            let aside = try FileAside(path.partial, in: storage)
            do {
                let checksum = try write(encoding, replaced) { bytes in try aside.file.append(bytes) }
                try aside.file.append([UInt8](checksum))
                try aside.publish(as: path)
            } catch {
                // What was begun may be what fills the disk.
                aside.discard()
                throw error
            }
            try storage.synchronizeDirectory(path.removingLastComponent())
        } catch let error as CorpusError {
            throw error
        } catch {
            throw CorpusError(.unwritable, "cannot write the encoded text: \(error)")
        }
    }

    /// The second reading: the symbols, behind a header.
    ///
    /// - Returns: The checksum that stands behind them.
    private func write(
        _ encoding: Encoding, _ replaced: (Int) -> Void = { _ in }, append: ([UInt8]) throws -> Void
    ) throws(CorpusError) -> SHA256.Digest {
        func appending(_ bytes: [UInt8]) throws(CorpusError) {
            do {
                try append(bytes)
            } catch {
                throw CorpusError(.unwritable, "cannot write the encoded text: \(error)")
            }
        }
        let width = SymbolText.width(vocabularySize: encoding.vocabulary.count)
        var hasher = SHA256()
        let prefix = EncodedCorpus.prefix(
            .init(
                count: encoding.count, width: width, encoding: origin.encoding,
                vocabulary: encoding.vocabulary.codePoints, origin: origin))
        hasher.update(data: prefix)
        try appending(prefix)

        let table = Self.table(encoding.vocabulary)
        var written = 0
        var bytes: [UInt8] = []
        let changed = CorpusError(.changed, "a text changed while it was read; start the job again when it is at rest")
        let digest = try pass(of: 1) { codePoints throws(CorpusError) in
            bytes.removeAll(keepingCapacity: true)
            for codePoint in codePoints {
                var symbol = table[Int(codePoint)]
                if symbol < 0 {
                    guard let replacement = encoding.replacement else { throw changed }
                    if replacement < 0 { continue }
                    symbol = replacement
                    replaced(written + bytes.count / width)
                }
                bytes.append(UInt8(truncatingIfNeeded: symbol))
                if width > 1 { bytes.append(UInt8(truncatingIfNeeded: symbol >> 8)) }
                if width > 2 {
                    bytes.append(UInt8(truncatingIfNeeded: symbol >> 16))
                    bytes.append(UInt8(truncatingIfNeeded: symbol >> 24))
                }
            }
            written += bytes.count / width
            hasher.update(data: bytes)
            try appending(bytes)
        }
        guard digest == encoding.digest, written == encoding.count else { throw changed }
        return hasher.finalize()
    }

    // MARK: - One reading

    private static let pieceSize = 1 << 20

    /// Reads all files once and hands out their code points piece by piece.
    ///
    /// - Parameter number: Which of the two readings this is, for the progress; nil: the only one.
    /// - Returns: A digest of all bytes that were read.
    private func pass(
        of number: Int? = nil, _ take: ([UInt32]) throws(CorpusError) -> Void
    ) throws(CorpusError) -> String {
        var hasher = SHA256()
        var left = origin.maximumCharacters ?? .max
        var codePoints: [UInt32] = []
        for (index, source) in files.enumerated() where left > 0 {
            let (file, range, isBigEndian) = try open(source, notes: number != 1)
            var decoder = TextDecoder(origin.encoding, isBigEndian: isBigEndian)
            var position = range.lowerBound
            do {
                while left > 0 {
                    if shouldStop() { throw CorpusError(.interrupted, "interrupted while reading \(source.path)") }
                    let wanted = min(Self.pieceSize, range.upperBound - position)
                    let piece = wanted > 0 ? try file.read(at: position, count: wanted) : []
                    codePoints.removeAll(keepingCapacity: true)
                    if piece.isEmpty {
                        try decoder.finish(into: &codePoints)
                    } else {
                        hasher.update(data: piece)
                        try decoder.decode(piece, into: &codePoints)
                    }
                    position += piece.count
                    if codePoints.count > left { codePoints.removeSubrange(left...) }
                    left -= codePoints.count
                    try take(codePoints)
                    let here = Double(position - range.lowerBound) / Double(max(range.count, 1))
                    let part = (Double(index) + here) / Double(files.count)
                    progress(number.map { (Double($0) + part) / 2 } ?? part)
                    if piece.isEmpty { break }
                }
            } catch let broken as TextDecoder.Broken {
                throw undecodable(source.path, file, at: range.lowerBound + broken.offset, isBigEndian)
            } catch let error as CorpusError {
                throw error
            } catch {
                throw CorpusError(.reading(error), "cannot read the text: \(error)")
            }
        }
        return hasher.finalize().hexadecimal
    }

    /// Opens a file and finds the byte range of its text: behind a byte order mark, within Gutenberg's frame. Refuses one
    /// that is evidently something else.
    ///
    /// - Returns: Also, of UTF-16, whether the higher byte comes first.
    private func open(
        _ source: CorpusFile, notes: Bool
    ) throws(CorpusError) -> (any StorageFile, Range<Int>, isBigEndian: Bool) {
        func reading<Result>(_ work: () throws(StorageError) -> Result) throws(CorpusError) -> Result {
            do throws(StorageError) {
                return try work()
            } catch {
                throw CorpusError(.reading(error), Self.explain(error, source))
            }
        }
        let (file, size, head) = try reading { () throws(StorageError) in
            let file = try storage.open(source.path, beneath: source.root, expecting: source.found)
            let size = try file.status().size
            return (file, size, EncodingRecognition(try file.read(at: 0, count: min(EncodingRecognition.reach, size))))
        }
        if let refusal = head.refusal(origin.encoding) {
            throw CorpusError(.undecodable, "\(source.path) \(refusal)")
        }
        if notes, let doubt = head.doubt(origin.encoding) { note("\(source.path) \(doubt)") }
        var range = head.markLength(origin.encoding)..<size
        if origin.stripsGutenberg {
            let lowByte = origin.encoding == .utf16 ? (head.isBigEndian ? 1 : 0) : nil
            let whole = range
            range = try reading { () throws(StorageError) in
                try GutenbergFrame.range(in: file, whole, lowByte: lowByte)
            }
            if notes, range == whole {
                note(
                    "strip_gutenberg cut nothing from \(source.path): no header and no licence of Project Gutenberg was found"
                )
            }
        }
        return (file, range, head.isBigEndian)
    }

    private static func explain(_ error: StorageError, _ source: CorpusFile) -> String {
        switch error.code {
        case .notFound: "the text \(source.path) does not exist; put it there, or mend the path"
        case .notRegular: "\(source.path) is not a regular file; name a text file"
        case .denied:
            // Below a root it is read by the service, for somebody else.
            "the text \(source.path) may not be read by \(source.root == nil ? "this user" : "the user that charnnd runs as"); "
                + "give it the right to"
        case .outsideRoot:
            "the text \(source.path) leads out of \(source.root?.string ?? "its folder"); name one inside"
        default: "cannot read the text: \(error)"
        }
    }

    /// Tells a broken byte with its offset and line.
    private func undecodable(
        _ path: FilePath, _ file: any StorageFile, at offset: Int, _ isBigEndian: Bool
    ) -> CorpusError {
        var line = 1
        var position = 0
        while position < offset,
            let piece = try? file.read(at: position, count: min(Self.pieceSize, offset - position)), !piece.isEmpty
        {
            if origin.encoding == .utf16 {
                // Pieces are of an even size, so that no line end is cut in two.
                let (low, high) = isBigEndian ? (1, 0) : (0, 1)
                for unit in stride(from: 0, to: piece.count - 1, by: 2)
                where piece[unit + low] == 10 && piece[unit + high] == 0 { line += 1 }
            } else {
                for byte in piece where byte == 10 { line += 1 }
            }
            position += piece.count
        }
        let byte =
            (try? file.read(at: offset, count: 1))?.first.map { "0x" + [$0].hexadecimal } ?? "the end of the file"
        let place = "\(byte) at byte \(offset), line \(line), stands where no such byte may"
        let remedy: String
        switch origin.encoding {
        case .utf16: remedy = "take another copy of the file"
        case .windows1252: remedy = "set encoding to latin-1, or convert the file with iconv -f ENCODING -t UTF-8"
        case .utf8, .latin1, .bytes:
            let near =
                (try? file.read(at: max(0, offset - EncodingRecognition.reach), count: 4 * EncodingRecognition.reach))
                ?? []
            remedy = EncodingRecognition.remedy(near)
        }
        let name = origin.encoding == .windows1252 ? "windows-1252" : origin.encoding.rawValue.uppercased()
        return CorpusError(.undecodable, "\(path) is not \(name): \(place); \(remedy)")
    }
}
