import CharnnSpool
import CharnnStorage
import SystemPackage

/// The jobs of a spool and the runs outside the queue, for a shell that completes a word.
///
/// A shell waits for the answer while somebody types: nothing is said of errors, and an empty list is an answer. Names
/// that a terminal would not show as they are are left out.
enum JobNames {
    /// - Parameter words: The command line so far, of which `--spool` counts.
    static func all(_ words: [String]) -> [String] {
        guard let layout = try? layout(words) else { return [] }
        let jobs = ((try? SpoolClient(layout).list()) ?? []).map(\.name)
        return (jobs + names(of: runs(layout), besides: jobs)).filter { $0 == Terminal.oneLine($0) }
    }

    /// Runs that can be ended.
    static func running(_ words: [String]) -> [String] {
        guard let layout = try? layout(words) else { return [] }
        return names(of: runs(layout).filter { $0.state == .active }, besides: [])
    }

    /// Jobs and runs that have a model.
    static func withModels(_ words: [String]) -> [String] {
        (try? layout(words)).map { withModels(in: $0) } ?? []
    }

    /// Jobs and runs of a spool that have a model.
    static func withModels(in layout: SpoolLayout) -> [String] {
        let storage = LocalStorage()
        func hasModel(_ folder: FilePath) -> Bool { (try? storage.status(of: folder.appending(.model))) != nil }
        let jobs = ((try? storage.list(layout.jobs)) ?? []).filter { hasModel(layout.folder(of: $0)) }.sorted()
        return jobs + names(of: runs(layout).filter { !$0.isFormer && hasModel($0.folder) }, besides: jobs)
    }

    /// They lie in the person's own spool, also where the jobs are the system's.
    private static func runs(_ layout: SpoolLayout) -> [RunFolders.Run] {
        (try? RunFolders(besides: layout).list()) ?? []
    }

    /// A job of the same name would be found first.
    ///
    /// So such a run is offered by its title, which says where it lies.
    private static func names(of runs: [RunFolders.Run], besides jobs: [String]) -> [String] {
        let jobs = Set(jobs)
        return runs.map { jobs.contains($0.name) ? $0.title : $0.name }
    }

    /// The spool that the command would take: the last `--spool` counts, as for the parser.
    private static func layout(_ words: [String]) throws -> SpoolLayout {
        let index = words.lastIndex(of: "--spool")
        let named =
            index.flatMap { words.indices.contains($0 + 1) ? words[$0 + 1] : nil }
            ?? words.last { $0.hasPrefix("--spool=") }.map { String($0.dropFirst(8)) }
        return try SpoolLayout.choose(named.map { FilePath($0) }, isDaemon: false)
    }
}
