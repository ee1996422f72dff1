import CharnnStorage

/// Finds the text between Project Gutenberg's header and its licence.
///
/// Since 2003 both stand outside lines that begin with `*** START OF` and `*** END OF` (older files: `***START OF`)
/// and name Project Gutenberg; with a long title such a marker takes two lines or three. Before, the licence was the
/// "small print", between lines such as `***START**THE SMALL PRINT!` and `*END*THE SMALL PRINT!`, in front of the text
/// or behind it, and the text ended with `End of the Project Gutenberg Etext`. Where there is none of these, nothing is
/// cut on that side.
enum GutenbergFrame {
    /// How far from either end of a file the lines are looked for, bytes.
    static let reach = 1 << 20
    /// The most lines of a marker.
    private static let mostLines = 4
    /// How far from the end of a text its last line may stand, characters.
    private static let farewell = 1 << 15

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
        let count = range.count / width
        let head = Piece(try read(range.lowerBound..<min(range.upperBound, range.lowerBound + reach)))
        let tailStart = range.lowerBound + max(0, range.count - range.count % width - reach) / width * width
        let tail = Piece(try read(tailStart..<range.upperBound), at: (tailStart - range.lowerBound) / width)

        // In characters of the frame, from the text's beginning.
        var (start, end) = (0, count)
        if let marker = head.marker("START", from: 0) { start = marker.upperBound }
        let last = tail.lastMarker("END", from: start)
        if let last { end = last.lowerBound }
        if let small = head.smallPrint(start..<end) ?? tail.smallPrint(start..<end) {
            // On whichever side there is more, there is the text.
            if small.lowerBound - start >= end - small.upperBound {
                end = small.lowerBound
            } else {
                start = small.upperBound
            }
        }
        if last == nil, let line = tail.farewell(from: max(start, end - farewell), to: end) { end = line }
        if start > 0 { start = head.textBegins(at: start) }
        end = max(start, end)
        return range.lowerBound + start * width..<(end == count ? range.upperBound : range.lowerBound + end * width)
    }

    /// Lines of a part of a file.
    private struct Piece {
        private let bytes: [UInt8]
        /// Where it begins in the file.
        private let offset: Int
        /// Without their newlines; places of the file.
        private var lines: [Range<Int>] = []

        init(_ bytes: [UInt8], at offset: Int = 0) {
            self.bytes = bytes
            self.offset = offset
            var start = 0
            for (i, byte) in bytes.enumerated() where byte == 10 {
                lines.append(offset + start..<offset + i)
                start = i + 1
            }
            lines.append(offset + start..<offset + bytes.count)
        }

        /// A line in capitals, without blanks around it; nothing of what is too long for a marker.
        private func words(_ line: Range<Int>) -> String {
            guard line.count < 512 else { return "" }
            let text = bytes[line.lowerBound - offset..<line.upperBound - offset]
            let isBlank = { (byte: UInt8) in byte == 32 || byte == 9 || byte == 13 }
            let inner = text.drop(while: isBlank).reversed().drop(while: isBlank).reversed()
            return String(decoding: Array(inner), as: UTF8.self).uppercased()
        }

        /// A marker that begins in a line: from there to behind its last one.
        private func marker(_ word: String, atLine index: Int) -> Range<Int>? {
            // Most lines are told apart by their first byte.
            guard
                bytes[lines[index].lowerBound - offset..<lines[index].upperBound - offset].first(where: { $0 > 32 })
                    == UInt8(ascii: "*")
            else { return nil }
            let first = words(lines[index])
            guard first.hasPrefix("***"), first.drop(while: { $0 == "*" || $0 == " " }).hasPrefix("\(word) OF") else {
                return nil
            }
            var (text, last) = (first, index)
            // The stars that end it may stand in a later line.
            if !first.hasSuffix("***") || first.allSatisfy({ $0 == "*" }) {
                for next in lines.indices[(index + 1)...].prefix(mostLines - 1) {
                    let more = words(lines[next])
                    if more.isEmpty || more.hasPrefix("***") { break }
                    text += " " + more
                    if more.hasSuffix("***") {
                        last = next
                        break
                    }
                }
                if last == index { text = first }
            }
            guard text.contains("PROJECT GUTENBERG") else { return nil }
            return lines[index].lowerBound..<behind(last)
        }

        private func behind(_ line: Int) -> Int { min(lines[line].upperBound + 1, offset + bytes.count) }

        func marker(_ word: String, from start: Int) -> Range<Int>? {
            lines.indices.lazy.filter { lines[$0].lowerBound >= start }.compactMap { marker(word, atLine: $0) }.first
        }

        func lastMarker(_ word: String, from start: Int) -> Range<Int>? {
            lines.indices.reversed().lazy.filter { lines[$0].lowerBound >= start }
                .compactMap { marker(word, atLine: $0) }.first
        }

        /// The small print from its first line, or from the beginning where that is not told, to behind its last.
        func smallPrint(_ range: Range<Int>) -> Range<Int>? {
            func isMarker(_ line: Int, _ word: String) -> Bool {
                guard range.contains(lines[line].lowerBound),
                    bytes[lines[line].lowerBound - offset] == UInt8(ascii: "*")
                else { return false }
                let text = words(lines[line])
                return text.contains("SMALL PRINT") && text.drop { $0 == "*" || $0 == " " }.hasPrefix(word)
            }
            guard let last = lines.indices.first(where: { !lines[$0].isEmpty && isMarker($0, "END") }) else {
                return nil
            }
            let first = lines.indices[..<last].last { !lines[$0].isEmpty && isMarker($0, "START") }
            return (first.map { lines[$0].lowerBound } ?? range.lowerBound)..<behind(last)
        }

        /// Where the line begins with which old texts say that they end.
        func farewell(from start: Int, to end: Int) -> Int? {
            let names = ["", "THE ", "THIS "].map { "END OF \($0)PROJECT GUTENBERG" }
            return lines.last { line in
                guard line.lowerBound >= start, line.lowerBound < end else { return false }
                let text = words(line).drop { $0 == "*" || $0 == " " }
                return names.contains { text.hasPrefix($0) }
            }?.lowerBound
        }

        /// The blank lines behind a marker belong to the frame.
        func textBegins(at place: Int) -> Int {
            var place = place
            while place < offset + bytes.count, [10, 13].contains(bytes[place - offset]) { place += 1 }
            return place
        }
    }
}
