/// What all pages have in common: the frame, the style, the little script that lets one read values off a curve.
///
/// Pages are looked at from a file, by mail and on telephones, years after: each is one file, with nothing beside it
/// and nothing to be fetched. Without the script all of it can be read.
enum Page {
    /// A whole page that asks nothing of any other place.
    ///
    /// The policy allows what is in the page and nothing else, so that a browser would load nothing even if some text
    /// got through as markup.
    ///
    /// - Parameter refreshes: Whether a browser loads the page anew each minute: while a job is at work.
    static func bytes(title: String, body: HTML, refreshes: Bool = false) -> [UInt8] {
        let refresh: HTML = refreshes ? "<meta http-equiv=\"refresh\" content=\"60\">\n" : .nothing
        let page: HTML = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <link rel="icon" href="data:,">
            \(refresh)<title>\(title)</title>
            <style>\(HTML(markup: style))</style>
            </head>
            <body><main>
            \(body)
            </main>
            <script>\(HTML(markup: script))</script>
            </body></html>

            """
        return Array(page.markup.utf8)
    }

    /// Keys and values.
    static func table(_ rows: [(key: String, value: String)]) -> HTML {
        "<div class=\"wide\"><table class=\"keys\"><tbody>\(rows.map { "<tr><th scope=\"row\">\($0.key)</th><td>\($0.value)</td></tr>" })</tbody></table></div>"
    }

    /// `2026-01-31T23:59:00Z` as `2026-01-31 23:59 UTC`.
    ///
    /// What is no such time stays as it is. UTC, as in logs and statuses: the page may be read in another place.
    static func day(_ time: String) -> String {
        let parts = time.split(separator: "T")
        guard parts.count == 2 else { return time }
        return "\(parts[0]) \(parts[1].prefix(5)) UTC"
    }
}
