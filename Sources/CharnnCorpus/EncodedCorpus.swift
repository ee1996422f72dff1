public import CharnnEngine
public import CharnnModel
public import CharnnStorage
import Crypto
import FoundationEssentials
public import SystemPackage

/// `corpus.bin`: a text as vocabulary indices, ready to be mapped.
///
/// The file is the magic `charnnc1`, the length of a JSON header (4 bytes, little-endian), the header, zeros up to a
/// multiple of 4096, the symbols (1, 2 or 4 bytes each), and the SHA-256 of all that stands before it.
public struct EncodedCorpus: Sendable {
    /// The mapped symbols; it keeps the mapping alive. Each is below the number of symbols in ``vocabulary``.
    public let text: SymbolText
    /// That of the text, or the grown one of the model that the run began with.
    public let vocabulary: Vocabulary
    /// Of the files that the text was read from, not of this one.
    public let encoding: TextEncoding
    /// Of the whole file, hexadecimal.
    public let sha256: String
    /// What was asked for when the text was encoded; a job that asks for something else needs another file.
    public let origin: CorpusOrigin

    static let magic = [UInt8]("charnnc1".utf8)
    static let alignment = 4096
    /// Room for a vocabulary of every code point there is and for the paths of a job file; JSON takes thirty times as much
    /// memory while it is read.
    private static let largestHeader = 12 << 20

    struct Header: Codable {
        var count: Int
        var width: Int
        var encoding: TextEncoding
        var vocabulary: [UInt32]
        var origin: CorpusOrigin
    }

    /// The file's bytes before the symbols.
    static func prefix(_ header: Header) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        // Encoding integers, strings and enumerations of strings cannot fail.
        let json = (try? encoder.encode(header)).map([UInt8].init) ?? []
        var bytes = magic + (0..<4).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) } + json
        bytes += [UInt8](repeating: 0, count: (alignment - bytes.count % alignment) % alignment)
        return bytes
    }

    /// Maps an encoded text and checks it.
    ///
    /// - Parameters:
    ///   - expected: The SHA-256 it must have; nil: only that it is whole.
    ///   - shouldStop: Asked every some megabytes while the checksum is computed.
    public init(
        reading path: FilePath, in storage: any Storage, expecting expected: String? = nil,
        shouldStop: () -> Bool = { false }
    ) throws(CorpusError) {
        func damaged(_ what: String) -> CorpusError {
            CorpusError(.damaged, "the encoded text \(path) is damaged (\(what)); remove it and start the job anew")
        }
        let mapping: any StorageMapping
        do {
            mapping = try storage.open(path, beneath: nil).map()
        } catch {
            throw CorpusError(.reading(error), "cannot read the encoded text: \(error)")
        }
        let bytes = mapping.bytes
        guard bytes.count >= Self.alignment + 32, bytes.prefix(8).elementsEqual(Self.magic) else {
            throw damaged("it does not begin as it should")
        }
        let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
        guard length <= min(Self.largestHeader, bytes.count - 12),
            let header = try? JSONDecoder().decode(Header.self, from: Data(bytes[12..<(12 + length)])),
            [1, 2, 4].contains(header.width), header.count >= 0,
            let vocabulary = Vocabulary(codePoints: header.vocabulary)
        else { throw damaged("its header makes no sense") }
        let start = (12 + length + Self.alignment - 1) / Self.alignment * Self.alignment
        let end = bytes.count - 32
        guard header.count <= end, start + header.count * header.width == end else {
            throw damaged("its length is wrong")
        }

        var hasher = SHA256()
        var position = 0
        while position < end {
            if shouldStop() { throw CorpusError(.interrupted, "interrupted while checking \(path)") }
            let next = min(end, position + (8 << 20))
            hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes[position..<next]))
            position = next
        }
        let digest = hasher.finalize()
        guard digest.elementsEqual(bytes[end...]) else { throw damaged("its checksum does not match") }
        sha256 = digest.hexadecimal
        if let expected, expected != sha256 { throw damaged("it is not the text that this job began with") }
        text = SymbolText(
            bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<end]), width: header.width, owner: mapping)
        // The checksum stands in the file itself, so that it says nothing of who made it.
        guard Int(text.largestSymbol) < vocabulary.count else {
            throw damaged("it has a character that its vocabulary lacks")
        }
        self.vocabulary = vocabulary
        encoding = header.encoding
        origin = header.origin
    }
}

/// What a text was made from.
public struct CorpusOrigin: Codable, Hashable, Sendable {
    /// The paths as given in the job file.
    public var paths: [String]
    /// As asked for; what the files are is found out when they are read.
    public var encoding: TextEncoding
    /// Whether header and licence of Project Gutenberg are left out, of each file by itself.
    public var stripsGutenberg: Bool
    /// Of all files joined, after stripping; nil: all.
    public var maximumCharacters: Int?

    public init(paths: [String], encoding: TextEncoding, stripsGutenberg: Bool, maximumCharacters: Int?) {
        self.paths = paths
        self.encoding = encoding
        self.stripsGutenberg = stripsGutenberg
        self.maximumCharacters = maximumCharacters
    }
}

extension EncodedCorpus {
    /// The SHA-256 of a part's characters, as code points: the same whatever vocabulary and encoding they came in.
    public func sha256(of range: Range<Int>) -> String {
        var hasher = SHA256()
        var piece: [UInt32] = []
        for position in range {
            piece.append(vocabulary.codePoints[Int(text[position])].littleEndian)
            if piece.count == 1 << 16 || position == range.upperBound - 1 {
                piece.withUnsafeBytes { hasher.update(bufferPointer: $0) }
                piece.removeAll(keepingCapacity: true)
            }
        }
        return hasher.finalize().hexadecimal
    }
}

extension Sequence<UInt8> {
    /// Two lower-case hexadecimal digits a byte.
    public var hexadecimal: String {
        map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

extension EncodedCorpus {
    /// The bytes of a part of the text in its encoding.
    public func bytes(_ range: Range<Int>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        for position in range { encoding.append(vocabulary.codePoints[Int(text[position])], to: &bytes) }
        return bytes
    }
}
