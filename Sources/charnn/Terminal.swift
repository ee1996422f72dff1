import Glibc

/// What the program knows of the terminal it talks to.
enum Terminal {
    /// Whether standard output is a terminal that can move its cursor.
    static let isInteractive = isatty(1) == 1 && String(cString: getenv("TERM") ?? strdup("dumb")) != "dumb"

    /// Whether colours are wanted: on a terminal, unless `NO_COLOR` says otherwise (https://no-color.org).
    static let hasColour = isInteractive && (getenv("NO_COLOR").map { $0.pointee == 0 } ?? true)

    /// The terminal's width in characters.
    static var width: Int {
        var size = winsize()
        return ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    /// How this program was called, for commands that can be pasted: its name, or its path if it is not in `$PATH`.
    static let program: String = {
        let called = CommandLine.arguments.first ?? "charnn"
        guard called.contains("/"), let current = getcwd(nil, 0) else { return called }
        defer { free(current) }
        let folder = String(cString: current) + "/"
        return called.hasPrefix(folder) ? String(called.dropFirst(folder.count)) : called
    }()

    static func write(_ text: String) {
        var bytes = Array(text.utf8)
        while !bytes.isEmpty {
            let written = Glibc.write(1, bytes, bytes.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return }
            bytes.removeFirst(written)
        }
    }

    static func line(_ text: String = "") { write(text + "\n") }

    static func error(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = Glibc.write(2, bytes, bytes.count)
    }

    static func bold(_ text: String) -> String { hasColour ? "\u{1B}[1m\(text)\u{1B}[0m" : text }

    static func dim(_ text: String) -> String { hasColour ? "\u{1B}[2m\(text)\u{1B}[0m" : text }

    /// Control characters of a text that a model or another person wrote, made harmless.
    static func harmless(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    let isControl = scalar.value < 0x20 && scalar != "\n" && scalar != "\t"
                    return isControl || (0x7F...0x9F).contains(scalar.value) ? "\u{FFFD}" : scalar
                }))
    }
}
