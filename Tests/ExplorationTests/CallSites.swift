import CharnnTestSupport
import Foundation

/// The lines of the sources that call the storage, as a search of their text finds them.
struct CallSites {
    struct Site {
        var line: CallStack.Line
        var code: String
    }

    /// What is looked through: everything that writes to a spool.
    private static let places = [
        "CharnnSpool", "CharnnCheckpoint", "CharnnReports", "CharnnCorpus", "CharnnJobs", "CharnnModel",
        "CharnnStorage/Storage+Durable.swift",
    ]
    private static let operations =
        "status|accessList|setAccessList|list|open|create|openForAppending|createDirectory|createDirectories|rename|remove|removeDirectory"
        + "|setMode|synchronizeDirectory|space|lock|replace|swap|discard|contents"

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Sources")

    /// What stands in a line.
    static func code(_ line: CallStack.Line) throws -> String {
        let text = try String(contentsOf: root.appending(path: line.file), encoding: .utf8)
        let lines = text.components(separatedBy: "\n")
        return line.line <= lines.count ? lines[line.line - 1].trimmingCharacters(in: .whitespaces) : ""
    }

    static func all() throws -> [Site] {
        let call = try Regex("\\bstorage\\.(\(operations))\\(")
        let own = try Regex("try (\(operations))\\((?!of)")
        let file = try Regex("\\b(file|writing|handle|metrics\\??)\\.(append|synchronize|truncate|read|status|map)\\(")
        var found: [Site] = []
        for place in places {
            let url = root.appending(path: place)
            let names =
                place.hasSuffix(".swift")
                ? [place] : try FileManager.default.subpathsOfDirectory(atPath: url.path).map { "\(place)/\($0)" }
            for name in names.sorted() where name.hasSuffix(".swift") {
                let text = try String(contentsOf: root.appending(path: name), encoding: .utf8)
                for (index, line) in text.components(separatedBy: "\n").enumerated() {
                    let code = line.trimmingCharacters(in: .whitespaces)
                    guard !code.hasPrefix("//"), !code.contains("func ") else { continue }
                    let isCall =
                        code.contains(call) || (code.contains(file) && !code.contains("metrics.append(row)"))
                        || (name.hasSuffix("Storage+Durable.swift") && code.contains(own))
                    if isCall { found.append(Site(line: .init(file: name, line: index + 1), code: code)) }
                }
            }
        }
        return found
    }

    /// Calls that no scenario makes, by what stands in their line, and why that is right.
    static let told: [(file: String, code: String, why: String)] = [
        (
            "CharnnJobs/Worker/Worker.swift", "",
            "the worker process around the runner, which the scenarios start without it"
        )
    ]
}
