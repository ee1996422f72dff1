import CharnnModel
import CharnnStorage

/// What the bytes of a file say of how it is encoded, to name the right remedy where a job file says something else.
struct EncodingRecognition {
    /// How much of a file's beginning is looked at.
    static let reach = 1 << 16

    /// The first bytes.
    private let head: [UInt8]

    init(_ head: [UInt8]) { self.head = head }

    private func begins(with bytes: [UInt8]) -> Bool { head.starts(with: bytes) }

    /// How long the byte order mark of an encoding is that stands in front; 0: none does.
    func markLength(_ encoding: TextEncoding) -> Int {
        switch encoding {
        case .utf8: begins(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        case .utf16: begins(with: [0xFF, 0xFE]) || begins(with: [0xFE, 0xFF]) ? 2 : 0
        case .latin1, .windows1252, .bytes: 0
        }
    }

    /// Of UTF-16: whether the higher byte comes first, as the mark says or the places of the zeros.
    var isBigEndian: Bool {
        if markLength(.utf16) > 0 { return head[0] == 0xFE }
        let zeros = zeros
        return zeros.even > zeros.odd
    }

    /// Zero bytes at even places and at odd ones.
    private var zeros: (even: Int, odd: Int) {
        var counts = (even: 0, odd: 0)
        for (place, byte) in head.enumerated() where byte == 0 {
            if place % 2 == 0 { counts.even += 1 } else { counts.odd += 1 }
        }
        return counts
    }

    /// Whether it is UTF-16 by its mark, or by zeros that stand at every other place only, as those of Latin letters,
    /// spaces and line ends do.
    private var isUTF16: Bool {
        if isUTF32 { return false }
        if markLength(.utf16) > 0 { return true }
        let (less, more) = (min(zeros.even, zeros.odd), max(zeros.even, zeros.odd))
        return more >= 4 && more * 10 >= head.count && less * 20 <= more
    }

    private var isUTF32: Bool { begins(with: [0xFF, 0xFE, 0, 0]) || begins(with: [0, 0, 0xFE, 0xFF]) }

    /// Whether it is UTF-8 with characters beyond ASCII. The last of them may be cut off.
    private var isUTF8: Bool {
        let statistics = Statistics(head)
        return statistics.sequences > 0 && statistics.broken == 0
    }

    /// What a packed or other file is that is no text whatever its encoding, and what to do with it.
    private var foreign: (what: String, remedy: String)? {
        let kinds: [(start: [UInt8], what: String, tool: String)] = [
            ([0x1F, 0x8B], "packed by gzip", "gunzip -k"), ([0x42, 0x5A, 0x68], "packed by bzip2", "bunzip2 -k"),
            ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "packed by xz", "unxz -k"),
            ([0x28, 0xB5, 0x2F, 0xFD], "packed by zstd", "unzstd"),
            ([0x50, 0x4B, 3, 4], "a zip archive, as docx, odt and epub are too", "unzip"),
            ([0x25, 0x50, 0x44, 0x46, 0x2D], "a PDF file", "pdftotext"),
        ]
        if isUTF32 {
            return (
                "UTF-32, which is not read here", "convert it, as with iconv -f UTF-32 -t UTF-8, and name the result"
            )
        }
        return kinds.first { begins(with: $0.start) }.map {
            ($0.what, "take the text out, as with \($0.tool), and name that")
        }
    }

    /// Why a file cannot be read in an encoding; nil: nothing speaks against it.
    func refusal(_ encoding: TextEncoding) -> String? {
        // What one wants byte by byte, one gets so.
        guard encoding != .bytes else { return nil }
        if let (what, remedy) = foreign { return "is \(what); \(remedy)" }
        if encoding == .utf16 {
            let isPlain = !head.contains(0) && markLength(.utf16) == 0 && Statistics(head).broken == 0
            return isPlain && !head.isEmpty ? "is not UTF-16 but UTF-8; set encoding to utf-8" : nil
        }
        return isUTF16 ? "is UTF-16; set encoding to utf-16" : nil
    }

