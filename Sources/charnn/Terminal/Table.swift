import CharnnReports

/// Rows of cells in aligned columns, as wide as there is room.
///
/// Widths are those of a terminal, not counts of characters. In a narrow window columns give way in the order of
/// ``Column/giving``: each is cut down to what it can be read at, then left out, until the line fits. Nothing is ever
/// wrapped.
struct Table {
    /// One line, whatever it was made of.
    struct Cell {
        var text: String
        var colour: Terminal.Colour?

        init(_ text: String, _ colour: Terminal.Colour? = nil) {
            self.text = Terminal.oneLine(text)
            self.colour = colour
        }
    }

    /// A title, and what becomes of the column where there is no room.
    struct Column {
        var title: String
        var isRight: Bool
        /// How early the column gives its room away in a narrow window: 1 is the first to, and goes altogether; nil: it
        /// keeps what it needs.
        var giving: Int?
        /// The width down to which it can be cut before it goes; nil: it is whole or not there.
        var least: Int?

        init(_ title: String, isRight: Bool = false, giving: Int? = nil, least: Int? = nil) {
            self.title = title
            self.isRight = isRight
            self.giving = giving
            self.least = least
        }
    }

    var columns: [Column]
    var rows: [[Cell]]

    // Spaces between two columns.
    private static let gap = 2

    /// - Parameter room: Columns that a line may take; `.max` where lines do not go to a terminal.
    func text(room: Int) -> String {
        let widths = widths(room)
        let shown = columns.indices.filter { widths[$0] > 0 }
        func line(_ cells: [String], _ style: (Int, String) -> String) -> String {
            let last = shown.last { !cells[$0].isEmpty } ?? 0
            return shown.filter { $0 <= last }.map { index in
                let cell = DisplayWidth.cut(cells[index], to: widths[index])
                let padding = String(repeating: " ", count: widths[index] - DisplayWidth.of(cell))
                let styled = style(index, cell)
                // Nothing stands behind a line's last cell.
                return columns[index].isRight ? padding + styled : index == last ? styled : styled + padding
            }.joined(separator: String(repeating: " ", count: Self.gap))
        }
        let header = line(columns.map(\.title)) { Terminal.bold($1) }
        return ([header] + rows.map { row in line(row.map(\.text)) { Terminal.coloured($1, row[$0].colour) } })
            .joined(separator: "\n")
    }

    /// The width of each column; 0: it is not shown.
    private func widths(_ room: Int) -> [Int] {
        var widths = columns.indices.map { index in
            let content = rows.map { DisplayWidth.of($0[index].text) }.max() ?? 0
            // A column without any content says nothing, and its title neither.
            return content == 0 ? 0 : max(content, DisplayWidth.of(columns[index].title))
        }
        func excess() -> Int {
            let shown = widths.filter { $0 > 0 }
            return shown.reduce(0, +) + Self.gap * max(0, shown.count - 1) - room
        }
        let giving = columns.indices.filter { columns[$0].giving != nil }
            .sorted { (columns[$0].giving ?? 0, $1) < (columns[$1].giving ?? 0, $0) }
        for index in giving where excess() > 0 && widths[index] > 0 {
            let left = widths[index] - excess()
            // The first column says what the line is about: it never goes.
            if let least = columns[index].least, index == 0 || left >= least {
                widths[index] = max(left, min(least, widths[index]))
            } else {
                widths[index] = 0
            }
        }
        return widths
    }
}
