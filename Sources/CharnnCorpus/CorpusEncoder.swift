import CharnnEngine
public import CharnnModel
public import CharnnStorage
import Crypto
public import SystemPackage

/// A text file and the folder it must lie below.
public struct CorpusFile: Sendable, Hashable {
    public var path: FilePath
    /// nil: anywhere, as for a person's own command.
    public var root: FilePath?

    public init(path: FilePath, root: FilePath? = nil) {
        self.path = path
        self.root = root
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

    /// - Parameters:
    ///   - files: The files, in order.
    ///   - shouldStop: Asked after every megabyte; when true, encoding ends with ``CorpusError/Code/interrupted``.
    ///   - progress: Told the part that is done, 0...1.
    public init(
        _ files: [CorpusFile], origin: CorpusOrigin, storage: any Storage,
        shouldStop: @escaping () -> Bool = { false }, progress: @escaping (Double) -> Void = { _ in }
    ) {
        self.files = files
        self.origin = origin
        self.storage = storage
        self.shouldStop = shouldStop
        self.progress = progress
    }

    /// Encodes the text into `path`, durably; after a crash there is the whole file or none.
    ///
    /// - Parameter base: A vocabulary whose indices are kept; new code points are appended to it in ascending order.
    public func encode(to path: FilePath, base: Vocabulary? = nil) throws(CorpusError) {
        let survey = try survey()
        guard survey.count > 0 else {
            let names = files.map(\.path.string).joined(separator: ", ")
            throw CorpusError(.empty, "there is no text in \(names); name a file that has some")
        }
        let found = survey.present.indices.filter { survey.present[$0] }.map { UInt32($0) }
        let fresh = origin.encoding == .bytes ? .bytes : Vocabulary(codePoints: found)
        guard let vocabulary = base?.growing(by: found) ?? fresh else {
            throw CorpusError(.empty, "the text has no characters")
        }
        do {
            try write(survey, vocabulary, to: path)
        } catch let error as StorageError {
            throw CorpusError(.unwritable, "cannot write the encoded text: \(error)")
        } catch let error as CorpusError {
            throw error
        } catch {
            throw CorpusError(.unwritable, "cannot write the encoded text: \(error)")
        }
    }

    /// Reads the text once: how many characters it has, and how many different ones its vocabulary.
    public func measure() throws(CorpusError) -> (characters: Int, vocabulary: Int) {
        let survey = try survey()
        return (survey.count, origin.encoding == .bytes ? 256 : survey.present.count(where: \.self))
    }

    /// The whole text as code points, for texts that are scored rather than trained on.
    public func codePoints() throws(CorpusError) -> [UInt32] {
        var all: [UInt32] = []
        _ = try pass { codePoints throws(CorpusError) in all += codePoints }
        return all
    }

    private struct Survey {
        var count = 0
        var present: [Bool]
        var sourceDigest: String
    }

    /// The first reading: which code points there are, and how many characters.
    private func survey() throws(CorpusError) -> Survey {
        var present = [Bool](repeating: false, count: 0x11_0000)
        var count = 0
        let digest = try pass(of: 0) { codePoints throws(CorpusError) in
            for codePoint in codePoints { present[Int(codePoint)] = true }
            count += codePoints.count
        }
        return Survey(count: count, present: present, sourceDigest: digest)
    }

    /// The second reading: the symbols, behind a header, before a checksum.
    private func write(_ survey: Survey, _ vocabulary: Vocabulary, to path: FilePath) throws {
        let width = SymbolText.width(vocabularySize: vocabulary.count)
        let temporary = path.partial
        try storage.discard(temporary)
        let file = try storage.create(temporary, mode: 0o640)
        var hasher = SHA256()
        let prefix = EncodedCorpus.prefix(
            .init(
                count: survey.count, width: width, encoding: origin.encoding, vocabulary: vocabulary.codePoints,
                origin: origin))
        hasher.update(data: prefix)
        try file.append(prefix)

        var table = [Int32](repeating: -1, count: 0x11_0000)
        for (index, codePoint) in vocabulary.codePoints.enumerated() { table[Int(codePoint)] = Int32(index) }
        var written = 0
        var bytes: [UInt8] = []
        let changed = CorpusError(.damaged, "a text changed while it was read; start the job again when it is at rest")
        let digest = try pass(of: 1) { codePoints throws(CorpusError) in
            bytes.removeAll(keepingCapacity: true)
            for codePoint in codePoints {
                let symbol = table[Int(codePoint)]
                guard symbol >= 0 else { throw changed }
                bytes.append(UInt8(truncatingIfNeeded: symbol))
                if width > 1 { bytes.append(UInt8(truncatingIfNeeded: symbol >> 8)) }
                if width > 2 {
                    bytes.append(UInt8(truncatingIfNeeded: symbol >> 16))
                    bytes.append(UInt8(truncatingIfNeeded: symbol >> 24))
                }
            }
            written += codePoints.count
            hasher.update(data: bytes)
            do {
                try file.append(bytes)
            } catch {
                throw CorpusError(.unwritable, "cannot write the encoded text: \(error)")
            }
        }
        guard digest == survey.sourceDigest, written == survey.count else { throw changed }
        try file.append([UInt8](hasher.finalize()))
        try file.synchronize()
        try storage.rename(temporary, to: path, replacing: true)
        try storage.synchronizeDirectory(path.removingLastComponent())
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
            let (file, range) = try open(source)
            var decoder = TextDecoder(origin.encoding)
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
                throw undecodable(source.path, file, at: range.lowerBound + broken.offset)
            } catch let error as CorpusError {
                throw error
            } catch {
                throw CorpusError(.unreadable, "cannot read the text: \(error)")
            }
        }
        return hasher.finalize().hexadecimal
    }

    /// Opens a file and finds the byte range of its text: behind a byte order mark, within Gutenberg's frame.
    private func open(_ source: CorpusFile) throws(CorpusError) -> (any StorageFile, Range<Int>) {
        do {
            let file = try storage.open(source.path, beneath: source.root)
            let size = try file.status().size
            var range = 0..<size
            if origin.encoding == .utf8, try file.read(at: 0, count: min(3, size)) == [0xEF, 0xBB, 0xBF] {
                range = 3..<size
            }
            if origin.stripsGutenberg {
                let inner = try GutenbergFrame.range(in: file, size: size)
                range = max(range.lowerBound, inner.lowerBound)..<max(range.lowerBound, inner.upperBound)
            }
            return (file, range)
        } catch {
            throw CorpusError(.unreadable, Self.explain(error, source))
        }
    }

    private static func explain(_ error: StorageError, _ source: CorpusFile) -> String {
        switch error.code {
        case .notFound: "the text \(source.path) does not exist; put it there, or mend the path"
        case .notRegular: "\(source.path) is not a regular file; name a text file"
        case .denied: "the text \(source.path) may not be read by this user; give it the right to"
        case .outsideRoot:
            "the text \(source.path) leads out of \(source.root?.string ?? "its folder"); name one inside"
        default: "cannot read the text: \(error)"
        }
    }

    /// Tells a broken byte with its offset and line.
    private func undecodable(_ path: FilePath, _ file: any StorageFile, at offset: Int) -> CorpusError {
        var line = 1
        var position = 0
        while position < offset,
            let piece = try? file.read(at: position, count: min(Self.pieceSize, offset - position)), !piece.isEmpty
        {
            for byte in piece where byte == 10 { line += 1 }
            position += piece.count
        }
        let byte =
            (try? file.read(at: offset, count: 1))?.first.map { "0x" + [$0].hexadecimal } ?? "the end of the file"
        return CorpusError(
            .undecodable,
            "\(path) is not UTF-8: \(byte) at byte \(offset), line \(line), stands where no such byte may; "
                + "convert the file, or set encoding to latin-1 or bytes")
    }
}
