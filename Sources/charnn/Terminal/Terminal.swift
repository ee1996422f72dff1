import CharnnPrograms
import CharnnReports
import CharnnSpool
import Glibc

/// What the program knows of the terminal it talks to.
///
/// All output of the commands goes through it, so that three things need no thought elsewhere: nothing but text reaches
/// a pipe, nothing of another person's reaches the terminal as a command to it, and a reader that has gone away ends no
/// work.
enum Terminal {
    /// Whether standard output is a terminal.
    static let isTerminal = isatty(1) == 1

    /// Whether it can move its cursor, too.
    static let isInteractive = isTerminal && (variable("TERM") ?? "dumb") != "dumb"

    /// Whether colours are wanted: on a terminal, unless `NO_COLOR` says otherwise (https://no-color.org).
    static let hasColour = isInteractive && (variable("NO_COLOR") ?? "").isEmpty

    /// Whether the terminal shows more than ASCII, as its locale says.
    static let isUnicode: Bool = {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap(variable).first { !$0.isEmpty } ?? ""
        let name = locale.lowercased().filter { $0 != "-" }
        return name.contains("utf8")
    }()

    /// The terminal's width in columns, as it is now.
    static var width: Int {
        var size = winsize()
        return ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    /// How many columns a line may take: the terminal's, and any number where lines go elsewhere.
    static var room: Int { isInteractive ? width : .max }

    /// How this program was called, for commands that can be pasted: its name, or its path if it is not in `$PATH`.
    static let program: String = {
        let called = CommandLine.arguments.first ?? "charnn"
        guard called.contains("/"), let current = getcwd(nil, 0) else { return called }
        defer { free(current) }
        let folder = String(cString: current) + "/"
        // A path below the current folder works from here as it is, and is shorter.
        return called.hasPrefix(folder) ? String(called.dropFirst(folder.count)) : called
    }()

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// As it is: what others wrote must have been made harmless before.
    static func write(_ text: String) { StandardOutput.write(text.utf8) }

    static func line(_ text: String = "") { write(text + "\n") }

    /// A message on standard error; names and texts in it may be anybody's.
    static func error(_ text: String) {
        let bytes = Array((PlainText.lines(text, indent: "  ") + "\n").utf8)
        _ = Glibc.write(2, bytes, bytes.count)
    }

    static func bold(_ text: String) -> String { styled(text, "1") }

    static func dim(_ text: String) -> String { styled(text, "2") }

    /// The colours of a terminal's own palette, which fit its background.
    enum Colour: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
    }

    /// nil, or a terminal without colours: the text alone.
    static func coloured(_ text: String, _ colour: Colour?) -> String {
        colour.map { styled(text, $0.rawValue) } ?? text
    }

    private static func styled(_ text: String, _ style: String) -> String {
        hasColour && !text.isEmpty ? "\u{1B}[\(style)m\(text)\u{1B}[0m" : text
    }

    /// A line with words of others in it, such as a job's reason.
    static func message(_ text: String) { line(PlainText.lines(text, indent: "  ")) }

    /// A text that a model or another person wrote, made harmless.
    static func harmless(_ text: String) -> String { PlainText.lines(text) }

    /// The same for a text that has to stay in one line.
    static func oneLine(_ text: String) -> String {
        harmless(text).split(whereSeparator: { $0.isNewline || $0 == "\t" }).joined(separator: " ")
    }
}

/// A line at the end of a terminal's output that is drawn again and again.
///
/// It is cleared before anything else is written, and where there is no terminal it is never there.
final class LiveLine {
    private var isShown = false

    /// Draws the line in place of the last one. It is never wrapped, should the window have become narrower meanwhile.
    func show(_ text: String) {
        guard Terminal.isInteractive else { return }
        Terminal.write("\r\u{1B}[?7l\(text)\u{1B}[K\u{1B}[?7h")
        isShown = true
    }

    /// Removes the line, so that another can stand in its place.
    func clear() {
        guard isShown else { return }
        Terminal.write("\r\u{1B}[K")
        isShown = false
    }
}
