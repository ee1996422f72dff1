import CharnnModel

/// Decodes the bytes of one file piece by piece into code points, CRLF made LF.
///
/// Bytes are decoded as they are in the `bytes` encoding.
struct TextDecoder {
    private let encoding: TextEncoding
    /// Of UTF-16: whether the higher byte comes first.
    private let isBigEndian: Bool
    /// An unfinished sequence at the end of the last piece.
    private var carry: [UInt8] = []
    private var pendingReturn = false

    init(_ encoding: TextEncoding, isBigEndian: Bool = false) {
        self.encoding = encoding
        self.isBigEndian = isBigEndian
    }

    /// Where decoding broke: bytes before the broken one in the pieces given so far.
    struct Broken: Error { var offset: Int }
    private var consumed = 0

    /// Decodes one piece, appending to `output`.
    mutating func decode(_ piece: [UInt8], into output: inout [UInt32]) throws(Broken) {
        switch encoding {
        case .bytes:
            for byte in piece { output.append(UInt32(byte)) }
        case .latin1:
            for byte in piece { emit(UInt32(byte), into: &output) }
        case .windows1252:
            for (index, byte) in piece.enumerated() {
                guard (0x80..<0xA0).contains(byte) else {
                    emit(UInt32(byte), into: &output)
                    continue
                }
                guard let codePoint = TextEncoding.extended[Int(byte - 0x80)] else {
                    throw Broken(offset: consumed + index)
                }
                emit(codePoint, into: &output)
            }
            consumed += piece.count
        case .utf8, .utf16:
            var bytes = piece
            if !carry.isEmpty {
                bytes = carry + piece
                carry = []
            }
            if encoding == .utf8 {
                try decodeUTF8(bytes, into: &output)
            } else {
                try decodeUTF16(bytes, into: &output)
            }
        }
    }

    /// Ends the file: a held carriage return is let go, an unfinished sequence is an error.
    mutating func finish(into output: inout [UInt32]) throws(Broken) {
        guard carry.isEmpty else { throw Broken(offset: consumed) }
        if pendingReturn {
            output.append(13)
            pendingReturn = false
        }
    }

    @inline(__always)
    private mutating func emit(_ codePoint: UInt32, into output: inout [UInt32]) {
        if pendingReturn {
            pendingReturn = false
            if codePoint != 10 { output.append(13) }
        }
        if codePoint == 13 {
            pendingReturn = true
        } else {
            output.append(codePoint)
        }
    }

    private mutating func decodeUTF16(_ bytes: [UInt8], into output: inout [UInt32]) throws(Broken) {
        func unit(_ i: Int) -> UInt32 {
            let (first, second) = (UInt32(bytes[i]), UInt32(bytes[i + 1]))
            return isBigEndian ? first << 8 | second : second << 8 | first
        }
        var i = 0
        while i + 1 < bytes.count {
            let high = unit(i)
            guard (0xD800..<0xE000).contains(high) else {
                emit(high, into: &output)
                i += 2
                continue
            }
            guard high < 0xDC00 else { throw Broken(offset: consumed + i) }
            guard i + 3 < bytes.count else { break }
            let low = unit(i + 2)
            guard (0xDC00..<0xE000).contains(low) else { throw Broken(offset: consumed + i) }
            emit(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00), into: &output)
            i += 4
        }
        carry = Array(bytes[i...])
        consumed += i
    }

    private mutating func decodeUTF8(_ bytes: [UInt8], into output: inout [UInt32]) throws(Broken) {
        var i = 0
        while i < bytes.count {
            let lead = bytes[i]
            if lead < 0x80 {
                emit(UInt32(lead), into: &output)
                i += 1
                continue
            }
            // Table 3-7 of the Unicode Standard: the second byte's range depends on the first.
            let length: Int
            var low: UInt8 = 0x80
            var high: UInt8 = 0xBF
            switch lead {
            case 0xC2...0xDF: length = 2
            case 0xE0: (length, low) = (3, 0xA0)
            case 0xED: (length, high) = (3, 0x9F)
            case 0xE1...0xEF: length = 3
            case 0xF0: (length, low) = (4, 0x90)
            case 0xF1...0xF3: length = 4
            case 0xF4: (length, high) = (4, 0x8F)
            default: throw Broken(offset: consumed + i)
            }
            var value = UInt32(lead) & (0x7F >> UInt32(length))
            let available = min(length, bytes.count - i)
            for k in 1..<max(available, 1) {
                let byte = bytes[i + k]
                guard byte >= low, byte <= high else { throw Broken(offset: consumed + i) }
                (low, high) = (0x80, 0xBF)
                value = value << 6 | UInt32(byte & 0x3F)
            }
            if available < length {
                carry = Array(bytes[i...])
                break
            }
            emit(value, into: &output)
            i += length
        }
        consumed += i
    }
}
