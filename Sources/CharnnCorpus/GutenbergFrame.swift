import CharnnStorage

/// Finds the text between Project Gutenberg's header and its licence.
///
/// Since 2003 both stand outside lines that begin with `*** START OF` and `*** END OF` (older files: `***START OF`)
/// and name Project Gutenberg. Where there is no such line, nothing is cut on that side.
enum GutenbergFrame {
    /// How far from either end of a file the lines are looked for, bytes.
    static let reach = 1 << 20

    /// The byte range of the text proper in a file.
    ///
    /// - Parameters:
    ///   - range: Of the file, behind a byte order mark.
    ///   - lowByte: Which of two bytes is a character's lower one; nil: a character of the frame is one byte.
    static func range(
        in file: any StorageFile, _ range: Range<Int>, lowByte: Int?
    ) throws(StorageError) -> Range<Int> {
        let width = lowByte == nil ? 1 : 2
        func read(_ range: Range<Int>) throws(StorageError) -> [UInt8] {
            let bytes = try file.read(at: range.lowerBound, count: range.count)
            guard let lowByte else { return bytes }
            // The frame is ASCII; what is not is any byte that is none.
            return stride(from: 0, to: bytes.count - 1, by: 2).map { unit in
                bytes[unit + 1 - lowByte] == 0 && bytes[unit + lowByte] < 0x80 ? bytes[unit + lowByte] : 0xFF
            }
        }
        var start = range.lowerBound
        var end = range.upperBound
        let head = try read(start..<min(end, start + reach))
        if let line = lines(of: head).first(where: { isMarker(head[$0], "START") }) {
            var place = min(line.upperBound + 1, head.count)
            // The blank lines behind the marker belong to the frame.
            while place < head.count, head[place] == 10 || head[place] == 13 { place += 1 }
            start += place * width
        }
        let tailStart = max(start, end - (end - range.lowerBound) % width - reach)
        let tail = try read(tailStart..<end)
        if let line = lines(of: tail).last(where: { isMarker(tail[$0], "END") }) {
            end = tailStart + line.lowerBound * width
        }
        return start..<max(start, end)
    }

    /// The ranges of lines without their newlines.
    private static func lines(of bytes: [UInt8]) -> [Range<Int>] {
        var lines: [Range<Int>] = []
        var start = 0
        for (i, byte) in bytes.enumerated() where byte == 10 {
            lines.append(start..<i)
            start = i + 1
        }
        lines.append(start..<bytes.count)
        return lines
    }

    private static func isMarker(_ line: ArraySlice<UInt8>, _ word: String) -> Bool {
        guard line.count < 512, line.starts(with: "***".utf8) else { return false }
        let text = String(decoding: line, as: UTF8.self).uppercased()
        let rest = text.drop { $0 == "*" || $0 == " " }
        return rest.hasPrefix("\(word) OF") && text.contains("PROJECT GUTENBERG")
    }
}
