import ArgumentParser
import CharnnJobs
import CharnnPrograms
import CharnnSpool
import CharnnStorage
import Glibc
import SystemPackage

/// `--spool`, for every command that looks into one.
struct SpoolOptions: ParsableArguments {
    @Option(
        name: .long, help: ArgumentHelp("The spool folder.", discussion: spoolHelp, valueName: "dir"),
        completion: .directory)
    var spool: String?

    var layout: SpoolLayout { SpoolLayout.choose(spool.map { FilePath($0) }, isDaemon: false) }

    /// A spool that is there already: looking into one does not make it, for its name may be mistyped.
    func existing(_ storage: any Storage) throws -> SpoolLayout {
        guard try storage.status(of: layout.incoming)?.kind == .directory else {
            throw Failure("there is no spool at \(layout.root); the first job or daemon makes it", status: 66)
        }
        return try prepared(storage)
    }

    /// The spool with its directories made, where it is the person's own.
    func prepared(_ storage: any Storage) throws -> SpoolLayout {
        let layout = layout
        if try layout.directories(.personal).contains(where: { try storage.status(of: $0.path) == nil }) {
            try layout.create(.personal, on: storage)
        }
        return layout
    }
}

extension FilePath {
    /// The path with every link on its way followed, or as it is if nothing is there.
    var real: FilePath {
        guard let resolved = realpath(string, nil) else { return self }
        defer { free(resolved) }
        return FilePath(String(cString: resolved))
    }

    /// The path made absolute from the current folder.
    var absolute: FilePath {
        guard isRelative, let current = getcwd(nil, 0) else { return lexicallyNormalized() }
        defer { free(current) }
        return FilePath(String(cString: current)).pushing(self).lexicallyNormalized()
    }
}
