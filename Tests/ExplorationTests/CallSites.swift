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
        "CharnnStorage/Storage+Durable.swift", "CharnnStorage/FileAside.swift",
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
                        || (name.hasPrefix("CharnnStorage/") && code.contains(own))
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
        ),
        // What only people's programs do.
        (
            "CharnnJobs/JobFile/ServiceConfiguration+Caps.swift", "storage.contents(of: standardPath",
            "people's programs read the service's configuration, to say in time what the daemon would refuse"
        ),
        (
            "CharnnJobs/Running/JobEnvironment.swift", "if let runs",
            "a person's run looks for a model among runs; jobs of the queue look at none"
        ),
        (
            "CharnnJobs/Spool/TrainingCosts.swift", "sha256(of: try storage.open(files.model",
            "`charnn check` measures how long a model's writing takes, in a folder that is thrown away"
        ),
        (
            "CharnnJobs/Spool/TrainingCosts.swift", "storage.replace(folder.appending(\"sample.txt\")",
            "`charnn check` measures how long a sample's writing takes, in a folder that is thrown away"
        ),
        (
            "CharnnSpool/SpoolClient.swift", "storage.list(layout.incoming)",
            "only chooses the words in which a person is told that the service is stopped"
        ),
        (
            "CharnnSpool/SpoolClient.swift", "storage.status(of: layout.sign)",
            "asks whether there is a daemon where accepting/ may not be looked into; the simulated disk denies nobody"
        ),
        (
            "CharnnSpool/SpoolClient+Asking.swift", "ask(.edit, of: job, bytes)",
            "`charnn edit` looks whether a daemon that works meanwhile has made the edit; it writes nothing any more"
        ),
        (
            "CharnnSpool/SpoolClient+Asking.swift", "while clock.monotonic() < end",
            "whoever asks looks whether a daemon that works meanwhile has taken the request; it is on disk already"
        ),
        (
            "CharnnSpool/SpoolFinding.swift", "storage.setAccessList(list, of: path)",
            "`charnn fsck` gives a directory its access list again, as each start of a daemon does; what a crash takes of it "
                + "is found missing again"
        ),
        // The process at a run outside the queue, which no power failure outlives.
        (
            "CharnnSpool/ProcessIdentity.swift", "storage.open(path, beneath: nil).read(at: 0, count: 4096)",
            "reads of /proc, which is no disk"
        ),
        (
            "CharnnSpool/ProcessIdentity.swift", "storage.contents(of: path, limit: 4096)",
            "`charnn cancel` looks which process is at a run; of one that is over it looks no further than its lock"
        ),
        (
            "CharnnSpool/ProcessIdentity.swift", "storage.replace(path, with: Array(data)",
            "`charnn run` notes its own process, to be asked to end; a run goes on without that note"
        ),
        // Where a person's spool lies.
        (
            "CharnnSpool/SpoolLayout+Place.swift", "guard let relocation",
            "tells whose home is on a network file system where their spool is about to be made"
        ),
        (
            "CharnnSpool/SpoolLayout+Place.swift", "storage.status(of: relocation.from)",
            "tells whose home is on a network file system that there is a former spool"
        ),
        (
            "CharnnSpool/SpoolLayout+Place.swift", "guard relocation != nil",
            "who owns the place in /var/tmp of a spool that is not asked for; others are not looked at"
        ),
    ]

    /// Whether what is told of a call is told of code that is still there.
    static func isThere(_ code: String, in file: String) -> Bool {
        guard let text = try? String(contentsOf: root.appending(path: file), encoding: .utf8) else { return false }
        return code.isEmpty || text.contains(code)
    }
}