    /// What is likely a mistake though it can be read; nil: nothing is.
    func doubt(_ encoding: TextEncoding) -> String? {
        if encoding == .utf16 {
            // Letters of the West stand one beside the other, where UTF-16 has a zero or a script's number between them.
            let plain = head.count { (0x20...0x7E).contains($0) || $0 == 10 }
            return markLength(.utf16) == 0 && plain * 10 > head.count * 8
                ? "looks like a text of one byte a character, and not like UTF-16; set encoding to latin-1 or windows-1252"
                : nil
        }
        guard encoding == .latin1 || encoding == .windows1252, isUTF8 else { return nil }
        return
            "looks like UTF-8, of which \(encoding.rawValue) makes two or three wrong characters for each that is not "
            + "ASCII; set encoding to utf-8"
    }

    /// What to do with a file that should be UTF-8 and is not, by the bytes around the broken one.
    static func remedy(_ bytes: [UInt8]) -> String {
        let statistics = Statistics(bytes)
        if statistics.controls * 100 > bytes.count || statistics.zeros > 0 {
            return "the file is no text; name another, or set encoding to bytes"
        }
        if statistics.sequences > 10 * statistics.broken {
            return "the file is damaged UTF-8; mend that place, or drop such bytes with iconv -c -f UTF-8 -t UTF-8"
        }
        // Letters of another script are most of a text; those of the West with marks are few.
        if statistics.high * 3 > bytes.count && statistics.high > 10 {
            return
                "the file seems to be of another script, as KOI8-R or Shift JIS are; convert it, as with iconv -f KOI8-R "
                + "-t UTF-8"
        }
        if statistics.undefined > 0 {
            return "the file is neither windows-1252; convert it with iconv -f ENCODING -t UTF-8"
        }
        return statistics.extended > 0
            ? "the file looks like windows-1252; set encoding to that"
            : "the file looks like latin-1; set encoding to that"
    }

    /// Counts by which encodings are told apart.
    struct Statistics {
        /// Characters beyond ASCII as UTF-8 has them.
        var sequences = 0
        /// Bytes that UTF-8 does not have there.
        var broken = 0
        var zeros = 0
        /// Control characters that are in no text.
        var controls = 0
        /// Bytes from 0x80 that are part of no character of UTF-8: all, those below 0xA0, and those of them that
        /// windows-1252 does not have.
        var high = 0
        var extended = 0
        var undefined = 0

        init(_ bytes: [UInt8]) {
            var i = 0
            while i < bytes.count {
                let byte = bytes[i]
                if byte < 0x80 {
                    if byte == 0 { zeros += 1 }
                    if byte < 0x20, !(7...13).contains(byte), byte != 0x1A, byte != 0x1B { controls += 1 }
                    i += 1
                    continue
                }
                let length = Self.length(of: bytes[i...])
                if length > 0 {
                    sequences += 1
                    i += length
                    continue
                }
                // At the end a character may be cut off, which says nothing.
                if i + 3 >= bytes.count, byte >= 0xC2, bytes[(i + 1)...].allSatisfy({ $0 & 0xC0 == 0x80 }) { return }
                broken += 1
                high += 1
                if byte < 0xA0 {
                    extended += 1
                    if TextEncoding.extended[Int(byte - 0x80)] == nil { undefined += 1 }
                }
                i += 1
            }
        }

        /// The length of the character of UTF-8 that stands in front; 0: none does.
        private static func length(of bytes: ArraySlice<UInt8>) -> Int {
            guard let lead = bytes.first else { return 0 }
            let length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2
            guard (0xC2...0xF4).contains(lead), bytes.count >= length else { return 0 }
            return String(validating: bytes.prefix(length), as: UTF8.self) == nil ? 0 : length
        }
    }
}
