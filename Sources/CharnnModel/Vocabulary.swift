/// The symbols of a model: a code point for each index.
public struct Vocabulary: Sendable, Equatable {
    /// In index order, without repetition.
    public let codePoints: [UInt32]
    private let indices: [UInt32: Int32]

    /// - Returns: nil if a code point occurs twice, is no Unicode scalar, or there are none.
    public init?(codePoints: [UInt32]) {
        var indices: [UInt32: Int32] = [:]
        indices.reserveCapacity(codePoints.count)
        for (index, codePoint) in codePoints.enumerated() {
            guard Unicode.Scalar(codePoint) != nil, indices.updateValue(Int32(index), forKey: codePoint) == nil else {
                return nil
            }
        }
        guard !codePoints.isEmpty else { return nil }
        self.codePoints = codePoints
        self.indices = indices
    }

    /// All 256 bytes.
    public static let bytes = Vocabulary(unchecked: (0..<256).map(UInt32.init))

    private init(unchecked codePoints: [UInt32]) {
        self.codePoints = codePoints
        indices = Dictionary(uniqueKeysWithValues: codePoints.enumerated().map { ($1, Int32($0)) })
    }

    /// `V`, at least 1.
    public var count: Int { codePoints.count }

    /// The index of a code point, or nil where the vocabulary lacks it.
    public func index(of codePoint: UInt32) -> Int32? { indices[codePoint] }

    /// This vocabulary with the code points it lacks appended in ascending order.
    public func growing(by others: some Sequence<UInt32>) -> Vocabulary {
        let new = Set(others).filter { indices[$0] == nil }.sorted()
        return new.isEmpty ? self : Vocabulary(unchecked: codePoints + new)
    }
}

/// What is done with characters that a vocabulary lacks.
public enum UnknownPolicy: String, Sendable, CaseIterable, Codable {
    /// Refuse the text and name the characters with their places.
    case error
    /// Leave them out.
    case skip
    /// Put another in their place: U+FFFD if the vocabulary has it, else a space, else its first symbol.
    case replace
}

/// A text as vocabulary indices, with what had to be done to it.
public struct EncodedPrompt: Sendable, Equatable {
    /// As many as the text has characters, but for those that the policy leaves out.
    public var symbols: [Int32]
    /// What the vocabulary lacks: place in the text (from 0) and code point.
    public var unknown: [(position: Int, codePoint: UInt32)]

    /// Written out because tuples are not `Equatable`.
    public static func == (a: Self, b: Self) -> Bool {
        a.symbols == b.symbols && a.unknown.elementsEqual(b.unknown, by: ==)
    }
}

extension Vocabulary {
    /// What stands for a character that the vocabulary lacks.
    public var replacement: Int32 { index(of: 0xFFFD) ?? index(of: 0x20) ?? 0 }

    /// Encodes code points under a policy.
    public func encode(_ text: [UInt32], unknown policy: UnknownPolicy) throws(ModelError) -> EncodedPrompt {
        var result = EncodedPrompt(symbols: [], unknown: [])
        for (position, codePoint) in text.enumerated() {
            if let index = index(of: codePoint) {
                result.symbols.append(index)
                continue
            }
            result.unknown.append((position, codePoint))
            if policy == .replace { result.symbols.append(replacement) }
        }
        if policy == .error, !result.unknown.isEmpty {
            throw ModelError(.unknownCharacters, Self.describe(result.unknown))
        }
        return result
    }

    /// Names unknown characters and where they stand, the first ten of them, and what can be done.
    public static func describe(_ unknown: [(position: Int, codePoint: UInt32)]) -> String {
        "the model's vocabulary lacks \(list(unknown)); leave them out, or set unknown to skip or replace"
    }

    /// Names unknown characters and where they stand, the first ten of them.
    public static func list(_ unknown: [(position: Int, codePoint: UInt32)]) -> String {
        let listed = unknown.prefix(10).map { "\(name(of: $0.codePoint)) at position \($0.position + 1)" }
        let more = unknown.count > 10 ? " and \(unknown.count - 10) more" : ""
        return listed.joined(separator: ", ") + more
    }

    /// A code point for people: `'é' (U+00E9)`.
    public static func name(of codePoint: UInt32) -> String {
        let hex = String(codePoint, radix: 16, uppercase: true)
        let code = "U+" + String(repeating: "0", count: max(0, 4 - hex.count)) + hex
        guard let scalar = Unicode.Scalar(codePoint), codePoint >= 0x20, !(0x7F...0x9F).contains(codePoint) else {
            return code
        }
        return "'\(scalar)' (\(code))"
    }
}
