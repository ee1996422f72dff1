import CharnnStorage

/// Finds the text between Project Gutenberg's header and its licence.
///
/// Since 2003 both stand outside lines that begin with `*** START OF` and `*** END OF` (older files: `***START OF`)
/// and name Project Gutenberg. Where there is no such line, nothing is cut on that side.
enum GutenbergFrame {
    /// How far from either end of a file the lines are looked for, bytes.
    static let reach = 1 << 20

    /// The byte range of the text proper in a file of `size` bytes.
    static func range(in file: any StorageFile, size: Int) throws(StorageError) -> Range<Int> {
        var start = 0
        var end = size
        let head = try file.read(at: 0, count: min(size, reach))
        if let line = lines(of: head).first(where: { isMarker(head[$0], "START") }) {
            start = min(line.upperBound + 1, size)
            // The blank lines behind the marker belong to the frame.
            while start < head.count, head[start] == 10 || head[start] == 13 { start += 1 }
        }
        let tailStart = max(start, size - reach)
        let tail = try file.read(at: tailStart, count: size - tailStart)
        if let line = lines(of: tail).last(where: { isMarker(tail[$0], "END") }) {
            end = tailStart + line.lowerBound
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
