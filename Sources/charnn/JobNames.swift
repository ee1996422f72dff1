import CharnnSpool
import CharnnStorage
import SystemPackage

/// The jobs of a spool, for a shell that completes a word.
enum JobNames {
    /// - Parameter words: The command line so far, of which `--spool` counts.
    static func all(_ words: [String]) -> [String] {
        guard let layout = try? layout(words) else { return [] }
        let client = SpoolClient(layout)
        return ((try? client.list()) ?? []).map(\.name).filter { $0 == Terminal.oneLine($0) }
    }

    /// Jobs that have a model.
    static func withModels(_ words: [String]) -> [String] {
        guard let layout = try? layout(words) else { return [] }
        let storage = LocalStorage()
        return ((try? storage.list(layout.jobs)) ?? []).filter { name in
            (try? storage.status(of: layout.folder(of: name).appending(.model))) != nil
        }.sorted()
    }

    private static func layout(_ words: [String]) throws -> SpoolLayout {
        let index = words.lastIndex(of: "--spool")
        let named =
            index.flatMap { words.indices.contains($0 + 1) ? words[$0 + 1] : nil }
            ?? words.last { $0.hasPrefix("--spool=") }.map { String($0.dropFirst(8)) }
        return try SpoolLayout.choose(named.map { FilePath($0) }, isDaemon: false)
    }
}
