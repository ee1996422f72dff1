import CharnnWords

extension Chart {
    /// The chart as an SVG file of its own, dark on white.
    ///
    /// The style is in the file, so that it looks the same in a text processor, and in a PNG that rsvg-convert makes of
    /// it.
    ///
    /// - Parameters:
    ///   - width: In the picture's own units; the file can be shown in any size.
    ///   - height: The same.
    public func svg(width: Int = 960, height: Int = 540) -> String {
        let (left, right, top, bottom) = (70.0, 24.0, 64.0, 56.0)
        let (w, h) = (Double(width) - left - right, Double(height) - top - bottom)
        var body: [HTML] = []
        if let (x, y) = axes() {
            for value in y.values {
                let place = number(top + h * (1 - y.place(value)))
                body.append(
                    "<path class=\"grid\" d=\"M\(number(left)) \(place)h\(number(w))\"/><text x=\"\(number(left - 10))\" y=\"\(place)\" dy=\"4\" text-anchor=\"end\">\(y.label(value))</text>"
                )
            }
            for value in x.values {
                let place = number(left + w * x.place(value))
                body.append(
                    "<text x=\"\(place)\" y=\"\(number(top + h + 22))\" text-anchor=\"middle\">\(x.label(value))</text>"
                )
            }
            for level in levels where y.range.contains(level.y) {
                let place = number(top + h * (1 - y.place(level.y)))
                body.append(
                    "<path class=\"level\" d=\"M\(number(left)) \(place)h\(number(w))\"/><text x=\"\(number(left + w))\" y=\"\(place)\" dy=\"-5\" text-anchor=\"end\">\(level.name)</text>"
                )
            }
            for line in series {
                let points = Self.reduced(line, to: 600).map {
                    "\(number(left + w * x.place($0.x))),\(number(top + h * (1 - y.place($0.y))))"
                }
                for cut in Self.cuts(Self.reduced(line, to: 600), above: y.range.upperBound) {
                    body.append(
                        "<text x=\"\(number(left + w * x.place(cut.x)))\" y=\"\(number(top + 12))\" text-anchor=\"middle\">▲ \(fixed(cut.y, digits))</text>"
                    )
                }
                body.append("<polyline class=\"s\(line.style)\" points=\"\(points.joined(separator: " "))\"/>")
            }
        }
        var offset = left
        for line in series {
            let value =
                line.best.map { "best \(fixed($0.y, digits))" } ?? line.points.last.map { fixed($0.y, digits) } ?? ""
            body.append(
                "<path class=\"s\(line.style)\" d=\"M\(number(offset)) 48h22\"/><text x=\"\(number(offset + 28))\" y=\"52\">\(line.name) \(value)</text>"
            )
            // Nobody can measure text here: letters of 13 units are about 7.5 wide.
            offset += 28 + Double(line.name.count + value.count + 1) * 7.5 + 24
        }
        let page: HTML = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" font-family="system-ui, sans-serif" font-size="13">
            <style>
            text { fill: #44484d } .title { font-size: 17px; font-weight: 600; fill: #1b1d1f }
            polyline, path { fill: none; stroke-width: 2; stroke-linejoin: round }
            .grid { stroke: #dfe1e3; stroke-width: 1 } .level { stroke: #6b7076; stroke-width: 1; stroke-dasharray: 2 4 }
            \(HTML(markup: Self.colours))
            </style>
            <rect width="100%" height="100%" fill="#fff"/>
            <text class="title" x="\(number(left))" y="28">\(title)</text>
            \(body)
            <text x="\(number(left + w / 2))" y="\(height - 12)" text-anchor="middle">\(xLabel)</text>
            <text transform="translate(18 \(number(top + h / 2))) rotate(-90)" text-anchor="middle">\(yLabel)</text>
            </svg>

            """
        return page.markup
    }

    /// Colours that people see apart whatever their eyes (after Okabe and Ito), and patterns besides.
    private static let colours = """
        .s0 { stroke: #0072b2 } .s1 { stroke: #c44e00 } .s2 { stroke: #00795a; stroke-dasharray: 7 3 }
        .s3 { stroke: #a8417f; stroke-dasharray: 2 3 } .s4 { stroke: #7a6200; stroke-dasharray: 9 3 2 3 } .s5 { stroke: #55585c }
        """

    private func number(_ value: Double) -> String { fixed(value, 1) }
}
