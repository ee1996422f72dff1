/// The JSON header of a safetensors file, read by hand: it knows no more of JSON than such a header has, never nests,
/// and takes no more memory than the header has bytes, whatever these are.
struct SafeTensorsHeader {
    /// A tensor as the header tells of it; nothing of it is checked yet.
    struct Entry: Equatable {
        var type: String
        var shape: [Int]
        var offsets: [Int]
    }

    /// What is wrong with a header.
    struct Problem: Error {
        var what: String
    }

    var metadata: [String: String] = [:]
    var tensors: [String: Entry] = [:]

    /// So many dimensions at most; those of a model have two.
    private static let mostDimensions = 8

    init(_ bytes: [UInt8]) throws(Problem) {
        var reader = JSONReader(bytes)
        try reader.object { (reader, name) throws(Problem) in
            if name == "__metadata__" {
                try reader.object { (reader, key) throws(Problem) in
                    guard metadata.updateValue(try reader.string(), forKey: key) == nil else {
                        throw Problem(what: "the key \(key) stands twice in its metadata")
                    }
                }
            } else {
                guard tensors.updateValue(try Self.entry(&reader, name), forKey: name) == nil else {
                    throw Problem(what: "there are two tensors \(name)")
                }
            }
        }
        try reader.end()
    }

    private static func entry(_ reader: inout JSONReader, _ name: String) throws(Problem) -> Entry {
        var (type, shape, offsets): (String?, [Int]?, [Int]?)
        try reader.object { (reader, key) throws(Problem) in
            switch key {
            case "dtype": type = try reader.string()
            case "shape": shape = try reader.integers(atMost: mostDimensions)
            case "data_offsets": offsets = try reader.integers(atMost: 2)
            default: throw Problem(what: "the tensor \(name) has a key \(key)")
            }
        }
        guard let type, let shape, let offsets else {
            throw Problem(what: "\(name) lacks its dtype, shape or data_offsets")
        }
        return Entry(type: type, shape: shape, offsets: offsets)
    }
}

/// A JSON array of code points, such as a model's vocabulary.
enum CodePointList {
    /// nil where the text is anything else.
    static func read(_ text: String) -> [UInt32]? {
        var reader = JSONReader(Array(text.utf8))
        do throws(SafeTensorsHeader.Problem) {
            let values = try reader.integers(atMost: 0x110000)
            try reader.end()
            var codePoints: [UInt32] = []
            codePoints.reserveCapacity(values.count)
            for value in values {
                guard let codePoint = UInt32(exactly: value) else { return nil }
                codePoints.append(codePoint)
            }
            return codePoints
        } catch {
            return nil
        }
    }
}

/// Reads JSON values of expected kinds, one after the other.
private struct JSONReader {
    typealias Problem = SafeTensorsHeader.Problem
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Only spaces may follow.
    mutating func end() throws(Problem) {
        guard next == nil else { throw wrong("its end") }
    }

    /// An object; `member` reads the value of each key.
    mutating func object(_ member: (inout JSONReader, String) throws(Problem) -> Void) throws(Problem) {
        try take("{")
        if next == UInt8(ascii: "}") {
            position += 1
            return
        }
        while true {
            let key = try string()
            try take(":")
            try member(&self, key)
            if next == UInt8(ascii: ",") {
                position += 1
            } else {
                return try take("}")
            }
        }
    }

    /// An array of whole numbers.
    mutating func integers(atMost limit: Int) throws(Problem) -> [Int] {
        try take("[")
        var values: [Int] = []
        if next == UInt8(ascii: "]") {
            position += 1
            return values
        }
        while true {
            guard values.count < limit else { throw wrong("the end of a list") }
            values.append(try integer())
            if next == UInt8(ascii: ",") {
                position += 1
            } else {
                try take("]")
                return values
            }
        }
    }

    private mutating func integer() throws(Problem) -> Int {
        let isNegative = next == UInt8(ascii: "-")
        if isNegative { position += 1 }
        let start = position
        var value = 0
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(bytes[position] - UInt8(ascii: "0")))
            guard !overflow, !carry else { throw Problem(what: "a number in its header is too large") }
            value = sum
            position += 1
        }
        guard position > start else { throw wrong("a whole number") }
        return isNegative ? -value : value
    }

    mutating func string() throws(Problem) -> String {
        try take("\"")
        var text: [UInt8] = []
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else { throw wrong("UTF-8") }
                return string
            case UInt8(ascii: "\\"): try escape(&text)
            case 0..<0x20: throw wrong("a string without control characters")
            default: text.append(byte)
            }
        }
        throw wrong("the end of a string")
    }

    private mutating func escape(_ text: inout [UInt8]) throws(Problem) {
        guard position < bytes.count else { throw wrong("the end of a string") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "u"):
            var value = try hexadecimal()
            if (0xD800..<0xDC00).contains(value) {
                // The other half of a character beyond the first 65,536.
                guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                    bytes[position + 1] == UInt8(ascii: "u")
                else { throw wrong("the second half of a character") }
                position += 2
                let low = try hexadecimal()
                guard (0xDC00..<0xE000).contains(low) else { throw wrong("the second half of a character") }
                value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(value) else { throw wrong("a character") }
            text += Array(UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default: throw wrong("an escape that JSON knows")
        }
    }

    private mutating func hexadecimal() throws(Problem) -> UInt32 {
        guard position + 4 <= bytes.count else { throw wrong("four digits") }
        var value: UInt32 = 0
        for byte in bytes[position..<(position + 4)] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw wrong("four digits") }
            value = value << 4 | UInt32(digit)
        }
        position += 4
        return value
    }

    private mutating func take(_ character: Unicode.Scalar) throws(Problem) {
        guard next == UInt8(ascii: character) else { throw wrong("'\(character)'") }
        position += 1
    }

    /// The next byte that is no space.
    private var next: UInt8? {
        mutating get {
            while position < bytes.count {
                switch bytes[position] {
                case 0x20, 0x09, 0x0A, 0x0D: position += 1
                default: return bytes[position]
                }
            }
            return nil
        }
    }

    private func wrong(_ expected: String) -> Problem {
        Problem(what: "its header is not the JSON it should be: at byte \(position), \(expected) was expected")
    }
}
