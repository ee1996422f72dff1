import CharnnWords

extension Chart {
    /// The chart as a figure of a page.
    ///
    /// Only lines are in the SVG, which is stretched to the room there is; names and numbers are text of the page, so
    /// that they have the same size on a telephone and on a wide screen.
    ///
    /// Each line carries its values beside its places, for the script that shows those under the pointer.
    ///
    /// - Parameter height: Of the plot, in `rem`.
    func figure(height: Int = 15) -> HTML {
        guard let (x, y) = axes() else { return .nothing }
        let yTicks = y.values.map { value -> HTML in
            let bottom = percent(y.place(value))
            return "<i class=\"y\" style=\"bottom:\(bottom)\"><b>\(y.label(value))</b></i>"
        }
        let xTicks = x.values.map { value -> HTML in
            "<i class=\"x\" style=\"left:\(percent(x.place(value)))\"><b>\(x.label(value))</b></i>"
        }
        let lines = series.map { line($0, x, y) }
        let levelLines = levels.filter { y.range.contains($0.y) }.map { level -> HTML in
            "<i class=\"level\" style=\"bottom:\(percent(y.place(level.y)))\"><b>\(level.name) \(fixed(level.y, digits))</b></i>"
        }
        let cuts = series.flatMap { Self.cuts(Self.reduced($0), above: y.range.upperBound) }
        let cutMarks = cuts.map { cut -> HTML in
            "<i class=\"cut\" style=\"left:\(percent(x.place(cut.x)))\" title=\"\(value(cut.y))\">▲</i>"
        }
        let note = cuts.map(\.y).max().map { "▲ cut off, up to \(value($0)) · " } ?? ""
        let bestMarks = series.compactMap { line in line.best.map { (line, $0) } }.map { line, best -> HTML in
            let name = "best, \(xLabel) \(grouped(best.x)): \(value(best.y))"
            return
                "<i class=\"best k\(line.style)\" style=\"left:\(percent(x.place(best.x)));bottom:\(percent(y.place(best.y)))\" title=\"\(name)\"></i>"
        }
        // The number that counts stands beside the name: where a line is judged by its best point that one, else the
        // last.
        let legend = series.map { line -> HTML in
            let told: HTML =
                line.best.map { "best <b>\(value($0.y))</b>" }
                ?? line.points.last.map { "<b>\(value($0.y))</b>" } ?? .nothing
            // One line needs no name beside the chart's own.
            if series.count == 1, levels.isEmpty { return "<span class=\"key\">\(told)</span>" }
            return
                "<span class=\"key s\(line.style)\"><svg viewBox=\"0 0 24 8\" aria-hidden=\"true\"><path d=\"M0 4H24\"/></svg>\(line.name) \(told)</span>"
        }
        return """
            <figure class="chart" data-x="\(xLabel)" data-digits="\(digits)">
            <figcaption><strong>\(title)</strong><span class="unit">\(yLabel)</span><span class="keys">\(legend)</span></figcaption>
            <div class="plot" style="height:\(height)rem">
            \(HTML(yTicks, separator: ""))\(HTML(xTicks, separator: ""))
            <svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="\(title)">\(HTML(lines, separator: ""))</svg>
            \(HTML(levelLines, separator: ""))\(HTML(cutMarks, separator: ""))\(HTML(bestMarks, separator: ""))
            </div>
            <p class="axis">\(note)\(xLabel)</p>
            </figure>
            """
    }

    /// A value as it is read off: with thousands apart, and small ones with their power of ten.
    private func value(_ value: Double) -> String {
        if digits == 0 { return grouped(value) }
        return value != 0 && abs(value) < 0.001 ? scientific(value) : fixed(value, digits)
    }

    /// A small curve without axes, to look at beside others on the same scale.
    ///
    /// - Parameters:
    ///   - x: From and to which step.
    ///   - y: The heights that all the others have, too.
    func miniature(_ x: ClosedRange<Double>, _ y: ClosedRange<Double>) -> HTML {
        let (x, y) = (
            Ticks(x.lowerBound, x.upperBound, count: 2, isTight: true),
            Ticks(y.lowerBound, y.upperBound, count: 2, isTight: true)
        )
        let lines = series.map { one -> HTML in
            let points = Self.reduced(one, to: 60).map { self.point($0, x, y) }
            let cuts = Self.cuts(Self.reduced(one, to: 60), above: y.range.upperBound)
                .map { "M\(self.point($0, x, y).replacingComma)h0" }
            let marks: HTML =
                cuts.isEmpty ? .nothing : "<path class=\"dots s\(one.style)\" d=\"\(cuts.joined())\"/>"
            return "<polyline class=\"s\(one.style)\" points=\"\(points.joined(separator: " "))\"/>\(marks)"
        }
        return """
            <svg class="mini" viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="\(title)">\(HTML(lines, separator: ""))</svg>
            """
    }

    private func line(_ line: Series, _ x: Ticks, _ y: Ticks) -> HTML {
        let points = Self.reduced(line)
        let values = points.map { "\(x.isWhole ? fixed($0.x, 0) : fixed($0.x, 2)),\(plain($0.y))" }
        let places = points.map { point($0, x, y) }
        // A line of no length with round ends is a dot whatever the picture is stretched to.
        let marks = line.isMarked && points.count <= 60 ? places.map { "M\($0.replacingComma)h0" }.joined() : ""
        let dots: HTML = marks.isEmpty ? .nothing : "<path class=\"dots s\(line.style)\" d=\"\(marks)\"/>"
        return """
            <polyline class="s\(line.style)" points="\(places.joined(separator: " "))" data-name="\(line.name)" data-v="\(values.joined(separator: " "))"/>\(dots)
            """
    }

    private func point(_ point: (x: Double, y: Double), _ x: Ticks, _ y: Ticks) -> String {
        "\(fixed(x.place(point.x) * 1000, 1)),\(fixed(1000 - y.place(point.y) * 1000, 1))"
    }

    private func percent(_ part: Double) -> String { "\(fixed(part * 100, 2))%" }

    private func plain(_ value: Double) -> String { abs(value) < 0.001 && value != 0 ? String(value) : fixed(value, 4) }
}

extension Ticks {
    fileprivate var isWhole: Bool { range.upperBound - range.lowerBound > 50 }
}

extension String {
    fileprivate var replacingComma: String { String(map { $0 == "," ? " " : $0 }) }
}
