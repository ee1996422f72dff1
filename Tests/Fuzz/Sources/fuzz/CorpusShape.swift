import Crypto

/// An encoded text in short: the length of the header (4 bytes, little-endian), the header, the symbols. The file has magic
/// and padding besides, and ends with a checksum. What begins with the magic is a file as it is.
enum CorpusShape {
    private static let magic = [UInt8]("charnnc1".utf8)

    static func file(of input: [UInt8]) -> [UInt8] {
        guard input.count >= 4, !input.starts(with: magic) else { return input }
        let length = input[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
        let end = 4 + min(length, input.count - 4)
        var bytes = magic + input[..<end]
        bytes += [UInt8](repeating: 0, count: (4096 - bytes.count % 4096) % 4096)
        bytes += input[end...]
        return bytes + Array(SHA256.hash(data: bytes))
    }

    /// The short form of a whole file.
    static func input(of file: [UInt8]) -> [UInt8] {
        let length = file[8..<12].reversed().reduce(0) { $0 << 8 | Int($1) }
        let start = (12 + length + 4095) / 4096 * 4096
        return Array(file[8..<(12 + length)] + file[start..<(file.count - 32)])
    }
}
